/* pca.c - spiked matrix and tensor PCA by online SGD (paper 003, section 3)
 *
 * Every step sees a fresh Y = lambda v^(x)k + W, W a k-tensor of N(0,1), |v| = 1, and L = |Y - x^(x)k|^2:
 *
 *     grad L = 2 k R^(2k-2) x - 2 k lambda m^(k-1) v - 2 grad <W, x^(x)k>
 *     m = <x,v>,   r2 = |x|^2 - m^2,   R^2 = m^2 + r2
 *
 * <W, x^(x)k> is Gaussian in x with covariance (x.y)^k, so at one x its gradient has the covariance
 * k R^(2k-2) I + k(k-1) R^(2k-4) x x^T, and the tensor itself is never drawn:
 *
 *     grad <W, x^(x)k> = sqrt(k) R^(k-1) z + sqrt(k(k-1)) R^(k-2) zeta x,     z ~ N(0, I_n), zeta ~ N(0, 1)
 *
 * Everything is invariant under rotations around v. literal = 0 therefore keeps (x, momentum) in four coordinates:
 * one along v, two that span their parts across it, and one for the length chi_(n-3) of the part of z outside, turned
 * back into the two after the step. The same in law as literal = 1, which moves vectors of n numbers.
 *
 * Theory: the limit n -> infinity at eta of order 1/n, as a recursion a step instead of the ODE (3.1) of Proposition
 * 3.1, so that momentum of any eps is in it: m and r2 have errors of order 1/n. Noise along v is carried to first
 * order: its variance S enters the risk, as Proposition 3.3 at m = 0. Where S passes a fiftieth of |x|^2, as it does
 * when a run leaves m = 0 by chance at lambda > lambda_c, no single trajectory describes the runs: theory does not
 * know. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_randist.h>

#include "rows.h"

enum { DIM, ORDER, SNR, SCALED, START, LITERAL };

static const double LINEAR = 0.02;   /* S over |x|^2 up to which the noise is followed */

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
    mscope_bench_move(mscope_bench_only(s), w->held, w->x, w->m, w->g);
    if (!w->literal)
        turn(w);
    return isfinite(R2) ? 0 : -1;
}

/* From m, its variance around it (0: known) and r2. Risk: E L without what no x can change, |lambda v^(x)k - x^(x)k|^2.
 */
static void describe(const pca *w, double m, double var, double r2, mscope_bench_summary *out)
{
    const double R2 = m * m + var + r2, k = w->k;
    const double mk = pow(m, k) + 0.5 * k * (k - 1) * pow(m, k - 2) * var;
    const double stat[] = { m, r2, sqrt((double)w->n) * m, R2 > 0 ? m / sqrt(R2) : 0 };
    mscope_bench_single(out, w->lambda * w->lambda - 2 * w->lambda * mk + pow(R2, k), stat, 4);
}

static void summary(void *self, mscope_bench_summary *out)
{
    const pca *w = self;
    describe(w, w->x[0], 0, square_across(w), out);
}

/* ---- theory -------------------------------------------------------------------------------------------------- */

/* m, r2 and what momentum adds to them: mm along v; c = <x,p>, V = |p|^2 across. S: covariance of (m, mm), [1] mixed.
 */
typedef struct {
    double m, mm, r2, c, V, S[3];
} limit;

/* The mean along v, and the noise around it through the drift's slope. */
static void step_along(const pca *w, const mscope_bench_linear *a, limit *x)
{
    const double k = w->k, R2 = x->m * x->m + x->r2, P = 2 * k * pow(R2, k - 1), pull = 2 * k * w->lambda;
    const double noise = 4 * k * pow(R2, k - 1) + 4 * k * (k - 1) * pow(R2, k - 2) * x->m * x->m;
    const double J = P + 4 * k * (k - 1) * pow(R2, k - 2) * x->m * x->m - pull * (k - 1) * pow(x->m, k - 2);
    const double g = P * x->m - pull * pow(x->m, k - 1), S = x->S[0], T = x->S[1], U = x->S[2];
    x->mm = a->keep * x->mm + a->gain * g;
    x->m -= a->pull * x->mm + a->push * g;
    /* (dm, dmm) <- (am dm + ap dmm + an xi, pm dm + keep dmm + gain xi), xi of variance noise */
    const double pm = a->gain * J, am = 1 - a->pull * pm - a->push * J, ap = -a->pull * a->keep,
                 an = -a->pull * a->gain - a->push;
    x->S[0] = am * am * S + 2 * am * ap * T + ap * ap * U + an * an * noise;
    x->S[1] = am * pm * S + (am * a->keep + ap * pm) * T + ap * a->keep * U + an * a->gain * noise;
    x->S[2] = pm * pm * S + 2 * pm * a->keep * T + a->keep * a->keep * U + a->gain * a->gain * noise;
}

/* Lengths across v: g = P x + noise of square N. */
static void step_across(const pca *w, const mscope_bench_linear *a, limit *x)
{
    const double k = w->k, R2 = x->m * x->m + x->r2, P = 2 * k * pow(R2, k - 1);
    const double N = 4 * k * pow(R2, k - 1) * ((double)w->n - 1) + 4 * k * (k - 1) * pow(R2, k - 2) * x->r2;
    const double gg = P * P * x->r2 + N, xg = P * x->r2, pg = P * x->c;
    const double V = a->keep * a->keep * x->V + 2 * a->keep * a->gain * pg + a->gain * a->gain * gg;
    const double xp = a->keep * x->c + a->gain * xg, gp = a->keep * pg + a->gain * gg;
    x->r2 += a->pull * a->pull * V + a->push * a->push * gg - 2 * a->pull * xp - 2 * a->push * xg +
             2 * a->pull * a->push * gp;
    x->c = xp - a->pull * V - a->push * gp;
    x->V = V;
}

/* Called at the start: the run's own (m, r2). */
static int theory(void *self, const mscope_bench_rates *rates, double t, mscope_bench_summary *out)
{
    const pca *w = self;
    const mscope_bench_linear a = mscope_bench_linear_of(rates);
    limit x = { .m = w->x[0], .r2 = square_across(w) };
    if (t > 1e8)
        return -1;
    for (double i = 0; i < floor(t); i++) {
        const limit before = x;
        step_along(w, &a, &x);
        limit across = before;
        step_across(w, &a, &across);
        x.r2 = across.r2;
        x.c = across.c;
        x.V = across.V;
        if (!(x.S[0] < LINEAR * (x.m * x.m + x.r2)))
            return -1;
    }
    describe(w, x.m, x.S[0], x.r2, out);
    return 0;
}

/* Nine tenths of the way from risk at (0, 1) to the stable fixed point with m > 0 of (3.1) at eta = 1/n: r2 = 1 and
 * the larger root of lambda m^(k-2) = (m^2 + 1)^(k-1). None below lambda_c: nothing to learn, and no risk is below 0.
 */
static double target(void *self, size_t b)
{
    const pca *w = self;
    const double far = 1 + pow(w->lambda, 1 / w->k) + w->lambda;
    double high = far, low;
    (void)b;
    for (double m = far; m > 1e-6; m *= 0.999) {
        if (w->lambda * pow(m, w->k - 2) <= pow(m * m + 1, w->k - 1)) {
            high = m;
            continue;
        }
        for (low = m; high - low > 1e-12 * high;) {
            const double mid = 0.5 * (low + high);
            if (w->lambda * pow(mid, w->k - 2) > pow(mid * mid + 1, w->k - 1))
                low = mid;
            else
                high = mid;
        }
        const double best = w->lambda * w->lambda - 2 * w->lambda * pow(low, w->k) + pow(low * low + 1, w->k);
        return 0.1 * (w->lambda * w->lambda + 1) + 0.9 * best;
    }
    return 0;
}

const mscope_workload mscope_workload_pca = {
    .name = "pca",
    .help =
        "spiked matrix or tensor PCA, a fresh sample a step; exact in law at any dimension; theory away from chance",
    .params = params,
    .stats = stats,
    .init = init,
    .step = step,
    .summary = summary,
    .theory = theory,
    .target = target,
    .fini = fini,
};
