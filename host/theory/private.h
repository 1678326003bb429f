/* private.h - what the files of the theory library share and nobody else sees */
#ifndef MSCOPE_THEORY_PRIVATE_H
#define MSCOPE_THEORY_PRIVATE_H

#include "mscope/theory.h"

/* mscope_theory_refuse - fill *why (if any) and return MSCOPE_EINVAL */
int mscope_theory_refuse(mscope_bad *why, const char *field, double value, const char *range);

/* mscope_theory_momentum - check eps and beta, beta = 0 standing for 1 - eps
 *
 * Errors   MSCOPE_EINVAL  eps outside (0, 1], beta outside [0, 1), or beta + eps is not 1     */
MSCOPE_MUST_CHECK int mscope_theory_momentum(double eps, double beta, mscope_bad *why);

/* mscope_theory_beta - beta, or 1 - eps where it was left 0 */
double mscope_theory_beta(double eps, double beta);

/* mscope_theory_waits - the waiting-time members of mscope_batch, (33)-(45)
 *
 * P, Q and the momentum are taken as checked. The rest of *out is left alone.                 */
void mscope_theory_waits(double P, double Q, double eps, double beta, mscope_batch *out);

/* x1 = 1 - Q beta and x2 = 1 - Q beta^2 without subtraction */
double mscope_theory_x1(double P, double Q, double eps);
double mscope_theory_x2(double P, double Q, double eps, double beta);

/* ---- linear maps kept as E = map - identity --------------------------------------------- */

enum { MSCOPE_MAT_MAX = 7 };

typedef struct mscope_mat {
    int n;
    double a[MSCOPE_MAT_MAX * MSCOPE_MAT_MAX]; /* row-major n x n */
} mscope_mat;

/* mscope_mat_power_apply - x <- (I + E)^count x
 *
 * E is squared as E + E + E E while the first coordinate has hardly moved, so a slow mode beside
 * a fast one keeps its digits; after that plain squaring keeps the digits of what decays.
 *
 * Units    count whole, 0 <= count <= 2^53
 * Cost     O(n^3 log count)                                                                   */
void mscope_mat_power_apply(const mscope_mat *E, double count, double *x);

/* mscope_mat_exp_apply - x <- exp(A t) x, t >= 0, by scaling and the same doubling
 *
 * Cost     O(n^3 (12 + log2 |A t|)), the norm taken after balancing                           */
void mscope_mat_exp_apply(const mscope_mat *A, double t, double *x);

/* ---- ODE of up to five variables ---------------------------------------------------------- */

typedef int (*mscope_field)(const void *model, const double *x, double *dx);

/* mscope_theory_integrate - x(t) from x(0), in place, relative tolerance 1e-11, GSL rk8pd
 *
 * Shape    x, scale: n <= 5; scale is a typical size of each component
 * Errors   what field returns, MSCOPE_ENONFINITE when the solution blows up                   */
MSCOPE_MUST_CHECK int mscope_theory_integrate(mscope_field field, const void *model, size_t n,
                                              const double *scale, double t, double *x);

#endif
