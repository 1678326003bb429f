/* zipf.h - vocabularies for the benches of conflict and advice: as bands, row by row, and literally sampled */
#ifndef MSCOPE_BENCH_ZIPF_H
#define MSCOPE_BENCH_ZIPF_H

#include <stdint.h>

#include "diagnose/risk.h"

enum { MSCOPE_ZIPF_BANDS = 32, MSCOPE_ZIPF_D_MAX = 256 };

typedef struct mscope_zipf {
    int V, d;
    double batch, noise;    /* samples a step, variance of the label noise                    */
    double power;           /* p_j ~ j^-power, summing to 1; 0 is taken as 1                   */
    int groups;      /* 1: isotropic; else that many equal groups, curvature j^-1.5 for j from 1 to 8, 23 : 1, mean 1 */
    int by_rows;            /* risk counts rows alike, instead of by frequency                 */
} mscope_zipf;

/* mscope_zipf_p - probability of the j-th row, j from 0 */
double mscope_zipf_p(const mscope_zipf *z, int j);
/* mscope_zipf_bands - the vocabulary in bands of a share of an octave each, most frequent first
 *
 * Shape    per_octave: 1 as telemetry bands; 0: every row its own. band_of_row: V numbers or NULL; out: at most cap
 * Returns  how many bands, at most cap: the last takes the rest                                       */
int mscope_zipf_bands(const mscope_zipf *z, int per_octave, int cap, mscope_risk_band *out, int band_of_row[]);
/* mscope_zipf_risk - risk before the first step */
double mscope_zipf_risk(const mscope_risk_band *b, int bands);

/* mscope_zipf_simulate - steps to target of literal SGD with momentum on V rows, mean risk of some runs
 *
 * Every row's gate count is Binomial(B, p); given N open gates the sum over samples of x (<x,e> + noise) is drawn in
 * law from one chi-square and d normals: its part along x-space's e and the Gaussian rest. Momentum of a silent row
 * decays and its weights drift, at every step.
 *
 * Shape    setting[j] of row j
 * Returns  the first step at which the mean over runs is at or below target, interpolated; INFINITY over max_steps  */
double mscope_zipf_simulate(const mscope_zipf *z, const mscope_setting *setting, int runs, uint64_t seed, double target,
                            int max_steps);

#endif
