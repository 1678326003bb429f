/* moments.h - second moments of rows and bands, advanced through idle steps without touching a vector
 *
 * With e = theta - s (s the reference row, or 0), an idle map moves e' = a11 e + a12 m + (a11 - 1) s and
 * m' = a21 e + a22 m + a21 s. So the Gram matrix of (e, m, s) advances in closed form; without weight decay the
 * columns of s drop out and it is (22): r' = r - 2Sc + S^2 v, c' = P(c - Sv), v' = P^2 v.                    */
#ifndef MSCOPE_CORE_MOMENTS_H
#define MSCOPE_CORE_MOMENTS_H

#include "core/schedule.h"

typedef struct mscope_moments {
    double r, v, c;                  /* |e|^2, |m|^2, <e,m>             */
    double q, h, ss;                 /* <e,s>, <m,s>, |s|^2: only with weight decay and a reference, else 0 */
} mscope_moments;

/* A running total over the rows of a band, with bounds on its accumulated rounding. */
typedef struct mscope_total {
    mscope_moments sum;
    double er, ev, ec, eq, eh;       /* |sum - exact| <= these */
    double er_fresh, ev_fresh, ec_fresh;  /* the same right after the last resum: what a resum can reach */
} mscope_total;

void mscope_moments_advance(const mscope_map *a, mscope_moments *x);

/* Bound on the rounding of a row's moments after `products` map products and an advance, plus the sums over dim
 * coordinates they started from. */
typedef struct mscope_row_error {
    double r, v, c, q, h;
} mscope_row_error;
mscope_row_error mscope_moments_error(const mscope_map *a, const mscope_moments *before, unsigned products,
                                      uint32_t dim);

/* The same when the row's vectors were advanced one by one (after: the moments that came out): cancellation between
 * theta - s and the drift then costs its digits once, not squared. */
mscope_row_error mscope_moments_error_exact(const mscope_map *a, const mscope_moments *before,
                                            const mscope_moments *after, unsigned products, uint32_t dim);

void mscope_total_add(mscope_total *t, const mscope_moments *x, const mscope_row_error *err);
void mscope_total_sub(mscope_total *t, const mscope_moments *x, const mscope_row_error *err);
void mscope_total_join(mscope_total *t, const mscope_moments *sum, const mscope_row_error *err, uint32_t rows);
void mscope_total_advance(mscope_total *t, const mscope_map *a);
void mscope_total_fresh(mscope_total *t);            /* the sums were just recomputed: remember their bounds */
int mscope_total_stale(const mscope_total *t);       /* a bound passed 1e-9 and a resum would help */

#endif
