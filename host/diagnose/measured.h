/* measured.h - bands as advice needs them, from telemetry, with what had to be assumed
 *
 * A record gives P, H1 and H2, and from them h1 and the noise of the gradient. It does not give the spread of curvature
 * within a row: progress is computed with the mean, eta is kept stable for the steepest direction that H2 allows, and a
 * second model (uneven) has that spread itself. Error and label noise are known only sometimes:
 *
 *   error a row    R/rows with a reference; else (p B)^2 U/h1^2 where U stands out of its standard error. The other
 *                  bands get the mean of all, weighted by precision. Where even that mean does not stand out, two
 *                  standard errors are added: the largest error that so little agreement of gradients allows.
 *                  Without any U: 1
 *   label noise    p B g2 - h1 excess R; without any error: none                                                */
#ifndef MSCOPE_MEASURED_H
#define MSCOPE_MEASURED_H

#include "advice.h"
#include "mscope/wire.h"

typedef struct mscope_measured_options {
    double spread;                    /* largest over smallest curvature within a row, >= 1; 1: isotropic     */
    int by_rows;                      /* every row counts the same, not every occurrence                      */
} mscope_measured_options;

enum mscope_error_source {
    MSCOPE_ERROR_NONE,                /* equal rows, no label noise                          */
    MSCOPE_ERROR_BOUND,               /* equal rows, the largest error that U allows         */
    MSCOPE_ERROR_AGREEMENT,           /* from U                                              */
    MSCOPE_ERROR_REFERENCE
};

typedef struct mscope_measured {
    size_t bands;
    mscope_risk_band band[MSCOPE_SEARCH_BANDS];      /* the mean row of each, for the price of one beta  */
    mscope_model model;                      /* with the octave of frequencies each band covers, for advice   */
    unsigned number[MSCOPE_SEARCH_BANDS];    /* band's number in telemetry                                 */
    double h1[MSCOPE_SEARCH_BANDS], excess[MSCOPE_SEARCH_BANDS];      /* as measured, whatever the spread    */
    double updates[MSCOPE_SEARCH_BANDS], activity[MSCOPE_SEARCH_BANDS];
    mscope_model uneven;                     /* the same with as much spread of curvature as H2 allows, up to 23 : 1  */
    mscope_setting now;
    double batch;
    double covered;                   /* share of all updates in these bands                                  */
    enum mscope_error_source source;
    double noise_all[MSCOPE_SEARCH_BANDS];   /* p B g2: label noise if all of |g|^2 is; NaN: no g2         */
    char why[MSCOPE_TEXT_MAX + 1];    /* not empty: why there can be no advice                                */
} mscope_measured;

/* mscope_measured_take - rec[0..n) are the bands of one table; returns 1 when advice is possible, else 0 and why */
int mscope_measured_take(const mscope_rec_band *const *rec, size_t n, const mscope_measured_options *o,
                         mscope_measured *out);

#endif
