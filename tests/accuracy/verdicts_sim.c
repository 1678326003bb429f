/* verdicts_sim.c - draws bands and steps their rows; between activations a row moves by the catch-up of theory.h */
#include "verdicts_sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_cblas.h>
#include <gsl/gsl_randist.h>

#define MOST_NATS 500.0              /* a noise-free error falls by at most this: stays a double when squared */

typedef struct chain {               /* of one row's gate                                          */
    double stay, enter;              /* P(open | open), P(open | closed)                           */
} chain;

struct mscope_sim {
    mscope_sim_band band;
    gsl_rng *rng;
    size_t d;
    uint64_t step;
    double *e, *m, *z;               /* rows x d; z: three vectors of scratch */
    uint64_t last[MSCOPE_SIM_ROWS], next[MSCOPE_SIM_ROWS];
    chain gate;
};

/* -- drawing ---------------------------------------------------------------------------------------- */

static double log_uniform(gsl_rng *rng, double low, double high)
{
    return low * exp(gsl_rng_uniform(rng) * log(high / low));
}

static double gate(const mscope_ls *ls)
{
    return -expm1(ls->batch * log1p(-ls->p));
}

static chain chain_of(const mscope_sim_band *b)
{
    const double P = gate(&b->ls);

    if (!(b->burst > 0))
        return (chain){ P, P };
    return (chain){ 1 - 1 / b->burst, P / (b->burst * (1 - P)) };
}

/* E x^K over the gaps K of the gate. */
static double gap_mean(chain c, double x)
{
    return x * (c.stay + (1 - c.stay) * c.enter * x / (1 - (1 - c.enter) * x));
}

static int truth_of(mscope_sim_band *b, mscope_row *row)
{
    const double beta = 1 - b->ls.eps, first = gap_mean(chain_of(b), beta), second = gap_mean(chain_of(b), beta * beta);

    if (mscope_row_from_ls(&b->ls, row) != 0)
        return -1;
    return b->burst > 0 ? mscope_row_feedback_measured(row, 1 - first, 1 - 2 * first + second, &b->truth)
                        : mscope_row_feedback(row, &b->truth);
}

/* The gap to the next open step after an open one; at_once: from the start, whose state is the stationary one. */
static uint64_t gap(gsl_rng *rng, chain c, int at_once)
{
    const double P = c.enter / (1 - c.stay + c.enter);

    if (gsl_rng_uniform(rng) < (at_once ? P : c.stay))
        return 1;
    return 1 + gsl_ran_geometric(rng, c.enter);
}

/* Shape and rate: d, p, B, memory. Returns the retention 1/rho. */
static double draw_shape(gsl_rng *rng, mscope_sim_band *out)
{
    mscope_ls *ls = &out->ls;

    do {
        out->band = (unsigned)gsl_rng_uniform_int(rng, 11) + 1;
        ls->p = exp2(-(double)out->band - 0.5 + 0.4 * (gsl_rng_uniform(rng) - 0.5));
        ls->batch = round(log_uniform(rng, 0.03, 200) / ls->p);
    } while (!(ls->batch >= 1) || (out->burst > 0 && gate(ls) > 0.5 / out->burst + 0.2));
    ls->d = floor(log_uniform(rng, 16, 257));
    double P = gate(ls), rho = log_uniform(rng, 0.01, 0.8);
    ls->eps = rho * P / (1 - rho * (1 - P));
    ls->beta = 0;
    return 1 / rho;
}

void mscope_sim_draw_band(gsl_rng *rng, enum mscope_sim_draw how, unsigned number, double burst,
                          mscope_sim_band *out)
{
    unsigned want = number % 4;
    mscope_row row;
    int hit;

    do {
        memset(out, 0, sizeof *out);
        out->burst = burst;
        double retention = draw_shape(rng, out), H;
        if (how == MSCOPE_SIM_NATURAL)
            H = log_uniform(rng, 0.02, 0.99);
        else
            H = want == MSCOPE_REGIME_NEAR ? 0.8 + 0.19 * gsl_rng_uniform(rng) : log_uniform(rng, 0.02, 0.8);
        hit = truth_of(out, &row) == 0;
        if (!hit)
            continue;
        out->ls.eta = H * out->truth.eta_max;
        out->ls.noise = number / 4 % 2 ? log_uniform(rng, 0.1, 10) : 0;
        hit = truth_of(out, &row) == 0 &&
              (how == MSCOPE_SIM_NATURAL || out->truth.regime == (enum mscope_regime)want);
        out->updates = fmin(fmax(30 * fmax(retention, burst), 400), 1500);
        if (hit && out->ls.noise == 0 && out->truth.rate > 0)
            out->updates = fmin(out->updates, MOST_NATS * row.P / out->truth.rate);
        out->steps = (uint64_t)ceil(out->updates / row.P);
    } while (!hit);
}

/* -- one row, one batch -------------------------------------------------------------------------------- */

/* N given N >= 1. */
static unsigned occurrences(mscope_sim *s)
{
    const mscope_ls *ls = &s->band.ls;
    unsigned B = (unsigned)ls->batch, n;

    if (ls->p * ls->batch > 2) {
        do
            n = gsl_ran_binomial(s->rng, ls->p, B);
        while (n == 0);
        return n;
    }
    double u = gsl_rng_uniform(s->rng) * gate(ls), f = ls->batch * ls->p * exp((ls->batch - 1) * log1p(-ls->p));
    for (n = 1; u > f && n < B; n++) {
        u -= f;
        f *= (ls->batch - n) / (n + 1) * ls->p / (1 - ls->p);
    }
    return n;
}

static double dot(const double *a, const double *b, size_t d)
{
    return cblas_ddot((int)d, a, 1, b, 1);
}

static void add(double *y, double a, const double *x, size_t d)
{
    for (size_t i = 0; i < d; i++)
        y[i] += a * x[i];
}

/* Lower factor T with T T' the Gram matrix of k standard normal N-vectors (Bartlett; literal when N < k). */
static void wishart_factor(gsl_rng *rng, unsigned N, double T[3][3], size_t k)
{
    memset(T, 0, 9 * sizeof T[0][0]);
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j <= i && j < N; j++)
            T[i][j] = i == j ? sqrt(gsl_ran_chisq(rng, N - (double)i)) : gsl_ran_ugaussian(rng);
}

/* A = (1/B) sum x x' of the batch; g = A e - (1/B) sum xi x and, if hm, hm = A m, from one batch.
 *
 * On the orthonormal plane q1 = e/|e|, q2 the rest of m: u, v are the coordinates of the samples, w across it. The
 * vectors (u, v, xi/sigma) are three standard normal N-vectors with factor T, so sum u w, sum v w, sum xi w are T's
 * rows applied to three normal vectors across the plane.                                                      */
static void batch(mscope_sim *s, unsigned N, const double *e, const double *m, double *g, double *hm)
{
    size_t d = s->d;
    double T[3][3], plane[2][2] = { { 0 } }, e1 = sqrt(dot(e, e, d)), m1 = dot(e, m, d) / e1, B = s->band.ls.batch;
    double sigma = sqrt(s->band.ls.noise), *q1 = s->z, *q2 = s->z + d, *w = s->z + 2 * d;

    for (size_t i = 0; i < d; i++)
        q1[i] = e[i] / e1;
    for (size_t i = 0; i < d; i++)
        q2[i] = m[i] - m1 * q1[i];
    add(q2, -dot(q1, q2, d), q1, d);
    double m2 = sqrt(dot(q2, q2, d));
    if (!(m2 > 0)) {                         /* no momentum yet: any direction across e */
        for (size_t i = 0; i < d; i++)
            q2[i] = gsl_ran_gaussian_ziggurat(s->rng, 1);
        add(q2, -dot(q1, q2, d), q1, d);
        double len = sqrt(dot(q2, q2, d));
        for (size_t i = 0; i < d; i++)
            q2[i] /= len;
        m2 = 0;
    } else {
        for (size_t i = 0; i < d; i++)
            q2[i] /= m2;
    }
    wishart_factor(s->rng, N, T, 3);
    /* coefficients of u, v, xi in what multiplies x: g: (e1, 0, -sigma), hm: (m1, m2, 0) */
    double cg[3] = { e1, 0, -sigma }, cm[3] = { m1, m2, 0 }, tg[3] = { 0 }, tm[3] = { 0 };
    for (size_t j = 0; j < 3; j++)
        for (size_t i = j; i < 3; i++) {
            tg[j] += cg[i] * T[i][j] / B;
            tm[j] += cm[i] * T[i][j] / B;
        }
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 3; j++) {
            plane[0][i] += T[i][j] * tg[j];
            plane[1][i] += T[i][j] * tm[j];
        }
    memset(g, 0, d * sizeof *g);
    if (hm)
        memset(hm, 0, d * sizeof *hm);
    for (size_t j = 0; j < 3 && j < N; j++) {
        for (size_t i = 0; i < d; i++)
            w[i] = gsl_ran_gaussian_ziggurat(s->rng, 1);
        add(w, -dot(q1, w, d), q1, d);
        add(w, -dot(q2, w, d), q2, d);
        add(g, tg[j], w, d);
        if (hm)
            add(hm, tm[j], w, d);
    }
    add(g, plane[0][0], q1, d);
    add(g, plane[0][1], q2, d);
    if (hm) {
        add(hm, plane[1][0], q1, d);
        add(hm, plane[1][1], q2, d);
    }
}

/* The same for a step that nobody probes: with r = <x,e> - xi, sum r x has <r, u> along e and |r| z across it. */
static void gradient(mscope_sim *s, unsigned N, const double *e, double *g)
{
    size_t d = s->d;
    double e1 = sqrt(dot(e, e, d)), sigma = sqrt(s->band.ls.noise), T[3][3], B = s->band.ls.batch;

    wishart_factor(s->rng, N, T, 2);         /* of u and xi/sigma */
    double r0 = e1 * T[0][0] - sigma * T[1][0], r1 = -sigma * T[1][1];
    double len = hypot(r0, r1) / B, along = r0 * T[0][0] / B;
    for (size_t i = 0; i < d; i++)
        g[i] = len * gsl_ran_gaussian_ziggurat(s->rng, 1);
    add(g, (along - dot(g, e, d) / e1) / e1, e, d);
}

/* -- steps --------------------------------------------------------------------------------------------- */

mscope_sim *mscope_sim_open(const mscope_sim_band *band, gsl_rng *rng)
{
    mscope_sim *s = calloc(1, sizeof *s);
    size_t n = MSCOPE_SIM_ROWS * (size_t)band->ls.d;

    if (s == NULL)
        return NULL;
    s->band = *band;
    s->rng = rng;
    s->d = (size_t)band->ls.d;
    s->gate = chain_of(band);
    s->e = calloc(n, sizeof *s->e);
    s->m = calloc(n, sizeof *s->m);
    s->z = calloc(3 * s->d, sizeof *s->z);
    if (s->e == NULL || s->m == NULL || s->z == NULL) {
        mscope_sim_close(s);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        s->e[i] = gsl_ran_gaussian_ziggurat(rng, 1 / sqrt(band->ls.d));
    for (size_t i = 0; i < MSCOPE_SIM_ROWS; i++)
        s->next[i] = gap(rng, s->gate, 1);
    return s;
}

void mscope_sim_close(mscope_sim *s)
{
    if (s == NULL)
        return;
    free(s->e);
    free(s->m);
    free(s->z);
    free(s);
}

/* Idle steps since the row's last one, the one under way not included. */
static void catch_up(mscope_sim *s, size_t row)
{
    double S, decay, *e = s->e + row * s->d, *m = s->m + row * s->d;

    if (mscope_catchup(s->band.ls.eps, (double)(s->step - 1 - s->last[row]), &S, &decay) != 0)
        abort();
    add(e, -s->band.ls.eta * S, m, s->d);
    for (size_t i = 0; i < s->d; i++)
        m[i] *= decay;
}

size_t mscope_sim_step(mscope_sim *s, unsigned char probe[MSCOPE_SIM_ROWS], int64_t rows[MSCOPE_SIM_ROWS],
                       uint32_t counts[MSCOPE_SIM_ROWS], double *g, int64_t probed[MSCOPE_SIM_ROWS], double *hm,
                       size_t *n_probed)
{
    size_t n = 0, d = s->d;
    double eps = s->band.ls.eps, eta = s->band.ls.eta;

    s->step++;
    *n_probed = 0;
    for (size_t r = 0; r < MSCOPE_SIM_ROWS; r++) {
        double *e = s->e + r * d, *m = s->m + r * d, *at = g + n * d;
        if (s->next[r] != s->step)
            continue;
        catch_up(s, r);
        unsigned N = occurrences(s);
        if (probe[r]) {
            batch(s, N, e, m, at, hm + *n_probed * d);
            probed[(*n_probed)++] = (int64_t)r;
            probe[r] = 0;
        } else {
            gradient(s, N, e, at);
        }
        for (size_t i = 0; i < d; i++) {
            m[i] = (1 - eps) * m[i] + eps * at[i];
            e[i] -= eta * m[i];
        }
        counts[n] = N;
        rows[n++] = (int64_t)r;
        s->last[r] = s->step;
        s->next[r] = s->step + gap(s->rng, s->gate, 0);
    }
    return n;
}
