/* semantics.c - frozen, catch-up and dense momentum on real text: the same batches, three runs side by side
 *
 * Not a claim of a paper, but a question that papers and systems answer differently (CNTK, DyNet, TensorFlow and MXNet
 * freeze, PyTorch decays): does it matter what silent rows do? The divergence of frozen from dense is given by
 * frequency band. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/statistics.h"
#include "bench/workloads/bigram.h"
#include "claim.h"

enum { STEPS = 1500, SEEDS = 3 };

static const mscope_bench_rates rates = { .eta = 4, .eps = 0.02, .gain = 0.02 };

struct trio {
    void *run[3];                     /* catch-up, dense, frozen                        */
    mscope_bench_summary at_end[3];
};

static int run_one(struct trio *t, int k, const double *params, uint64_t seed, int steps)
{
    const mscope_workload *w = &mscope_workload_bigram;
    const char *why;
    int rc = w->init(&t->run[k], params, seed, &why);
    for (int i = 0; i < steps && rc == 0; i++) {
        const mscope_bench_step s = { .t = (uint64_t)i, .all = rates, .semantics = (enum mscope_bench_semantics)k };
        rc = w->step(t->run[k], &s);
    }
    if (rc == 0)
        w->summary(t->run[k], &t->at_end[k]);
    return rc;
}

static int run_all(struct trio *t, const double *params, uint64_t seed, int steps)
{
    memset(t, 0, sizeof *t);
    for (int k = 0; k < 3; k++)
        if (run_one(t, k, params, seed, steps) < 0)
            return -1;
    return 0;
}

static void drop(struct trio *t)
{
    for (int k = 0; k < 3; k++)
        if (t->run[k] != NULL)
            mscope_workload_bigram.fini(t->run[k]);
}

/* |theta_a - theta_b|/|theta_b| over rows lo..hi-1. */
static double apart(struct trio *t, int a, int b, size_t band)
{
    const double *p;
    const mscope_bench_rows *x = mscope_bigram_rows(t->run[a], &p), *y = mscope_bigram_rows(t->run[b], &p);
    double off = 0, all = 0;
    if (x == NULL || y == NULL)
        return NAN;
    const size_t lo = band < x->bands ? x->first[band] : 0, hi = band < x->bands ? x->first[band + 1] : x->rows;
    for (size_t i = lo * x->dim; i < hi * x->dim; i++) {
        off += (x->theta[i] - y->theta[i]) * (x->theta[i] - y->theta[i]);
        all += y->theta[i] * y->theta[i];
    }
    return sqrt(off / all);
}

static const double small[] = { 512, 16, 32, 0, 0, 0.92 };

static int equal(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    struct trio t;
    const int rc = run_all(&t, small, seed, STEPS);
    if (rc == 0) {
        mscope_claim_judge(claim, apart(&t, 0, 1, MSCOPE_BENCH_BANDS), out);
        snprintf(out->note, sizeof out->note, "|theta difference|/|theta|, 512 words, %d steps, B=32, eta=4, eps=.02",
                 STEPS);
    }
    drop(&t);
    return rc;
}

/* By band and seed: distance of frozen from dense (what 1), or its loss above dense's (what 2). Returns the bands. */
static long by_band(uint64_t seed, int what, double x[MSCOPE_BENCH_BANDS][SEEDS], double p[MSCOPE_BENCH_BANDS])
{
    long bands = -1;
    for (int k = 0; k < SEEDS; k++) {
        struct trio t;
        const int rc = run_all(&t, small, seed + (uint64_t)k, STEPS);
        bands = rc < 0 ? -1 : (long)t.at_end[0].bands;
        for (long b = 0; b < bands; b++) {
            p[b] = t.at_end[0].band[b].p;
            x[b][k] =
                what == 1 ? apart(&t, 2, 1, (size_t)b) : t.at_end[2].band[b].stat[0] - t.at_end[1].band[b].stat[0];
        }
        drop(&t);
        if (rc < 0)
            return -1;
    }
    return bands;
}

/* Mean and 95 % interval over seeds of the worst band; every band in the note. Passes when the interval is past the
 * tolerance. */
static int frozen(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    double x[MSCOPE_BENCH_BANDS][SEEDS], p[MSCOPE_BENCH_BANDS];
    const long bands = by_band(seed, (int)claim->argument, x, p);
    size_t n = 0;
    if (bands < 0)
        return -1;
    mscope_claim_judge(claim, 0, out);
    for (long b = 0; b < bands; b++) {
        double error;
        const double mean = mscope_mean(x[b], SEEDS, &error);
        if (n < sizeof out->note)
            n += (size_t)snprintf(out->note + n, sizeof out->note - n, "%s%.2g: %.3g",
                                  b > 0 ? ", " : "p: mean of 3 seeds; ", p[b], mean);
        if (b == 0 || fabs(mean) > fabs(out->ours)) {
            const double half = mscope_half_width(error, SEEDS - 1);
            out->ours = mean;
            out->low = mean - half;
            out->high = mean + half;
        }
    }
    out->verdict = out->low > claim->tolerance ? MSCOPE_CLAIM_PASS : MSCOPE_CLAIM_FAIL;
    return 0;
}

/* Time in the embedding's rows alone, the model left out. */
static int speed(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    static const double params[] = { 4096, 64, 8, 0, 0, 0.92 };
    struct trio t;
    const int rc = run_all(&t, params, seed, 400);
    if (rc == 0) {
        double ms[3];
        const double *p;
        for (int k = 0; k < 3; k++)
            ms[k] = 1e3 * mscope_bigram_rows(t.run[k], &p)->seconds / 400;
        mscope_claim_judge(claim, ms[1] / ms[0], out);
        out->verdict = out->ours > 1 ? MSCOPE_CLAIM_PASS : MSCOPE_CLAIM_FAIL;
        snprintf(out->note, sizeof out->note,
                 "row updates a step: catch-up %.4f ms, dense %.4f ms, frozen %.4f ms; 4096 words x 64, B=8", ms[0],
                 ms[1], ms[2]);
    }
    drop(&t);
    return rc;
}

const mscope_claim mscope_claims_semantics[] = {
    { "bench", "bigram", "catch-up equals dense, relative difference", 0, 1e-9, 0, 5, equal },
    { "bench", "bigram", "frozen is not dense: rows apart, worst band", NAN, 0.01, 1, 15, frozen },
    { "bench", "bigram", "loss of frozen minus dense, nats, worst band", NAN, 0.001, 2, 15, frozen },
    { "bench", "bigram", "time in rows, dense over catch-up", NAN, 0, 0, 3, speed },
    { NULL, NULL, NULL, 0, 0, 0, 0, NULL },
};
