/* measured.h - bands as advice needs them, from telemetry, with what is known of them and between which bounds
 *
 * A record gives P, H1 and H2, and from them h1 and the noise of the gradient. It does not give the spread of curvature
 * within a row: progress is computed with the mean, eta is kept stable for the steepest direction that H2 allows, and a
 * second model (uneven) has that spread itself. A row by itself is never nearer to its limit than all that moves
 * together: where its H1 and H2 say so, part of H2 is spread and not noise, and the noise is cut back.
 *
 * Error of a row and label noise share |g|^2:  p B g2 = h1 excess R + label noise. U tells R alone.
 *
 *   R known    R/rows with a reference; else (p B)^2 U/h1^2, U over many windows, where it is twice its standard
 *              error or more; two standard errors either way are its bounds
 *   R not      the bands of more frequent rows that are known bound it from below: error grows with rarity, because
 *              frequent rows learn first. |g|^2 without label noise bounds it from above. Label noise is a property
 *              of the task: it is at most twice that of the nearest more frequent band that is known, scaled by h1;
 *              what |g|^2 has beyond is error. No mean of all bands: precise numbers of learnt rows would decide
 *   label      noise is taken for true only where R is known and |g|^2 exceeds its part by more than the error of it
 *
 * Without any band that is known there is nothing to advise from (source NONE): prices are for equal rows then.   */
#ifndef MSCOPE_MEASURED_H
#define MSCOPE_MEASURED_H

#include "advice.h"
#include "margin.h"
#include "mscope/wire.h"

typedef struct mscope_measured_options {
    double spread;                    /* largest over smallest curvature within a row, >= 1; 1: isotropic     */
    int by_rows;                      /* every row counts the same, not every occurrence                      */
    const mscope_margin *margin;      /* how near all that moves together is to its limit; NULL: not known     */
} mscope_measured_options;

enum mscope_error_source {
    MSCOPE_ERROR_NONE,                /* equal rows, no label noise: assumed                 */
    MSCOPE_ERROR_AGREEMENT,           /* from U                                              */
    MSCOPE_ERROR_REFERENCE
};

/* What the records allow: little error and much label noise, or the reverse; isotropic rows, or as uneven as H2 lets
 * them be. */
enum { MSCOPE_CORNERS = 4 };

typedef struct mscope_measured {
    size_t bands;
    mscope_risk_band band[MSCOPE_SEARCH_BANDS];      /* the mean row of each, for the price of one beta  */
    mscope_model model;                      /* with the octave of frequencies each band covers, for advice   */
    unsigned number[MSCOPE_SEARCH_BANDS];    /* band's number in telemetry                                 */
    double h1[MSCOPE_SEARCH_BANDS], excess[MSCOPE_SEARCH_BANDS];      /* whatever the spread; excess cut back  */
    double excess_seen[MSCOPE_SEARCH_BANDS];  /* (s2 - h1^2)/h1 as recorded: noise, and spread of curvature   */
    double part_se[MSCOPE_SEARCH_BANDS];     /* standard error of h1 excess_seen by that of H2; 0: not told        */
    double updates[MSCOPE_SEARCH_BANDS], activity[MSCOPE_SEARCH_BANDS];
    double retention[MSCOPE_SEARCH_BANDS];   /* steps                                                       */
    double noise_share[MSCOPE_SEARCH_BANDS], curvature_share[MSCOPE_SEARCH_BANDS];   /* of the stability record; 0 */
    mscope_model uneven;                     /* the same with as much spread of curvature as H2 allows, up to 23 : 1  */
    mscope_risk_band corner[MSCOPE_CORNERS][MSCOPE_SEARCH_BANDS];
    double R[MSCOPE_SEARCH_BANDS], R_low[MSCOPE_SEARCH_BANDS], R_high[MSCOPE_SEARCH_BANDS];  /* of one row */
    double label[MSCOPE_SEARCH_BANDS];       /* E|label noise|^2 a step that is seen                        */
    double label_low[MSCOPE_SEARCH_BANDS];   /* of it, what is left after two standard errors of R and of H2      */
    double noise_scale[MSCOPE_SEARCH_BANDS]; /* g2/(p U): samples at which noise of the mean gradient equals it; NaN */
    int known[MSCOPE_SEARCH_BANDS];          /* error and curvature stand out of their standard errors      */
    int silent;                              /* no band has a U: single gradients of a row are not told  */
    int growing;                             /* the momentum of some band grows                            */
    mscope_setting now;
    double batch;
    double covered;                   /* share of all updates in these bands                                  */
    enum mscope_error_source source;
    double noise_all[MSCOPE_SEARCH_BANDS];   /* p B g2: label noise if all of |g|^2 is; NaN: no g2         */
    char why[MSCOPE_TEXT_MAX + 1];    /* not empty: why there can be no advice                                */
} mscope_measured;

/* mscope_measured_take - rec[0..n) are the bands of one table, frequent ones first; returns 1 when advice is possible,
 * else 0 and why */
int mscope_measured_take(const mscope_rec_band *const *rec, size_t n, const mscope_measured_options *o,
                         mscope_measured *out);

/* mscope_measured_band - band i with four curvatures in equal ratios, largest over smallest being spread, which is made
 * smaller where H2 does not allow it; 1: even. excess: (s2 - h1^2)/h1, spread included; noise is what is left of it.
 * Its label noise is label_low */
mscope_risk_band mscope_measured_band(const mscope_measured *m, size_t i, double spread, double excess);

#endif
