/* results.c - reading JSON lines of bench run and grouping them by everything but the seed */
#include "results.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "bench/statistics.h"
#include "common/line.h"

static double num(const cJSON *o, const char *name, double otherwise)
{
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsNumber(x) ? x->valuedouble : otherwise;
}

static void text(const cJSON *o, const char *name, char *out, size_t len)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));
    snprintf(out, len, "%s", s != NULL ? s : "");
}

/* The group of a key without its seed, made when new. */
static mscope_result *group(mscope_results *r, const char *key)
{
    const char *seed = strstr(key, " seed=");
    const size_t len = seed != NULL ? (size_t)(seed - key) : strlen(key);
    for (size_t i = 0; i < r->n; i++)
        if (strlen(r->at[i].key) == len && strncmp(r->at[i].key, key, len) == 0)
            return &r->at[i];
    mscope_result *wider = realloc(r->at, (r->n + 1) * sizeof *wider);
    if (wider == NULL)
        return NULL;
    r->at = wider;
    memset(&r->at[r->n], 0, sizeof *r->at);
    r->at[r->n].key = strndup(key, len);
    return r->at[r->n].key != NULL ? &r->at[r->n++] : NULL;
}

static int take_band(mscope_result *g, size_t b, const cJSON *o)
{
    const double start = num(o, "start", NAN);
    const cJSON *curve = cJSON_GetObjectItemCaseSensitive(o, "risk"), *x;
    double *wider = realloc(g->steps[b], (g->seeds + 1) * sizeof *wider);
    size_t i = 0;
    if (wider == NULL)
        return -1;
    g->steps[b] = wider;
    g->steps[b][g->seeds] = num(o, "target", 0) < 0 ? NAN : num(o, "steps_to_target", INFINITY);
    g->p[b] = num(o, "p", 1);
    g->rows[b] = num(o, "rows", 1);
    cJSON_ArrayForEach(x, curve)
    {
        const double risk = (cJSON_IsNumber(x) ? x->valuedouble : INFINITY) / start;
        if (i < MSCOPE_RESULT_POINTS)
            g->risk[b][i] = (g->risk[b][i] * (double)g->seeds + risk) / ((double)g->seeds + 1);
        i++;
    }
    return 0;
}

/* What all runs of a group share. The last line read is as good as any. */
static void take_settings(mscope_result *g, const cJSON *o)
{
    const cJSON *rates = cJSON_GetObjectItemCaseSensitive(o, "rates"),
                *params = cJSON_GetObjectItemCaseSensitive(o, "params");
    text(o, "workload", g->workload, sizeof g->workload);
    text(o, "schedule", g->schedule, sizeof g->schedule);
    text(o, "semantics", g->semantics, sizeof g->semantics);
    text(o, "note", g->note, sizeof g->note);
    g->eta = num(rates, "eta", NAN);
    g->times = num(rates, "times", NAN);
    g->eps = num(rates, "eps", strcmp(g->schedule, "sgd") == 0 ? 1 : NAN);
    g->batch = num(params, "batch", NAN);
    g->d = num(params, "d", NAN);
    g->horizon = num(o, "steps", 0);
}

static void take_times(mscope_result *g, const cJSON *o)
{
    const cJSON *x;
    size_t i = 0;
    cJSON_ArrayForEach(x, cJSON_GetObjectItemCaseSensitive(o, "t"))
    {
        if (i < MSCOPE_RESULT_POINTS)
            g->t[i] = cJSON_IsNumber(x) ? x->valuedouble : 0;
        i++;
    }
    i = i < MSCOPE_RESULT_POINTS ? i : MSCOPE_RESULT_POINTS;
    g->points = g->seeds == 0 || i < g->points ? i : g->points;
}

/* Room for one more seed. Returns 0, or -1: no memory; what has grown by then stays. */
static int grow(mscope_result *g)
{
    const size_t n = g->seeds + 1;
    uint64_t *seed = realloc(g->seed, n * sizeof *seed);
    double *end, *theory;

    if (seed == NULL)
        return -1;
    g->seed = seed;
    if ((end = realloc(g->end, n * sizeof *end)) == NULL)
        return -1;
    g->end = end;
    if ((theory = realloc(g->theory, n * sizeof *theory)) == NULL)
        return -1;
    g->theory = theory;
    return 0;
}

/* Returns -1 when it is not a run, 1 when its run is there already. */
static int take(mscope_results *r, const cJSON *o)
{
    const char *key = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "key"));
    const cJSON *bands = cJSON_GetObjectItemCaseSensitive(o, "bands"), *x;
    const cJSON *total = cJSON_GetObjectItemCaseSensitive(o, "total");
    const int n = cJSON_GetArraySize(bands);
    mscope_result *g = key != NULL && total != NULL && n >= 1 && n <= MSCOPE_BENCH_BANDS ? group(r, key) : NULL;
    size_t b = 0;
    if (g == NULL || (g->bands != 0 && g->bands != (size_t)n))
        return -1;
    const char *with = strstr(key, " seed=");
    const uint64_t seed = with != NULL ? strtoull(with + 6, NULL, 10) : 0;
    for (size_t k = 0; k < g->seeds; k++)
        if (g->seed[k] == seed)
            return 1;
    if (grow(g) < 0)
        return -1;
    g->bands = (size_t)n;
    take_settings(g, o);
    take_times(g, o);
    cJSON_ArrayForEach(x, bands) if (take_band(g, b++, x) < 0) return -1;
    if (take_band(g, b, total) < 0)
        return -1;
    g->diverged += cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "diverged")) != 0;
    g->seed[g->seeds] = seed;
    g->end[g->seeds] = num(total, "end", NAN);
    g->theory[g->seeds] = num(total, "theory", NAN);
    g->target = num(total, "target", NAN) / num(total, "start", NAN);
    g->seeds++;
    return 0;
}

int mscope_results_line(mscope_results *r, const char *line)
{
    cJSON *o = cJSON_Parse(line);
    const int rc = o == NULL ? -1 : take(r, o);

    r->lines++;
    r->bad += rc < 0;
    r->repeated += rc > 0;
    cJSON_Delete(o);
    return rc >= 0;
}

long mscope_results_read(mscope_results *r, const char *path)
{
    long runs = 0;
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    if (f == NULL)
        return -1;
    long len;
    while ((len = mscope_line_next(&line, &cap, f)) > 0)
        runs += mscope_results_line(r, line);
    const int failed = len < 0 || ferror(f) ? errno : 0;
    free(line);
    fclose(f);
    errno = failed;
    return failed != 0 ? -1 : runs;
}

void mscope_results_free(mscope_results *r)
{
    for (size_t i = 0; i < r->n; i++) {
        for (size_t b = 0; b <= MSCOPE_BENCH_BANDS; b++)
            free(r->at[i].steps[b]);
        free(r->at[i].seed);
        free(r->at[i].end);
        free(r->at[i].theory);
        free(r->at[i].key);
    }
    free(r->at);
}

size_t mscope_result_theory(const mscope_result *r, double *mean, double *theory, double *low, double *high)
{
    double runs = 0, said = 0, squares = 0;
    size_t n = 0;
    for (size_t i = 0; i < r->seeds; i++)
        if (isfinite(r->theory[i]) && isfinite(r->end[i])) {
            runs += r->end[i];
            said += r->theory[i];
            n++;
        }
    if (n == 0)
        return 0;
    *mean = runs / (double)n;
    *theory = said / (double)n;
    for (size_t i = 0; i < r->seeds; i++)
        if (isfinite(r->theory[i]) && isfinite(r->end[i]))
            squares += pow(r->end[i] - r->theory[i] - *mean + *theory, 2);
    const double half = mscope_half_width(sqrt(squares / ((double)n - 1) / (double)n), (double)n - 1);
    *low = *mean - *theory - half;
    *high = *mean - *theory + half;
    return n;
}

void mscope_result_steps(const mscope_result *r, size_t band, double *mean, double *low, double *high)
{
    double sum = 0, squares = 0, least = INFINITY;
    const double n = (double)r->seeds;
    for (size_t i = 0; i < r->seeds; i++) {
        sum += r->steps[band][i] / n;
        least = fmin(least, r->steps[band][i]);
    }
    *mean = *high = sum;
    *low = least;
    if (!isfinite(sum))
        return;
    for (size_t i = 0; i < r->seeds; i++)
        squares += (r->steps[band][i] - sum) * (r->steps[band][i] - sum);
    const double half = mscope_half_width(sqrt(squares / (n - 1) / n), n - 1);
    *low = isnan(half) ? NAN : fmax(sum - half, 0);   /* steps; few seeds make wide intervals */
    *high = sum + half;
}
