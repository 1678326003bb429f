/* margin.h - how near a run is to its largest stable eta, from a stability record and the bands that it covers
 *
 * The record's H is for rows that are active independently from step to step. Rows that are active in bursts meet the
 * same noise several times running: the noise part of H is multiplied by eta_max(independent)/eta_max(measured gaps)
 * of the bands, weighed by their shares of the noise (exact for one gated row).
 *
 * ln(true H/H) is not 0 on average. Where curvature decides it was -.06 +- .07 on rows and bags, where noise decides
 * +.28 +- .37 on networks, with a long upper tail (tests/accuracy/README.md, the set that nothing was chosen on). The
 * odds below include that. So "stable" keeps doubts when noise decides, unless H is far below 1.
 *
 * The record is heard as well: a run above its limit has bands whose momentum grows. Where they should have grown by
 * e^2 and have not, H is not believed.                                                                          */
#ifndef MSCOPE_MARGIN_H
#define MSCOPE_MARGIN_H

#include "mscope/wire.h"

enum mscope_standing {
    MSCOPE_STANDING_UNKNOWN, MSCOPE_STANDING_STABLE, MSCOPE_STANDING_NEAR, MSCOPE_STANDING_UNSTABLE
};

typedef struct mscope_margin {
    enum mscope_standing standing;
    double H, H_se;                  /* H with bursts, NaN: unknown; its standard error                        */
    double eta, eta_max;
    double noise_part;               /* of H, that noise makes                                                 */
    double burst;                    /* factor on it by bursts, 1: none seen                                   */
    double over, close;              /* probabilities of H > 1 and of H > .8                                   */
    double rate;                     /* growth of the error a step where H > 1, else 0                         */
    double confidence;               /* probability that the standing is right, near: that H > .8; 0 when unknown */
    double blame_from;               /* bands of this weight or more hold it (mscope_margin_weight)             */
    int doubted;                     /* H says unstable, but momentum does not grow                            */
    int held;                        /* the same of optimizers that are read: near, for they may hold H there  */
    char why[MSCOPE_TEXT_MAX + 1];   /* the arithmetic in words                                                */
} mscope_margin;

/* mscope_margin_of - judge one record
 *
 * Shape    band[n]: the latest records of the bands of all tables that name this record; n may be 0
 *          before: the verdict on the record before it, NULL: none; may be out
 * Threads  any.   Cost O(n)                                                                                    */
void mscope_margin_of(const mscope_rec_stability *r, const mscope_rec_band *const *band, size_t n,
                     const mscope_margin *before, mscope_margin *out);

/* mscope_margin_weight - a band's part in H: its shares of curvature and noise, weighed by their parts in H; 0: not
 * known */
double mscope_margin_weight(const mscope_rec_band *b, double noise_part);

const char *mscope_standing_name(enum mscope_standing s);    /* "unknown", "stable", "near-instability", "unstable" */

#endif
