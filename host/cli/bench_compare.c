/* bench_compare.c - momentscope bench compare: the options; report/compare.c does the work */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/report/compare.h"
#include "common/exit.h"
#include "common/line.h"
#include "common/options.h"

static struct {
    const char *plot;
    int all, svg;
} o;

static const mscope_option options[] = {
    { "all", NULL, "show every setting, not only the best of each schedule", .flag = &o.all },
    { "plot", "PREFIX", "write PREFIX-risk-N.png and PREFIX-plane-N.png for each setting shown, and PREFIX-heat.png",
      .text = &o.plot },
    { "svg", NULL, "plots as SVG instead of PNG", .flag = &o.svg },
    { .name = NULL },
};

static const mscope_command command = {
    .name = "momentscope bench compare",
    .usage = "[OPTION...] FILE...",
    .about =
        "Reads the lines of momentscope bench run and prints steps to target, mean and 95 % interval over seeds, for "
        "each band and the total; [-]: one seed has no interval. Settings that differ in parameters of the schedule "
        "alone compete: the one with the fewest steps to the target of the total is shown. Settings that differ in "
        "anything else (a parameter of the workload, the semantics, the length ..) are each shown. A run that several "
        "lines tell counts once, by the first. Where theory knows the risk at the end: the runs, theory, and the 95 % "
        "interval of their difference.",
    .option = options,
    .notes =
        "Plots: risk is the risk by step and band; plane shows the bands by frequency and momentum, with the line of "
        "resonance; heat is steps to target by eta and eps.",
    .example = "momentscope bench compare --plot out/vocab vocab.jsonl",
    .exits = "0 success\n1 a file cannot be read or written, or holds no run\n2 wrong usage",
    .least = 1,
    .most = 1 << 16,
    .argument = "FILE",
};

static int read_all(mscope_results *all, char **path, int n)
{
    for (int i = 0; i < n; i++) {
        const long runs = mscope_results_read(all, path[i]);
        if (runs < 0)
            fprintf(stderr, "momentscope bench compare: cannot read %s: %s\n", path[i],
                    errno == EMSGSIZE ? mscope_line_why() : strerror(errno));
        else if (runs == 0)
            fprintf(stderr, "momentscope bench compare: %s holds no run, expected lines of momentscope bench run\n",
                    path[i]);
        if (runs <= 0)
            return -1;
    }
    return 0;
}

int mscope_cmd_bench_compare(int argc, char **argv)
{
    mscope_results all = { .n = 0 };
    int n, code = mscope_options_read(&command, argc, argv, &n);
    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    code = read_all(&all, argv + 1, n) == 0 && mscope_compare_print(&all, o.all, o.plot, o.svg ? "svg" : "png") == 0
               ? MSCOPE_EXIT_OK : MSCOPE_EXIT_FAILED;
    if (all.bad > 0)
        fprintf(stderr, "momentscope bench compare: %zu of %zu lines are not runs\n", all.bad, all.lines);
    if (all.repeated > 0)
        fprintf(stderr, "momentscope bench compare: %zu of %zu lines repeat a run and are not counted again\n",
                all.repeated, all.lines);
    mscope_results_free(&all);
    return code;
}
