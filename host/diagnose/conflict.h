/* conflict.h - what one beta costs rows that differ in activity
 *
 * With r_i(beta) = -ln spectral radius of band i's exact map of one step, at the eta it has now,
 *
 *   E(beta) = sum_i w_i [1 - r_i(beta)/max_b r_i(b)],   C* = min_beta E(beta)
 *
 * A beta at which any band grows is ruled out: E = 1. With C* near 0 one beta serves all bands. E(beta now) - C* is
 * the gain of retuning beta alone. price.h tells what a beta for each band would win.
 *
 * C* is a price at one eta. At an eta that was already lowered for the sake of one beta it is small, because the price
 * was paid in eta. So compute it also at the eta at which bands with a beta each would run (mscope_search_beta_eta).
 * The share of the table in each regime is a description and predicts nothing. */
#ifndef MSCOPE_CONFLICT_H
#define MSCOPE_CONFLICT_H

#include "risk.h"

typedef struct mscope_conflict {
    double cost;        /* C*                                                               */
    double eps_best;    /* 1 - beta where it is reached                                     */
    double cost_now;    /* E(beta now)                                                      */
    double misfit;      /* E(beta now) - C* >= 0                                            */
} mscope_conflict;

/* mscope_conflict_of - price one beta for bands under one eta
 *
 * Shape    w: a weight a band, any scale: share of updates (rows times P), or rows
 * Errors   MSCOPE_EINVAL  no bands, no weight, or a setting out of range; MSCOPE_ENOMEM
 * Cost     200 rates a band                                                                */
MSCOPE_MUST_CHECK int mscope_conflict_of(const mscope_risk_band *b, size_t bands, const double *w, mscope_setting now,
                                         mscope_conflict *out);

/* mscope_occupancy - share of activity and of rows in each regime, both summing to 1 (0 if nothing is there)
 *
 * Shape    regime[i] of band i; activity and rows: MSCOPE_REGIME_UNSTABLE + 1 numbers each                     */
void mscope_occupancy(const enum mscope_regime *regime, const double *updates, const double *rows, size_t bands,
                      double *activity_share, double *rows_share);

#endif
