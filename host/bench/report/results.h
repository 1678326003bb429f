/* results.h - the JSON lines of bench run, grouped over seeds */
#ifndef MSCOPE_BENCH_RESULTS_H
#define MSCOPE_BENCH_RESULTS_H

#include <stddef.h>

#include "bench/workload.h"

enum { MSCOPE_RESULT_POINTS = 80, MSCOPE_RESULT_SEEDS = 1024 };

/* Runs that differ in nothing but the seed. Band index bands is the total. */
typedef struct mscope_result {
    char *key;                               /* settings without the seed                              */
    char note[900];                          /* what a reader must know of the workload's file, or ""   */
    char workload[32], schedule[32], semantics[16];
    double times;                            /* factor of schedule recorded; NaN: another schedule      */
    double eta, eps, batch, d;               /* NaN where the schedule or workload has none             */
    size_t bands, seeds, diverged, points;
    double p[MSCOPE_BENCH_BANDS + 1], rows[MSCOPE_BENCH_BANDS + 1], horizon;
    double target;                           /* of the total, over its risk at the start; the last seed's */
    double *steps[MSCOPE_BENCH_BANDS + 1];   /* one a seed; INFINITY: not reached; NaN: no target       */
    uint64_t *seed;                          /* the seeds read so far                                  */
    double *end;                             /* risk of the total at the end, one a seed; NaN: diverged */
    double *theory;                          /* its prediction; NaN where theory does not know          */
    double t[MSCOPE_RESULT_POINTS];
    double risk[MSCOPE_BENCH_BANDS + 1][MSCOPE_RESULT_POINTS];   /* mean over seeds, over the risk at the start */
} mscope_result;

typedef struct mscope_results {
    mscope_result *at;
    size_t n;
    size_t lines, bad, repeated;             /* read; not a run; of a run that is there already (not counted again) */
} mscope_results;

/* mscope_results_read - adds the runs of a file; of several lines with one key the first counts
 * Returns  how many of its lines are runs, repeated ones included; -1 with errno when it cannot be read */
long mscope_results_read(mscope_results *r, const char *path);
/* mscope_results_line - one line of such a file.  Returns 1: it is a run, repeated or not; 0: it is none */
int mscope_results_line(mscope_results *r, const char *line);
void mscope_results_free(mscope_results *r);

/* mscope_result_steps - mean steps to target of a band and its 95 % interval (Student), over the seeds
 *
 * Where a seed did not reach the target, mean and high are infinite and low is the least of the others. A single seed
 * has no interval: low and high are NaN. */
void mscope_result_steps(const mscope_result *r, size_t band, double *mean, double *low, double *high);

/* mscope_result_theory - risk of the total at the end, over the seeds with a prediction: mean of the runs, mean of the
 * predictions, and the 95 % interval of their difference (Student; low and high NaN for one seed)
 * Returns  how many seeds; 0: no seed has a prediction, and nothing is set                             */
size_t mscope_result_theory(const mscope_result *r, double *mean, double *theory, double *low, double *high);

#endif
