/* compare.c - the table of steps to target by band, and the plots that go with it */
#include "compare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/schedules.h"
#include "plot.h"

/* Less is better: steps to target; where it was not reached, the risk that is left. */
static double order(const mscope_result *r)
{
    double mean, low, high;
    mscope_result_steps(r, r->bands, &mean, &low, &high);
    const double left = r->points > 0 ? r->risk[r->bands][r->points - 1] : INFINITY;
    return isfinite(mean) ? mean : 1e15 * (1 + (isfinite(left) ? fmin(left, 1e9) : 1e9));
}

/* The next "name=value" of a key from *at on: its start and length, name_len to the sign. NULL: no more. */
static const char *setting(const char **at, size_t *len, size_t *name_len)
{
    for (; **at != '\0'; *at += *len) {
        *at += strspn(*at, " ");
        *len = strcspn(*at, " ");
        *name_len = strcspn(*at, "= ");
        if (*name_len < *len) {
            const char *found = *at;
            *at += *len;
            return found;
        }
    }
    return NULL;
}

/* What a key says of a name: the start of "name=value" and its length, or NULL. */
static const char *find_setting(const char *key, const char *name, size_t name_len, size_t *len)
{
    const char *at = key, *s;
    size_t its_len;
    while ((s = setting(&at, len, &its_len)) != NULL)
        if (its_len == name_len && memcmp(s, name, name_len) == 0)
            return s;
    return NULL;
}

/* Is this name one of a schedule's parameters? Settings that differ in any other are different problems. */
static int of_schedule(const char *name, size_t name_len)
{
    for (size_t i = 0; mscope_bench_rule_params[i].name != NULL; i++)
        if (strlen(mscope_bench_rule_params[i].name) == name_len &&
            memcmp(mscope_bench_rule_params[i].name, name, name_len) == 0)
            return 1;
    return 0;
}

static int differs(const mscope_result *b, const char *s, size_t len, size_t name_len)
{
    size_t its_len;
    const char *its = find_setting(b->key, s, name_len, &its_len);
    return its == NULL || its_len != len || memcmp(its, s, len) != 0;
}

static int same_row(const mscope_result *a, const mscope_result *b)
{
    const char *at = a->key, *s;
    size_t len, name_len;
    if (strcmp(a->workload, b->workload) != 0 || strcmp(a->schedule, b->schedule) != 0 ||
        strcmp(a->semantics, b->semantics) != 0)
        return 0;
    while ((s = setting(&at, &len, &name_len)) != NULL)
        if (!of_schedule(s, name_len) && differs(b, s, len, name_len))
            return 0;
    return 1;
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

/* What the title does not say yet, and another result of this workload and schedule has otherwise. */
static void what_varies(const mscope_results *all, const mscope_result *r)
{
    static const char *const said[] = { "eta", "eps", "batch", "seed" };
    const char *at = r->key, *s;
    size_t len, name_len;
    while ((s = setting(&at, &len, &name_len)) != NULL) {
        int told = 0, varies = 0;
        for (size_t i = 0; i < sizeof said / sizeof *said; i++)
            told |= strlen(said[i]) == name_len && memcmp(said[i], s, name_len) == 0;
        for (size_t i = 0; i < all->n && !told && !varies; i++)
            varies = strcmp(all->at[i].workload, r->workload) == 0 && strcmp(all->at[i].schedule, r->schedule) == 0 &&
                     differs(&all->at[i], s, len, name_len);
        if (varies)
            printf(", %.*s", (int)len, s);
    }
}

static void row(const mscope_results *all, const mscope_result *r, size_t number)
{
    printf("%2zu %s, %s, %s: %s %.4g", number, r->workload, r->schedule, r->semantics,
           isnan(r->eta) ? "eta times" : "eta", isnan(r->eta) ? r->times : r->eta);
    if (!isnan(r->eps))
        printf(", eps %.4g", r->eps);
    if (!isnan(r->batch))
        printf(", batch %.6g", r->batch);
    what_varies(all, r);
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
