/* risk.c - coupled second-moment maps of anisotropic bands, their powers, and steps to a target */
#include "risk.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DIM = 3 * MSCOPE_RISK_GROUPS };

struct mscope_flow {
    const mscope_risk_band *band;
    mscope_setting setting;
    int dim, levels, made, per_group;     /* per_group 1: no momentum, R alone; 3: R, eta^2 V, eta C */
    double x0[DIM];
    double *level;                        /* level k: dim*dim of E, then dim of what noise adds in 2^k steps */
};

int mscope_risk_block(const mscope_ls *ls, int groups, const double *h, const double *mult, double rows, int by_rows,
                      mscope_risk_band *out)
{
    double d = 0;

    if (ls == NULL || groups < 1 || groups > MSCOPE_RISK_GROUPS || !(ls->p > 0 && ls->p <= 1) || !(ls->batch > 0) ||
        !(ls->noise >= 0) || !(rows > 0))
        return MSCOPE_EINVAL;
    memset(out, 0, sizeof *out);
    for (int j = 0; j < groups; j++) {
        if (!(h[j] > 0) || !(mult[j] > 0))
            return MSCOPE_EINVAL;
        d += mult[j];
    }
    out->rows = rows;
    out->p = ls->p;
    out->P = -expm1(ls->batch * log1p(-ls->p));
    out->weight = by_rows ? rows / ls->p : rows;
    out->groups = groups;
    for (int j = 0; j < groups; j++) {
        out->h1[j] = ls->p * h[j];
        out->excess[j] = h[j] * (2 - ls->p) / ls->batch;
        out->share[j] = mult[j] * h[j] / ls->batch;
        out->noise2[j] = ls->p * mult[j] * h[j] * ls->noise / ls->batch;
        out->R0[j] = mult[j] / d;
    }
    if (groups == 1) {                    /* one group feeds only itself: the plain row of theory.h */
        out->excess[0] += out->share[0];
        out->share[0] = 0;
    }
    return MSCOPE_OK;
}

static void at_frequency(const mscope_risk_band *b, double p, double rows, mscope_risk_band *out)
{
    const double scale = p / b->p;

    *out = *b;
    out->p = p;
    out->P = b->P < 1 ? -expm1(scale * log1p(-b->P)) : 1;
    out->rows = rows;
    out->weight *= rows / b->rows;
    if (b->weight > b->rows * (1 + 1e-9) || b->weight < b->rows * (1 - 1e-9))
        out->weight /= scale;             /* by rows: the weight is rows/p */
    for (int j = 0; j < b->groups; j++) {
        out->h1[j] *= scale;
        out->noise2[j] *= scale;
    }
}

int mscope_risk_octave(const mscope_risk_band *b, mscope_risk_band out[3])
{
    const double high = exp2(ceil(log2(b->p))), at[3] = { high, high * sqrt(0.5), high / 2 };
    double low_t = 1e-9, high_t = 1e9, share[3] = { 0 };

    if (b->rows < 1.5) {
        out[0] = *b;
        return 1;
    }
    for (int i = 0; i < 80; i++) {        /* shares 1 : 4 t : t^2, as Simpson's rule, tilted to the mean */
        double t = sqrt(low_t * high_t), sum = 1 + 4 * t + t * t;
        share[0] = 1 / sum;
        share[1] = 4 * t / sum;
        share[2] = t * t / sum;
        if (share[0] * at[0] + share[1] * at[1] + share[2] * at[2] > b->p)
            low_t = t;
        else
            high_t = t;
    }
    for (int i = 0; i < 3; i++)
        at_frequency(b, at[i], fmax(share[i], 1e-12) * b->rows, &out[i]);
    return 3;
}

mscope_row mscope_risk_row(const mscope_risk_band *b, int j, mscope_setting s)
{
    return (mscope_row){ .P = 1, .Q = 0, .h1 = b->h1[j], .excess = b->excess[j], .eps = s.eps, .beta = 1 - s.eps,
                         .eta = s.eta, .noise2 = b->noise2[j] };
}

/* -- stability and rate ------------------------------------------------------------------------------ */

static double group_eta_max(const mscope_risk_band *b, int j, double eps)
{
    double beta = 1 - eps;

    return 2 * (1 + beta) / ((1 + beta) * b->excess[j] + eps * b->h1[j]);
}

static double feedback_left(const mscope_risk_band *b, const double *top, double eta)
{
    double sum = 0;

    for (int j = 0; j < b->groups; j++)
        sum += 0.5 * eta * b->share[j] / (1 - eta / top[j]);
    return 1 - sum;
}

double mscope_risk_eta_max(const mscope_risk_band *b, double eps)
{
    double top[MSCOPE_RISK_GROUPS], low = 0, high = INFINITY, shared = 0;

    for (int j = 0; j < b->groups; j++) {
        top[j] = group_eta_max(b, j, eps);
        high = fmin(high, top[j]);
        shared += b->share[j];
    }
    if (!(shared > 0))
        return high;
    for (int i = 0; i < 60 && high - low > 1e-14 * high; i++) {
        double mid = 0.5 * (low + high);
        if (feedback_left(b, top, mid) > 0)
            low = mid;
        else
            high = mid;
    }
    return 0.5 * (low + high);
}

/* G - I of one group in the units (R, eta^2 V, eta C), and what noise of unit size adds to it (theory.md 13's w) */
static void group_map(const mscope_risk_band *b, int j, mscope_setting s, double E[9], double inject[3])
{
    double beta = 1 - s.eps, w = s.eta * s.eps * b->h1[j];
    double q = s.eta * s.eta * s.eps * s.eps;
    double n = q * b->h1[j] * (b->h1[j] + b->excess[j]), b2 = beta * beta;

    E[0] = -2 * w + n;
    E[1] = b2;
    E[2] = -2 * beta * (1 - w);
    E[3] = n;
    E[4] = -s.eps * (1 + beta);
    E[5] = 2 * beta * w;
    E[6] = w - n;
    E[7] = -b2;
    E[8] = -s.eps - 2 * beta * w;
    inject[0] = q;
    inject[1] = q;
    inject[2] = -q;
}

/* R of (z - E)^-1 b by Cramer's rule */
static double resolvent(const double E[9], const double b[3], double z)
{
    double m[9];

    for (int i = 0; i < 9; i++)
        m[i] = (i % 4 == 0 ? z : 0) - E[i];
    double c0 = m[4] * m[8] - m[5] * m[7], c1 = m[2] * m[7] - m[1] * m[8], c2 = m[1] * m[5] - m[2] * m[4];
    double det = m[0] * c0 + m[3] * c1 + m[6] * c2;
    return (b[0] * c0 + b[1] * c1 + b[2] * c2) / det;
}

static double secular(const mscope_risk_band *b, double (*E)[9], double (*in)[3], double z)
{
    double sum = 0;

    for (int j = 0; j < b->groups; j++)
        sum += b->h1[j] * b->share[j] * resolvent(E[j], in[j], z);
    return sum;
}

double mscope_risk_rate(const mscope_risk_band *b, mscope_setting s)
{
    double E[MSCOPE_RISK_GROUPS][9], in[MSCOPE_RISK_GROUPS][3], low = -1, high, shared = 0;

    for (int j = 0; j < b->groups; j++) {
        mscope_row row = mscope_risk_row(b, j, s);
        double rate;

        if (mscope_row_rate(&row, &rate) != MSCOPE_OK)
            return NAN;
        low = fmax(low, expm1(-rate));
        group_map(b, j, s, E[j], in[j]);
        shared += b->share[j];
    }
    if (!(shared > 0))
        return -log1p(low);
    /* eigenvalue 1 + z right of every group's own: 1 = sum_j h1_j share_j [(z - E_j)^-1 inject]_R, falling in z */
    high = 0;
    if (!(s.eta < mscope_risk_eta_max(b, s.eps)))
        for (high = fmax(2 * low, 1); secular(b, E, in, high) > 1; high *= 2)
            low = high;
    for (int i = 0; i < 200 && high - low > 1e-13 * fabs(low + high); i++) {
        double z = 0.5 * (low + high);
        if (secular(b, E, in, z) > 1)
            low = z;
        else
            high = z;
    }
    return -log1p(0.5 * (low + high));
}

/* -- powers ------------------------------------------------------------------------------------------ */

mscope_flow *mscope_flow_open(const mscope_risk_band *b, mscope_setting s)
{
    mscope_flow *f = calloc(1, sizeof *f);
    int per = s.eps >= 1 ? 1 : 3, n = per * b->groups;

    if (f == NULL)
        return NULL;
    f->level = malloc((size_t)MSCOPE_RISK_LEVELS * (size_t)(n * n + n) * sizeof *f->level);
    if (f->level == NULL) {
        free(f);
        return NULL;
    }
    f->band = b;
    f->setting = s;
    f->dim = n;
    f->per_group = per;
    f->made = 1;
    memset(f->level, 0, (size_t)(n * n + n) * sizeof *f->level);
    for (int j = 0; j < b->groups; j++) {
        double E[9], in[3];
        group_map(b, j, s, E, in);
        f->x0[per * j] = b->R0[j];
        for (int r = 0; r < per; r++) {
            double *row = f->level + (per * j + r) * n;
            for (int c = 0; c < per; c++)
                row[per * j + c] = E[3 * r + c];
            for (int k = 0; k < b->groups; k++)
                row[per * k] += in[r] * b->share[j] * b->h1[k];
            f->level[n * n + per * j + r] = in[r] * b->noise2[j];
        }
    }
    return f;
}

void mscope_flow_close(mscope_flow *f)
{
    if (f != NULL)
        free(f->level);
    free(f);
}

static double *level_of(mscope_flow *f, int k)
{
    const int n = f->dim;
    const size_t size = (size_t)(n * n + n);

    for (; f->made <= k; f->made++) {
        const double *E = f->level + (size_t)(f->made - 1) * size, *b = E + n * n;
        double *to = f->level + (size_t)f->made * size, *tb = to + n * n;
        for (int r = 0; r < n; r++) {
            double *row = to + r * n;
            double add = 2 * b[r];
            for (int c = 0; c < n; c++)
                row[c] = 2 * E[r * n + c];
            for (int m = 0; m < n; m++) {
                double e = E[r * n + m];
                const double *Em = E + m * n;
                for (int c = 0; c < n; c++)
                    row[c] += e * Em[c];
                add += e * b[m];
            }
            tb[r] = add;
        }
    }
    return f->level + (size_t)k * size;
}

/* x <- x after 2^k steps */
static void leap(mscope_flow *f, int k, double *x)
{
    const int n = f->dim;
    const double *E = level_of(f, k), *b = E + n * n;
    double dx[DIM];

    if (n == 3) {                         /* isotropic rows: a search spends most of its time here */
        dx[0] = b[0] + E[0] * x[0] + E[1] * x[1] + E[2] * x[2];
        dx[1] = b[1] + E[3] * x[0] + E[4] * x[1] + E[5] * x[2];
        dx[2] = b[2] + E[6] * x[0] + E[7] * x[1] + E[8] * x[2];
        for (int r = 0; r < 3; r++)
            x[r] += dx[r];
        return;
    }
    for (int r = 0; r < n; r++) {
        dx[r] = b[r];
        for (int c = 0; c < n; c++)
            dx[r] += E[r * n + c] * x[c];
    }
    for (int r = 0; r < n; r++)
        x[r] += dx[r];
}

static double part(const mscope_flow *f, const double *x)
{
    double sum = 0;

    for (int j = 0; j < f->band->groups; j++)
        sum += f->band->h1[j] * x[f->per_group * j];
    sum *= f->band->weight;
    return isfinite(sum) ? sum : INFINITY;
}

static void go(mscope_flow *f, double n, double *x)
{
    memcpy(x, f->x0, (size_t)f->dim * sizeof *x);
    for (int k = 0; k < MSCOPE_RISK_LEVELS && n >= 1; k++, n = floor(n / 2))
        if (fmod(n, 2) >= 1)
            leap(f, k, x);
}

double mscope_flow_risk(mscope_flow *f, double n)
{
    double x[DIM];

    go(f, n, x);
    return part(f, x);
}

void mscope_flow_errors(mscope_flow *f, double n, double x[3], double *R_group)
{
    const double eta = f->setting.eta;
    double y[DIM];

    go(f, n, y);
    x[0] = x[1] = x[2] = 0;
    for (int j = 0; j < f->band->groups; j++) {
        const double *g = y + f->per_group * j;
        x[0] += g[0];
        if (f->per_group == 3 && eta > 0) {
            x[1] += g[1] / (eta * eta);
            x[2] += g[2] / eta;
        }
        if (R_group != NULL)
            R_group[j] = g[0];
    }
}

double mscope_risk_at(const mscope_risk_band *b, size_t bands, const mscope_setting *setting, double n)
{
    double sum = 0;

    for (size_t i = 0; i < bands; i++) {
        mscope_flow *f = mscope_flow_open(&b[i], setting[i]);
        if (f == NULL)
            return NAN;
        sum += mscope_flow_risk(f, n);
        mscope_flow_close(f);
    }
    return sum;
}

/* -- steps to a target ------------------------------------------------------------------------------- */

typedef struct chase {
    mscope_flow **flow;
    double (*x)[DIM], (*y)[DIM];          /* the present state, and the state after a leap */
    size_t bands;
    double target;
} chase;

/* Risk after leaping 2^k from the state of each band; stops adding once over the target. */
static double try_leap(chase *c, int k, int from_start)
{
    double sum = 0;

    for (size_t i = 0; i < c->bands; i++) {
        memcpy(c->y[i], from_start ? c->flow[i]->x0 : c->x[i], sizeof c->y[i]);
        leap(c->flow[i], k, c->y[i]);
        sum += part(c->flow[i], c->y[i]);
    }
    return sum;
}

static double run(chase *c, double limit)
{
    double before = 0, after, n;
    int k = 0;

    for (size_t i = 0; i < c->bands; i++)
        before += part(c->flow[i], c->flow[i]->x0);
    double start = before;
    if (before <= c->target)
        return 0;
    for (;; k++) {
        if (k >= MSCOPE_RISK_LEVELS || ldexp(0.5, k) > limit)
            return INFINITY;
        after = try_leap(c, k, 1);
        if (!(after < 1e6 * start))
            return INFINITY;
        if (after <= c->target)
            break;
        before = after;
        memcpy(c->x, c->y, c->bands * sizeof *c->x);
    }
    if (k == 0) {
        n = 0;
    } else {
        n = ldexp(1, k - 1);
        for (int j = k - 2; j >= 0; j--) {
            double there = try_leap(c, j, 0);
            if (!(there <= c->target)) {
                before = there;
                n += ldexp(1, j);
                memcpy(c->x, c->y, c->bands * sizeof *c->x);
            }
        }
        after = try_leap(c, 0, 0);
    }
    if (!(after > 0))
        return n + 1;
    double part_step = log(before / c->target) / log(before / after);
    n += part_step >= 0 && part_step <= 1 ? part_step : 1;
    return n <= limit ? n : INFINITY;
}

double mscope_risk_steps(const mscope_risk_band *b, size_t bands, const mscope_setting *setting, double target,
                         double limit)
{
    chase c = { .bands = bands, .target = target };
    double n = INFINITY;
    size_t open = 0;

    for (size_t i = 0; i < bands; i++) {
        double eta_max = mscope_risk_eta_max(&b[i], setting[i].eps);
        double floor = 0;                 /* below the true one: each group alone at its label noise */
        if (!(setting[i].eta < eta_max * (1 + 1e-9)) || !(setting[i].eta > 0))
            return INFINITY;
        for (int j = 0; j < b[i].groups; j++)
            floor += 0.5 * setting[i].eta * b[i].noise2[j];
        if (b[i].weight * floor > target)
            return INFINITY;
    }
    c.flow = calloc(bands, sizeof *c.flow);
    c.x = calloc(bands, sizeof *c.x);
    c.y = calloc(bands, sizeof *c.y);
    if (c.flow != NULL && c.x != NULL && c.y != NULL) {
        for (; open < bands; open++)
            if ((c.flow[open] = mscope_flow_open(&b[open], setting[open])) == NULL)
                break;
        if (open == bands)
            n = run(&c, limit);
    }
    for (size_t i = 0; i < open; i++)
        mscope_flow_close(c.flow[i]);
    free(c.flow);
    free(c.x);
    free(c.y);
    return n;
}
