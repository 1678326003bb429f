/* bench_list.c - momentscope bench list: workloads, schedules and their parameters */
#include "bench.h"

#include <stdio.h>
#include <string.h>

#include "bench/schedules.h"
#include "common/exit.h"
#include "common/options.h"

enum { WIDTH = 80 };

/* Words of text from column `at` on, in lines of at most 80 columns; lines after the first begin at column indent. */
static void wrap(const char *text, int at, int indent)
{
    while (*text != '\0') {
        const int len = (int)strcspn(text, " ");
        if (at + 1 + len > WIDTH && at > indent) {
            printf("\n%*s", indent, "");
            at = indent;
        } else if (at > indent)
            at += printf(" ");
        at += printf("%.*s", len, text);
        text += len + (text[len] == ' ');
    }
    printf("\n");
}

static void params(const mscope_bench_param *p)
{
    char text[256];
    for (; p->name != NULL; p++) {
        (void)snprintf(text, sizeof text, "%s, %g to %g", p->help, p->low, p->high);
        wrap(text, printf("      %-10s %-8g ", p->name, p->value), 26);
    }
}

static void workload(const mscope_workload *w)
{
    char text[256];
    (void)snprintf(text, sizeof text, "%s%s", w->help,
                   w->theory == NULL   ? ""
                   : w->advise == NULL ? " [theory]"
                                       : " [theory, advice]");
    wrap(text, printf("\n  %-12s ", w->name) - 1, 15);
    for (const mscope_bench_text *t = w->origin != NULL ? w->origin->texts : NULL; t != NULL && t->name != NULL; t++)
        printf("      --%s %-*s %s\n", t->name, 16 - (int)strlen(t->name), t->arg, t->help);
    params(w->params);
}

static void schedule(const mscope_bench_rule *r)
{
    printf("  %-14s %-41s", r->name, r->help);
    for (int k = 0; k < MSCOPE_RULE_PARAMS; k++)
        if (r->reads >> k & 1)
            printf(" %s", mscope_bench_rule_params[k].name);
    printf("\n");
    wrap(r->source, printf("      from: "), 12);
}

int mscope_cmd_bench_list(int argc, char **argv)
{
    static const mscope_option none[] = { { .name = NULL } };
    static const mscope_command c = {
        .name = "momentscope bench list",
        .usage = "",
        .about =
            "Prints workloads, schedules and semantics, with parameter, default, meaning and range. [theory]: the "
            "expected risk at the end is known. [advice]: rates for each band can be searched (schedules "
            "per-band-eta, per-band-eps).",
        .option = none,
        .example = "momentscope bench list | less",
        .exits = "0 success\n1 standard output cannot be written\n2 wrong usage",
    };
    const int code = mscope_options_read(&c, argc, argv, NULL);
    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    printf("workloads, with parameter, default, meaning and range:\n");
    for (size_t i = 0; mscope_workloads[i] != NULL; i++)
        workload(mscope_workloads[i]);
    printf("\nschedules, with the parameters they read:\n\n");
    for (const mscope_bench_rule *r = mscope_bench_rules; r->name != NULL; r++)
        schedule(r);
    printf("\n  adam to dana-star: sparse-ls, vocab-ls and the bigram models only, which keep a\n"
           "  running mean of g^2; they have no closed form, so catchup is the full sweep there\n");
    printf("\nparameters of schedules:\n");
    params(mscope_bench_rule_params);
    printf("\nsemantics of rows without a gradient: catchup dense frozen row-clock\n");
    return MSCOPE_EXIT_OK;
}
