/* bench.c - momentscope bench VERB: the table of verbs */
#include "bench.h"

#include <stdio.h>
#include <string.h>

#include "cli.h"

static const struct verb {
    const char *name, *help;
    int (*run)(int argc, char **argv);
} verbs[] = {
    { "list", "workloads, schedules and their parameters", mscope_cmd_bench_list },
    { "run", "a grid of runs, one JSON line each; can be interrupted and resumed", mscope_cmd_bench_run },
    { "compare", "steps to target by band from these lines, as a table and as plots", mscope_cmd_bench_compare },
    { "reproduce", "the papers' claims: their number, ours, PASS, FAIL or CORRECTED", mscope_cmd_bench_reproduce },
};

static int usage(FILE *to, int code)
{
    fprintf(to, "usage: momentscope bench VERB [OPTION...]\n\n");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        fprintf(to, "  %-10s %s\n", verbs[i].name, verbs[i].help);
    fprintf(to, "\nexample: momentscope bench run sparse-ls --schedules sgd,constant --grid eta=0.1,0.2 --seeds 4\n"
                "\nmomentscope bench VERB --help lists the options.\n"
                "\nexit codes: 0 success, 1 something failed, 2 wrong usage\n");
    return code;
}

int mscope_cmd_bench(int argc, char **argv)
{
    if (argc < 2)
        return usage(stderr, MSCOPE_EXIT_USAGE);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return usage(stdout, MSCOPE_EXIT_OK);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    fprintf(stderr, "momentscope bench: no verb '%s'; momentscope bench --help lists them\n", argv[1]);
    return MSCOPE_EXIT_USAGE;
}
