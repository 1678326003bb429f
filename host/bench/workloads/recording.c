/* recording.c - the workload recording: a recorded run under any schedule; recording.h has the model and its limits
 *
 * Two sets of rows step side by side: the recorded rows, under the rates they were trained with, and the rows of this
 * run. Rates per band are found by trial on the recording itself. Bands do not interact in this model, so one run at
 * each of a few rates serves all bands at once. Such advice is hindsight, and so is the best setting of any grid
 * here. */
#include "recording.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/schedules.h"

enum { GAP };
enum { TRIALS = 13, TRIAL_LOOKS = 100 };

static const mscope_bench_param params[] = {
    { "gap", 1, 0.01, 10, 0,
      "share of what the recorded run gained, start to mean of its last tenth, that counts as learnt" },
    { NULL, 0, 0, 0, 0, NULL },
};

static const char *const stats[] = { "closed", "h", "apart2", "m2", NULL };

typedef struct play {
    const mscope_recording *src;
    mscope_bench_rows recorded, rows;
    mscope_recording_feed feed;
    double *grad, unit, gap;              /* unit: of m here in recorded momentum                   */
} play;

/* ---- a run -------------------------------------------------------------------------------------- */

static void fini(void *self)
{
    play *g = self;
    mscope_bench_rows_close(&g->recorded);
    mscope_bench_rows_close(&g->rows);
    mscope_recording_feed_close(&g->feed);
    free(g->grad);
    free(g);
}

static int init(void **self, const double *a, uint64_t seed, const char **why)
{
    const mscope_recording *src = *self;
    play *g = calloc(1, sizeof *g);
    (void)seed;                           /* a recording is one run */
    *self = g;
    *why = src == NULL ? "no recording" : "out of memory";
    if (g == NULL || src == NULL)
        return -1;
    g->src = src;
    g->gap = a[GAP];
    g->unit = 1;
    g->grad = malloc(((size_t)src->entries + 1) * src->dim * sizeof *g->grad);
    if (g->grad == NULL || mscope_recording_feed_open(&g->feed, src) < 0 ||
        mscope_recording_rows_open(&g->recorded, src) < 0 || mscope_recording_rows_open(&g->rows, src) < 0)
        return -1;
    g->rows.torch = 0;
    return mscope_recording_rows_given(&g->recorded, &g->rows, 1, src, 0);
}

/* The momentum at the start of the recording, converted to the form of this run's schedule: EMA m = (eps/gain)
 * buffer. */
static void begin(play *g, const mscope_bench_step *s)
{
    const mscope_bench_rates *was = &g->src->rates[0], *now = s->band != NULL ? &s->band[0] : &s->all;
    const int torch = g->src->hello.form == MSCOPE_FORM_TORCH, ema = now->gain == now->eps && now->direct == 0;
    if (s->schedule != NULL && strcmp(s->schedule->rule->name, "recorded") == 0) {
        g->rows.torch = torch;
        return;
    }
    if (torch && ema)
        g->unit = was->gain > 0 ? was->eps / was->gain : 1;
    else if (!torch && !ema)
        g->unit = was->eps > 0 ? 1 / was->eps : 1;
    for (size_t k = 0; k < (size_t)g->rows.rows * g->rows.dim; k++)
        g->rows.m[k] *= g->unit;
}

static int step(void *self, const mscope_bench_step *s)
{
    play *g = self;
    const mscope_recording *t = g->src;
    if (s->t >= t->steps)
        return -1;
    if (s->t == 0)
        begin(g, s);
    else if (mscope_recording_rows_given(&g->recorded, &g->rows, g->unit, t, s->t) < 0)
        return -1;
    mscope_recording_feed_step(&g->feed, t, s->t);
    if (mscope_bench_rows_touch(&g->recorded, g->feed.row, g->feed.n) < 0 ||
        mscope_bench_rows_touch(&g->rows, g->feed.row, g->feed.n) < 0)
        return -1;
    for (uint32_t i = 0; i < g->feed.n; i++) {
        const uint32_t row = g->feed.row[i];
        const double pull = g->feed.N[i] * t->h[row];
        for (uint32_t j = 0; j < t->dim; j++) {
            const size_t at = (size_t)i * t->dim + j, of = (size_t)row * t->dim + j;
            g->grad[at] = g->feed.g[at] + pull * (g->rows.theta[of] - g->recorded.theta[of]);
        }
    }
    if (mscope_bench_rows_step(&g->rows, s, g->feed.row, g->grad, g->feed.n) < 0)
        return -1;
    return mscope_recording_rows_step(&g->recorded, t, s->t, &g->feed);
}

/* ---- what it reports ------------------------------------------------------------------------------ */

static void add_row(const play *g, uint32_t i, mscope_bench_band *x)
{
    const uint32_t d = g->src->dim;
    x->rows++;
    x->p += g->src->p[i];
    x->stat[1] += g->src->h[i];
    for (size_t k = (size_t)i * d; k < (size_t)(i + 1) * d; k++) {
        const double apart = g->rows.theta[k] - g->recorded.theta[k];
        x->stat[2] += apart * apart;
        x->stat[3] += g->rows.m[k] * g->rows.m[k];
    }
}

static void means(mscope_bench_band *x)
{
    x->p /= x->rows;
    for (int k = 1; k < 4; k++)
        x->stat[k] /= x->rows;
}

static void summary(void *self, mscope_bench_summary *out)
{
    play *g = self;
    const mscope_recording *t = g->src;
    double risk[MSCOPE_BENCH_BANDS + 1];
    memset(out, 0, sizeof *out);
    out->bands = t->bands;
    if (mscope_bench_rows_settle(&g->rows) < 0 || mscope_bench_rows_settle(&g->recorded) < 0)
        return;
    mscope_recording_risk(t, g->rows.theta, risk);
    for (size_t b = 0; b < t->bands; b++) {
        for (uint32_t i = t->first[b]; i < t->first[b + 1]; i++) {
            add_row(g, i, &out->band[b]);
            add_row(g, i, &out->total);
        }
        out->band[b].risk = risk[b];
        out->band[b].stat[0] = t->closed[b];
        means(&out->band[b]);
    }
    out->total.risk = risk[t->bands];
    out->total.stat[0] = t->closed[t->bands];
    means(&out->total);
}

mscope_bench_rows *mscope_recording_rows(void *self, mscope_bench_rows **recorded)
{
    play *g = self;
    *recorded = &g->recorded;
    return mscope_bench_rows_settle(&g->rows) < 0 || mscope_bench_rows_settle(&g->recorded) < 0 ? NULL : &g->rows;
}

/* The risk that the recorded run came to; negative (never reached) where it gained nothing or nothing is known. */
static double goal(const mscope_recording *t, double gap, size_t b)
{
    return t->end[b] < t->start[b] ? fmax(0, t->start[b] - gap * (t->start[b] - t->end[b])) : -1;
}

static double target(void *self, size_t b)
{
    const play *g = self;
    return goal(g->src, g->gap, b);
}

/* ---- rates for each band, by trial -------------------------------------------------------------- */

typedef struct trial {
    double reached[MSCOPE_BENCH_BANDS], left[MSCOPE_BENCH_BANDS];   /* steps, INFINITY: not; risk at the end */
} trial;

/* A band that diverges is stopped (eta 0), so that the other bands can run to their end. */
static int try_rates(const play *like, mscope_bench_rates *band, trial *out)
{
    const mscope_recording *t = like->src;
    const uint64_t every = t->steps / TRIAL_LOOKS + 1;
    double risk[MSCOPE_BENCH_BANDS + 1];
    void *self = (void *)(uintptr_t)t;
    const char *why;
    int rc = init(&self, &like->gap, 0, &why);
    play *g = self;
    for (size_t b = 0; b < t->bands; b++)
        out->reached[b] = INFINITY;
    for (uint64_t k = 0; rc == 0 && k < t->steps; k++) {
        const mscope_bench_step s = { .t = k, .all = band[0], .band = band, .semantics = MSCOPE_BENCH_CATCHUP };
        rc = step(g, &s);
        if (rc < 0 || ((k + 1) % every != 0 && k + 1 != t->steps))
            continue;
        rc = mscope_bench_rows_settle(&g->rows);
        mscope_recording_risk(t, g->rows.theta, risk);
        for (size_t b = 0; b < t->bands; b++) {
            out->left[b] = band[b].eta > 0 ? risk[b] : INFINITY;
            if (!(risk[b] <= 1e6 * (t->start[b] + t->end[b]))) {
                band[b].eta = 0;
                out->left[b] = INFINITY;
            }
            if (isinf(out->reached[b]) && risk[b] <= goal(t, g->gap, b))
                out->reached[b] = (double)(k + 1);
        }
    }
    if (g != NULL)
        fini(g);
    return rc;
}

static int better(const trial *a, const trial *b, size_t band)
{
    if (a->reached[band] < b->reached[band] || a->reached[band] > b->reached[band])
        return a->reached[band] < b->reached[band];
    return a->left[band] < b->left[band];
}

static int advise(void *self, const mscope_bench_rates *now, int beta_each, double fraction, mscope_bench_rates *band)
{
    const play *g = self;
    const mscope_recording *t = g->src;
    mscope_bench_rates each[MSCOPE_BENCH_BANDS];
    trial best, got;
    (void)fraction;                       /* the target is the recording's */
    for (int k = 0; k < TRIALS; k++) {
        const double f = pow(2, k - (beta_each ? TRIALS - 1 : 5));
        const double eps = beta_each ? f : now->eps;
        const mscope_bench_rates set = { .eta = beta_each ? now->eta : now->eta * f, .eps = eps, .gain = eps };
        for (size_t b = 0; b < t->bands; b++)
            each[b] = set;
        if (try_rates(g, each, &got) < 0)
            return -1;
        for (size_t b = 0; b < t->bands; b++)
            if (k == 0 || better(&got, &best, b)) {
                best.reached[b] = got.reached[b];
                best.left[b] = got.left[b];
                band[b] = set;
            }
    }
    return 0;
}

/* ---- where it comes from ------------------------------------------------------------------------ */

static const mscope_bench_text texts[] = {
    { "file", "FILE", "the recording, made by momentscope record" },
    { "table", "NAME", "the table, where the recording has several" },
    { NULL, NULL, NULL },
};

static int origin_open(void **origin, const char *const *text, char why[512])
{
    mscope_recording *t;
    if (text[0] == NULL) {
        snprintf(why, 512, "--file is missing: name a recording made by momentscope record");
        return -1;
    }
    if (mscope_recording_open(&t, text[0], text[1], why) < 0)
        return -1;
    *origin = t;
    return 0;
}

static void origin_close(void *origin)
{
    mscope_recording_close(origin);
}

static void origin_rates(const void *origin, double at, mscope_bench_rates *out)
{
    const mscope_recording *t = origin;
    *out = t->rates[at >= 0 && at < (double)t->steps ? (uint64_t)at : t->steps];
}

static void origin_facts(const void *origin, mscope_bench_facts *out)
{
    const mscope_recording *t = origin;
    const double closed = 100 * t->closed[t->bands];
    *out = (mscope_bench_facts){ .steps = (double)t->steps, .d = t->dim, .batch = t->batch };
    snprintf(out->key, sizeof out->key, "%016llx/%s", (unsigned long long)t->tape.id, t->hello.table);
    char begin[120] = "";
    if (t->unknown > 0)
        snprintf(begin, sizeof begin,
                 "START UNKNOWN: it begins at step %llu; %u of its rows were not recorded then and begin at 0. ",
                 (unsigned long long)t->begins, t->unknown);
    int n = snprintf(out->note, sizeof out->note,
                     "%.100s, table %s: %u of %u rows x %u active, %llu steps (%llu lost), batch %.4g, %llu probes. %s",
                     t->file, t->hello.table, t->rows, t->hello.rows, t->dim, (unsigned long long)t->steps,
                     (unsigned long long)t->lost, t->batch, (unsigned long long)t->probes, begin);
    if (t->closed[t->bands] <= 0)
        snprintf(out->note + n, sizeof out->note - (size_t)n,
                 "OPEN LOOP: no curvature is known (no probe), gradients are the recorded ones wherever a row is; "
                 "there is no risk and no target; apart2 is the squared distance from the recorded rows.");
    else
        snprintf(out->note + n, sizeof out->note - (size_t)n,
                 "Gradients are G + N h (theta - recorded theta); curvature h from probes for %.3g %% of the "
                 "occurrences, %.3g %% are open loop (h = 0, no risk). Risk: excess of the quadratic model's own loss "
                 "on these very samples; target: what the recorded run came to. Not in it: curvature across the "
                 "momentum, noise that grows with distance (no largest stable rate may be read off), anything not "
                 "recorded.", closed, 100 - closed);
}

static const mscope_bench_origin origin = { texts, origin_open, origin_facts, origin_rates, origin_close };

const mscope_workload mscope_workload_recording = {
    .name = "recording",
    .help = "a recorded training run (momentscope record) under other schedules, linearised about its path",
    .params = params,
    .stats = stats,
    .origin = &origin,
    .draws_nothing = 1,
    .init = init,
    .step = step,
    .summary = summary,
    .target = target,
    .advise = advise,
    .fini = fini,
};
