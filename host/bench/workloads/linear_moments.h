/* linear_moments.h - mean and covariance of multi-pass SGD on fixed samples, linear regression (paper 004, linear case)
 *
 *     g = sum_i c_i x_i (x_i.w - y_i),   E c_i = share,   Cov(c_i, c_j) = var 1[i = j] - apart
 *
 * and then the linear update of rows.h.
 *
 * Poisson clocks and the Gaussian SME: var = share, apart = 0: the same two moments, hence the same equations,
 * whatever the noise's law. Subsets of b = share n distinct samples: var = b (n - b)/(n (n - 1)), apart = var / n.
 *
 * exact: closed equations for E w and Cov(w, m), 2 n d^2 operations a step. Otherwise the limit of large d: the
 * covariance is taken as diagonal among the eigenvectors of sum x x^T and the error's square as alike in all samples,
 * d operations a step; a Volterra equation for the risk. With Gaussian x it is off by a share O(1/d). */
#ifndef MSCOPE_BENCH_LINEAR_MOMENTS_H
#define MSCOPE_BENCH_LINEAR_MOMENTS_H

#include "rows.h"

typedef struct mscope_linear_problem {
    size_t n, d;
    const float *x;                  /* n x d                                                     */
    const float *y;                  /* n                                                         */
    const double *start;             /* d: w at the start, m = 0                                  */
    const double *probe;             /* d: direction whose product with E w is wanted             */
    double share, var, apart;
} mscope_linear_problem;

typedef struct mscope_linear_moments {
    double along, first;             /* probe.E w, start.E w                                      */
    double square;                   /* E |w|^2                                                   */
    double train;                    /* E of the mean of e_i^2 / 2                                */
    double least;                    /* the smallest train that any w has                         */
} mscope_linear_moments;

/* mscope_linear_expect - expectations after t steps
 * Errors  negative: out of memory
 * Cost    an eigenproblem of d x d first (0.2 s at d = 256, 2 s at 512)                                         */
int mscope_linear_expect(const mscope_linear_problem *p, const mscope_bench_linear *a, double t, int exact,
                         mscope_linear_moments *out);

#endif
