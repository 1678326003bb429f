/* workload_pca.c - spiked matrix and tensor PCA by online SGD (paper 003, section 3)
 *
 * Every step sees a fresh Y = lambda v^(x)k + W, W a k-tensor of N(0,1), |v| = 1, and L = |Y - x^(x)k|^2:
 *
 *     grad L = 2 k R^(2k-2) x - 2 k lambda m^(k-1) v - 2 grad <W, x^(x)k>,    m = <x,v>, r2 = |x|^2 - m^2, R^2 = m^2 + r2
 *
 * <W, x^(x)k> is Gaussian in x with covariance (x.y)^k, so at one x its gradient has the covariance
 * k R^(2k-2) I + k(k-1) R^(2k-4) x x^T, and the tensor itself is never drawn:
 *
 *     grad <W, x^(x)k> = sqrt(k) R^(k-1) z + sqrt(k(k-1)) R^(k-2) zeta x,     z ~ N(0, I_n), zeta ~ N(0, 1)
 *
 * Everything is invariant under rotations around v. literal = 0 therefore keeps (x, momentum) in four coordinates: one along
 * v, two that span their parts across it, and one for the length chi_(n-3) of the part of z outside, turned back
 * into the two after the step. The same in law as literal = 1, which moves vectors of n numbers.                */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_randist.h>

#include "rows.h"

enum { DIM, ORDER, SNR, SCALED, START, LITERAL };

static const mscope_bench_param params[] = {
    { "n", 2000, 4, 1e9, 1, "dimension" },
    { "k", 2, 2, 8, 1, "order of the tensor; 2: matrix" },
    { "lambda", 1.2, 0, 1e6, 0, "signal-to-noise ratio" },
    { "scaled", 0, 0, 1, 1, "1: lambda times n^((k-2)/2), where gradient methods begin to see a tensor's spike" },
    { "start", 0, -1e4, 1e4, 0, "0: x ~ N(0, I/n); else sqrt(n) m at the start, the rest as before" },
    { "literal", 0, 0, 1, 1, "1: vectors of n numbers; 0: four coordinates, the same in law" },
    { NULL, 0, 0, 0, 0, NULL },
};

static const char *const stats[] = { "m", "r2", "root_n_m", "cosine", NULL };

typedef struct {
    size_t n, held;                  /* numbers that stand for x: n or 4                         */
    double k, lambda;
    int literal;
    gsl_rng *rng;
    double *x, *m, *g;               /* coordinate 0 is along v                                  */
} pca;

static void fini(void *self)
{
    pca *w = self;
    if (w == NULL)
        return;
    gsl_rng_free(w->rng);
    free(w->x);
    free(w);
}

static int init(void **self, const double *a, uint64_t seed, const char **why)
{
    pca *w = calloc(1, sizeof *w);
    *self = w;
    *why = "out of memory";
    if (w == NULL)
        return -1;
    w->n = (size_t)a[DIM];
    w->k = a[ORDER];
    w->literal = a[LITERAL] > 0;
    w->held = w->literal ? w->n : 4;
    w->lambda = a[SNR] * (a[SCALED] > 0 ? pow(a[DIM], (w->k - 2) / 2) : 1);
    w->rng = mscope_bench_rng(seed, 0);
    w->x = calloc(3 * w->held, sizeof *w->x);
    if (w->rng == NULL || w->x == NULL)
        return -1;
    w->m = w->x + w->held;
    w->g = w->m + w->held;
    const double root = sqrt(a[DIM]);
    for (size_t i = 0; i < w->n && w->literal; i++)
        w->x[i] = mscope_bench_normal(w->rng) / root;
    if (!w->literal) {
        w->x[0] = mscope_bench_normal(w->rng) / root;
        w->x[1] = sqrt(gsl_ran_chisq(w->rng, a[DIM] - 1)) / root;
    }
    if (a[START] != 0)
        w->x[0] = a[START] / root;
    return 0;
}

static double square_across(const pca *w)
{
    double r2 = 0;
    for (size_t i = 1; i < w->held; i++)
        r2 += w->x[i] * w->x[i];
    return r2;
}

/* Turns the parts across v so that x has coordinate 1 alone, the momentum 1 and 2. */
static void turn(pca *w)
{
    double xx = square_across(w), xm = 0, mm = 0;
    for (size_t i = 1; i < 4; i++) {
        xm += w->x[i] * w->m[i];
        mm += w->m[i] * w->m[i];
    }
    w->x[1] = sqrt(xx);
    w->m[1] = xx > 0 ? xm / w->x[1] : 0;
    w->m[2] = sqrt(fmax(mm - w->m[1] * w->m[1], 0));
    w->x[2] = w->x[3] = w->m[3] = 0;
}

static int step(void *self, const mscope_bench_step *s)
{
    pca *w = self;
    const double k = w->k, m = w->x[0], R2 = m * m + square_across(w), pull = 2 * k * pow(R2, k - 1);
    const double noise = 2 * sqrt(k * pow(R2, k - 1));
    const double along = pull - 2 * sqrt(k * (k - 1) * pow(R2, k - 2)) * mscope_bench_normal(w->rng);
    const size_t drawn = w->literal ? w->n : 3;
    for (size_t i = 0; i < drawn; i++)
        w->g[i] = along * w->x[i] - noise * mscope_bench_normal(w->rng);
    if (!w->literal)
        w->g[3] = -noise * sqrt(gsl_ran_chisq(w->rng, (double)w->n - 3));
    w->g[0] -= 2 * k * w->lambda * pow(m, k - 1);
    mscope_bench_move(s->band != NULL ? &s->band[0] : &s->all, w->held, w->x, w->m, w->g);
    if (!w->literal)
        turn(w);
    return isfinite(R2) ? 0 : -1;
}

static void summary(void *self, mscope_bench_summary *out)
{
    const pca *w = self;
    const double m = w->x[0], r2 = square_across(w), R2 = m * m + r2;
    memset(out, 0, sizeof *out);
    out->bands = 1;
    out->total.p = 1;
    out->total.rows = 1;
    /* E L without what no x can change: |lambda v^(x)k - x^(x)k|^2 */
    out->total.risk = w->lambda * w->lambda - 2 * w->lambda * pow(m, w->k) + pow(R2, w->k);
    out->total.stat[0] = m;
    out->total.stat[1] = r2;
    out->total.stat[2] = sqrt((double)w->n) * m;
    out->total.stat[3] = R2 > 0 ? m / sqrt(R2) : 0;
    out->band[0] = out->total;
}

const mscope_workload mscope_workload_pca = {
    .name = "pca",
    .help = "spiked matrix or tensor PCA, a fresh sample a step; exact in law at any dimension",
    .params = params,
    .stats = stats,
    .init = init,
    .step = step,
    .summary = summary,
    .fini = fini,
};
