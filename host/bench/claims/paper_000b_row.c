/* paper_000b_row.c - later revision of paper 000, appendix H: what momentum can do for one row, by the exact map */
#include "paper_000b.h"

#include <math.h>
#include <stdio.h>

#include "mscope/theory.h"

static const double SMALL_STEP = 1e-7;       /* eta h1 that stands for 0 */

int mscope_000b_vector(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    const mscope_ls ls = { .d = 1, .p = 1, .batch = 1, .eps = 0.25, .eta = 0.25 };
    double x[3] = { 1, 0, 0 };
    mscope_row row;
    (void)seed;
    if (mscope_row_from_ls(&ls, &row) < 0 || mscope_row_advance(&row, MSCOPE_CLOCK_STEP, 1, x) < 0)
        return -1;
    const double unit[] = { 1, ls.eta * ls.eta, ls.eta };
    const int i = (int)claim->argument;
    mscope_claim_judge(claim, 256 * unit[i] * x[i], out);
    snprintf(out->note, sizeof out->note, "d = B = p = 1, beta = 3/4, eta = 1/4, no noise, from (1, 0, 0)");
    return 0;
}

/* Decay a step of a row with eta h1 = step and Hn. Negative: it grows, or the map could not be had. */
static double decay(double step, double Hn, double eps)
{
    const mscope_row row = { .P = 0.5, .Q = 0.5, .h1 = 0.5, .excess = 4 * Hn / step * 0.25, .eps = eps,
                             .eta = 2 * step };
    double rate;
    return mscope_row_rate(&row, &rate) == MSCOPE_OK ? rate : -1;
}

/* Momentum over SGD at the same eta, which is the same floor. */
static double ratio(double step, double Hn, double omega2)
{
    return decay(step, Hn, step / omega2) / decay(step, Hn, 1);
}

int mscope_000b_twice(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    const double step = 0.25 * claim->argument;
    (void)seed;
    mscope_claim_judge(claim, ratio(step, 1e-12, 0.25), out);
    snprintf(out->note, sizeof out->note, "1 - beta = %g; %.4f at 1e-4", claim->argument, ratio(0.25e-4, 1e-12, 0.25));
    return 0;
}

static double best_ratio(double step, double Hn, double *at)
{
    double best = 0;
    for (double w = 1e-3; w < 100; w *= 1.02)
        if (ratio(step, Hn, w) > best) {
            best = ratio(step, Hn, w);
            *at = w;
        }
    return best;
}

int mscope_000b_at_most_twice(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    double most = 0, at = 0, at_noise = 0, w = 0;
    (void)seed;
    for (double Hn = 1e-9; Hn < 1; Hn *= 3) {
        const double r = best_ratio(SMALL_STEP, Hn, &w);
        if (r > most) {
            most = r;
            at = w;
            at_noise = Hn;
        }
    }
    mscope_claim_judge(claim, most, out);
    if (most > 2)
        out->verdict = MSCOPE_CLAIM_FAIL;
    snprintf(out->note, sizeof out->note,
             "20 floors x 580 beta at eta h1 = 1e-7, largest at Hn %.2g, omega^2 %.2f; at eta h1 = 0.48, Hn = 0.56 it "
             "is %.2f: outside the limit momentum may win more",
             at_noise, at, best_ratio(0.48, 0.56, &w));
    return 0;
}

/* Critical damping is omega^2 = 1/4. With y = 1 - rate/eps the cubic is y^3 - (1 - 4 omega^2) y = 4 omega^2 Hn, so
 * that y = Hn^(1/3) there. */
int mscope_000b_critical(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    (void)seed;
    mscope_claim_judge(claim, ratio(1e-11, claim->argument, 0.25), out);
    snprintf(out->note, sizeof out->note, "2/(1 + a + a^2), a = Hn^(1/3); omega^2 = 1/4, eta h1 = 1e-11");
    return 0;
}

int mscope_000b_helpless(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    double w = 0;
    const double best = best_ratio(SMALL_STEP, claim->argument, &w);
    (void)seed;
    mscope_claim_judge(claim, best, out);
    out->verdict = best <= 1 + claim->tolerance ? MSCOPE_CLAIM_PASS : MSCOPE_CLAIM_FAIL;
    snprintf(out->note, sizeof out->note, "580 beta, best at omega^2 = %.3g: the closer to SGD, the closer to 1", w);
    return 0;
}

int mscope_000b_threshold(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    double low = 0.1, high = 0.9, w = 0;
    (void)seed;
    for (int i = 0; i < 12; i++) {
        const double Hn = 0.5 * (low + high);
        *(best_ratio(SMALL_STEP, Hn, &w) > 1 ? &low : &high) = Hn;
    }
    mscope_claim_judge(claim, 0.5 * (low + high), out);
    snprintf(out->note, sizeof out->note, "by halving, eta h1 = 1e-7; at Hn = 0.2 the best ratio is %.3f",
             best_ratio(SMALL_STEP, 0.2, &w));
    return 0;
}

/* eta_k = 1/(p (k + k0)), k0 large enough to be stable from the start. */
int mscope_000b_cramer_rao(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    const mscope_ls ls = { .d = 32, .p = 0.2, .batch = 16, .eps = 1, .noise = 0.3 };
    mscope_row row;
    double R = 1, k = 1;
    (void)seed;
    if (mscope_row_from_ls(&ls, &row) < 0)
        return -1;
    const double s2 = row.h1 * (row.excess + row.h1), k0 = s2 / (row.h1 * row.h1);
    for (; k <= claim->argument; k++) {
        const double eta = 1 / (ls.p * (k + k0));
        R = (1 - 2 * eta * row.h1 + eta * eta * s2) * R + eta * eta * row.noise2;
    }
    mscope_claim_judge(claim, (k - 1) * R / (ls.noise * ls.d / (ls.batch * ls.p)), out);
    snprintf(out->note, sizeof out->note, "d = 32, p = 0.2, B = 16: the Cramer-Rao bound");
    return 0;
}
