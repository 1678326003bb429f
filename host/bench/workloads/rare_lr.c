/* rare_lr.c - rare-class logistic regression (paper 000, section 6), sampled in law
 *
 * With probability p: x = mu + z, label 1; else x = z, label 0; |mu| = r. The gradient (sigma(<theta, x> + b*) - y) x
 * needs of each sample only its parts along mu and along theta's component across mu: two normals. What is left of
 * the batch is Gaussian with variance sum c^2, c the residuals. Coordinate 0 is the direction of mu. Every step is
 * active: one dense row. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_randist.h>

#include "mscope/theory.h"
#include "rows.h"

enum { DIM, P, BATCH, SEPARATION, S0, R0 };

static const mscope_bench_param params[] = {
    { "d", 256, 3, 65536, 1, "dimension" },
    { "p", 0.01, 1e-9, 0.5, 0, "probability of the rare class" },
    { "batch", 256, 1, 1e7, 1, "samples a step" },
    { "r", 2, 0, 8, 0, "class separation" },
    { "s0", 0.3, -4, 4, 0, "signal error at the start" },
    { "R0", 0.3, 0, 16, 0, "bulk error |theta across mu|^2 at the start" },
    { NULL, 0, 0, 0, 0, NULL },
};

static const char *const stats[] = { "s", "u", "R", "V", "C", "kl_per_p", NULL };

typedef struct rare {
    double p, batch, r, bias, s0, R0;
    size_t d;
    gsl_rng *rng;
    double *theta, *m, *g;          /* coordinate 0 along mu */
} rare;

static int init(void **self, const double *a, uint64_t seed, const char **why)
{
    rare *w = calloc(1, sizeof *w);
    *self = w;
    *why = "out of memory";
    if (w == NULL)
        return -1;
    w->d = (size_t)a[DIM];
    w->p = a[P];
    w->batch = a[BATCH];
    w->r = a[SEPARATION];
    w->s0 = a[S0];
    w->R0 = a[R0];
    w->bias = log(w->p) - log1p(-w->p) - w->r * w->r / 2;
    w->rng = mscope_bench_rng(seed, 2);
    w->theta = calloc(3 * w->d, sizeof *w->theta);
    if (w->rng == NULL || w->theta == NULL)
        return -1;
    w->m = w->theta + w->d;
    w->g = w->m + w->d;
    w->theta[0] = w->r + w->s0;
    w->theta[1] = sqrt(w->R0);
    return 0;
}

/* Samples of one class: sums of c x along mu and along the unit vector of theta's bulk, and of c^2. */
static void samples(rare *w, double n, double shift, double label, double bulk, double sum[3])
{
    for (double k = 0; k < n; k++) {
        const double along = shift + mscope_bench_normal(w->rng), across = mscope_bench_normal(w->rng);
        const double logit = w->theta[0] * along + bulk * across + w->bias;
        const double c = label > 0 ? -1 / (1 + exp(logit)) : 1 / (1 + exp(-logit));
        sum[0] += c * along;
        sum[1] += c * across;
        sum[2] += c * c;
    }
}

static int step(void *self, const mscope_bench_step *s)
{
    rare *w = self;
    double sum[3] = { 0 }, R = 0, zt = 0;
    const double rare_ones = gsl_ran_binomial(w->rng, w->p, (unsigned)w->batch);
    for (size_t i = 1; i < w->d; i++)
        R += w->theta[i] * w->theta[i];
    const double bulk = sqrt(R);
    samples(w, rare_ones, w->r, 1, bulk, sum);
    samples(w, w->batch - rare_ones, 0, 0, bulk, sum);
    for (size_t i = 1; i < w->d; i++) {
        w->g[i] = mscope_bench_normal(w->rng) * sqrt(sum[2]);
        zt += w->g[i] * w->theta[i];
    }
    const double turn = bulk > 0 ? (sum[1] - zt / bulk) / bulk : 0;
    for (size_t i = 1; i < w->d; i++)
        w->g[i] = (w->g[i] + turn * w->theta[i]) / w->batch;
    w->g[0] = sum[0] / w->batch;
    mscope_bench_move(mscope_bench_only(s), w->d, w->theta, w->m, w->g);
    return isfinite(w->theta[0] + R) ? 0 : -1;
}

static void describe(const rare *w, const double x[5], mscope_bench_summary *out)
{
    double alpha, kl = NAN;
    memset(out, 0, sizeof *out);
    out->bands = 1;
    memcpy(out->total.stat, x, 5 * sizeof *x);
    if (mscope_lr_sparse_kl(w->r, x[0], x[2], &alpha, &kl) < 0)
        kl = NAN;
    out->total.p = w->p;
    out->total.rows = 1;
    out->total.stat[5] = kl;
    out->total.risk = (1 + w->r * w->r) * x[0] * x[0] + x[2];
    out->band[0] = out->total;
}

static void summary(void *self, mscope_bench_summary *out)
{
    const rare *w = self;
    double x[5] = { w->theta[0] - w->r, w->m[0], 0, 0, 0 };
    for (size_t i = 1; i < w->d; i++) {
        x[2] += w->theta[i] * w->theta[i];
        x[3] += w->m[i] * w->m[i];
        x[4] += w->theta[i] * w->m[i];
    }
    describe(w, x, out);
}

static int theory(void *self, const mscope_bench_rates *a, double t, mscope_bench_summary *out)
{
    const rare *w = self;
    const mscope_lr lr = { .d = (double)w->d, .p = w->p, .batch = w->batch, .eps = a->eps, .eta = a->eta, .r = w->r };
    double x[5] = { w->s0, 0, w->R0, 0, 0 };
    if (a->nesterov || a->direct != 0 || a->gain != a->eps || t > 1e6 ||
        mscope_lr_iterate(&lr, MSCOPE_LR_EXACT, floor(t), x) < 0)
        return -1;
    describe(w, x, out);
    return 0;
}

static void fini(void *self)
{
    rare *w = self;
    free(w->theta);
    if (w->rng != NULL)
        gsl_rng_free(w->rng);
    free(w);
}

const mscope_workload mscope_workload_rare_lr = {
    .name = "rare-lr",
    .help = "rare-class logistic regression: signal and bulk; risk is 2 KL/p to leading order",
    .params = params,
    .stats = stats,
    .init = init,
    .step = step,
    .summary = summary,
    .theory = theory,
    .fini = fini,
};
