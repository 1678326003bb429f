/* workload_gmm.c - gmm and xor: two-layer ReLU networks that classify Gaussian mixtures, online SGD (paper 003, 4 and 5)
 *
 *     L = -y v.g(WX) + log(1 + exp(v.g(WX))) + (alpha/2)(|v|^2 + |W|^2),    g = ReLU, W is K x N, a fresh (y, X) a step
 *
 * gmm: X ~ N(+mu, I/lambda) when y = 1, N(-mu, I/lambda) when y = 0; v ~ N(0,1), W ~ N(0, I/(lambda N)).
 * xor: X ~ N(+-mu, I/lambda) when y = 1, N(+-nu, I/lambda) when y = 0, mu and nu orthogonal; v ~ N(0,1), W ~ N(0, I/N).
 * mu and nu are the first two coordinates. At rate 1/N and lambda -> infinity the stable fixed points have one group
 * of units for each cluster with sum v_i^2 = -logit(2 alpha) for gmm, -logit(4 alpha) for xor, which is then the
 * margin of every cluster; at the other fixed points some cluster has no unit, margin 0. success, as in figures 7 and 10:
 * every cluster has a unit with the signs of v and W that it needs; its margin may still be growing, slowly.
 * The risk is the cross-entropy at the centres of the clusters, without the penalty.                              */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"

enum { DIM, WIDTH, SNR, ALPHA };

static const mscope_bench_param gmm_params[] = {
    { "n", 250, 2, 1e6, 1, "dimension N of the data" },
    { "width", 2, 1, 64, 1, "units K" },
    { "lambda", 1000, 1e-6, 1e12, 0, "signal-to-noise: variance of a cluster is 1/lambda" },
    { "alpha", 0.1, 0, 1, 0, "ridge penalty; clusters are learnt below 1/4" },
    { NULL, 0, 0, 0, 0, NULL },
};

static const mscope_bench_param xor_params[] = {
    { "n", 250, 2, 1e6, 1, "dimension N of the data" },
    { "width", 4, 1, 64, 1, "units K" },
    { "lambda", 1000, 1e-6, 1e12, 0, "signal-to-noise: variance of a cluster is 1/lambda" },
    { "alpha", 0.1, 0, 1, 0, "ridge penalty; clusters are learnt below 1/8" },
    { NULL, 0, 0, 0, 0, NULL },
};

static const char *const stats[] = { "success", "margin", "v2", "mu2", "nu2", "perp2", "v_first", "m_first", NULL };

typedef struct {
    size_t n, k, clusters;           /* cluster c: sign + for even c, along coordinate c / 2     */
    double sigma, alpha;
    gsl_rng *rng;
    double *theta, *m, *g;           /* W, row by row, then v                                    */
    double *x, *hidden;
} mixture;

static void fini(void *self)
{
    mixture *w = self;
    if (w == NULL)
        return;
    gsl_rng_free(w->rng);
    free(w->theta);
    free(w);
}

static int init(void **self, const double *a, uint64_t seed, size_t clusters)
{
    mixture *w = calloc(1, sizeof *w);
    *self = w;
    if (w == NULL)
        return -1;
    w->n = (size_t)a[DIM];
    w->k = (size_t)a[WIDTH];
    w->clusters = clusters;
    w->sigma = 1 / sqrt(a[SNR]);
    w->alpha = a[ALPHA];
    const size_t held = w->k * (w->n + 1);
    w->rng = mscope_bench_rng(seed, 0);
    w->theta = calloc(3 * held + w->n + w->k, sizeof *w->theta);
    if (w->rng == NULL || w->theta == NULL)
        return -1;
    w->m = w->theta + held;
    w->g = w->m + held;
    w->x = w->g + held;
    w->hidden = w->x + w->n;
    const double scale = (clusters == 2 ? w->sigma : 1) / sqrt(a[DIM]);
    for (size_t i = 0; i < held; i++)
        w->theta[i] = (i < w->k * w->n ? scale : 1) * mscope_bench_normal(w->rng);
    return 0;
}

static int init_gmm(void **self, const double *a, uint64_t seed, const char **why)
{
    *why = "out of memory";
    return init(self, a, seed, 2);
}

static int init_xor(void **self, const double *a, uint64_t seed, const char **why)
{
    *why = "out of memory";
    return init(self, a, seed, 4);
}

static int label(const mixture *w, size_t cluster)
{
    return w->clusters == 2 ? cluster == 0 : cluster < 2;
}

/* Four partial sums: the compiler may not reorder one. */
static double dot(const double *a, const double *b, size_t n)
{
    double s[4] = { 0, 0, 0, 0 };
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t j = 0; j < 4; j++)
            s[j] += a[i + j] * b[i + j];
    for (; i < n; i++)
        s[0] += a[i] * b[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

static void gradient(mixture *w, size_t cluster)
{
    double *v = w->theta + w->k * w->n, *gv = w->g + w->k * w->n, out = 0;
    for (size_t i = 0; i < w->k; i++) {
        w->hidden[i] = fmax(dot(w->theta + i * w->n, w->x, w->n), 0);
        out += v[i] * w->hidden[i];
    }
    const double e = 1 / (1 + exp(-out)) - label(w, cluster);
    for (size_t i = 0; i < w->k; i++) {
        const double c = w->hidden[i] > 0 ? v[i] * e : 0, alpha = w->alpha;
        const double *row = w->theta + i * w->n, *x = w->x;
        double *restrict g = w->g + i * w->n;
        for (size_t j = 0; j < w->n; j++)
            g[j] = c * x[j] + alpha * row[j];
        gv[i] = e * w->hidden[i] + w->alpha * v[i];
    }
}

static int step(void *self, const mscope_bench_step *s)
{
    mixture *w = self;
    const size_t cluster = (size_t)gsl_rng_uniform_int(w->rng, w->clusters);
    for (size_t j = 0; j < w->n; j++)
        w->x[j] = w->sigma * mscope_bench_normal(w->rng);
    w->x[cluster / 2] += cluster % 2 == 0 ? 1 : -1;
    gradient(w, cluster);
    mscope_bench_move(s->band != NULL ? &s->band[0] : &s->all, w->k * (w->n + 1), w->theta, w->m, w->g);
    return isfinite(w->theta[0]) && isfinite(w->theta[w->k * w->n]) ? 0 : -1;
}

static void summary(void *self, mscope_bench_summary *out)
{
    const mixture *w = self;
    const double *v = w->theta + w->k * w->n;
    double least = INFINITY, loss = 0, *stat = out->total.stat;
    size_t covered = 0;
    memset(out, 0, sizeof *out);
    for (size_t c = 0; c < w->clusters; c++) {
        const double side = c % 2 == 0 ? 1 : -1, wanted = label(w, c) ? 1 : -1;
        double f = 0;
        int unit = 0;
        for (size_t i = 0; i < w->k; i++) {
            const double h = fmax(w->theta[i * w->n + c / 2] * side, 0);
            f += v[i] * wanted * h;
            unit |= h > 0 && v[i] * wanted > 0;
        }
        covered += (size_t)unit;
        least = fmin(least, f);
        loss += (f < 0 ? -f : 0) + log1p(exp(-fabs(f)));
    }
    for (size_t i = 0; i < w->k; i++) {
        const double *row = w->theta + i * w->n, mu = row[0], nu = w->clusters == 4 ? row[1] : 0;
        stat[2] += v[i] * v[i];
        stat[3] += mu * mu;
        stat[4] += nu * nu;
        stat[5] += dot(row, row, w->n) - mu * mu - nu * nu;
    }
    stat[0] = covered == w->clusters;
    stat[1] = least;
    stat[6] = v[0];
    stat[7] = w->theta[0];
    out->bands = 1;
    out->total.p = 1;
    out->total.rows = 1;
    out->total.risk = loss / (double)w->clusters;
    out->band[0] = out->total;
}

const mscope_workload mscope_workload_gmm = {
    .name = "gmm",
    .help = "two-layer ReLU network on two Gaussian clusters, a fresh sample a step; half of all starts succeed",
    .params = gmm_params,
    .stats = stats,
    .init = init_gmm,
    .step = step,
    .summary = summary,
    .fini = fini,
};

const mscope_workload mscope_workload_xor = {
    .name = "xor",
    .help = "two-layer ReLU network on four clusters in XOR position; 3/32 of all starts succeed at width 4",
    .params = xor_params,
    .stats = stats,
    .init = init_xor,
    .step = step,
    .summary = summary,
    .fini = fini,
};
