/* curvature.h - a band's curvature with its uncertainty: the probe's means, sharpened where isotropy holds
 *
 * Few samples of h1 = <m,Hm>/|m|^2 scatter widely (35 % of the mean of 16 when a row occurs once a batch), while
 * h2/h1 scatters little. For rows of isotropic Gaussian features both are one unknown scale times moments that p,
 * batch and d fix, so h2 determines h1. Isotropy of a band is not assumed but weighed: the prior on ln(H2/H1^2) is
 * normal with a point mass at the isotropic value. A band that contradicts isotropy beyond its scatter is left as
 * measured. */
#ifndef MSCOPE_CURVATURE_H
#define MSCOPE_CURVATURE_H

#include "mscope/theory.h"
#include "mscope/wire.h"

#define MSCOPE_GAPS_ENOUGH 16.0      /* gaps before their mean is better known than P */

typedef struct mscope_curved {
    double H1;               /* per active update                                             */
    double ratio;            /* H2/H1, NaN: H2 is not known                                   */
    double H1_sd;            /* standard deviation of ln H1, NaN: not known                   */
    double ratio_sd;         /* of ln ratio beyond what it shares with H1                     */
    double isotropic;        /* probability that the band is isotropic, 0: not weighed         */
    double isotropic_sd;     /* standard deviation of the common scale if it is               */
    double P;                /* activity, at most 1                                           */
} mscope_curved;

/* mscope_curved_of - curvature of a record whose H1 > 0 and P > 0.  Threads any.  Cost O(1) */
void mscope_curved_of(const mscope_rec_band *b, mscope_curved *out);

/* mscope_curved_feedback - what the theory says of a row with this P, H1 and H2/H1 under the band's schedule and gaps
 *
 * Errors   as mscope_row_from_probe.  Threads any.  Cost O(1) */
int mscope_curved_feedback(const mscope_rec_band *b, double P, double H1, double ratio, mscope_feedback *out);

#endif
