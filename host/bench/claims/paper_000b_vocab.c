/* paper_000b_vocab.c - later revision of paper 000, appendix H: rows of different frequency under one (eta, beta)
 *
 * S = 1/(decay a step of the slowest row), the best eta being searched; d = 64, p from 0.1 down to 0.1/kappa. */
#include "paper_000b.h"

#include <math.h>
#include <stdio.h>

#include "mscope/theory.h"

enum { ROWS = 9, GRID = 240 };

static const double WIDTH = 64, P_MAX = 0.1, KAPPA = 100, LARGE = 1e12;

static double cross(void)
{
    return (WIDTH + 2) / (P_MAX - P_MAX / KAPPA);
}

static double decay(double p, double batch, double eps, double eta)
{
    const mscope_ls ls = { .d = WIDTH, .p = p, .batch = batch, .eps = eps, .eta = eta };
    mscope_row row;
    double rate;
    return mscope_row_from_ls(&ls, &row) == MSCOPE_OK && mscope_row_rate(&row, &rate) == MSCOPE_OK ? rate : -1;
}

/* Of the slowest of nine rows; low = high: of one row. */
static double slowest(double p_low, double p_high, double batch, double eps, double eta)
{
    double least = INFINITY;
    for (int i = 0; i < ROWS; i++)
        least = fmin(least, decay(p_low * pow(p_high / p_low, i / (ROWS - 1.0)), batch, eps, eta));
    return least;
}

/* Fewest steps over eta: a grid in ln eta below the smallest limit, then golden section around the best. */
static double steps(double p_low, double p_high, double batch, double eps)
{
    const double gold = 0.6180339887498949;
    const mscope_ls ls = { .d = WIDTH, .batch = batch, .eps = eps };
    mscope_vocab v;
    double best = 0, low, high;
    int at = 1;
    if (mscope_vocab_summary(&ls, p_low, p_high, &v) < 0)
        return NAN;
    for (int k = 1; k < GRID; k++) {
        const double rate = slowest(p_low, p_high, batch, eps, v.eta_max * pow(10, -3.0 * k / GRID));
        if (rate > best) {
            best = rate;
            at = k;
        }
    }
    low = -3.0 * (at + 1) / GRID, high = -3.0 * (at - 1) / GRID;
    for (int i = 0; i < 60; i++) {
        const double a = high - gold * (high - low), b = low + gold * (high - low);
        const double fa = slowest(p_low, p_high, batch, eps, v.eta_max * pow(10, a)),
                     fb = slowest(p_low, p_high, batch, eps, v.eta_max * pow(10, b));
        best = fmax(best, fmax(fa, fb));
        *(fa > fb ? &high : &low) = fa > fb ? b : a;
    }
    return 1 / best;
}

/* 1/ln(1 + B p_min/(d + 2 - p_min)), up to B - 1 = B_x. */
int mscope_000b_sgd_steps(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    const double batch = claim->argument * cross(), rare = P_MAX / KAPPA;
    const double law = 1 / log1p(batch * rare / (WIDTH + 2 - rare)), ours = steps(rare, P_MAX, batch, 1) / law;
    (void)seed;
    mscope_claim_judge(claim, ours, out);
    if (isnan(claim->value))
        out->verdict = ours > 1.01 ? MSCOPE_CLAIM_PASS : MSCOPE_CLAIM_FAIL;
    snprintf(out->note, sizeof out->note, "B = %.4g, law %.4g steps; p %g to %g, d = %g", batch, law, rare, P_MAX,
             WIDTH);
    return 0;
}

int mscope_000b_own_rates(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    const double batch = claim->argument * cross(), rare = P_MAX / KAPPA;
    double own = 0;
    (void)seed;
    for (int i = 0; i < ROWS; i++) {
        const double p = rare * pow(KAPPA, i / (ROWS - 1.0));
        own = fmax(own, steps(p, p, batch, 1));
    }
    mscope_claim_judge(claim, steps(rare, P_MAX, batch, 1) / own, out);
    snprintf(out->note, sizeof out->note, "B = %.4g; nine frequencies, each at its own best eta: %.4g steps", batch,
             own);
    return 0;
}

int mscope_000b_large_sgd(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    const double limit = 1 / (2 * log((KAPPA + 1) / (KAPPA - 1)));
    (void)seed;
    mscope_claim_judge(claim, steps(P_MAX / KAPPA, P_MAX, claim->argument, 1) / limit, out);
    snprintf(out->note, sizeof out->note, "kappa = %g: %.4g steps", KAPPA, limit);
    return 0;
}

int mscope_000b_large_momentum(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    const double root = sqrt(KAPPA), limit = 1 / (2 * log((root + 1) / (root - 1)));
    double best = INFINITY, at = 1;
    (void)seed;
    for (double eps = 1; eps > 0.03; eps *= 0.98) {
        const double n = steps(P_MAX / KAPPA, P_MAX, claim->argument, eps);
        at = n < best ? eps : at;
        best = fmin(best, n);
    }
    mscope_claim_judge(claim, best / limit, out);
    snprintf(out->note, sizeof out->note, "kappa = %g: %.4g steps; best beta %.4f, Polyak's %.4f", KAPPA, limit, 1 - at,
             pow((root - 1) / (root + 1), 2));
    return 0;
}

static double kappa_of(double beta)
{
    return pow((1 + sqrt(beta)) / (1 - sqrt(beta)), 2);
}

int mscope_000b_fixed_beta(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    const double beta = claim->argument;
    (void)seed;
    mscope_claim_judge(claim, steps(P_MAX / KAPPA, P_MAX, LARGE, 1 - beta) * log(1 / beta), out);
    snprintf(out->note, sizeof out->note, "B = 1e12, kappa_beta = %.4g: a buffer's memory is the limit",
             kappa_of(beta));
    return 0;
}

/* E_min = min over B of B S_SGD(B), the fewest samples; S_beta the limit of large B. Their quotient is the batch up to
 * which more samples a step could win. */
int mscope_000b_samples(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    const double beta = claim->argument, rare = P_MAX / KAPPA;
    const double bound = 4 * (WIDTH + 2 - rare) * (1 + beta) / ((1 - beta) * (P_MAX + rare));
    double samples = INFINITY;
    (void)seed;
    for (double batch = 1; batch < 1e6; batch *= 2)
        samples = fmin(samples, batch * steps(rare, P_MAX, batch, 1));
    mscope_claim_judge(claim, samples / steps(rare, P_MAX, LARGE, 1 - beta) / bound, out);
    out->verdict = out->ours >= 1 && KAPPA >= kappa_of(beta) ? MSCOPE_CLAIM_PASS : MSCOPE_CLAIM_FAIL;
    snprintf(out->note, sizeof out->note, "4 (d+2-p_min)(1+beta)/((1-beta)(p_max+p_min)) = %.4g; kappa_beta = %.4g",
             bound, kappa_of(beta));
    return 0;
}
