/* risk.h - excess risk of many bands under exact propagation, and the steps it takes to fall to a target
 *
 * A band is one row repeated: its mean square error R_j in up to eight groups j of coordinates with different
 * curvature. Gradient x <x,e>, x Gaussian with covariance diag(h), gate p, batch B: with E = diag R_j over a group,
 *
 *   E[x x' E x x'] = 2 h E h + tr(h E) h
 *
 * so that group j is a row of theory.h with its own excess h_j (2-p)/B, and all groups share one more noise source,
 * d_j h_j/B sum_k h1_k R_k with h1_k = p h_k: label noise whose variance is the band's own loss. Without momentum
 * or with it, the map is linear; its powers are kept as E = map - identity in the units (R, eta^2 V, eta C).
 *
 * Units    steps are global steps; risk is sum over bands of weight sum_j h1_j R_j
 * Threads  any, one object at a time                                                                          */
#ifndef MSCOPE_RISK_H
#define MSCOPE_RISK_H

#include <stddef.h>

#include "mscope/theory.h"

enum { MSCOPE_RISK_GROUPS = 8, MSCOPE_RISK_LEVELS = 40 };

typedef struct mscope_risk_band {
    double rows;                       /* how many rows it stands for                                        */
    double p, P;                       /* occurrences a sample, active steps a step; for the output, not for maps */
    double weight;                     /* of this band in the risk: rows, or rows/p for risk by rows          */
    int groups;                        /* 1: isotropic                                                        */
    double h1[MSCOPE_RISK_GROUPS];     /* curvature a step                                                    */
    double excess[MSCOPE_RISK_GROUPS]; /* its own gradient noise, as in mscope_row                            */
    double share[MSCOPE_RISK_GROUPS];  /* E|noise|^2 a step put into j: share[j] sum_k h1[k] R[k]             */
    double noise2[MSCOPE_RISK_GROUPS]; /* label noise, as in mscope_row                                       */
    double R0[MSCOPE_RISK_GROUPS];     /* mean square error of one row at the start, m = 0                    */
} mscope_risk_band;

typedef struct mscope_setting {
    double eta, eps;
} mscope_setting;

/* mscope_risk_block - a band of least-squares rows with curvature h[j] in mult[j] coordinates, error spread evenly
 *
 * Shape    ls: p, batch and noise are read; d is the sum of mult. R0 sums to 1. groups in 1..8
 * Errors   MSCOPE_EINVAL                                                                                       */
MSCOPE_MUST_CHECK int mscope_risk_block(const mscope_ls *ls, int groups, const double *h, const double *mult,
                                        double rows, int by_rows, mscope_risk_band *out);

/* mscope_risk_octave - the band as rows of three frequencies, 2^-b, 2^-(b+1/2), 2^-(b+1), shares such that the mean p
 * stays
 *
 * An activity band holds rows up to a factor of two apart: what is stable for the mean row need not be for all.
 *
 * Returns  3, or 1 (the band itself) for a band of one row                                                     */
int mscope_risk_octave(const mscope_risk_band *b, mscope_risk_band out[3]);

/* mscope_risk_row - group j of a band as a row of theory.h under a setting, the shared noise left out */
mscope_row mscope_risk_row(const mscope_risk_band *b, int j, mscope_setting s);

/* mscope_risk_eta_max - largest stable eta at that eps, the shared noise included; exact
 *
 *   sum_j (eta share_j/2)/(1 - eta/eta_max_j) = 1                                                              */
double mscope_risk_eta_max(const mscope_risk_band *b, double eps);

/* mscope_risk_rate - -ln of the spectral radius of the band's map of one step; negative: grows */
double mscope_risk_rate(const mscope_risk_band *b, mscope_setting s);

/* Powers of one band's map under one setting, made as they are asked for. */
typedef struct mscope_flow mscope_flow;

/* mscope_flow_open - NULL when memory is out */
mscope_flow *mscope_flow_open(const mscope_risk_band *b, mscope_setting s);
void mscope_flow_close(mscope_flow *f);
/* mscope_flow_risk - the band's part of the risk after n whole steps; infinite when it overflows */
double mscope_flow_risk(mscope_flow *f, double n);
/* mscope_flow_errors - sum over groups of (R, V, C) of one row after n steps, and R of each group if R_group is not
 * NULL */
void mscope_flow_errors(mscope_flow *f, double n, double x[3], double *R_group);

/* mscope_risk_at - risk of all bands after n steps, setting[i] for band i */
double mscope_risk_at(const mscope_risk_band *b, size_t bands, const mscope_setting *setting, double n);

/* mscope_risk_steps - steps until the risk is down to target
 *
 * Found by doubling, then halving: exact where the risk falls steadily, else one of its crossings, never before the
 * first. Between two whole steps the logarithm is interpolated.
 *
 * Returns  INFINITY when it is not there within limit steps                                                     */
double mscope_risk_steps(const mscope_risk_band *b, size_t bands, const mscope_setting *setting, double target,
                         double limit);

#endif
