/* compare.c - the table of steps to target by band, and the plots that go with it */
#include "compare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plot.h"
#include "settings.h"

/* Less is better: steps to target; where it was not reached, the risk that is left. */
static double order(const mscope_result *r)
{
    double mean, low, high;
    mscope_result_steps(r, r->bands, &mean, &low, &high);
    const double left = r->points > 0 ? r->risk[r->bands][r->points - 1] : INFINITY;
    return isfinite(mean) ? mean : 1e15 * (1 + (isfinite(left) ? fmin(left, 1e9) : 1e9));
}

static int is_best(const mscope_results *all, size_t i)
{
    for (size_t k = 0; k < all->n; k++)
        if (k != i && mscope_same_problem(&all->at[k], &all->at[i]) &&
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

static void row(const mscope_results *all, const mscope_result *r, size_t number)
{
    char varying[1024];
    printf("%2zu %s, %s, %s: %s %.4g", number, r->workload, r->schedule, r->semantics,
           isnan(r->eta) ? "eta times" : "eta", isnan(r->eta) ? r->times : r->eta);
    if (!isnan(r->eps))
        printf(", eps %.4g", r->eps);
    if (!isnan(r->batch))
        printf(", batch %.6g", r->batch);
    mscope_what_varies(all, r, varying, sizeof varying);
    printf("%s (%zu seed%s%s)\n", varying, r->seeds, r->seeds == 1 ? "" : "s",
           r->diverged > 0 ? ", some diverged" : "");
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

static int plots(const mscope_results *all, const mscope_result *r, const char *prefix, const char *ending,
                 size_t number)
{
    char path[512];
    snprintf(path, sizeof path, "%s-risk-%zu.%s", prefix, number, ending);
    int rc = mscope_plot_risk(all, r, path);
    if (!isnan(r->eps) && r->batch > 0) {
        snprintf(path, sizeof path, "%s-plane-%zu.%s", prefix, number, ending);
        rc |= mscope_plot_plane(all, r, path);
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

int mscope_compare_print(const mscope_results *all, int every, const char *prefix, const char *ending)
{
    size_t number = 0;
    int rc = 0;
    printf("steps to target, mean [95 %% interval] over seeds\n\n");
    notes(all);
    for (size_t i = 0; i < all->n; i++)
        if (every || is_best(all, i)) {
            row(all, &all->at[i], ++number);
            if (prefix != NULL)
                rc |= plots(all, &all->at[i], prefix, ending, number);
        }
    if (prefix != NULL) {
        char path[512];
        snprintf(path, sizeof path, "%s-heat.%s", prefix, ending);
        rc |= mscope_plot_heat(all, path);
        mscope_plot_end();
    }
    return rc;
}
