/* conflict.c - occupancy, and the cost C* of one beta at the present eta */
#include "conflict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* 1 - beta from 1 down to 1e-7; the best beta is then refined between its neighbours */
enum { PER_DECADE = 24, GRID = 7 * PER_DECADE + 1 };

typedef struct price {
    const mscope_risk_band *band;
    const double *w;
    double *fastest;                     /* max over beta of each band's rate */
    size_t bands;
    double eta, weight;
} price;

static double grid_eps(int k)
{
    return pow(10, -(double)k / PER_DECADE);
}

static double rate_at(const price *c, size_t i, double eps)
{
    return mscope_risk_rate(&c->band[i], (mscope_setting){ c->eta, eps });
}

static double cost_of(const price *c, double eps)
{
    double sum = 0;

    for (size_t i = 0; i < c->bands; i++) {
        double r = rate_at(c, i, eps);
        if (!(r > 0))                     /* a beta at which any band grows is ruled out */
            return 1;
        sum += c->w[i] * fmax(0, 1 - r / c->fastest[i]);
    }
    return sum / c->weight;
}

typedef double (*curve)(const price *c, size_t i, double eps);

static double minus_rate(const price *c, size_t i, double eps)
{
    return -rate_at(c, i, eps);
}

static double shared_cost(const price *c, size_t i, double eps)
{
    (void)i;
    return cost_of(c, eps);
}

/* Lowest point of a curve of eps: grid, then golden section in ln eps between the neighbours of the best. */
static double lowest(const price *c, size_t i, curve f, double *at)
{
    const double gold = 0.6180339887498949;
    double best = INFINITY;
    int k_best = 0;

    for (int k = 0; k < GRID; k++) {
        double y = f(c, i, grid_eps(k));
        if (y < best) {
            best = y;
            k_best = k;
        }
    }
    *at = grid_eps(k_best);
    double low = log(grid_eps(k_best < GRID - 1 ? k_best + 1 : k_best)),
           high = log(grid_eps(k_best > 0 ? k_best - 1 : 0));
    for (int n = 0; n < 24; n++) {
        double a = high - gold * (high - low), b = low + gold * (high - low);
        double fa = f(c, i, exp(a)), fb = f(c, i, exp(b));
        double lower = fmin(fa, fb);
        if (lower < best) {
            best = lower;
            *at = exp(fa < fb ? a : b);
        }
        if (fa < fb)
            high = b;
        else
            low = a;
    }
    return best;
}

int mscope_conflict_of(const mscope_risk_band *b, size_t bands, const double *w, mscope_setting now,
                       mscope_conflict *out)
{
    price c = { .band = b, .w = w, .bands = bands, .eta = now.eta };

    if (b == NULL || w == NULL || out == NULL || bands == 0 || !(now.eta > 0) || !(now.eps > 0 && now.eps <= 1))
        return MSCOPE_EINVAL;
    for (size_t i = 0; i < bands; i++) {
        if (!(w[i] >= 0))
            return MSCOPE_EINVAL;
        c.weight += w[i];
    }
    if (!(c.weight > 0) || !isfinite(c.weight))
        return MSCOPE_EINVAL;
    if ((c.fastest = malloc(bands * sizeof *c.fastest)) == NULL)
        return MSCOPE_ENOMEM;
    for (size_t i = 0; i < bands; i++) {
        double at;
        c.fastest[i] = -lowest(&c, i, minus_rate, &at);
    }
    out->cost = lowest(&c, 0, shared_cost, &out->eps_best);
    out->cost_now = cost_of(&c, now.eps);
    if (out->cost_now < out->cost) {
        out->cost = out->cost_now;
        out->eps_best = now.eps;
    }
    out->misfit = out->cost_now - out->cost;
    free(c.fastest);
    return MSCOPE_OK;
}

void mscope_occupancy(const enum mscope_regime *regime, const double *updates, const double *rows, size_t bands,
                      double *activity_share, double *rows_share)
{
    double all_updates = 0, all_rows = 0;

    for (int k = 0; k <= MSCOPE_REGIME_UNSTABLE; k++)
        activity_share[k] = rows_share[k] = 0;
    for (size_t i = 0; i < bands; i++) {
        activity_share[regime[i]] += updates[i];
        rows_share[regime[i]] += rows[i];
        all_updates += updates[i];
        all_rows += rows[i];
    }
    for (int k = 0; k <= MSCOPE_REGIME_UNSTABLE; k++) {
        activity_share[k] = all_updates > 0 ? activity_share[k] / all_updates : 0;
        rows_share[k] = all_rows > 0 ? rows_share[k] / all_rows : 0;
    }
}
