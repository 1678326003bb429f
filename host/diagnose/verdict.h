/* verdict.h - what one band's record means: a pure function, no state, no output
 *
 * Near-instability is H = eta/eta_max and nothing else; the regime is the damping ratio zeta of the exact mean map
 * (mscope/theory.h). What the record does not tell stays unknown, and why says so.                           */
#ifndef MSCOPE_VERDICT_H
#define MSCOPE_VERDICT_H

#include "mscope/wire.h"

typedef struct mscope_verdict {
    const char *regime;      /* unstable, near-instability, sgd-like, resonant, heavy-ball, or unknown; static */
    double H;                /* eta/eta_max, NaN: unknown                                                      */
    double zeta;             /* damping ratio of the mean error, NaN: unknown                                  */
    double omega;            /* its frequency, radian per active update, 0: does not oscillate, NaN: unknown   */
    double rate;             /* decay of R per global step, negative: grows, NaN: unknown                      */
    double confidence;       /* probability that the regime is right, 0 when unknown                           */
    char why[MSCOPE_TEXT_MAX + 1];   /* the arithmetic in words                                                */
} mscope_verdict;

/* mscope_verdict_band - judge one record.  Threads any.  Cost O(1) */
void mscope_verdict_band(const mscope_rec_band *b, mscope_verdict *out);

/* mscope_verdict_confidence - how often a probe of that many row samples names the right regime */
double mscope_verdict_confidence(double samples);

#endif
