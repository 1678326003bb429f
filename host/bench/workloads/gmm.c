/* gmm.c - gmm and xor: two-layer ReLU networks that classify Gaussian mixtures, online SGD (paper 003, 4 and 5)
 *
 *     L = -y v.g(WX) + log(1 + exp(v.g(WX))) + (alpha/2)(|v|^2 + |W|^2),    g = ReLU, W is K x N, a fresh (y, X) a step
 *
 * gmm: X ~ N(+mu, I/lambda) when y = 1, N(-mu, I/lambda) when y = 0; v ~ N(0,1), W ~ N(0, I/(lambda N)). xor: X ~
 * N(+-mu, I/lambda) when y = 1, N(+-nu, I/lambda) when y = 0, mu and nu orthogonal; v ~ N(0,1), W ~ N(0, I/N). mu and
 * nu are the first two coordinates. At rate 1/N and lambda -> infinity the stable fixed points have one group of
 * units for each cluster with sum v_i^2 = -logit(2 alpha) for gmm, -logit(4 alpha) for xor, which is then the margin
 * of every cluster; at the other fixed points some cluster has no unit, margin 0. success, as in figures 7 and 10:
 * every cluster has a unit with the signs of v and W that it needs; its margin may still be growing, slowly. The risk
 * is the cross-entropy at the centres of the clusters, without the penalty.
 *
 * Theory: the ballistic limit of Propositions 4.1 and 9.1 (mixture_flow.h) from the run's own start, at its lambda;
 * up to 8 units, lambda >= 10. Momentum of fixed eps does not change the limit; there is no theory for eta/eps >
 * 0.05. Runs scatter around it as N^(-1/2), and in xor from a random start the sign of each unit's first steps is the
 * noise's as much as the start's (m is N^(-1/2) itself): there it is right in law over seeds, not run by run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dot.h"
#include "mixture_flow.h"
#include "rows.h"

enum { DIM, WIDTH, SNR, ALPHA, RING, WIDEST = 64 };

static const mscope_bench_param gmm_params[] = {
    { "n", 250, 2, 1e6, 1, "dimension N of the data" },
    { "width", 2, 1, 64, 1, "units K" },
    { "lambda", 1000, 1e-6, 1e12, 0, "signal-to-noise: variance of a cluster is 1/lambda" },
    { "alpha", 0.1, 0, 1, 0, "ridge penalty; clusters are learnt below 1/4" },
    { "ring", 0, 0, 1, 0,
      "0: random start; else on the unstable ring, all units on +mu: share of sum v^2 in the first" },
    { NULL, 0, 0, 0, 0, NULL },
};

static const mscope_bench_param xor_params[] = {
    { "n", 250, 2, 1e6, 1, "dimension N of the data" },
    { "width", 4, 1, 64, 1, "units K" },
    { "lambda", 1000, 1e-6, 1e12, 0, "signal-to-noise: variance of a cluster is 1/lambda" },
    { "alpha", 0.1, 0, 1, 0, "ridge penalty; clusters are learnt below 1/8" },
    { "ring", 0, 0, 1, 0,
      "0: random start; else half the units on +mu, half on -nu: share of a half's sum v^2 in its first" },
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

/* Propositions 4.3 and 5.1: v = m on every unit, sum of v^2 over a group's units -logit(clusters alpha), nothing
 * across. xor: the second half has v = m.nu < 0. The others of a group share what its first leaves. */
static void on_ring(mixture *w, double first)
{
    const double share = (double)w->clusters * w->alpha, square = fmax(-log(share / (1 - share)), 0);
    const size_t half = w->clusters == 4 ? (w->k + 1) / 2 : w->k;
    memset(w->theta, 0, w->k * (w->n + 1) * sizeof *w->theta);
    for (size_t i = 0; i < w->k; i++) {
        const size_t nu = i >= half, units = nu ? w->k - half : half, leads = i == 0 || i == half;
        const double part = units == 1 ? 1 : leads ? first : (1 - first) / ((double)units - 1);
        w->theta[i * w->n + nu] = w->theta[w->k * w->n + i] = (nu ? -1 : 1) * sqrt(part * square);
    }
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
    if (a[RING] > 0)
        on_ring(w, a[RING]);
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
static void gradient(mixture *w, size_t cluster)
{
    double *v = w->theta + w->k * w->n, *gv = w->g + w->k * w->n, out = 0;
    for (size_t i = 0; i < w->k; i++) {
        w->hidden[i] = fmax(mscope_bench_dot(w->theta + i * w->n, w->x, w->n), 0);
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
    mscope_bench_move(mscope_bench_only(s), w->k * (w->n + 1), w->theta, w->m, w->g);
    return isfinite(w->theta[0]) && isfinite(w->theta[w->k * w->n]) ? 0 : -1;
}

/* Of unit i: v, W.mu, W.nu, square of the rest. */
typedef struct {
    double v, m[2], perp2;
} unit_state;

static void describe(const mixture *w, const unit_state *of, mscope_bench_summary *out)
{
    double least = INFINITY, loss = 0, stat[MSCOPE_BENCH_STATS] = { 0 };
    size_t covered = 0;
    for (size_t c = 0; c < w->clusters; c++) {
        const double side = c % 2 == 0 ? 1 : -1, wanted = label(w, c) ? 1 : -1;
        double f = 0;
        int unit = 0;
        for (size_t i = 0; i < w->k; i++) {
            const double h = fmax(of[i].m[c / 2] * side, 0);
            f += of[i].v * wanted * h;
            unit |= h > 0 && of[i].v * wanted > 0;
        }
        covered += (size_t)unit;
        least = fmin(least, f);
        loss += (f < 0 ? -f : 0) + log1p(exp(-fabs(f)));
    }
    for (size_t i = 0; i < w->k; i++) {
        stat[2] += of[i].v * of[i].v;
        stat[3] += of[i].m[0] * of[i].m[0];
        stat[4] += of[i].m[1] * of[i].m[1];
        stat[5] += of[i].perp2;
    }
    stat[0] = covered == w->clusters;
    stat[1] = least;
    stat[6] = of[0].v;
    stat[7] = of[0].m[0];
    mscope_bench_single(out, loss / (double)w->clusters, stat, MSCOPE_BENCH_STATS);
}

static void summary(void *self, mscope_bench_summary *out)
{
    const mixture *w = self;
    unit_state of[WIDEST];
    for (size_t i = 0; i < w->k; i++) {
        const double *row = w->theta + i * w->n, mu = row[0], nu = w->clusters == 4 ? row[1] : 0;
        of[i] =
            (unit_state){ w->theta[w->k * w->n + i], { mu, nu }, mscope_bench_dot(row, row, w->n) - mu * mu - nu * nu };
    }
    describe(w, of, out);
}

/* ---- theory -------------------------------------------------------------------------------------------------- */

static int theory(void *self, const mscope_bench_rates *a, double t, mscope_bench_summary *out)
{
    const mixture *w = self;
    const double lambda = 1 / (w->sigma * w->sigma), time = a->eta * floor(t);
    const mscope_mixture m = { .clusters = w->clusters, .units = w->k, .lambda = lambda, .alpha = w->alpha,
                               .c = a->eta * (double)w->n };
    mscope_mixture_state s = { .v = { 0 } };
    unit_state of[WIDEST];
    if (w->k > MSCOPE_MIXTURE_UNITS || lambda < 10 || a->gain != a->eps || a->direct != 0 || a->eta / a->eps > 0.05 ||
        time > 1000)
        return -1;
    for (size_t i = 0; i < w->k; i++) {
        const double *row = w->theta + i * w->n;
        s.v[i] = w->theta[w->k * w->n + i];
        s.mu[i] = row[0];
        s.nu[i] = w->clusters == 4 ? row[1] : 0;
        for (size_t j = 0; j < w->k; j++) {
            const double *other = w->theta + j * w->n;
            s.R[i][j] =
                mscope_bench_dot(row, other, w->n) - row[0] * other[0] - (w->clusters == 4 ? row[1] * other[1] : 0);
        }
    }
    if (mscope_mixture_flow(&m, time, &s) < 0)
        return -1;
    for (size_t i = 0; i < w->k; i++)
        of[i] = (unit_state){ s.v[i], { s.mu[i], s.nu[i] }, s.R[i][i] };
    describe(w, of, out);
    return isfinite(out->total.risk) ? 0 : -1;
}

/* Half way between all clusters learnt, margins M = -logit(clusters alpha), and all but one, whose margin is 0: only
 * runs that end at stable fixed points get there. None is learnt from alpha = 1 / (2 clusters) on. */
static double target(void *self, size_t b)
{
    const mixture *w = self;
    const double clusters = (double)w->clusters, share = clusters * w->alpha;
    (void)b;
    if (!(share < 0.5))
        return 0;
    const double learnt = -log1p(-share), not_learnt = log(2);
    return learnt + 0.5 * (not_learnt - learnt) / clusters;
}

const mscope_workload mscope_workload_gmm = {
    .name = "gmm",
    .help =
        "two-layer ReLU network on two Gaussian clusters, a fresh sample a step; half of all starts succeed; theory "
        "to 8 units",
    .params = gmm_params,
    .stats = stats,
    .init = init_gmm,
    .step = step,
    .summary = summary,
    .theory = theory,
    .target = target,
    .fini = fini,
};

const mscope_workload mscope_workload_xor = {
    .name = "xor",
    .help =
        "two-layer ReLU network on four clusters in XOR position; 3/32 of all starts succeed at width 4; theory to 8 "
        "units",
    .params = xor_params,
    .stats = stats,
    .init = init_xor,
    .step = step,
    .summary = summary,
    .theory = theory,
    .target = target,
    .fini = fini,
};
