/* private.h - declarations that only the files of the theory library share */
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

/* x1 = 1 - Q beta and x2 = 1 - Q beta^2 without subtraction */
double mscope_theory_x1(double P, double Q, double eps);
double mscope_theory_x2(double P, double Q, double eps, double beta);

/* ---- linear maps kept as E = map - identity --------------------------------------------- */

/* A slow mode beside fast ones depends on the relations between the entries of a map. Rounding each
 * entry to double costs the slow mode as many digits as the modes are apart. So maps are formed and
 * multiplied in long double, and rounded once, when they leave the library.                     */
typedef long double mscope_real;

/* P, Q, eps, beta with P + Q = 1 and eps + beta = 1 to the last bit of mscope_real */
typedef struct mscope_law {
    mscope_real P, Q, eps, beta;
} mscope_law;

mscope_law mscope_theory_law(const mscope_row *row);

/* the waiting-time sums (33)-(45) under the names of mscope_batch */
typedef struct mscope_waits {
    mscope_real beta1bar, beta2bar, gap1, gap2, s_theta, s_g, s2_theta, s2_g, bs_theta, bs_g, s_cross;
} mscope_waits;

mscope_waits mscope_theory_waits(const mscope_law *law);

/* the maps of maps.c before rounding; the caller has checked row */
void mscope_theory_drift(const mscope_row *row, mscope_real A[9]);
/* the same with any renewal law of the gaps, of which only these sums enter */
void mscope_theory_drift_of(const mscope_row *row, const mscope_waits *waits, mscope_real A[9]);
void mscope_theory_step(const mscope_row *row, mscope_real GmI[9]);
void mscope_theory_active(const mscope_row *row, mscope_real SmI[9]);
void mscope_theory_inject(const mscope_row *row, mscope_real b[3]);

/* the damping ratio and frequency of the mean error, whose map has trace 2 - rho - x rho and determinant 1 - rho */
void mscope_theory_mean_mode(double rho, double x, double *zeta, double *omega);

/* mscope_cubic_roots of coefficients not rounded yet: rounding costs a double root half its digits */
MSCOPE_MUST_CHECK int mscope_theory_roots(const mscope_real c[3], double root[3][2],
                                          enum mscope_spectrum *kind);

enum { MSCOPE_MAT_MAX = 7 };

typedef struct mscope_mat {
    int n;
    mscope_real a[MSCOPE_MAT_MAX * MSCOPE_MAT_MAX]; /* row-major n x n */
} mscope_mat;

/* mscope_mat_power_apply - x <- (I + E)^count x
 *
 * While the first coordinate has hardly moved, E is squared as E + E + E E, so that a slow mode
 * beside a fast one keeps its digits. After that, plain squaring keeps the digits of what decays.
 *
 * Units    count whole, 0 <= count <= 2^53
 * Cost     O(n^3 log count)                                                                   */
void mscope_mat_power_apply(const mscope_mat *E, double count, mscope_real *x);

/* mscope_mat_exp_apply - x <- exp(A t) x, t >= 0, by scaling and the same doubling
 *
 * Cost     O(n^3 (12 + log2 |A t|)), the norm taken after balancing                           */
void mscope_mat_exp_apply(const mscope_mat *A, double t, mscope_real *x);

/* ---- ODE of up to five variables ---------------------------------------------------------- */

typedef int (*mscope_ode)(const void *model, const double *x, double *dx);

/* mscope_theory_integrate - x(t) from x(0), in place, relative tolerance 1e-11, GSL rk8pd
 *
 * Shape    x, scale: n <= 5; scale is a typical size of each component
 * Errors   what field returns, MSCOPE_ENONFINITE when the solution blows up                   */
MSCOPE_MUST_CHECK int mscope_theory_integrate(mscope_ode field, const void *model, size_t n,
                                              const double *scale, double t, double *x);

#endif
