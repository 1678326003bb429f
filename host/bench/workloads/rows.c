/* rows.c - dense, catch-up, frozen and row-clock momentum on one table; the exact one is the core's */
#include "rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/schedules.h"
#include "bench/workloads/squares.h"
#include "common/clock.h"
#include "mscope/core.h"

enum { HISTORY = 4096 };

int mscope_bench_rows_open(mscope_bench_rows *r, uint32_t rows, uint32_t dim, size_t bands, const uint32_t *first)
{
    memset(r, 0, sizeof *r);
    r->rows = rows;
    r->dim = dim;
    r->bands = bands;
    memcpy(r->first, first, (bands + 1) * sizeof *first);
    r->theta = calloc((size_t)rows * dim, sizeof *r->theta);
    r->m = calloc((size_t)rows * dim, sizeof *r->m);
    r->active = calloc(rows, sizeof *r->active);
    r->gradient = calloc(rows, sizeof *r->gradient);
    r->slot = calloc(rows, sizeof *r->slot);
    return r->theta == NULL || r->m == NULL || r->active == NULL || r->gradient == NULL || r->slot == NULL ? -1 : 0;
}

void mscope_bench_rows_close(mscope_bench_rows *r)
{
    for (size_t b = 0; b < r->bands; b++)
        free(r->mem[b]);
    free(r->theta);
    free(r->m);
    free(r->v);
    free(r->tau);
    free(r->active);
    free((void *)r->gradient);
    free(r->slot);
    memset(r, 0, sizeof *r);
}

mscope_bench_linear mscope_bench_linear_of(const mscope_bench_rates *a)
{
    const double beta = 1 - a->eps, ahead = a->nesterov ? beta : 1, now = a->nesterov ? a->eta * a->gain : 0;
    return (mscope_bench_linear){ .keep = beta, .gain = a->gain, .pull = a->eta * ahead, .push = now + a->direct };
}

void mscope_bench_move(const mscope_bench_rates *a, size_t n, double *theta, double *m, const double *g)
{
    const mscope_bench_linear l = mscope_bench_linear_of(a);
    for (size_t i = 0; i < n; i++) {
        const double gi = (g != NULL ? g[i] : 0) + a->coupled * theta[i];
        m[i] = l.keep * m[i] + l.gain * gi;
        theta[i] -= a->shrink * theta[i] + l.pull * m[i] + l.push * gi;
    }
}

const mscope_bench_rates *mscope_bench_only(const mscope_bench_step *step)
{
    return step->band != NULL ? &step->band[0] : &step->all;
}

void mscope_bench_single(mscope_bench_summary *out, double risk, const double *stat, size_t count)
{
    memset(out, 0, sizeof *out);
    out->bands = 1;
    out->total.p = 1;
    out->total.rows = 1;
    out->total.risk = risk;
    memcpy(out->total.stat, stat, count * sizeof *stat);
    out->band[0] = out->total;
}

/* A table a band, so that every band can have its own rates. Torch's form is m <- beta m + gain g, DANA's with gain
 * 1. The rates say all: a table that seems to have begun does not take torch's undamped first step by itself. */
static int open_tables(mscope_bench_rows *r, const mscope_bench_rates *a)
{
    r->form = r->torch || a->gain != a->eps ? MSCOPE_FORM_TORCH : MSCOPE_FORM_EMA;
    for (size_t b = 0; b < r->bands; b++) {
        const uint32_t n = r->first[b + 1] - r->first[b];
        const mscope_table_config cfg = { .rows = n,
                                          .dim = r->dim,
                                          .state = MSCOPE_STATE_F64,
                                          .form = (enum mscope_form)r->form,
                                          .nesterov = a->nesterov,
                                          .capacity = n,
                                          .history = HISTORY,
                                          .theta = r->theta + (size_t)r->first[b] * r->dim,
                                          .m = r->m + (size_t)r->first[b] * r->dim };
        const size_t len = mscope_table_mem(&cfg);
        r->mem[b] = len > 0 ? aligned_alloc(64, (len + 63) / 64 * 64) : NULL;
        if (r->mem[b] == NULL || mscope_table_init(&r->table[b], &cfg, r->mem[b], len) < 0 ||
            (r->form == MSCOPE_FORM_TORCH && mscope_table_seek(r->table[b], 1) < 0))
            return -1;
    }
    r->opened = 1;
    return 0;
}

/* The rows of one band among the ascending rows: from *at on, numbered within the band. */
static size_t in_band(mscope_bench_rows *r, size_t b, const uint32_t *row, size_t at, size_t n)
{
    size_t k = 0;
    for (; at + k < n && row[at + k] < r->first[b + 1]; k++)
        r->slot[k] = row[at + k] - r->first[b];
    return k;
}

int mscope_bench_rows_touch(mscope_bench_rows *r, const uint32_t *row, size_t n)
{
    const double began = mscope_monotonic_s();
    size_t at = 0;
    if (!r->opened)
        return 0;
    for (size_t b = 0; b < r->bands; b++) {
        const size_t k = in_band(r, b, row, at, n);
        if (k > 0 && mscope_table_touch(r->table[b], r->slot, k) < 0)
            return -1;
        at += k;
    }
    r->seconds += mscope_monotonic_s() - began;
    return 0;
}

int mscope_bench_rows_settle(mscope_bench_rows *r)
{
    for (size_t b = 0; r->opened && b < r->bands; b++)
        if (mscope_table_settle(r->table[b]) < 0)
            return -1;
    return 0;
}

int mscope_bench_rows_set(mscope_bench_rows *r, uint32_t row, const double *theta, const double *m)
{
    size_t b = 0;
    if (!r->opened) {
        memcpy(r->theta + (size_t)row * r->dim, theta, r->dim * sizeof *theta);
        memcpy(r->m + (size_t)row * r->dim, m, r->dim * sizeof *m);
        return 0;
    }
    while (row >= r->first[b + 1])
        b++;
    return mscope_table_rows_set(r->table[b], row - r->first[b], 1, theta, m) < 0 ? -1 : 0;
}

static const mscope_bench_rates *rates_of(const mscope_bench_step *s, size_t b)
{
    return s->band != NULL ? &s->band[b] : &s->all;
}

/* Torch with momentum 0 steps along the gradient and leaves its buffer alone: eta, gain and eps 0, all of it direct. */
static int past_buffer(const mscope_bench_rows *r, const mscope_bench_rates *a)
{
    return r->form == MSCOPE_FORM_TORCH && a->eta <= 0 && a->gain <= 0;
}

static mscope_step core_step(const mscope_bench_rows *r, const mscope_bench_rates *a)
{
    const int past = past_buffer(r, a);
    const double eta = past ? a->direct : a->eta;
    return (mscope_step){ .eta = eta, .eps = past ? 1 : a->eps, .batch = 1, .weight_decay = a->coupled,
                          .dampening = r->form == MSCOPE_FORM_TORCH && !past ? 1 - a->gain : 0,
                          .decoupled_decay = eta > 0 ? a->shrink / eta : 0 };
}

static int catch_up(mscope_bench_rows *r, const mscope_bench_step *s, const uint32_t *row, const double *g, size_t n)
{
    size_t at = 0;
    for (size_t b = 0; b < r->bands; b++) {
        const mscope_bench_rates *a = rates_of(s, b);
        const size_t k = in_band(r, b, row, at, n);
        const mscope_step step = core_step(r, a);
        const double direct = past_buffer(r, a) ? 0 : a->direct;
        if (k > 0 && mscope_table_touch(r->table[b], r->slot, k) < 0)
            return -1;
        for (size_t i = at; direct != 0 && i < at + k; i++)
            for (size_t j = 0; j < r->dim; j++)
                r->theta[(size_t)row[i] * r->dim + j] -= direct * g[i * r->dim + j];
        if (mscope_table_step_begin(r->table[b], &step) < 0 ||
            (k > 0 && mscope_table_apply(r->table[b], r->slot, g + at * r->dim, NULL, k) < 0) ||
            mscope_table_step_end(r->table[b]) < 0)
            return -1;
        at += k;
    }
    return 0;
}

/* Memory for the running means, at the first step that asks for them. */
static int keep_squares(mscope_bench_rows *r)
{
    const size_t n = (size_t)r->rows * r->dim;
    if (r->v == NULL) {
        r->v = calloc(n, sizeof *r->v);
        r->tau = calloc(n, sizeof *r->tau);
    }
    return r->v == NULL || r->tau == NULL ? -1 : 0;
}

static void move_row(mscope_bench_rows *r, const mscope_bench_rates *a, uint32_t row, const double *g)
{
    const size_t at = (size_t)row * r->dim;
    if (a->squares.by == MSCOPE_BENCH_PLAIN)
        mscope_bench_move(a, r->dim, r->theta + at, r->m + at, g);
    else
        mscope_bench_move_squares(a, r->dim, r->theta + at, r->m + at, r->v + at, r->tau + at, g);
}

static int sweep(mscope_bench_rows *r, const mscope_bench_step *s, const uint32_t *row, const double *g, size_t n)
{
    for (size_t i = 0; i < n; i++)
        r->gradient[row[i]] = g + i * r->dim;
    for (size_t b = 0; b < r->bands; b++)
        for (uint32_t i = r->first[b]; i < r->first[b + 1]; i++) {
            move_row(r, rates_of(s, b), i, r->gradient[i]);
            r->gradient[i] = NULL;
        }
    return 0;
}

static int touched_only(mscope_bench_rows *r, const mscope_bench_step *s, const uint32_t *row, const double *g,
                        size_t n)
{
    size_t b = 0;
    for (size_t i = 0; i < n; i++) {
        while (row[i] >= r->first[b + 1])
            b++;
        mscope_bench_rates own = *rates_of(s, b);
        if (s->semantics == MSCOPE_BENCH_ROW_CLOCK && s->schedule != NULL && s->band == NULL)
            mscope_bench_rates_at(s->schedule, (double)r->active[row[i]], &own);
        move_row(r, &own, row[i], g + i * r->dim);
        r->active[row[i]]++;
    }
    return 0;
}

int mscope_bench_rows_step(mscope_bench_rows *r, const mscope_bench_step *s, const uint32_t *row, const double *g,
                           size_t n)
{
    for (size_t i = 0; i < n * r->dim; i++)
        if (!isfinite(g[i]))
            return -1;
    const int divided = rates_of(s, 0)->squares.by != MSCOPE_BENCH_PLAIN;
    const int closed_form = s->semantics == MSCOPE_BENCH_CATCHUP && !divided;
    if ((divided && keep_squares(r) < 0) || (closed_form && !r->opened && open_tables(r, rates_of(s, 0)) < 0))
        return -1;
    const double began = mscope_monotonic_s();
    const int rc = closed_form                           ? catch_up(r, s, row, g, n)
                   : s->semantics <= MSCOPE_BENCH_DENSE ? sweep(r, s, row, g, n)
                                                        : touched_only(r, s, row, g, n);
    r->seconds += mscope_monotonic_s() - began;
    return rc;
}
