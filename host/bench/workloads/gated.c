/* gated.c - literal SGD with momentum on gated least-squares rows; the sampler is exact in law */
#include "gated.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_randist.h>

#include "mscope/theory.h"

const char *const mscope_gated_stats[] = { "R", "V", "C", NULL };

static unsigned octave(double p)
{
    return (unsigned)fmin(31, fmax(0, floor(-log2(p))));
}

/* Bands by -log2 p, empty ones left out; at most 32. */
static size_t split(const mscope_gated_shape *s, const double *p, uint32_t *first)
{
    size_t bands = 0;
    first[0] = 0;
    for (uint32_t j = 1; j < s->rows; j++)
        if (s->octaves && octave(p[j]) != octave(p[j - 1]) && bands + 1 < MSCOPE_BENCH_BANDS)
            first[++bands] = j;
    first[++bands] = s->rows;
    return bands;
}

static int allocate(mscope_gated *g)
{
    g->p = malloc(g->rows * sizeof *g->p);
    g->weight = malloc(g->rows * sizeof *g->weight);
    g->h = malloc(g->dim * sizeof *g->h);
    g->root_h = malloc(g->dim * sizeof *g->root_h);
    g->grad = malloc((size_t)g->rows * g->dim * sizeof *g->grad);
    g->work = malloc(2 * (size_t)g->dim * sizeof *g->work);
    g->open = malloc(g->rows * sizeof *g->open);
    return g->p && g->weight && g->h && g->root_h && g->grad && g->work && g->open && g->rng ? 0 : -1;
}

static void spectrum(mscope_gated *g, double power)
{
    double sum = 0;
    for (uint32_t i = 0; i < g->dim; i++)
        sum += g->h[i] = pow(i + 1.0, -power);
    for (uint32_t i = 0; i < g->dim; i++) {
        g->h[i] *= g->dim / sum;
        g->root_h[i] = sqrt(g->h[i]);
    }
}

/* Directions at random, length fixed: expectations start from exactly |e|^2 = initial. */
static void begin(mscope_gated *g, double initial)
{
    for (uint32_t j = 0; j < g->rows; j++) {
        double *e = g->table.theta + (size_t)j * g->dim, sum = 0;
        for (uint32_t i = 0; i < g->dim; i++) {
            e[i] = mscope_bench_normal(g->rng);
            sum += e[i] * e[i];
        }
        for (uint32_t i = 0; i < g->dim; i++)
            e[i] *= sqrt(initial / sum);
    }
}

int mscope_gated_open(mscope_gated *g, const mscope_gated_shape *s, const double *p, uint64_t seed)
{
    uint32_t first[MSCOPE_BENCH_BANDS + 1];
    memset(g, 0, sizeof *g);
    g->rows = s->rows;
    g->dim = s->dim;
    g->batch = s->batch;
    g->noise = s->noise;
    g->literal = s->literal;
    g->isotropic = s->spectrum == 0;
    g->rng = mscope_bench_rng(seed, 1);
    if (allocate(g) < 0 || mscope_bench_rows_open(&g->table, s->rows, s->dim, split(s, p, first), first) < 0)
        return -1;
    double sum = 0;
    for (uint32_t j = 0; j < g->rows; j++)
        sum += p[j];
    for (uint32_t j = 0; j < g->rows; j++) {
        g->p[j] = p[j];
        g->weight[j] = s->uniform ? 1.0 / g->rows : p[j] / sum;
    }
    for (size_t b = 0; b < g->table.bands; b++)
        g->start[b] = s->initial;
    spectrum(g, s->spectrum);
    begin(g, s->initial);
    return 0;
}

void mscope_gated_close(mscope_gated *g)
{
    mscope_bench_rows_close(&g->table);
    free(g->p);
    free(g->weight);
    free(g->h);
    free(g->root_h);
    free(g->grad);
    free(g->work);
    free(g->open);
    if (g->rng != NULL)
        gsl_rng_free(g->rng);
}

void mscope_gated_fini(void *self)
{
    mscope_gated_close(self);
    free(self);
}

/* ---- sampling ---------------------------------------------------------------------------------------- */

/* N ~ Binomial(B, p) given N >= 1: inversion where the gate is mostly shut, rejection elsewhere. */
static unsigned open_gates(gsl_rng *r, double p, unsigned B)
{
    const double Q = exp(B * log1p(-p));
    if (1 - Q > 0.3) {
        for (;;) {
            const unsigned n = gsl_ran_binomial(r, p, B);
            if (n > 0)
                return n;
        }
    }
    double u = gsl_rng_uniform(r) * -expm1(B * log1p(-p)), f = B * p * exp((B - 1) * log1p(-p));
    unsigned n = 1;
    for (; u > f && n < B; n++) {
        u -= f;
        f *= (B - n) / (n + 1.0) * p / (1 - p);
    }
    return n;
}

/* Rows of one band that have an open gate, ascending: skips by the band's largest P, thinned to each row's own. */
static size_t active_rows(mscope_gated *g, size_t b, uint32_t *out)
{
    const double top = -expm1(g->batch * log1p(-g->p[g->table.first[b]]));
    size_t n = 0;
    for (double j = g->table.first[b];; j++) {
        if (top < 1)
            j += floor(log1p(-gsl_rng_uniform(g->rng)) / log1p(-top));
        if (!(j < g->table.first[b + 1]))
            return n;
        const double own = -expm1(g->batch * log1p(-g->p[(uint32_t)j]));
        if (own >= top || gsl_rng_uniform(g->rng) * top < own)
            out[n++] = (uint32_t)j;
    }
}

/* Sum over n samples, in law. */
static void gradient_in_law(mscope_gated *g, const double *e, unsigned n, double *out)
{
    double *w = g->work, *z = g->work + g->dim, ww = 0, zw = 0;
    for (uint32_t i = 0; i < g->dim; i++) {
        w[i] = g->root_h[i] * e[i];
        z[i] = mscope_bench_normal(g->rng);
        ww += w[i] * w[i];
        zw += z[i] * w[i];
    }
    const double var = ww + g->noise, norm = sqrt(ww), cc = var > 0 ? var * gsl_ran_chisq(g->rng, n) : 0;
    const double ac = var > 0 ? cc * norm / var + sqrt(cc * g->noise / var) * mscope_bench_normal(g->rng) : 0;
    const double along = norm > 0 ? (ac - sqrt(cc) * zw / norm) / norm : 0, across = sqrt(cc);
    for (uint32_t i = 0; i < g->dim; i++)
        out[i] = g->root_h[i] * (along * w[i] + across * z[i]) / g->batch;
}

static void gradient_literal(mscope_gated *g, const double *e, unsigned n, double *out)
{
    double *x = g->work;
    memset(out, 0, g->dim * sizeof *out);
    for (unsigned k = 0; k < n; k++) {
        double y = sqrt(g->noise) * mscope_bench_normal(g->rng);
        for (uint32_t i = 0; i < g->dim; i++) {
            x[i] = g->root_h[i] * mscope_bench_normal(g->rng);
            y += x[i] * e[i];
        }
        for (uint32_t i = 0; i < g->dim; i++)
            out[i] += x[i] * y / g->batch;
    }
}

int mscope_gated_step(void *self, const mscope_bench_step *step)
{
    mscope_gated *g = self;
    size_t n = 0;
    for (size_t b = 0; b < g->table.bands; b++)
        n += active_rows(g, b, g->open + n);
    if (mscope_bench_rows_touch(&g->table, g->open, n) < 0)
        return -1;
    for (size_t k = 0; k < n; k++) {
        const double *e = g->table.theta + (size_t)g->open[k] * g->dim;
        const unsigned N = open_gates(g->rng, g->p[g->open[k]], (unsigned)g->batch);
        (g->literal ? gradient_literal : gradient_in_law)(g, e, N, g->grad + k * g->dim);
    }
    return mscope_bench_rows_step(&g->table, step, g->open, g->grad, n);
}

/* ---- what it reports ---------------------------------------------------------------------------------------- */

static void add(mscope_bench_band *to, const mscope_bench_band *x)
{
    to->rows += x->rows;
    to->p += x->p;
    to->risk += x->risk;
    for (int i = 0; i < 3; i++)
        to->stat[i] += x->stat[i];
}

static void means(mscope_bench_band *x)
{
    x->p /= x->rows;
    for (int i = 0; i < 3; i++)
        x->stat[i] /= x->rows;
}

/* Sums row by row, in whatever way a row is described, then means over rows. */
static void collect(const mscope_gated *g, mscope_bench_summary *out,
                    void (*row)(const mscope_gated *g, uint32_t j, const void *arg, mscope_bench_band *x),
                    const void *arg)
{
    memset(out, 0, sizeof *out);
    out->bands = g->table.bands;
    for (size_t b = 0; b < g->table.bands; b++) {
        for (uint32_t j = g->table.first[b]; j < g->table.first[b + 1]; j++) {
            mscope_bench_band x = { .p = g->p[j], .rows = 1 };
            row(g, j, arg, &x);
            x.risk *= g->weight[j];
            add(&out->band[b], &x);
        }
        add(&out->total, &out->band[b]);
        means(&out->band[b]);
    }
    means(&out->total);
}

static void measured(const mscope_gated *g, uint32_t j, const void *arg, mscope_bench_band *x)
{
    const double *e = g->table.theta + (size_t)j * g->dim, *m = g->table.m + (size_t)j * g->dim;
    (void)arg;
    for (uint32_t i = 0; i < g->dim; i++) {
        x->risk += g->h[i] * e[i] * e[i];
        x->stat[0] += e[i] * e[i];
        x->stat[1] += m[i] * m[i];
        x->stat[2] += e[i] * m[i];
    }
}

void mscope_gated_summary(void *self, mscope_bench_summary *out)
{
    mscope_gated *g = self;
    if (mscope_bench_rows_settle(&g->table) < 0)
        return;
    collect(g, out, measured, NULL);
}

struct expected {
    const mscope_bench_rates *rates;
    double t;
    int failed;
};

static void expectation(const mscope_gated *g, uint32_t j, const void *arg, mscope_bench_band *x)
{
    struct expected *ask = (struct expected *)arg;
    const mscope_ls ls = { .d = g->dim, .p = g->p[j], .batch = g->batch, .eps = ask->rates->eps,
                           .eta = ask->rates->eta, .noise = g->noise };
    mscope_row row;
    double s[3] = { g->start[0], 0, 0 };
    if (mscope_row_from_ls(&ls, &row) < 0 || mscope_row_advance(&row, MSCOPE_CLOCK_STEP, ask->t, s) < 0)
        ask->failed = 1;
    memcpy(x->stat, s, sizeof s);
    x->risk = s[0];
}

int mscope_gated_theory(void *self, const mscope_bench_rates *rates, double t, mscope_bench_summary *out)
{
    const mscope_gated *g = self;
    struct expected ask = { rates, floor(t), 0 };
    if (!g->isotropic || rates->nesterov || rates->direct != 0 || rates->gain != rates->eps ||
        rates->squares.by != MSCOPE_BENCH_PLAIN)
        return -1;
    collect(g, out, expectation, &ask);
    return ask.failed ? -1 : 0;
}
