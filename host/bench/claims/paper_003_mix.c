/* paper_003_mix.c - success probabilities and fixed points of gmm and xor, paper 003, sections 4 and 5
 *
 * SGD at rate 1/N for 100 N steps from random starts, N = 250, alpha = 0.1, lambda = 1000, as in figures 7 and 10.
 * A run succeeds by the signs of v and m at its end, as the captions count; the least margin of a cluster then still
 * grows in some xor runs, at rates down to 1/8 - alpha: the note says how many are beyond half the fixed point's.
 * (5.2): some unit for each of the four clusters: sum_k C(K,k) (1 - 2^(1-k)) (1 - 2^(1+k-K)) / 2^K, 3/32 at K = 4. */
#include <math.h>
#include <stdio.h>

#include "paper_003.h"
#include "models.h"

extern const mscope_workload mscope_workload_gmm, mscope_workload_xor;

#define ALPHA 0.1

enum { SUCCESS, MARGIN, PLANE = 250, RUNS = 600 };



static double formula(int k)
{
    double sum = 0, choose = 1;
    for (int i = 0; i <= k; i++) {
        if (i >= 2 && i <= k - 2)
            sum += choose * (1 - ldexp(1, 1 - i)) * (1 - ldexp(1, 1 + i - k));
        choose *= (double)(k - i) / (i + 1);
    }
    return ldexp(sum, -k);
}

/* Returns how many of the runs succeed; their margins go to reached[]. Negative: one diverged. */
static int count(int width, double lambda, int runs, uint64_t time, uint64_t seed, double reached[RUNS])
{
    const mscope_workload *w = width == 2 ? &mscope_workload_gmm : &mscope_workload_xor;
    const mscope_model_value values[] = { { "width", width }, { "n", PLANE }, { "lambda", lambda },
                                          { "alpha", ALPHA }, { NULL, 0 } };
    int good = 0;
    for (int r = 0; r < runs; r++) {
        void *self = mscope_model_open(w, values, mscope_model_seed(seed, w->name, (uint64_t)(RUNS * width + r)));
        const int ended = self != NULL ? mscope_model_sgd(w, self, 1.0 / PLANE, time * PLANE) : -1;
        if (ended == 0 && mscope_model_stat(w, self, SUCCESS) > 0)
            reached[good++] = mscope_model_stat(w, self, MARGIN);
        w->fini(self);
        if (ended < 0)
            return -1;
    }
    return good;
}

/* PASS when the interval has the paper's value. */
int mscope_003_mixture(const mscope_claim *c, uint64_t seed, mscope_claim_result *out)
{
    const int width = (int)c->argument, runs = width == 2 ? 500 : RUNS;
    const double share = (width == 2 ? 2 : 4) * ALPHA, half = -log(share / (1 - share)) / 2;
    double reached[RUNS];
    const int good = count(width, 1000, runs, 100, seed, reached);
    int grown = 0;
    for (int i = 0; i < good; i++)
        grown += reached[i] > half;
    if (good < 0)
        return -1;
    mscope_claim_judge(c, (double)good / runs, out);
    mscope_wilson(good, runs, &out->low, &out->high);
    out->verdict = out->low <= c->value && c->value <= out->high ? MSCOPE_CLAIM_PASS : MSCOPE_CLAIM_FAIL;
    snprintf(out->note, sizeof out->note,
             "%d of %d runs, N = %d, 100 N steps, lambda = 1000, alpha = 0.1; margins of %d "
             "beyond %.2f; paper %.5g",
             good, runs, PLANE, grown, half, width == 2 ? 0.5 : formula(width));
    return 0;
}

/* The stricter count, by margins, at the time that the noiseless flow needs for it. */
int mscope_003_mixture_grown(const mscope_claim *c, uint64_t seed, mscope_claim_result *out)
{
    const double half = -log(4 * ALPHA / (1 - 4 * ALPHA)) / 2;
    const int runs = 400;
    double reached[RUNS];
    const int good = count((int)c->argument, 1000, runs, 300, mscope_model_seed(seed, "grown", 0), reached);
    int grown = 0;
    for (int i = 0; i < good; i++)
        grown += reached[i] > half;
    if (good < 0)
        return -1;
    mscope_claim_judge(c, (double)grown / runs, out);
    mscope_wilson(grown, runs, &out->low, &out->high);
    out->verdict = out->low <= c->value && c->value <= out->high ? MSCOPE_CLAIM_PASS : MSCOPE_CLAIM_FAIL;
    snprintf(out->note, sizeof out->note,
             "least margin beyond %.2f in %d of %d runs, right signs in %d; N = %d, 300 N steps, "
             "lambda = 1000, alpha = 0.1",
             half, grown, runs, good, PLANE);
    return 0;
}

/* Sum of v_i^2 on each cluster at the stable fixed points, read as the margin. */
int mscope_003_mixture_level(const mscope_claim *c, uint64_t seed, mscope_claim_result *out)
{
    double reached[RUNS], error;
    const int runs = 20, good = count((int)c->argument, 1e5, runs, 100, mscope_model_seed(seed, "level", 0), reached);
    if (good < 1)
        return -1;
    const double margin = mscope_mean(reached, (size_t)good, &error);
    mscope_claim_judge(c, margin, out);
    const double half = mscope_half_width(error, good - 1);
    out->low = margin - half;
    out->high = margin + half;
    snprintf(out->note, sizeof out->note,
             "least margin of a cluster, mean of the %d of %d runs that succeed, N = %d, 100 N "
             "steps, lambda = 1e5",
             good, runs, PLANE);
    return 0;
}
