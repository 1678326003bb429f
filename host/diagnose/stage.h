/* stage.h - the first stage of a walk to a better setting: no further than the evidence reaches, and no bet
 *
 * Curvature and noise were measured at one place and one rate. So a stage moves every eta and 1 - beta by at most a
 * factor of two; then the run is looked at again. Within that reach a stage must
 *
 *   joint H    keep H of all that moves together at .5 or less, and H > .8 less than 5 % likely. H is linear:
 *              H(then) = H_noise sum_i noise_share_i eta_i'/eta + H_curvature sum_i curvature_share_i eta_i'/eta g,
 *              g = [eps'/(1 + beta')]/[eps/(1 + beta)]. What the table does not hold (other tables, parameters) counts
 *              as moved by the largest factor of the stage: tables that multiply each other may all follow theirs.
 *              Without a stability record neither eta nor 1 - beta goes up, unless no row by itself is above H = .25
 *              now and none above .5 then
 *              With a record whose H is not known there is no stage: near a saddle curvature changes as rows move
 *   no bet     lose nothing by the middle of the stage, whatever corner of what the records allow (measured.h) each
 *              band is in. Where bands get an eta each, each takes the best of its own worst corner
 *   smooth     neighbouring bands stay within a factor of two
 *   worth it   leave 3 % less excess loss at its end, whatever corner each band is in
 *
 * Where none is, the answer is to stay, with the reason. Where H of all that moves together is near its limit the stage
 * lowers eta, and no gain is stated. Where H is coarse, as near a saddle, that takes odds of .9, or momentum that
 * grows: a rate that is lowered for nothing may cost more than one that is too high.
 *
 * A stage lasts eight retention times, in steps, of the bands that hold a tenth of the excess loss, or until the band
 * with the largest part of it has learnt once, 1/(eta h1), whichever is longer. Near the limit it does not wait for
 * that.                                                                                                       */
#ifndef MSCOPE_STAGE_H
#define MSCOPE_STAGE_H

#include "measured.h"

typedef struct mscope_stage {
    enum mscope_plan_kind kind;          /* NOW: stay                                                          */
    int rescue;                          /* it only leaves the neighbourhood of instability                    */
    double steps;                        /* look again after so many                                           */
    double left_now, left_then;          /* excess loss after them over the present one, as things are, as advised */
    double gain;                         /* steps to left_now as things are over those as advised; NaN: at its floor */
    double worst;                        /* left_then/left_now in the worst corner                             */
    double H_now, H_then;                /* of all that moves together, by a record; NaN: none                 */
    mscope_setting setting[MSCOPE_SEARCH_BANDS];
    mscope_setting single;               /* the best with one eta and one beta for all; eta 0: none is worth it */
    double single_worst;
    char why[MSCOPE_TEXT_MAX + 1];       /* why to stay, or why this stage is as short as it is; may be empty   */
} mscope_stage;

/* mscope_stage_of - the first stage from here
 *
 * Shape    margin: NULL: no stability record covers the table
 * Threads  any.   Cost of 15 bands about a second                                                             */
void mscope_stage_of(const mscope_measured *m, const mscope_margin *margin, mscope_stage *out);

/* mscope_stage_H - H of all that moves together under these settings; NaN without a margin */
double mscope_stage_H(const mscope_measured *m, const mscope_margin *margin, const mscope_setting *s);

#endif
