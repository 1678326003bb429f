/* results.h - the JSON lines of bench run, grouped over seeds */
#ifndef MSCOPE_BENCH_RESULTS_H
#define MSCOPE_BENCH_RESULTS_H

#include <stddef.h>

#include "bench/workload.h"

enum { MSCOPE_RESULT_POINTS = 80, MSCOPE_RESULT_SEEDS = 1024 };

/* Runs that differ in nothing but the seed. Band index bands is the total. */
typedef struct mscope_result {
    char *key;                               /* settings without seed                                  */
    char note[900];                          /* what is to be known of the workload's origin, or ""     */
    char workload[32], schedule[32], semantics[16];
    double times;                            /* of a recording's own eta; NaN: another rule            */
    double eta, eps, batch, d;               /* NaN where the schedule or workload has none             */
    size_t bands, seeds, diverged, points;
    double p[MSCOPE_BENCH_BANDS + 1], rows[MSCOPE_BENCH_BANDS + 1], horizon;
    double target;                           /* of the total, over its risk at the start; the last seed's */
    double *steps[MSCOPE_BENCH_BANDS + 1];   /* one a seed; INFINITY: not reached; NaN: no target       */
    uint64_t *seed;                          /* which they are                                         */
    double *end;                             /* risk of the total at the end, one a seed; NaN: diverged */
    double *theory;                          /* its prediction; NaN where theory does not know          */
    double t[MSCOPE_RESULT_POINTS];
    double risk[MSCOPE_BENCH_BANDS + 1][MSCOPE_RESULT_POINTS];   /* mean over seeds, over the risk at the start */
} mscope_result;

typedef struct mscope_results {
    mscope_result *at;
    size_t n;
    size_t lines, bad, repeated;             /* read; not understood; of a run that was there (not counted again) */
} mscope_results;

/* mscope_results_read - adds a file, each key once: the first line with it counts
 * Returns  how many of its lines are runs, repeated ones too; -1 when it cannot be read, with errno     */
long mscope_results_read(mscope_results *r, const char *path);
void mscope_results_free(mscope_results *r);

/* mscope_result_steps - mean steps to target of a band and its 95 % interval (Student), over the seeds
 *
 * A seed that did not get there makes mean and high infinite: they are beyond the horizon, and low is the least seen.
 * One seed that did has no interval: low and high NaN.                                                 */
void mscope_result_steps(const mscope_result *r, size_t band, double *mean, double *low, double *high);

/* mscope_result_theory - risk of the total at the end, over the seeds that theory predicts: mean of runs and of predictions,
 * and the 95 % interval of their difference (Student; low and high NaN for one seed)
 * Returns  how many seeds; 0: theory does not know, nothing is set                                     */
size_t mscope_result_theory(const mscope_result *r, double *mean, double *theory, double *low, double *high);

#endif
