/* compare.c - bench compare: steps to target by band, from the JSON lines of bench run */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/cli.h"
#include "results.h"

static void usage(FILE *to)
{
    fprintf(to, "usage: momentscope bench compare [--all] [--plot PREFIX] [--svg] FILE...\n\n"
                "Steps to target, mean and 95 %% interval over seeds ([-]: one seed has none), for each band and the total. A run that\n"
                "several lines tell counts once, by the first. Of each workload, schedule,\n"
                "semantics and batch the setting with the fewest steps to the total's target; --all shows every setting.\n"
                "Where theory knows the risk at the end: runs, theory, and the 95 %% interval of their difference.\n"
                "--plot writes PREFIX-risk-N.png (risk curves by band) and PREFIX-plane-N.png (bands in the plane of\n"
                "frequency and momentum, with the resonance line) of each row, and PREFIX-heat.png (eta against eps).\n\n"
                "example: momentscope bench compare --plot out/vocab vocab.jsonl\n\n"
                "exit codes: 0 success, 1 a file cannot be read or written or holds no run, 2 wrong usage\n");
}

/* The setting that another must beat: fewest steps, then more of the risk gone. */
static double order(const mscope_result *r)
{
    double mean, low, high;
    mscope_result_steps(r, r->bands, &mean, &low, &high);
    const double left = r->points > 0 ? r->risk[r->bands][r->points - 1] : INFINITY;
    return isfinite(mean) ? mean : 1e15 * (1 + (isfinite(left) ? fmin(left, 1e9) : 1e9));
}

static int same_row(const mscope_result *a, const mscope_result *b)
{
    return strcmp(a->workload, b->workload) == 0 && strcmp(a->schedule, b->schedule) == 0 &&
           strcmp(a->semantics, b->semantics) == 0 && !(a->batch < b->batch || a->batch > b->batch);
}

static int is_best(const mscope_results *all, size_t i)
{
    for (size_t k = 0; k < all->n; k++)
        if (k != i && same_row(&all->at[k], &all->at[i]) &&
            (order(&all->at[k]) < order(&all->at[i]) || (k < i && order(&all->at[k]) <= order(&all->at[i]))))
            return 0;
    return 1;
}

static void cell(const mscope_result *r, size_t band)
{
    double mean, low, high;
    char text[48];
    mscope_result_steps(r, band, &mean, &low, &high);
    if (isnan(mean))
        snprintf(text, sizeof text, "no target");
    else if (!isfinite(mean))
        snprintf(text, sizeof text, ">%.0f", r->horizon);
    else if (isnan(low))
        snprintf(text, sizeof text, "%.4g [-]", mean);
    else
        snprintf(text, sizeof text, "%.4g [%.4g, %.4g]", mean, low, high);
    printf("  %-26s", text);
}

static void theory(const mscope_result *r)
{
    double mean, said, low, high;
    const size_t n = mscope_result_theory(r, &mean, &said, &low, &high);
    if (n == 0)
        return;
    printf("   risk at %-9.0f %.5g, theory %.5g", r->horizon, mean, said);
    if (!isnan(low))
        printf(", difference [%.2g, %.2g]", low, high);
    printf(n < r->seeds ? "; %zu of %zu seeds\n" : "\n", n, r->seeds);
}

static void row(const mscope_result *r, size_t number)
{
    printf("%2zu %s, %s, %s: %s %.4g", number, r->workload, r->schedule, r->semantics, isnan(r->eta) ? "eta times" : "eta",
           isnan(r->eta) ? r->times : r->eta);
    if (!isnan(r->eps))
        printf(", eps %.4g", r->eps);
    if (!isnan(r->batch))
        printf(", batch %.6g", r->batch);
    printf(" (%zu seed%s%s)\n", r->seeds, r->seeds == 1 ? "" : "s", r->diverged > 0 ? ", some diverged" : "");
    printf("   %-11s", "all");
    cell(r, r->bands);
    printf("\n");
    theory(r);
    for (size_t b = 0; r->bands > 1 && b < r->bands; b++) {
        printf("   p %-9.3g", r->p[b]);
        cell(r, b);
        printf("  %.0f row%s\n", r->rows[b], r->rows[b] > 1 ? "s" : "");
    }
}

static int plots(const mscope_result *r, const char *prefix, const char *ending, size_t number)
{
    char path[512];
    snprintf(path, sizeof path, "%s-risk-%zu.%s", prefix, number, ending);
    int rc = mscope_plot_risk(r, path);
    if (!isnan(r->eps) && r->batch > 0) {
        snprintf(path, sizeof path, "%s-plane-%zu.%s", prefix, number, ending);
        rc |= mscope_plot_plane(r, path);
    }
    return rc;
}

static void notes(const mscope_results *all)
{
    for (size_t i = 0; i < all->n; i++) {
        size_t k = 0;
        while (k < i && strcmp(all->at[k].note, all->at[i].note) != 0)
            k++;
        if (k == i && all->at[i].note[0] != '\0')
            printf("note: %s\n\n", all->at[i].note);
    }
}

static int show(const mscope_results *all, int every, const char *prefix, const char *ending)
{
    size_t number = 0;
    int rc = 0;
    printf("steps to target, mean [95 %% interval] over seeds\n\n");
    notes(all);
    for (size_t i = 0; i < all->n; i++)
        if (every || is_best(all, i)) {
            row(&all->at[i], ++number);
            if (prefix != NULL)
                rc |= plots(&all->at[i], prefix, ending, number);
        }
    if (prefix != NULL) {
        char path[512];
        snprintf(path, sizeof path, "%s-heat.%s", prefix, ending);
        rc |= mscope_plot_heat(all, path);
        mscope_plot_end();
    }
    return rc;
}

int mscope_bench_compare(int argc, char **argv)
{
    static const struct option known[] = { { "all", 0, NULL, 'a' },  { "plot", 1, NULL, 'p' }, { "svg", 0, NULL, 's' },
                                           { "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 } };
    mscope_results all = { .n = 0 };
    const char *prefix = NULL, *ending = "png";
    int c, every = 0, rc = MSCOPE_EXIT_OK;
    optind = 1;
    while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1)
        switch (c) {
        case 'a': every = 1; break;
        case 'p': prefix = optarg; break;
        case 's': ending = "svg"; break;
        case 'h': usage(stdout); return MSCOPE_EXIT_OK;
        default: usage(stderr); return MSCOPE_EXIT_USAGE;
        }
    if (optind == argc) {
        usage(stderr);
        return MSCOPE_EXIT_USAGE;
    }
    for (int i = optind; i < argc && rc == MSCOPE_EXIT_OK; i++) {
        const long runs = mscope_results_read(&all, argv[i]);
        if (runs < 0)
            fprintf(stderr, "momentscope bench compare: cannot read %s: %s\n", argv[i], strerror(errno));
        else if (runs == 0)
            fprintf(stderr, "momentscope bench compare: %s holds no run: wanted the lines of momentscope bench run\n", argv[i]);
        rc = runs > 0 ? rc : MSCOPE_EXIT_FAILED;
    }
    if (rc == MSCOPE_EXIT_OK && show(&all, every, prefix, ending) < 0)
        rc = MSCOPE_EXIT_FAILED;
    if (all.bad > 0)
        fprintf(stderr, "momentscope bench compare: %zu of %zu lines are not runs\n", all.bad, all.lines);
    if (all.repeated > 0)
        fprintf(stderr, "momentscope bench compare: %zu of %zu lines repeat a run and are not counted again\n", all.repeated,
                all.lines);
    mscope_results_free(&all);
    return rc;
}
