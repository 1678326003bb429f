/* bigram_pairs.c - the bigram experiment of the authors of 2605.28961, as their code has it
 *
 * (mlexpos/sparse-sgd, bigram_model/). Only the V most frequent words are kept; pairs with another word are dropped. A
 * sample is one pair (x, y) drawn from the kept pairs' joint law. Logit of y after x: <E_x, W_y>, no bias; E and W
 * start as N(0, 1/d) and move under one schedule. The risk is exact: the mean of -log q(y | x) over all kept pairs, and
 * in 8 bins of the logarithm of x's rank. Learnt: `gap` of the way from ln V to `reference`, of a bin from its loss at
 * the start. Theirs are tokens of the Pythia tokenizer on WikiText-103 and float32; ours are words and float64.
 *
 * Samples of one step that share x share its softmax, so a step costs at most V^2 d, whatever the batch. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_randist.h>

#include "bench/workloads/bigram.h"
#include "bench/workloads/squares.h"
#include "nextword/text.h"

enum { WORDS, DIM, BATCH, REFERENCE, GAP };
enum { BINS = 8 };

static const mscope_bench_param params[] = {
    { "words", 4096, 16, 8192, 1, "vocabulary: the most frequent words; pairs with another word are dropped" },
    { "d", 64, 1, 1024, 1, "width of embedding and readout" },
    { "batch", 64, 0, 1e6, 1, "pairs a step; 0: the law itself" },
    { "reference", 0, 0, 20, 0, "nats of the best known; 0: the entropy of y given x, which no run need reach" },
    { "gap", 0.92, 0.01, 1, 0, "share of the way from ln V to the reference that counts as learnt" },
    { NULL, 0, 0, 0, 0, NULL },
};

static const char *const stats[] = { "loss", "m2", NULL };    /* m2: sum of |m|^2, of the total with that of W */

typedef struct pairs {
    uint32_t V, d, batch;
    double *share;                    /* V x V: of each pair; all sum to 1                       */
    double *p;                        /* of x                                                    */
    gsl_ran_discrete_t *law;
    gsl_rng *rng;
    mscope_bench_rows rows;           /* E                                                       */
    double *w, *wm, *wv, *wtau, *wg;  /* W and what belongs to it, V x d                         */
    double *seen;                     /* V x V: of this step's samples; 0 between steps          */
    double *q, *grad;
    uint32_t *row;
    double reference, gap, first[BINS + 1];   /* loss of each bin at the start                   */
} pairs;

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static int count_pairs(pairs *g)
{
    text t;
    double kept = 0;
    if (mscope_bigram_text(&t, g->V + 1) < 0)           /* the last number stands for every word that is dropped */
        return -1;
    for (size_t i = 0; i + 1 < t.length; i++)
        if (t.word[i] < g->V && t.word[i + 1] < g->V) {
            g->share[(size_t)t.word[i] * g->V + t.word[i + 1]] += 1;
            kept += 1;
        }
    text_free(&t);
    for (size_t k = 0; k < (size_t)g->V * g->V; k++) {
        g->share[k] /= kept;
        g->p[k / g->V] += g->share[k];
    }
    return kept > 0 ? 0 : -1;
}

/* Rank r is in bin b when edge[b] <= r < edge[b + 1]: edges are 8 equal steps of ln rank, rounded; equal ones merge. */
static size_t bins(uint32_t V, uint32_t *first)
{
    size_t n = 0;
    first[0] = 0;
    for (int k = 1; k < BINS; k++) {
        const uint32_t edge = (uint32_t)lround(pow(V, k / (double)BINS)) - 1;
        if (edge > first[n] && edge < V)
            first[++n] = edge;
    }
    first[++n] = V;
    return n;
}

static int allocate(pairs *g)
{
    const size_t n = (size_t)g->V * g->d, all = (size_t)g->V * g->V;
    g->share = calloc(2 * all, sizeof *g->share);
    g->w = calloc(6 * n, sizeof *g->w);
    g->p = calloc(2 * (size_t)g->V, sizeof *g->p);
    g->row = malloc(g->V * sizeof *g->row);
    if (!g->share || !g->w || !g->p || !g->row || !g->rng)
        return -1;
    g->seen = g->share + all;
    g->q = g->p + g->V;
    g->wm = g->w + n;
    g->wv = g->wm + n;
    g->wtau = g->wv + n;
    g->wg = g->wtau + n;
    g->grad = g->wg + n;
    return 0;
}

static void losses(pairs *g, double *loss);

static int init(void **self, const double *a, uint64_t seed, const char **why)
{
    uint32_t first[MSCOPE_BENCH_BANDS + 1];
    pairs *g = calloc(1, sizeof *g);
    *self = g;
    *why = "out of memory";
    if (g == NULL)
        return -1;
    g->V = (uint32_t)a[WORDS];
    g->d = (uint32_t)a[DIM];
    g->batch = (uint32_t)a[BATCH];
    g->reference = a[REFERENCE];
    g->gap = a[GAP];
    g->rng = mscope_bench_rng(seed, 3);
    if (allocate(g) < 0 || mscope_bench_rows_open(&g->rows, g->V, g->d, bins(g->V, first), first) < 0)
        return -1;
    if (count_pairs(g) < 0) {
        *why = "no text, or too little of it: name files in MOMENTSCOPE_TEXT";
        return -1;
    }
    g->law = gsl_ran_discrete_preproc((size_t)g->V * g->V, g->share);
    if (g->law == NULL)
        return -1;
    for (size_t k = 0; k < (size_t)g->V * g->V && a[REFERENCE] <= 0; k++)
        if (g->share[k] > 0)
            g->reference -= g->share[k] * log(g->share[k] / g->p[k / g->V]);
    for (size_t i = 0; i < (size_t)g->V * g->d; i++)
        g->rows.theta[i] = mscope_bench_normal(g->rng) / sqrt(g->d);
    for (size_t i = 0; i < (size_t)g->V * g->d; i++)
        g->w[i] = mscope_bench_normal(g->rng) / sqrt(g->d);
    losses(g, g->first);
    return 0;
}

static void fini(void *self)
{
    pairs *g = self;
    mscope_bench_rows_close(&g->rows);
    if (g->law != NULL)
        gsl_ran_discrete_free(g->law);
    if (g->rng != NULL)
        gsl_rng_free(g->rng);
    free(g->share);
    free(g->w);
    free(g->p);
    free(g->row);
    free(g);
}

/* ---- the model -------------------------------------------------------------------------------------------------- */

/* q <- softmax of the logits after x */
static void softmax(const pairs *g, uint32_t x, double *q)
{
    const double *e = g->rows.theta + (size_t)x * g->d;
    double top = -INFINITY, sum = 0;
    for (uint32_t y = 0; y < g->V; y++) {
        const double *w = g->w + (size_t)y * g->d;
        double dot = 0;
        for (uint32_t c = 0; c < g->d; c++)
            dot += e[c] * w[c];
        q[y] = dot;
        top = fmax(top, dot);
    }
    for (uint32_t y = 0; y < g->V; y++)
        sum += q[y] = exp(q[y] - top);
    for (uint32_t y = 0; y < g->V; y++)
        q[y] /= sum;
}

/* Gradients of E_x into grad, and onto that of W: mass q - seen, mass being the share of x in the samples. */
static void descend(pairs *g, uint32_t x, double mass, const double *seen, double *restrict grad)
{
    const double *e = g->rows.theta + (size_t)x * g->d;
    softmax(g, x, g->q);
    for (uint32_t c = 0; c < g->d; c++)
        grad[c] = 0;
    for (uint32_t y = 0; y < g->V; y++) {
        const double r = mass * g->q[y] - seen[y], *w = g->w + (size_t)y * g->d;
        double *restrict to = g->wg + (size_t)y * g->d;
        for (uint32_t c = 0; c < g->d; c++) {
            grad[c] += r * w[c];
            to[c] += r * e[c];
        }
    }
}

static int ascending(const void *a, const void *b)
{
    return (*(const uint32_t *)a > *(const uint32_t *)b) - (*(const uint32_t *)a < *(const uint32_t *)b);
}

/* The step's samples into seen and q (the mass of each x); their distinct x, ascending, into row. Returns how many. */
static size_t draw(pairs *g, double *mass)
{
    size_t n = 0;
    for (uint32_t i = 0; i < g->batch; i++) {
        const size_t k = gsl_ran_discrete(g->rng, g->law);
        const uint32_t x = (uint32_t)(k / g->V);
        if (!(mass[x] > 0))
            g->row[n++] = x;
        mass[x] += 1.0 / g->batch;
        g->seen[k] += 1.0 / g->batch;
    }
    qsort(g->row, n, sizeof *g->row, ascending);
    return n;
}

static int step(void *self, const mscope_bench_step *s)
{
    pairs *g = self;
    const size_t dense = (size_t)g->V * g->d;
    double *mass = calloc(g->V, sizeof *mass);
    size_t n = g->V;
    if (mass == NULL)
        return -1;
    memset(g->wg, 0, dense * sizeof *g->wg);
    if (g->batch > 0)
        n = draw(g, mass);
    else
        for (uint32_t x = 0; x < g->V; x++)
            g->row[x] = x;
    int rc = mscope_bench_rows_touch(&g->rows, g->row, n);
    for (size_t k = 0; rc == 0 && k < n; k++) {
        const uint32_t x = g->row[k];
        const size_t at = (size_t)x * g->V;
        descend(g, x, g->batch > 0 ? mass[x] : g->p[x], (g->batch > 0 ? g->seen : g->share) + at, g->grad + k * g->d);
        if (g->batch > 0)
            memset(g->seen + at, 0, g->V * sizeof *g->seen);
    }
    free(mass);
    if (rc < 0)
        return rc;
    if (s->all.squares.by == MSCOPE_BENCH_PLAIN)
        mscope_bench_move(&s->all, dense, g->w, g->wm, g->wg);
    else
        mscope_bench_move_squares(&s->all, dense, g->w, g->wm, g->wv, g->wtau, g->wg);
    return mscope_bench_rows_step(&g->rows, s, g->row, g->grad, n);
}

/* ---- what it reports --------------------------------------------------------------------------------------------- */

/* Each bin's share of the loss, and their sum. */
static void losses(pairs *g, double *loss)
{
    size_t b = 0;
    memset(loss, 0, (g->rows.bands + 1) * sizeof *loss);
    for (uint32_t x = 0; x < g->V; x++) {
        const double *share = g->share + (size_t)x * g->V;
        b += x >= g->rows.first[b + 1];
        softmax(g, x, g->q);
        for (uint32_t y = 0; y < g->V; y++)
            if (share[y] > 0)
                loss[b] -= share[y] * log(g->q[y]);
    }
    for (b = 0; b < g->rows.bands; b++)
        loss[g->rows.bands] += loss[b];
}

static void summary(void *self, mscope_bench_summary *out)
{
    pairs *g = self;
    double loss[MSCOPE_BENCH_BANDS + 1];
    memset(out, 0, sizeof *out);
    out->bands = g->rows.bands;
    if (mscope_bench_rows_settle(&g->rows) < 0)
        return;
    losses(g, loss);
    out->total = (mscope_bench_band){ .p = 1.0 / g->V, .rows = g->V, .risk = loss[out->bands],
                                      .stat = { loss[out->bands] } };
    for (size_t b = 0; b < out->bands; b++) {
        mscope_bench_band *x = &out->band[b];
        double share = 0;
        for (uint32_t j = g->rows.first[b]; j < g->rows.first[b + 1]; j++)
            share += g->p[j];
        x->rows = g->rows.first[b + 1] - g->rows.first[b];
        x->p = share / x->rows;
        x->risk = loss[b];
        x->stat[0] = loss[b] / share;
        for (size_t i = (size_t)g->rows.first[b] * g->d; i < (size_t)g->rows.first[b + 1] * g->d; i++)
            x->stat[1] += g->rows.m[i] * g->rows.m[i];
        out->total.stat[1] += x->stat[1];
    }
    for (size_t i = 0; i < (size_t)g->V * g->d; i++)
        out->total.stat[1] += g->wm[i] * g->wm[i];
}

static double target(void *self, size_t b)
{
    const pairs *g = self;
    const double uniform = log(g->V);
    if (b == g->rows.bands)
        return uniform - g->gap * (uniform - g->reference);
    return g->first[b] * (1 - g->gap * (1 - g->reference / uniform));    /* as far, in proportion */
}

const mscope_workload mscope_workload_bigram_pairs = {
    .name = "bigram-pairs",
    .help = "the bigram experiment of the authors of 2605.28961: pairs by their joint law, exact loss, 8 bins",
    .params = params,
    .stats = stats,
    .keeps_squares = 1,
    .init = init,
    .step = step,
    .summary = summary,
    .target = target,
    .fini = fini,
};
