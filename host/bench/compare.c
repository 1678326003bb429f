/* compare.c - bench compare: steps to target by band, from the JSON lines of bench run */
#include "bench.h"

#include <stdio.h>

#include "cli/cli.h"

int mscope_bench_compare(int argc, char **argv)
{
    (void)argc;
    fprintf(stderr, "momentscope bench %s: not there yet\n", argv[0]);
    return MSCOPE_EXIT_FAILED;
}
