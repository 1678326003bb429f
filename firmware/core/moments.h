/* moments.h - second moments of rows and bands, advanced through idle steps without touching a vector
 *
 * With e = theta - s (s the reference row, or 0) an idle map gives e' = a11 e + a12 m + (a11 - 1) s and
 * m' = a21 e + a22 m + a21 s. So the Gram matrix of (e, m, s) advances in closed form. Without weight decay the columns
 * of s drop out, and the map is (22): r' = r - 2Sc + S^2 v, c' = P(c - Sv), v' = P^2 v. */
#ifndef MSCOPE_CORE_MOMENTS_H
#define MSCOPE_CORE_MOMENTS_H

#include <math.h>

#include "schedule.h"

#define MSCOPE_ROUNDOFF 1.1102230246251565e-16       /* unit roundoff of double */

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

/* Relative rounding of a sum over dim coordinates: error / sum of the absolute terms. */
double mscope_summing_error(enum mscope_statistics statistics, uint32_t dim);

/* Bound on the rounding of a row's moments: of the sums they started from (summing), of the `products` products that
 * made the map a, and of one advance by it. */
typedef struct mscope_moments_bound {
    double r, v, c, q, h;
} mscope_moments_bound;
mscope_moments_bound mscope_moments_bound_of(const mscope_map *a, const mscope_moments *before, unsigned products,
                                      double summing);

/* The same for moments summed from advanced vectors (after: those moments). Cancellation between theta - s and the
 * drift then costs its digits once, not squared. */
mscope_moments_bound mscope_moments_bound_exact(const mscope_map *a, const mscope_moments *before,
                                            const mscope_moments *after, unsigned products, double summing);

/* Rows that enter or leave a total together. Their bounds add as squares of magnitudes: by Cauchy and Schwarz the sum
 * of sqrt(x_i y_i) is at most sqrt(sum x_i sum y_i), so no row needs a square root. */
typedef struct mscope_tally {
    mscope_moments sum;
    double e2, m2, s2;               /* sums over rows of a mscope_gross */
    uint32_t rows;
} mscope_tally;

typedef struct mscope_gross {        /* relative rounding times squared magnitude of e, m, s of one row */
    double e2, m2, s2;
} mscope_gross;

void mscope_total_add(mscope_total *t, const mscope_moments *x, const mscope_moments_bound *bound);
void mscope_total_sub(mscope_total *t, const mscope_moments *x, const mscope_moments_bound *bound);
void mscope_total_join(mscope_total *t, const mscope_tally *y);
void mscope_total_leave(mscope_total *t, const mscope_tally *y);
void mscope_total_advance(mscope_total *t, const mscope_map *a, unsigned products);
void mscope_total_fresh(mscope_total *t);            /* the sums were just recomputed: keep their bounds to compare */
int mscope_total_stale(const mscope_total *t);       /* a bound exceeds 1e-9 of its total, and a resum would lower it */

/* -- inline, because every active row needs them ------------------------------------------ */

static inline void mscope_moments_advance(const mscope_map *a, mscope_moments *x)
{
    mscope_moments o = *x;

    x->r = a->a11 * a->a11 * o.r + 2.0 * a->a11 * a->a12 * o.c + a->a12 * a->a12 * o.v;
    x->v = a->a21 * a->a21 * o.r + 2.0 * a->a21 * a->a22 * o.c + a->a22 * a->a22 * o.v;
    x->c = a->a11 * a->a21 * o.r + (a->a11 * a->a22 + a->a12 * a->a21) * o.c + a->a12 * a->a22 * o.v;
    if (o.ss != 0.0) {
        double x1 = a->a11 - 1.0, y = a->a21;
        double es = a->a11 * o.q + a->a12 * o.h, ms = a->a21 * o.q + a->a22 * o.h;

        x->r += 2.0 * x1 * es + x1 * x1 * o.ss;
        x->v += 2.0 * y * ms + y * y * o.ss;
        x->c += x1 * ms + y * es + x1 * y * o.ss;
        x->q = es + x1 * o.ss;
        x->h = ms + y * o.ss;
    }
    if (x->r < 0.0)
        x->r = 0.0;
    if (x->v < 0.0)
        x->v = 0.0;
}

/* Bounds on the squared sums of absolute terms: (|a11 e| + |a12 m| + |a11-1||s|)^2, and the same for m. They are
 * squares because a row's bound is formed twice in every update: a square root costs more than the slack of
 * (a+b+c)^2 <= 3 (a^2+b^2+c^2). */
static inline void mscope_magnitudes(const mscope_map *a, const mscope_moments *x, double *e2, double *m2)
{
    double r = fabs(x->r), v = fabs(x->v);

    if (x->ss == 0.0) {
        *e2 = 2.0 * (a->a11 * a->a11 * r + a->a12 * a->a12 * v);
        *m2 = 2.0 * (a->a21 * a->a21 * r + a->a22 * a->a22 * v);
    } else {
        double s = fabs(x->ss), x1 = a->a11 - 1.0;

        *e2 = 3.0 * (a->a11 * a->a11 * r + a->a12 * a->a12 * v + x1 * x1 * s);
        *m2 = 3.0 * (a->a21 * a->a21 * (r + s) + a->a22 * a->a22 * v);
    }
}

/* A map product rounds an entry by at most 3u, and an entry enters a term twice; 16u for the advance itself. */
static inline double mscope_moments_rounding(unsigned products, double summing)
{
    return MSCOPE_ROUNDOFF * (6.0 * products + 16.0) + summing;
}

/* Bring x from its clock to now by the map a, made of `products` products; returns what bounds its rounding. */
static inline mscope_gross mscope_moments_bring(const mscope_map *a, mscope_moments *x, unsigned products,
                                                double summing)
{
    double k = mscope_moments_rounding(products, summing);
    mscope_gross gross;

    mscope_magnitudes(a, x, &gross.e2, &gross.m2);
    gross.e2 *= k;
    gross.m2 *= k;
    gross.s2 = k * x->ss;
    mscope_moments_advance(a, x);
    return gross;
}

/* The same for moments that are as of now: what the identity would make of them, bit for bit. */
static inline mscope_gross mscope_moments_stay(const mscope_moments *x, double summing)
{
    const double k = mscope_moments_rounding(0, summing), n = x->ss == 0.0 ? 2.0 : 3.0;

    return (mscope_gross){ n * fabs(x->r) * k, n * fabs(x->v) * k, k * x->ss };
}

static inline void mscope_tally_add(mscope_tally *y, const mscope_moments *x, const mscope_gross *gross)
{
    y->sum.r += x->r;
    y->sum.v += x->v;
    y->sum.c += x->c;
    y->e2 += gross->e2;
    y->m2 += gross->m2;
    if (x->ss != 0.0) {
        y->sum.q += x->q;
        y->sum.h += x->h;
        y->sum.ss += x->ss;
        y->s2 += gross->s2;
    }
    y->rows++;
}

/* The same for moments that were just summed. */
static inline void mscope_tally_fresh(mscope_tally *y, const mscope_moments *x, double summing)
{
    const mscope_gross gross = { summing * x->r, summing * x->v, summing * x->ss };

    mscope_tally_add(y, x, &gross);
}

#endif
