/* multi_index.c - multi-pass SGD on n samples of a multi-index model, and its Gaussian SME (paper 004)
 *
 *     y_i = sum_j f(x_i.theta*_j) / sqrt(K) + noise,  x_i ~ N(0, I/d),  theta*_j ~ N(0, I_d), the student alike from
 *     `start`
 *     g <- sum_i c_i grad l_i(theta),   E c_i = kappa / n,   kappa = kappabar n^alpha
 *
 * c_i counts how often sample i is drawn in this step. The gradient is the sum over the batch, not its mean: a
 * schedule's eta is the paper's etabar / kappabar, the jump at one visit, held while n, kappa and its exponent change.
 * A step is kappa / n epochs.
 *
 *     clocks 0   subset of round(kappa) different samples, as in practice
 *     clocks 1   an independent Poisson clock for each sample: the limit for every exponent < 1
 *     clocks 2   c_i = kappa/n + sqrt(kappa/n) N(0,1): the same two moments, the stochastic modified equation
 *
 * Linear (f(z) = z, l = e^2/2): mean and covariance of theta obey one closed equation for clocks 1 and 2, at any step.
 * Non-linear (f = tanh(2 z), l = Huber(e), knee 1): they do not. x is float32, n x d.
 *
 * Theory: linear, d <= 256, given the run's samples and start, expected over its clocks (linear_moments.h): exactly
 * where that takes under 4e9 operations, else in the limit of large d. Only w = sum_j theta_j / sqrt(K) moves, all
 * theta_j alike. Target, linear: 95 % of the way from the start to least squares. Non-linear: the mean-field
 * equations of the paper, driven by Poisson jumps, are not solved here; theory does not know. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_randist.h>

#include "linear_moments.h"

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
    double target;                   /* NaN: not known; looked: found out                         */
    int looked;
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
    w->target = NAN;
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
    mscope_bench_move(mscope_bench_only(s), held, w->theta, w->m, none ? NULL : w->g);
    w->epochs += w->share;
    return isfinite(w->theta[0]) ? 0 : -1;
}

static void describe(double overlap, double norm, double loss, double epochs, mscope_bench_summary *out)
{
    const double stat[] = { overlap, norm, loss, epochs };
    mscope_bench_single(out, loss, stat, 4);
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
    describe(overlap, norm, loss / (double)w->n, w->epochs, out);
}

/* ---- theory ------------------------------------------------------------------------------------------------ */

enum { WIDEST = 256 };             /* an eigenproblem of 0.2 s */

/* Moments of w after t steps; *flat: what does not move of sum theta_j.star_j and sum |theta_j|^2. */
static int expect(const multi *w, const mscope_bench_linear *a, double t, double flat[2], mscope_linear_moments *out)
{
    const double n = (double)w->n, d = (double)w->d, batch = w->share * n, root = sqrt((double)w->k);
    const int subset = w->clocks == SUBSET, exact = 2 * n * d * d * (t + 1) < 4e9;
    double *start = calloc(2 * w->d, sizeof *start);
    if (start == NULL)
        return -1;
    double *const probe = start + w->d;
    flat[0] = flat[1] = 0;
    for (size_t i = 0; i < w->k * w->d; i++) {
        start[i % w->d] += w->theta[i] / root;
        probe[i % w->d] += w->star[i] / root;
        flat[0] += w->theta[i] * w->star[i];
        flat[1] += w->theta[i] * w->theta[i];
    }
    for (size_t i = 0; i < w->d; i++) {
        flat[0] -= start[i] * probe[i];
        flat[1] -= start[i] * start[i];
    }
    const mscope_linear_problem p = { .n = w->n, .d = w->d, .x = w->x, .y = w->y, .start = start, .probe = probe,
                                      .share = w->share, .var = subset ? batch * (n - batch) / (n * (n - 1)) : w->share,
                                      .apart = subset ? batch * (n - batch) / (n * n * (n - 1)) : 0 };
    const int rc = mscope_linear_expect(&p, a, t, exact, out);
    free(start);
    return rc;
}

static int theory(void *self, const mscope_bench_rates *rates, double t, mscope_bench_summary *out)
{
    const multi *w = self;
    const mscope_bench_linear a = mscope_bench_linear_of(rates);
    const double held = (double)(w->k * w->d);
    mscope_linear_moments x;
    double flat[2];
    if (w->nonlinear || w->d > WIDEST || t > 1e7 || expect(w, &a, floor(t), flat, &x) < 0)
        return -1;
    describe((flat[0] + x.along) / held, (flat[1] + x.square) / held, x.train, w->share * floor(t), out);
    return isfinite(x.train) ? 0 : -1;
}

/* Non-linear, or too wide: NaN, the share of the risk at the start. */
static double target(void *self, size_t b)
{
    multi *w = self;
    const mscope_bench_linear still = { .keep = 0 };
    mscope_linear_moments x;
    double flat[2];
    (void)b;
    if (!w->looked && !w->nonlinear && w->d <= WIDEST && expect(w, &still, 0, flat, &x) == 0)
        w->target = 0.05 * x.train + 0.95 * x.least;
    w->looked = 1;
    return w->target;
}

const mscope_workload mscope_workload_multi_index = {
    .name = "multi-index",
    .help =
        "multi-pass SGD, linear or tanh with Huber loss: subsets, Poisson clocks, or the Gaussian SME; eta is one "
        "visit's; theory if linear, d <= 256",
    .params = params,
    .stats = stats,
    .init = init,
    .step = step,
    .summary = summary,
    .theory = theory,
    .target = target,
    .fini = fini,
};
