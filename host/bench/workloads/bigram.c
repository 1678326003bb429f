/* bigram.c - softmax bigram model on real text: embedding and readout under one schedule
 *
 * logits = W theta_word + bias; the embedding's rows are sparse, W and bias get a gradient at every step. Batches are
 * uniform positions of the text, or the whole text. Losses are means over a fixed sample of positions from each band,
 * weighted by the band's share of the text. The target closes a share of the gap between ln V and a reference: --grid
 * reference=NATS, or by default an interpolated count model (0.7 bigram + 0.3 unigram, of the same text), which sees
 * all counts but does not generalise. The text: files in MOMENTSCOPE_TEXT (separated by colons), or prose found on
 * the machine (host/nextword/text.c). */
#include "bigram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/workloads/squares.h"
#include "nextword/bigram_counts.h"
#include "nextword/model.h"
#include "nextword/text.h"

enum { WORDS, DIM, BATCH, READOUT, REFERENCE, GAP };
enum { CHUNK = 256, SAMPLE = 96, BLOCK = 512 };

static const mscope_bench_param params[] = {
    { "words", 512, 64, 65536, 1, "vocabulary: the most frequent words, the last stands for all rarer ones" },
    { "d", 16, 1, 1024, 1, "width of embedding and readout" },
    { "batch", 64, 0, 65536, 1, "samples a step; 0: the whole text, its expectation" },
    { "readout", 1, 0, 1, 1, "1: the readout learns under the same rates; 0: it stays as drawn" },
    { "reference", 0, 0, 20, 0, "nats of a full-batch run; 0: an interpolated count model" },
    { "gap", 0.92, 0.01, 1, 0, "share of the gap between ln V and the reference that counts as learnt" },
    { NULL, 0, 0, 0, 0, NULL },
};

static const char *const stats[] = { "loss", "theta2", "m2", NULL };

typedef struct bigram {
    text text;
    mscope_bigram_counts counts;
    model model;
    uint32_t words, dim, batch;                   /* batch 0: the whole text                    */
    int readout;
    gsl_rng *rng;
    mscope_bench_rows rows;                       /* the embedding                              */
    double share[MSCOPE_BENCH_BANDS];
    double *w, *wm, *wg;                          /* readout then bias: values, momentum, gradient */
    double *wv, *wtau;                            /* the running means of squares.h              */
    uint32_t *at, *in, *out, *row;                /* a batch, sorted by its input words          */
    float *theta, *grad;                          /* of one chunk                                */
    double *sum;                                  /* gradients of the distinct rows              */
    uint32_t *eval, evals;                        /* positions, SAMPLE a band                    */
    double reference[MSCOPE_BENCH_BANDS + 1], gap;
} bigram;

/* ---- opening ---------------------------------------------------------------------------------------------- */

int mscope_bigram_text(text *t, uint32_t words)
{
    char *list = getenv("MOMENTSCOPE_TEXT"), *copy = NULL, *files[64] = { NULL };
    if (list != NULL && *list != '\0') {
        size_t n = 0;
        char *rest = NULL;
        copy = strdup(list);
        for (char *f = copy != NULL ? strtok_r(copy, ":", &rest) : NULL; f != NULL && n < 63;
             f = strtok_r(NULL, ":", &rest))
            files[n++] = f;
    }
    const int rc = text_read(t, files, words);
    free(copy);
    return rc;
}

static int allocate(bigram *g)
{
    const size_t dense = (size_t)g->words * (g->dim + 1), rows = g->batch > 0 ? g->batch : g->words;
    g->w = calloc(5 * dense, sizeof *g->w);
    g->at = malloc(4 * rows * sizeof *g->at);
    g->theta = malloc(2 * CHUNK * (size_t)g->dim * sizeof *g->theta);
    g->sum = malloc(rows * g->dim * sizeof *g->sum);
    g->eval = malloc(MSCOPE_BENCH_BANDS * SAMPLE * sizeof *g->eval);
    if (!g->w || !g->at || !g->theta || !g->sum || !g->eval || !g->rng)
        return -1;
    g->wm = g->w + dense;
    g->wg = g->wm + dense;
    g->wv = g->wg + dense;
    g->wtau = g->wv + dense;
    g->in = g->at + rows;
    g->out = g->in + rows;
    g->row = g->out + rows;
    g->grad = g->theta + CHUNK * (size_t)g->dim;
    return 0;
}

static int open_rows(bigram *g)
{
    uint32_t first[MSCOPE_BENCH_BANDS + 1] = { 0 };
    size_t bands = 0;
    const double *p = g->counts.p;
    /* Words come by frequency; the last one, standing for all the rest, is frequent again: a band of its own. */
    for (uint32_t j = 1; j + 1 < g->words; j++)
        if (floor(-log2(p[j])) > floor(-log2(p[first[bands]])) && bands + 2 < MSCOPE_BENCH_BANDS)
            first[++bands] = j;
    first[++bands] = g->words - 1;
    first[++bands] = g->words;
    if (mscope_bench_rows_open(&g->rows, g->words, g->dim, bands, first) < 0)
        return -1;
    for (size_t b = 0; b < bands; b++)
        for (uint32_t j = first[b]; j < first[b + 1]; j++)
            g->share[b] += p[j];
    for (size_t i = 0; i < (size_t)g->words * g->dim; i++)
        g->rows.theta[i] = 0.1 * mscope_bench_normal(g->rng);
    return 0;
}

static size_t band_of(const bigram *g, uint32_t word)
{
    size_t b = 0;
    while (word >= g->rows.first[b + 1])
        b++;
    return b;
}

/* Positions drawn until every band has its sample: the same for every seed, so that losses can be compared. */
static int draw_sample(bigram *g)
{
    gsl_rng *r = mscope_bench_rng(20260101, 9);
    uint32_t n[MSCOPE_BENCH_BANDS] = { 0 }, full = 0;
    if (r == NULL)
        return -1;
    for (uint32_t i = 0; i < MSCOPE_BENCH_BANDS * SAMPLE; i++)
        g->eval[i] = UINT32_MAX;
    for (long tries = 0; full < g->rows.bands && tries < 20000000; tries++) {
        const uint32_t at = (uint32_t)gsl_rng_uniform_int(r, g->text.length - 1);
        const size_t b = band_of(g, g->text.word[at]);
        if (n[b] == SAMPLE)
            continue;
        g->eval[b * SAMPLE + n[b]++] = at;
        full += n[b] == SAMPLE;
    }
    gsl_rng_free(r);
    return full == g->rows.bands ? 0 : -1;
}

/* Loss of 0.7 count(a,b)/count(a) + 0.3 p(b) at the sampled positions. */
static void count_model(bigram *g)
{
    for (size_t i = 0; i < g->rows.bands * SAMPLE; i++) {
        const uint32_t a = g->text.word[g->eval[i]], b = g->text.word[g->eval[i] + 1];
        const double pair = mscope_bigram_counts_share(&g->counts, a, b);
        g->reference[i / SAMPLE] -= log(0.7 * pair / g->counts.p[a] + 0.3 * g->counts.p[b]) / SAMPLE;
    }
    for (size_t b = 0; b < g->rows.bands; b++)
        g->reference[g->rows.bands] += g->share[b] * g->reference[b];
}

static void read_back(bigram *g)
{
    const size_t n = (size_t)g->words * g->dim;
    for (size_t i = 0; i < n; i++)
        g->model.w[i] = (float)g->w[i];
    for (uint32_t v = 0; v < g->words; v++)
        g->model.bias[v] = (float)g->w[n + v];
}

static int init(void **self, const double *a, uint64_t seed, const char **why)
{
    bigram *g = calloc(1, sizeof *g);
    *self = g;
    *why = "out of memory";
    if (g == NULL)
        return -1;
    g->words = (uint32_t)a[WORDS];
    g->dim = (uint32_t)a[DIM];
    g->batch = (uint32_t)a[BATCH];
    g->readout = a[READOUT] > 0;
    g->gap = a[GAP];
    g->rng = mscope_bench_rng(seed, 3);
    if (mscope_bigram_text(&g->text, g->words) < 0) {
        *why = "no text, or too little of it: name files in MOMENTSCOPE_TEXT";
        return -1;
    }
    if (allocate(g) < 0 || mscope_bigram_counts_open(&g->counts, &g->text) < 0 || open_rows(g) < 0 ||
        draw_sample(g) < 0 || model_init(&g->model, g->words, g->dim, CHUNK, seed) < 0)
        return -1;
    count_model(g);
    for (uint32_t i = 0; g->batch == 0 && i < g->words; i++)
        g->row[i] = i;
    for (size_t b = 0; a[REFERENCE] > 0 && b <= g->rows.bands; b++)
        g->reference[b] *= a[REFERENCE] / (b < g->rows.bands ? g->reference[g->rows.bands] : g->reference[b]);
    for (size_t i = 0; i < (size_t)g->words * g->dim; i++)
        g->w[i] = (double)g->model.w[i];
    return 0;
}

static void fini(void *self)
{
    bigram *g = self;
    text_free(&g->text);
    model_free(&g->model);
    mscope_bench_rows_close(&g->rows);
    mscope_bigram_counts_free(&g->counts);
    free(g->w);
    free(g->at);
    free(g->theta);
    free(g->sum);
    free(g->eval);
    if (g->rng != NULL)
        gsl_rng_free(g->rng);
    free(g);
}

/* ---- a step -------------------------------------------------------------------------------------------------- */

static int by_word(const void *a, const void *b)
{
    return (*(const uint64_t *)a > *(const uint64_t *)b) - (*(const uint64_t *)a < *(const uint64_t *)b);
}

/* Positions sorted by their input word; the distinct words, ascending, in row. Returns how many. */
static size_t draw_batch(bigram *g)
{
    uint64_t *key = malloc(g->batch * sizeof *key);
    size_t n = 0;
    if (key == NULL)
        return 0;
    for (uint32_t i = 0; i < g->batch; i++) {
        const uint32_t at = (uint32_t)gsl_rng_uniform_int(g->rng, g->text.length - 1);
        key[i] = (uint64_t)g->text.word[at] << 32 | at;
    }
    qsort(key, g->batch, sizeof *key, by_word);
    for (uint32_t i = 0; i < g->batch; i++) {
        g->in[i] = (uint32_t)(key[i] >> 32);
        g->out[i] = g->text.word[(uint32_t)key[i] + 1];
        if (i == 0 || g->in[i] != g->in[i - 1])
            g->row[n++] = g->in[i];
    }
    free(key);
    return n;
}

static void look_up(const bigram *g, const uint32_t *word, uint32_t n, float *theta)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < g->dim; j++)
            theta[(size_t)i * g->dim + j] = (float)g->rows.theta[(size_t)word[i] * g->dim + j];
}

/* Gradient of W and bias of one chunk: outer products of what the model left in logit. In blocks of words that stay in
 * cache, four samples at a time, each word's sum in the order of the samples.                                        */
static void outer(const bigram *g, const float *y, const float *x, uint32_t words, double scale, double *restrict to)
{
    const size_t next = g->words;
    const double a = scale * (double)x[0], b = scale * (double)x[g->dim], c = scale * (double)x[2 * (size_t)g->dim],
                 d = scale * (double)x[3 * (size_t)g->dim];
    for (uint32_t v = 0; v < words; v++)
        to[v] = to[v] + a * (double)y[v] + b * (double)y[v + next] + c * (double)y[v + 2 * next] +
                d * (double)y[v + 3 * next];
}

static void readout_gradient(bigram *g, uint32_t n, double scale)
{
    double *bias = g->wg + (size_t)g->words * g->dim;
    for (uint32_t at = 0; at < g->words; at += BLOCK) {
        const uint32_t words = g->words - at < BLOCK ? g->words - at : BLOCK;
        for (uint32_t b = 0; b < n; b++)
            for (uint32_t v = at; v < at + words; v++)
                bias[v] += scale * (double)g->model.logit[(size_t)b * g->words + v];
        for (uint32_t b = 0; b < n; b += 4)
            for (uint32_t j = 0; j < g->dim; j++) {
                double *restrict to = g->wg + (size_t)j * g->words + at;
                const float *y = g->model.logit + (size_t)b * g->words + at, *x = g->theta + (size_t)b * g->dim + j;
                if (b + 4 <= n)
                    outer(g, y, x, words, scale, to);
                else
                    for (uint32_t k = 0; k < n - b; k++)
                        for (uint32_t v = 0; v < words; v++)
                            to[v] += scale * (double)x[(size_t)k * g->dim] * (double)y[(size_t)k * g->words + v];
            }
    }
}

/* Gradients of all rows in expectation over the text, a chunk of words at a time. */
static void whole_text(bigram *g)
{
    for (uint32_t at = 0; at < g->words; at += CHUNK) {
        const uint32_t n = g->words - at < CHUNK ? g->words - at : CHUNK;
        const model_pairs next = { g->counts.first + at, g->counts.word, g->counts.share };
        g->model.batch = n;
        look_up(g, g->row + at, n, g->theta);
        model_expected(&g->model, g->theta, g->counts.p + at, &next, g->grad);
        for (size_t i = 0; i < (size_t)n * g->dim; i++)
            g->sum[(size_t)at * g->dim + i] = (double)g->grad[i];
        if (g->readout)
            readout_gradient(g, n, 1);
    }
}

/* Gradients of the batch's distinct rows. Returns negative when they left the finite numbers. */
static int of_batch(bigram *g)
{
    size_t k = 0;
    for (uint32_t at = 0; at < g->batch; at += CHUNK) {
        const uint32_t n = g->batch - at < CHUNK ? g->batch - at : CHUNK;
        const double scale = (double)n / g->batch;          /* the model divides by its own batch */
        g->model.batch = n;
        look_up(g, g->in + at, n, g->theta);
        if (!isfinite(model_gradient(&g->model, g->theta, g->out + at, g->grad)))
            return -1;
        for (uint32_t i = 0; i < n; i++) {
            k += g->row[k] != g->in[at + i];
            for (uint32_t j = 0; j < g->dim; j++)
                g->sum[k * g->dim + j] += scale * (double)g->grad[(size_t)i * g->dim + j];
        }
        if (g->readout)
            readout_gradient(g, n, scale);
    }
    return 0;
}

static int step(void *self, const mscope_bench_step *s)
{
    bigram *g = self;
    const size_t rows = g->batch > 0 ? draw_batch(g) : g->words, dense = (size_t)g->words * (g->dim + 1);
    if (rows == 0 || mscope_bench_rows_touch(&g->rows, g->row, rows) < 0)
        return -1;
    memset(g->sum, 0, rows * g->dim * sizeof *g->sum);
    memset(g->wg, 0, dense * sizeof *g->wg);
    if (g->batch == 0)
        whole_text(g);
    else if (of_batch(g) < 0)
        return -1;
    if (g->readout) {
        if (s->all.squares.by == MSCOPE_BENCH_PLAIN)
            mscope_bench_move(&s->all, dense, g->w, g->wm, g->wg);
        else
            mscope_bench_move_squares(&s->all, dense, g->w, g->wm, g->wv, g->wtau, g->wg);
        read_back(g);
    }
    return mscope_bench_rows_step(&g->rows, s, g->row, g->sum, rows);
}

/* ---- what it reports --------------------------------------------------------------------------------------------- */

static double band_loss(bigram *g, size_t b)
{
    uint32_t in[SAMPLE], out[SAMPLE];
    for (uint32_t i = 0; i < SAMPLE; i++) {
        in[i] = g->text.word[g->eval[b * SAMPLE + i]];
        out[i] = g->text.word[g->eval[b * SAMPLE + i] + 1];
    }
    g->model.batch = SAMPLE;
    look_up(g, in, SAMPLE, g->theta);
    return model_loss(&g->model, g->theta, out);
}

static void summary(void *self, mscope_bench_summary *out)
{
    bigram *g = self;
    memset(out, 0, sizeof *out);
    out->bands = g->rows.bands;
    if (mscope_bench_rows_settle(&g->rows) < 0)
        return;
    for (size_t b = 0; b < out->bands; b++) {
        mscope_bench_band *x = &out->band[b];
        const uint32_t lo = g->rows.first[b], hi = g->rows.first[b + 1];
        x->rows = hi - lo;
        x->p = g->share[b] / x->rows;
        x->stat[0] = band_loss(g, b);
        x->risk = g->share[b] * x->stat[0];
        for (size_t i = (size_t)lo * g->dim; i < (size_t)hi * g->dim; i++) {
            x->stat[1] += g->rows.theta[i] * g->rows.theta[i] / x->rows;
            x->stat[2] += g->rows.m[i] * g->rows.m[i] / x->rows;
        }
        out->total.rows += x->rows;
        out->total.risk += x->risk;
        out->total.stat[1] += x->stat[1] * x->rows / g->words;
        out->total.stat[2] += x->stat[2] * x->rows / g->words;
    }
    out->total.p = 1 / out->total.rows;
    out->total.stat[0] = out->total.risk;
}

static double target(void *self, size_t b)
{
    const bigram *g = self;
    const double uniform = log(g->words), weight = b < g->rows.bands ? g->share[b] : 1;
    return weight * (uniform - g->gap * (uniform - g->reference[b]));
}

mscope_bench_rows *mscope_bigram_rows(void *self, const double **p)
{
    bigram *g = self;
    *p = g->counts.p;
    return mscope_bench_rows_settle(&g->rows) < 0 ? NULL : &g->rows;
}

const mscope_workload mscope_workload_bigram = {
    .name = "bigram",
    .help = "softmax bigram model on real text, embedding and readout under one schedule",
    .params = params,
    .stats = stats,
    .keeps_squares = 1,
    .init = init,
    .step = step,
    .summary = summary,
    .target = target,
    .fini = fini,
};
