/* execute.c - one run from its settings alone, and the JSON line that reports it
 *
 *   {"key","workload","schedule","semantics","seed","steps","every","target","params":{},"rates":{},"diverged",
 *    "bands":[{"p","rows","start","end","target","steps_to_target","theory","risk":[]}],"total":{..},"t":[],"seconds"}
 *
 * and "from", "note" where the workload comes from a file. risk[i] is the risk at step t[i]. steps_to_target is null
 * when the target was not reached. theory is the expected risk at the end, where it is known. "seconds" is the time
 * inside the steps; it is the only field that differs when a run is repeated. */
#include "execute.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

enum { CURVE = 64 };

/* What is kept of one band; of the total at index bands. */
struct course {
    double start, last, last_t, reached, curve[CURVE + 2];
};

struct story {
    mscope_bench_summary first, now, theory;
    struct course course[MSCOPE_BENCH_BANDS + 1];
    double target[MSCOPE_BENCH_BANDS + 1], t[CURVE + 2], seconds;
    size_t points;
    int diverged, has_theory;
};

static const mscope_bench_band *band_of(const mscope_bench_summary *s, size_t b)
{
    return b < s->bands ? &s->band[b] : &s->total;
}

/* The target is crossed between two looks: the logarithm of the risk is interpolated. */
static void look(struct story *story, double t, int keep)
{
    for (size_t b = 0; b <= story->now.bands; b++) {
        struct course *c = &story->course[b];
        const double risk = band_of(&story->now, b)->risk;
        if (isnan(c->reached) && risk <= story->target[b]) {
            const double f = risk > 0 && c->last > risk ? log(c->last / story->target[b]) / log(c->last / risk) : 1;
            c->reached = t > 0 ? c->last_t + f * (t - c->last_t) : 0;
        }
        c->last = risk;
        c->last_t = t;
        if (keep)
            c->curve[story->points] = risk;
    }
    if (keep)
        story->t[story->points++] = t;
}

static void begin(const mscope_bench_run *r, void *self, struct story *story)
{
    r->workload->summary(self, &story->first);
    story->now = story->first;
    for (size_t b = 0; b <= story->now.bands; b++) {
        story->course[b] = (struct course){ .reached = NAN, .last = band_of(&story->now, b)->risk };
        story->course[b].start = story->course[b].last;
        story->target[b] = r->workload->target != NULL ? r->workload->target(self, b) : NAN;
        if (isnan(story->target[b]))
            story->target[b] = r->target * story->course[b].start;
    }
    look(story, 0, 1);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void loop(const mscope_bench_run *r, void *self, const mscope_bench_rates *band, struct story *story)
{
    const uint64_t stride = (r->steps + CURVE - 1) / CURVE;    /* rounded up: CURVE points, and one more at the end */
    uint64_t kept = 0;
    for (uint64_t t = 0; t < r->steps && !story->diverged; t++) {
        mscope_bench_step s = { .t = t, .band = band, .semantics = r->semantics, .schedule = &r->schedule };
        const double before = now_s();
        mscope_bench_rates_at(&r->schedule, (double)t, &s.all);
        story->diverged = r->workload->step(self, &s) < 0;
        story->seconds += now_s() - before;
        if ((t + 1) % r->every != 0 && t + 1 != r->steps)
            continue;
        r->workload->summary(self, &story->now);
        story->diverged |= !(story->now.total.risk < 1e12 * (1 + story->first.total.risk));
        const int keep = t + 1 - kept >= stride || t + 1 == r->steps;
        kept = keep ? t + 1 : kept;
        if (!story->diverged)
            look(story, (double)(t + 1), keep);
    }
}

/* ---- the line ---------------------------------------------------------------------------------------------- */

/* Nine digits are enough for any plot or table; full doubles triple the file. */
static cJSON *number(double x)
{
    char text[32];
    if (!isfinite(x))
        return cJSON_CreateNull();
    snprintf(text, sizeof text, "%.9g", x);
    return cJSON_CreateNumber(strtod(text, NULL));
}

static void put(cJSON *to, const char *name, double x)
{
    cJSON_AddItemToObject(to, name, number(x));
}

static cJSON *numbers(const double *x, size_t n)
{
    cJSON *a = cJSON_CreateArray();
    for (size_t i = 0; i < n; i++)
        cJSON_AddItemToArray(a, number(x[i]));
    return a;
}

static cJSON *band_json(const mscope_workload *w, const struct story *story, size_t b)
{
    const mscope_bench_band *x = band_of(&story->now, b);
    cJSON *o = cJSON_CreateObject();
    put(o, "p", x->p);
    put(o, "rows", x->rows);
    put(o, "start", story->course[b].start);
    put(o, "end", story->diverged ? NAN : x->risk);
    put(o, "target", story->target[b]);
    put(o, "steps_to_target", story->course[b].reached);
    if (story->has_theory)
        put(o, "theory", band_of(&story->theory, b)->risk);
    for (size_t i = 0; w->stats != NULL && w->stats[i] != NULL; i++)
        put(o, w->stats[i], story->diverged ? NAN : x->stat[i]);
    cJSON_AddItemToObject(o, "risk", numbers(story->course[b].curve, story->points));
    return o;
}

static char *line(const mscope_bench_run *r, const struct story *story)
{
    char key[2048];
    cJSON *o = cJSON_CreateObject(), *params = cJSON_CreateObject(), *rates = cJSON_CreateObject();
    cJSON *bands = cJSON_CreateArray();
    mscope_run_key(r, 1, key, sizeof key);
    cJSON_AddStringToObject(o, "key", key);
    cJSON_AddStringToObject(o, "workload", r->workload->name);
    cJSON_AddStringToObject(o, "schedule", r->schedule.rule->name);
    cJSON_AddStringToObject(o, "semantics", mscope_semantics_name(r->semantics));
    put(o, "seed", (double)r->seed);
    put(o, "steps", (double)r->steps);
    put(o, "every", (double)r->every);
    put(o, "target", r->target);
    for (size_t k = 0; r->workload->params[k].name != NULL; k++)
        put(params, r->workload->params[k].name, r->param[k]);
    for (size_t k = 0; k < MSCOPE_RULE_PARAMS; k++)
        if (r->schedule.rule->reads >> k & 1)
            put(rates, mscope_bench_rule_params[k].name, r->schedule.param[k]);
    if (r->origin != NULL) {
        mscope_bench_facts facts;
        r->workload->origin->facts(r->origin, &facts);
        cJSON_AddStringToObject(o, "from", facts.key);
        cJSON_AddStringToObject(o, "note", facts.note);
    }
    cJSON_AddItemToObject(o, "params", params);
    cJSON_AddItemToObject(o, "rates", rates);
    cJSON_AddBoolToObject(o, "diverged", story->diverged);
    for (size_t b = 0; b < story->now.bands; b++)
        cJSON_AddItemToArray(bands, band_json(r->workload, story, b));
    cJSON_AddItemToObject(o, "bands", bands);
    cJSON_AddItemToObject(o, "total", band_json(r->workload, story, story->now.bands));
    cJSON_AddItemToObject(o, "t", numbers(story->t, story->points));
    put(o, "seconds", story->seconds);
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return text;
}

/* Rates for each band, when the rule asks for them. Returns NULL and *why when nothing was found. */
static const mscope_bench_rates *advised(const mscope_bench_run *r, void *self, mscope_bench_rates *band,
                                         const char **why)
{
    mscope_bench_rates now;
    mscope_bench_rates_at(&r->schedule, 0, &now);
    *why = "the workload has no advice for this setting";
    if (r->workload->advise == NULL ||
        r->workload->advise(self, &now, r->schedule.rule->per_band == 2, r->target, band) < 0)
        return NULL;
    return band;
}

char *mscope_bench_execute(const mscope_bench_run *r, const char **why)
{
    struct story *story = calloc(1, sizeof *story);
    mscope_bench_rates band[MSCOPE_BENCH_BANDS], now;
    const mscope_bench_rates *each = NULL;
    void *self = (void *)(uintptr_t)r->origin;
    char *text = NULL;
    *why = "out of memory";
    if (story == NULL)
        return NULL;
    if (r->workload->init(&self, r->param, r->seed, why) == 0 &&
        (r->schedule.rule->per_band == 0 || (each = advised(r, self, band, why)) != NULL)) {
        begin(r, self, story);
        mscope_bench_rates_at(&r->schedule, 0, &now);
        if (r->workload->theory != NULL && each == NULL && r->schedule.rule->rates_constant &&
            r->semantics <= MSCOPE_BENCH_DENSE)
            story->has_theory = r->workload->theory(self, &now, (double)r->steps, &story->theory) == 0;
        loop(r, self, each, story);
        text = line(r, story);
    }
    if (self != NULL)
        r->workload->fini(self);
    free(story);
    return text;
}
