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

/* Relative rounding of a sum over dim coordinates in `statistics`, in units of the sum of absolute terms. */
double mscope_summing_error(enum mscope_statistics statistics, uint32_t dim);

/* Bound on the rounding of a row's moments after `products` map products and an advance, plus `summing`, that of the
 * sums they started from. */
typedef struct mscope_row_error {
    double r, v, c, q, h;
} mscope_row_error;
mscope_row_error mscope_moments_error(const mscope_map *a, const mscope_moments *before, unsigned products,
                                      double summing);

/* The same when the row's vectors were advanced one by one (after: the moments that came out): cancellation between
 * theta - s and the drift then costs its digits once, not squared. */
mscope_row_error mscope_moments_error_exact(const mscope_map *a, const mscope_moments *before,
                                            const mscope_moments *after, unsigned products, double summing);

/* Many rows that enter or leave a total together. Their bounds add as squares of magnitudes: by Cauchy and Schwarz the
 * sum of sqrt(x_i y_i) is at most sqrt(sum x_i sum y_i), so no row needs a square root. */
typedef struct mscope_tally {
    mscope_moments sum;
    double e2, m2, s2;               /* sums of rounding x squared magnitude of e, m, s                     */
    uint32_t rows;
} mscope_tally;

typedef struct mscope_gross {        /* rounding x squared magnitude of e, m, s of one row                  */
    double e2, m2, s2;
} mscope_gross;
/* Bring x from its clock to now by the map a of `products` products; what bounds it then. */
mscope_gross mscope_moments_bring(const mscope_map *a, mscope_moments *x, unsigned products, double summing);
void mscope_tally_add(mscope_tally *y, const mscope_moments *x, const mscope_gross *gross);
void mscope_tally_fresh(mscope_tally *y, const mscope_moments *x, double summing);      /* x was just summed */

void mscope_total_add(mscope_total *t, const mscope_moments *x, const mscope_row_error *err);
void mscope_total_sub(mscope_total *t, const mscope_moments *x, const mscope_row_error *err);
void mscope_total_join(mscope_total *t, const mscope_tally *y);
void mscope_total_leave(mscope_total *t, const mscope_tally *y);
void mscope_total_advance(mscope_total *t, const mscope_map *a, unsigned products);
void mscope_total_fresh(mscope_total *t);            /* the sums were just recomputed: remember their bounds */
int mscope_total_stale(const mscope_total *t);       /* a bound passed 1e-9 and a resum would help */

#endif
