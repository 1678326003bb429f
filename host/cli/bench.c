/* bench.c - momentscope bench VERB: the table of verbs */
#include "bench.h"

#include "choices.h"
#include "cli.h"

static const mscope_choice verbs[] = {
    { "list", "workloads, schedules and their parameters", mscope_cmd_bench_list },
    { "run", "a grid of runs, one JSON line each; can be interrupted and resumed", mscope_cmd_bench_run },
    { "compare", "steps to target by band from these lines, as a table and as plots", mscope_cmd_bench_compare },
    { "reproduce", "the papers' claims: their number, ours, PASS, FAIL or CORRECTED", mscope_cmd_bench_reproduce },
};

static const mscope_choices bench = {
    .name = "momentscope bench",
    .what = "VERB",
    .kind = "verb",
    .choice = verbs,
    .n = sizeof verbs / sizeof verbs[0],
    .about = "momentscope bench list shows what WORKLOAD, schedules and parameters can be.",
    .example = "momentscope bench run sparse-ls --schedules sgd,constant --grid eta=0.1,0.2 --seeds 4",
    .exits = "0 success\n1 something failed\n2 wrong usage",
};

int mscope_cmd_bench(int argc, char **argv)
{
    return mscope_choices_run(&bench, argc, argv);
}
