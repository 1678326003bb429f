/* squares.h - one step of a rule that divides by a running mean of g^2 of each coordinate
 *
 *     m <- (1 - eps) m + gain g;   v <- (1 - q.eps) v + q.eps g^2,    q: rates.squares
 *
 *   SQUARES    theta <- theta - (eta m + direct g)/(sqrt(unbias v) + 1e-8)
 *   ACTIVITY   tau <- (1 - q.eps) tau + q.eps |g|/(|g| + sqrt v + 1e-8):  about p/(1+p) of a coordinate that is active
 *              with probability p;   w = max(c/(1-c), 1/(1+t)), c = min(tau, 1/2);   n = sqrt w/(sqrt v + 1e-8)
 *              theta <- theta - n (eta (1 + max(tau t, 1))^(1-kappa) m + direct held g),
 *              held = min(1, clip sqrt v/(sqrt w |g| + 1e-8))
 *
 * No closed form skips silent steps: what is divided changes with each of them. So catch-up is a full sweep here. */
#ifndef MSCOPE_BENCH_SQUARES_H
#define MSCOPE_BENCH_SQUARES_H

#include "bench/workload.h"

/* mscope_bench_move_squares - n coordinates, one step; g NULL: a step without gradient
 * Shape    v, tau: n running means, 0 at the start; tau is neither read nor written but by ACTIVITY, and may be NULL
 * a->squares.by is not PLAIN; nesterov, coupled and shrink are not read                                        */
void mscope_bench_move_squares(const mscope_bench_rates *a, size_t n, double *theta, double *m, double *v, double *tau,
                               const double *g);

#endif
