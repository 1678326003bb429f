/* workload_multi_index.c - multi-pass SGD on n samples of a multi-index model, and its Gaussian SME (paper 004)
 *
 *     y_i = sum_j f(x_i.theta*_j) / sqrt(K) + noise,  x_i ~ N(0, I/d),  theta*_j ~ N(0, I_d), the student alike from `start`
 *     g <- sum_i c_i grad l_i(theta),   c_i: how often sample i is drawn in this step, mean kappa / n,  kappa = kappabar n^alpha
 *
 * The gradient is the sum over the batch, not its mean: a schedule's eta is the paper's etabar / kappabar, the
 * jump at one visit, held while n, kappa and its exponent change. A step is kappa / n epochs.
 *
 *     clocks 0   subset of round(kappa) different samples, as in practice
 *     clocks 1   an independent Poisson clock for each sample: the limit for every exponent < 1
 *     clocks 2   c_i = kappa/n + sqrt(kappa/n) N(0,1): the same two moments, the stochastic modified equation
 *
 * Linear (f(z) = z, l = e^2/2): mean and covariance of theta obey one closed equation for clocks 1 and 2, at any step.
 * Non-linear (f = tanh(2 z), l = Huber(e), knee 1): they do not. x is float32, n x d.                   */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_randist.h>

#include "rows.h"

enum { SAMPLES, DIM, INDEX, NONLINEAR, KAPPA, EXPONENT, CLOCKS, NOISE, START };
enum { SUBSET, POISSON, GAUSSIAN };

static const mscope_bench_param params[] = {
    { "n", 512, 2, 1e6, 1, "samples" },
    { "d", 512, 1, 65536, 1, "dimension" },
    { "index", 1, 1, 16, 1, "directions K of teacher and student" },
    { "nonlinear", 1, 0, 1, 1, "0: linear regression; 1: tanh and Huber loss" },
    { "kappabar", 1, 1e-6, 1e6, 0, "batch over n^exponent" },
    { "exponent", 0, 0, 1, 0, "of n in the batch" },
    { "clocks", 1, 0, 2, 1, "0 subsets, 1 Poisson clocks, 2 Gaussian (SME)" },
    { "noise", 0.3, 0, 1e3, 0, "standard deviation of the label noise" },
    { "start", 0, 0, 1e3, 0, "standard deviation of the student's coordinates at the start" },
    { NULL, 0, 0, 0, 0, NULL },
};

static const char *const stats[] = { "overlap", "norm", "train", "epochs", NULL };

typedef struct {
    size_t n, d, k;
    int nonlinear, clocks;
    double share, epochs;            /* kappa / n                                                */
    gsl_rng *rng;
    float *x, *y, *now;              /* now: theta as the samples see it                         */
    double *theta, *m, *g, *star;    /* K x d                                                    */
    uint32_t *order;
} multi;

static void fini(void *self)
{
    multi *w = self;
    if (w == NULL)
        return;
    gsl_rng_free(w->rng);
    free(w->x);
    free(w->theta);
    free(w->order);
    free(w);
}

/* Eight partial sums: what the compiler may turn into vectors, with one answer everywhere. */
static float dot(const float *a, const float *b, size_t n)
{
    float s[8] = { 0 };
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++)
            s[j] += a[i + j] * b[i + j];
    for (; i < n; i++)
        s[0] += a[i] * b[i];
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

static double value(const multi *w, double z)
{
    return w->nonlinear ? tanh(2 * z) : z;
}

static double output(const multi *w, const float *x, double z[16])
{
    double f = 0;
    for (size_t j = 0; j < w->k; j++) {
        z[j] = (double)dot(x, w->now + j * w->d, w->d);
        f += value(w, z[j]);
    }
    return f / sqrt((double)w->k);
}

static void look(multi *w, const double *theta)
{
    for (size_t i = 0; i < w->k * w->d; i++)
        w->now[i] = (float)theta[i];
}

static int draw(multi *w, const double *a, uint64_t seed)
{
    double z[16];
    gsl_rng *data = mscope_bench_rng(seed, 1);   /* runs with other clocks share samples, teacher and start */
    if (data == NULL)
        return -1;
    for (size_t i = 0; i < w->n * w->d; i++)
        w->x[i] = (float)(mscope_bench_normal(data) / sqrt(a[DIM]));
    for (size_t i = 0; i < w->k * w->d; i++) {
        w->star[i] = mscope_bench_normal(data);
        w->theta[i] = a[START] * mscope_bench_normal(data);
    }
    look(w, w->star);
    for (size_t i = 0; i < w->n; i++) {
        w->y[i] = (float)(output(w, w->x + i * w->d, z) + a[NOISE] * mscope_bench_normal(data));
        w->order[i] = (uint32_t)i;
    }
    gsl_rng_free(data);
    return 0;
}

static int init(void **self, const double *a, uint64_t seed, const char **why)
{
    multi *w = calloc(1, sizeof *w);
    *self = w;
    *why = "out of memory";
    if (w == NULL)
        return -1;
    w->n = (size_t)a[SAMPLES];
    w->d = (size_t)a[DIM];
    w->k = (size_t)a[INDEX];
    w->nonlinear = a[NONLINEAR] > 0;
    w->clocks = (int)a[CLOCKS];
    double batch = a[KAPPA] * pow(a[SAMPLES], a[EXPONENT]);
    if (w->clocks == SUBSET)
        batch = round(batch);
    w->share = batch / a[SAMPLES];
    if (w->clocks == SUBSET && (batch < 1 || batch > a[SAMPLES])) {
        *why = "kappabar n^exponent: a subset has between 1 and n samples";
        return -1;
    }
    const size_t held = w->k * w->d;
    w->rng = mscope_bench_rng(seed, 2 + (uint64_t)w->clocks);
    w->x = calloc(w->n * w->d + w->n + held, sizeof *w->x);
    w->theta = calloc(4 * held, sizeof *w->theta);
    w->order = calloc(w->n, sizeof *w->order);
    if (w->rng == NULL || w->x == NULL || w->theta == NULL || w->order == NULL)
        return -1;
    w->y = w->x + w->n * w->d;
    w->now = w->y + w->n;
    w->m = w->theta + held;
    w->g = w->m + held;
    w->star = w->g + held;
    return draw(w, a, seed);
}

/* g += c grad l_i */
static void visit(multi *w, size_t i, double c)
{
    const float *x = w->x + i * w->d;
    double z[16], e = output(w, x, z) - (double)w->y[i];
    if (w->nonlinear)
        e = fmin(fmax(e, -1), 1);
    for (size_t j = 0; j < w->k; j++) {
        const double t = value(w, z[j]), slope = w->nonlinear ? 2 * (1 - t * t) : 1;
        const double by = c * e * slope / sqrt((double)w->k);
        double *restrict g = w->g + j * w->d;
        for (size_t l = 0; l < w->d; l++)
            g[l] += by * (double)x[l];
    }
}

/* The first few of a shuffle. */
static void visit_subset(multi *w)
{
    const size_t batch = (size_t)(w->share * (double)w->n + 0.5);
    for (size_t b = 0; b < batch; b++) {
        const size_t at = b + (size_t)gsl_rng_uniform_int(w->rng, w->n - b);
        const uint32_t i = w->order[at];
        w->order[at] = w->order[b];
        w->order[b] = i;
        visit(w, i, 1);
    }
}

static int step(void *self, const mscope_bench_step *s)
{
    multi *w = self;
    const size_t held = w->k * w->d;
    unsigned count = 0;
    if (w->clocks == POISSON)
        count = gsl_ran_poisson(w->rng, w->share * (double)w->n);
    const int none = w->clocks == POISSON && count == 0;
    if (!none) {
        memset(w->g, 0, held * sizeof *w->g);
        look(w, w->theta);
    }
    for (; count > 0; count--)
        visit(w, (size_t)gsl_rng_uniform_int(w->rng, w->n), 1);
    if (w->clocks == SUBSET)
        visit_subset(w);
    for (size_t i = 0; i < w->n && w->clocks == GAUSSIAN; i++)
        visit(w, i, w->share + sqrt(w->share) * mscope_bench_normal(w->rng));
    mscope_bench_move(s->band != NULL ? &s->band[0] : &s->all, held, w->theta, w->m, none ? NULL : w->g);
    w->epochs += w->share;
    return isfinite(w->theta[0]) ? 0 : -1;
}

static void summary(void *self, mscope_bench_summary *out)
{
    multi *w = self;
    const size_t held = w->k * w->d;
    double overlap = 0, norm = 0, loss = 0, z[16];
    look(w, w->theta);
    for (size_t i = 0; i < held; i++) {
        overlap += w->theta[i] * w->star[i] / (double)held;
        norm += w->theta[i] * w->theta[i] / (double)held;
    }
    for (size_t i = 0; i < w->n; i++) {
        const double e = output(w, w->x + i * w->d, z) - (double)w->y[i];
        loss += w->nonlinear && fabs(e) > 1 ? fabs(e) - 0.5 : 0.5 * e * e;
    }
    memset(out, 0, sizeof *out);
    out->bands = 1;
    out->total.p = 1;
    out->total.rows = 1;
    out->total.risk = loss / (double)w->n;
    out->total.stat[0] = overlap;
    out->total.stat[1] = norm;
    out->total.stat[2] = out->total.risk;
    out->total.stat[3] = w->epochs;
    out->band[0] = out->total;
}

const mscope_workload mscope_workload_multi_index = {
    .name = "multi-index",
    .help = "multi-pass SGD, linear or tanh with Huber loss: subsets, Poisson clocks, or the Gaussian SME; eta is one visit's",
    .params = params,
    .stats = stats,
    .init = init,
    .step = step,
    .summary = summary,
    .fini = fini,
};
