/* uv.c - two-layer network with label noise: linear, tanh or ReLU (paper 001, definition 3.6, appendix A.1)
 *
 *     f(x) = (1/sqrt(n)) sum_j u_j phi(v_j x),   L = 1/(2P) sum_i (f(x_i) - noise xi_i)^2
 *
 * with xi_i ~ N(0,1), drawn anew in each step.
 *
 * P scalar inputs are drawn once and scaled to mean square 1 (mu_2 = 1). Every zero of f is a minimum; noise drifts
 * along them towards the flattest. In the paper's time:
 *
 *     tau1 = (2/C) eta^-gamma,   tau2 = 2 n C^2 / (noise^2 / P) eta^(2 gamma - 2),   C = (noise^2 / (P n))^(1/3)
 *
 * with momentum pi <- beta pi + g, theta <- theta - eta pi, beta = 1 - C eta^gamma: gain 1 here. The risk is the
 * trace of the Hessian on the minima, E |grad f|^2. Linear: the P label noises enter by one number, which is what is
 * drawn.
 *
 * Theory, linear: p = (u+v)/sqrt 2 and q = (u-v)/sqrt 2 never turn, only their lengths move; momentum is h p and -h
 * q. With k = sqrt(n) h, lambda = (|u|^2 + |v|^2)/n the trace of the Hessian, Q = |p||q|, f = (|p|^2 - |q|^2)/(2 sqrt
 * n):
 *
 *     k <- beta k + gain (f - noise/sqrt(P) xi);   f <- f - eta lambda k
 *     Z <- beta Z - 2 eta W;   Q <- Q - eta beta Z + eta^2 W;   W = -Q E k^2 / n,   Z = |q| h|p| - |p| h|q|
 *     lambda = 2 sqrt(Q^2 + n E f^2) / n
 *
 * to first order in the slow drift. The second moments of k and f are followed; the first line is exact but for
 * lambda, the second but for W. At fixed eps it is 1/tau2, doubled as a norm's square decays, d log Q =
 * -eta_eff^2 noise^2/(P n), eta_eff = eta gain / eps; while eps is so small that k^2 is still growing, the plateau
 * that paper_001.c found. Theory, tanh: Corollary 3.5 (white noise, eps fixed, eta small): descent of L + (eta_eff
 * noise^2 / 4P) tr H without noise; loss then has (eta_eff noise^2 / 4P) tr H more. ReLU: Corollary 3.5 wants a
 * smooth valley; theory does not know. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_cblas.h>

#include "rows.h"

enum { WIDTH, SAMPLES, NOISE, ACTIVATION, VALLEY };
enum { LINEAR, TANH, RELU };

static const mscope_bench_param params[] = {
    { "n", 10, 1, 4096, 1, "width" },
    { "samples", 5, 1, 4096, 1, "inputs, drawn once" },
    { "noise", 0.5, 0, 1e3, 0, "standard deviation of the label noise" },
    { "activation", 0, 0, 2, 1, "0 linear, 1 tanh, 2 ReLU" },
    { "valley", 0, 0, 1, 1, "1: start on the minima of the linear network, v made orthogonal to u" },
    { NULL, 0, 0, 0, 0, NULL },
};

static const char *const stats[] = { "norm2", "loss", NULL };

typedef struct {
    size_t n, samples;
    double noise;
    int activation;
    gsl_rng *rng;
    double *theta, *m, *g;           /* u, then v; m follows theta in memory                       */
    double *x, *error;
    double *phi, *slope;             /* samples x n                                              */
} uv;

static void fini(void *self)
{
    uv *w = self;
    if (w == NULL)
        return;
    gsl_rng_free(w->rng);
    free(w->theta);
    free(w);
}

/* One sum, in order. */
static double dot(const double *a, const double *b, size_t n)
{
    return cblas_ddot((int)n, a, 1, b, 1);
}

static void start(uv *w, int valley)
{
    double *u = w->theta, *v = u + w->n;
    for (size_t i = 0; i < 2 * w->n; i++)
        u[i] = mscope_bench_normal(w->rng);
    const double off = dot(u, v, w->n) / dot(u, u, w->n);
    for (size_t i = 0; i < w->n && valley; i++)
        v[i] -= off * u[i];
    for (size_t i = 0; i < w->samples; i++)
        w->x[i] = mscope_bench_normal(w->rng);
    const double scale = sqrt((double)w->samples / dot(w->x, w->x, w->samples));
    for (size_t i = 0; i < w->samples; i++)
        w->x[i] *= scale;
}

static int init(void **self, const double *a, uint64_t seed, const char **why)
{
    uv *w = calloc(1, sizeof *w);
    *self = w;
    *why = "out of memory";
    if (w == NULL)
        return -1;
    w->n = (size_t)a[WIDTH];
    w->samples = (size_t)a[SAMPLES];
    w->noise = a[NOISE];
    w->activation = (int)a[ACTIVATION];
    w->rng = mscope_bench_rng(seed, 0);
    w->theta = calloc(6 * w->n + 2 * w->samples + 2 * w->n * w->samples, sizeof *w->theta);
    if (w->rng == NULL || w->theta == NULL)
        return -1;
    w->m = w->theta + 2 * w->n;
    w->g = w->m + 2 * w->n;
    w->x = w->g + 2 * w->n;
    w->error = w->x + w->samples;
    w->phi = w->error + w->samples;
    w->slope = w->phi + w->n * w->samples;
    start(w, a[VALLEY] > 0);
    return 0;
}

/* f(x_i) in error[i], phi and phi' beside it. */
static void forward(uv *w)
{
    const double *u = w->theta, *v = u + w->n;
    for (size_t i = 0; i < w->samples; i++) {
        double *phi = w->phi + i * w->n, *slope = w->slope + i * w->n;
        for (size_t j = 0; j < w->n; j++) {
            const double z = v[j] * w->x[i];
            phi[j] = w->activation == TANH ? tanh(z) : w->activation == RELU && z < 0 ? 0 : z;
            slope[j] = w->activation == TANH ? 1 - phi[j] * phi[j] : w->activation == RELU && z < 0 ? 0 : 1;
        }
        w->error[i] = dot(u, phi, w->n) / sqrt((double)w->n);
    }
}

static void linear_gradient(uv *w)
{
    const double *u = w->theta, *v = u + w->n, n = (double)w->n;
    const double sample = w->noise / sqrt((double)w->samples) * mscope_bench_normal(w->rng);
    const double e = (dot(u, v, w->n) / sqrt(n) - sample) / sqrt(n);
    for (size_t j = 0; j < w->n; j++) {
        w->g[j] = e * v[j];
        w->g[w->n + j] = e * u[j];
    }
}

static void gradient(uv *w)
{
    const double root = sqrt((double)w->n) * (double)w->samples;
    forward(w);
    memset(w->g, 0, 2 * w->n * sizeof *w->g);
    for (size_t i = 0; i < w->samples; i++) {
        const double e = (w->error[i] - w->noise * mscope_bench_normal(w->rng)) / root;
        const double *phi = w->phi + i * w->n, *slope = w->slope + i * w->n;
        for (size_t j = 0; j < w->n; j++) {
            w->g[j] += e * phi[j];
            w->g[w->n + j] += e * w->x[i] * slope[j] * w->theta[j];
        }
    }
}

static int step(void *self, const mscope_bench_step *s)
{
    uv *w = self;
    if (w->activation == LINEAR)
        linear_gradient(w);
    else
        gradient(w);
    mscope_bench_move(mscope_bench_only(s), 2 * w->n, w->theta, w->m, w->g);
    return isfinite(w->theta[0]) ? 0 : -1;
}

static void describe(double trace, double norm2, double loss, mscope_bench_summary *out)
{
    const double stat[] = { norm2, loss };
    mscope_bench_single(out, trace, stat, 2);
}

static void summary(void *self, mscope_bench_summary *out)
{
    uv *w = self;
    double trace = 0, loss = 0;
    forward(w);
    for (size_t i = 0; i < w->samples; i++) {
        loss += 0.5 * w->error[i] * w->error[i] / (double)w->samples;
        for (size_t j = 0; j < w->n; j++) {
            const double in = w->theta[j] * w->slope[i * w->n + j] * w->x[i], out_ = w->phi[i * w->n + j];
            trace += in * in + out_ * out_;
        }
    }
    describe(trace / (double)(w->n * w->samples), dot(w->theta, w->theta, 2 * w->n), loss, out);
}

/* ---- theory ---------------------------------------------------------------------------------------------------- */

static int theory_linear(const uv *w, const mscope_bench_rates *a, double t, mscope_bench_summary *out)
{
    const double *u = w->theta, *v = u + w->n, n = (double)w->n, uu = dot(u, u, w->n), vv = dot(v, v, w->n);
    const double f0 = dot(u, v, w->n) / sqrt(n), beta = 1 - a->eps, G = a->gain, eta = a->eta;
    const double noise = w->noise * w->noise / (double)w->samples;
    double F = f0 * f0, X = 0, K = 0, Z = 0, lambda = (uu + vv) / n;
    double Q = sqrt(fmax((uu + vv) * (uu + vv) / 4 - n * F, 0));         /* 4 p^2 q^2 = (p^2 + q^2)^2 - (p^2 - q^2)^2 */
    for (double i = 0; i < floor(t); i++) {
        const double move = eta * lambda;
        K = beta * beta * K + 2 * beta * G * X + G * G * (F + noise);
        X = beta * X + G * F;                                             /* E f k, old f and new k */
        F += move * move * K - 2 * move * X;
        X -= move * K;
        const double W = -Q * K / n;
        Q += eta * (eta * W - beta * Z);
        Z = beta * Z - 2 * eta * W;
        lambda = 2 * sqrt(Q * Q + n * F) / n;
    }
    if (!(Q > 0 && isfinite(lambda)))
        return -1;
    describe(lambda, lambda * n, 0.5 * F, out);
    return 0;
}

/* gradient of L without label noise, plus weight times that of tr H; returns tr H. */
static double descend(uv *w, double weight)
{
    const double share = 1 / ((double)w->n * (double)w->samples), root = sqrt((double)w->n) * (double)w->samples;
    double trace = 0;
    forward(w);
    memset(w->g, 0, 2 * w->n * sizeof *w->g);
    for (size_t i = 0; i < w->samples; i++) {
        const double e = w->error[i] / root, x = w->x[i];
        for (size_t j = 0; j < w->n; j++) {
            const double u = w->theta[j], phi = w->phi[i * w->n + j], d = w->slope[i * w->n + j];
            trace += (u * u * d * d * x * x + phi * phi) * share;
            w->g[j] += e * phi + weight * share * 2 * u * d * d * x * x;
            w->g[w->n + j] += e * x * d * u + weight * share * (2 * phi * d * x - 4 * u * u * d * d * phi * x * x * x);
        }
    }
    return trace;
}

/* On the run's own weights, which are put back. */
static int theory_tanh(uv *w, const mscope_bench_rates *a, double t, mscope_bench_summary *out)
{
    const size_t held = 2 * w->n;
    const double weight = a->eta * a->gain / a->eps * w->noise * w->noise / (4 * (double)w->samples);
    double *keep = malloc(2 * held * sizeof *keep), trace = 0;
    if (keep == NULL)
        return -1;
    memcpy(keep, w->theta, 2 * held * sizeof *keep);
    for (double i = 0; i < floor(t); i++) {
        descend(w, weight);
        mscope_bench_move(a, held, w->theta, w->m, w->g);
    }
    summary(w, out);
    trace = out->total.risk;
    describe(trace, out->total.stat[0], out->total.stat[1] + weight * trace, out);
    memcpy(w->theta, keep, 2 * held * sizeof *keep);
    free(keep);
    return isfinite(trace) ? 0 : -1;
}

static int theory(void *self, const mscope_bench_rates *a, double t, mscope_bench_summary *out)
{
    uv *w = self;
    if (a->nesterov || a->direct != 0 || t > 1e8 || w->activation == RELU)
        return -1;
    return w->activation == LINEAR ? theory_linear(w, a, t, out) : theory_tanh(w, a, t, out);
}

const mscope_workload mscope_workload_uv = {
    .name = "uv",
    .help =
        "two-layer linear, tanh or ReLU network with label noise; risk is the trace of the Hessian; theory but for "
        "ReLU",
    .params = params,
    .stats = stats,
    .init = init,
    .step = step,
    .summary = summary,
    .theory = theory,
    .fini = fini,
};
