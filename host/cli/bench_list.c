/* list.c - bench list: workloads, schedules and their parameters */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "cli.h"
#include "bench/schedules.h"

static void params(const mscope_bench_param *p)
{
    for (; p->name != NULL; p++)
        printf("      %-10s %-8g %s, %g to %g\n", p->name, p->value, p->help, p->low, p->high);
}

int mscope_bench_list(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        printf("usage: momentscope bench list\n\nexample: momentscope bench list | less\n\nexit codes: 0 success, 1 standard output cannot be written, 2 wrong usage\n");
        return MSCOPE_EXIT_OK;
    }
    if (argc > 1) {
        fprintf(stderr, "momentscope bench list: '%s': takes no argument\n", argv[1]);
        return MSCOPE_EXIT_USAGE;
    }
    printf("workloads, with parameter, default, meaning and range:\n");
    for (size_t i = 0; mscope_workloads[i] != NULL; i++) {
        const mscope_workload *w = mscope_workloads[i];
        printf("\n  %-12s %s%s\n", w->name, w->help, w->theory == NULL ? "" : w->advise == NULL ? " [theory]" : " [theory, advice]");
        for (const mscope_bench_text *t = w->origin != NULL ? w->origin->texts : NULL; t != NULL && t->name != NULL; t++)
            printf("      --%-17s %s\n", t->name, t->help);
        params(w->params);
    }
    printf("\nschedules, with the parameters they read:\n\n");
    for (const mscope_bench_rule *r = mscope_bench_rules; r->name != NULL; r++) {
        printf("  %-14s %-42s", r->name, r->help);
        for (int k = 0; k < MSCOPE_RULE_PARAMS; k++)
            if (r->reads >> k & 1)
                printf(" %s", mscope_bench_rule_params[k].name);
        printf("\n      from: %s\n", r->source);
    }
    printf("\n  not here: adana, dana-star: they need a running mean of g^2 a coordinate, which neither the core nor a workload keeps\n");
    printf("\nparameters of schedules:\n");
    params(mscope_bench_rule_params);
    printf("\nsemantics of rows without a gradient: catchup dense frozen row-clock\n");
    return MSCOPE_EXIT_OK;
}
