/* verdict.h - the regime of a band, from its record: pure functions, no hidden state, no output
 *
 * H = eta/eta_max decides near-instability and instability. Where a stability record covers the band, H is that of
 * all that moves together (margin.h), and the bands that hold it are near-instability or unstable with it. Without
 * one H is that of a row by itself, of isotropic features: right for rows that do not meet, too high for rows that
 * do. The damping ratio zeta of the exact mean map (mscope/theory.h) decides the other regimes. H and zeta carry the
 * standard errors of the measured curvature. The label weighs the cost of a mistake: near-instability as soon as H >
 * 0.8 is 25 % likely, unstable only when H > 1 is 90 % likely.
 *
 * The record itself is heard too. A band whose |m|^2 should have grown by e^2 and has not is not called unstable.
 * A band that grows keeps at most half its confidence in a calm regime.
 *
 * A value that the record does not give is NaN; the regime is then unknown, and why gives the reason.
 */
#ifndef MSCOPE_VERDICT_H
#define MSCOPE_VERDICT_H

#include "margin.h"
#include "mscope/theory.h"
#include "mscope/wire.h"

typedef struct mscope_verdict {
    enum mscope_regime regime;   /* MSCOPE_REGIME_UNKNOWN where the record does not tell                       */
    double H;                /* eta/eta_max, NaN: unknown                                                      */
    double H_se;             /* its standard error, NaN: unknown                                               */
    double zeta;             /* damping ratio of the mean error, NaN: unknown                                  */
    double zeta_se;          /* standard error of ln zeta, NaN: unknown                                        */
    double omega;            /* its frequency, radian per active update, 0: does not oscillate, NaN: unknown   */
    double rate;             /* decay of R per global step, negative: grows, NaN: unknown                      */
    double isotropic;        /* probability that the rows' curvature is isotropic; 0: not weighed              */
    double confidence;       /* probability that the regime is right, 0 when unknown                           */
    char why[MSCOPE_TEXT_MAX + 1];   /* the arithmetic in words                                                */
} mscope_verdict;

/* mscope_verdict_band - judge one record by itself.  Threads any.  Cost O(1) */
void mscope_verdict_band(const mscope_rec_band *b, mscope_verdict *out);

/* mscope_verdict_after - judge a record of a band that was judged before, and whose limit is known
 *
 * A band leaves its regime only when it passes the border by a tenth in zeta, or clearly in H, so a band on a border
 * does not flicker. Only the regime of the old verdict is used, and never to fill in what this record does not give.
 *
 * Shape    margin: how near all that moves with the band is to its limit; NULL: nobody measures it
 *          before: the verdict on the band's previous record; NULL: none. May be out                        */
void mscope_verdict_after(const mscope_rec_band *b, const mscope_margin *margin, const mscope_verdict *before,
                          mscope_verdict *out);

#endif
