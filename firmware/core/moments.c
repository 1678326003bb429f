/* moments.c - advance (r, v, c) in closed form, and keep totals of bands with bounds on their error
 *
 * A total gains rows, loses rows and decays over many decades, so its rounding error can outgrow it. |theta-ref|^2 has
 * a mode of eigenvalue 1, in which errors never fade, and one huge row that leaves a band takes every digit along.
 * Compensated or double-double totals do not help, because the moments of rows are rounded themselves. So each total
 * carries a rigorous running bound, and is recomputed from its rows when the bound has grown too large.         */
#include "moments.h"

#include <math.h>

#define U MSCOPE_ROUNDOFF
#define TRUST 1e-9                   /* relative error that a published total may have */

/* In float64 a lane makes dim/8 additions, and eight lanes are folded. A float32 lane adds at most 64 products and is
 * folded four times: (64 + 4 + rounding of e and of the product) 2^-24 = 4.2e-6. */
double mscope_summing_error(enum mscope_statistics statistics, uint32_t dim)
{
    return statistics == MSCOPE_STATISTICS_FLOAT ? 5e-6 : U * (8.0 + 0.125 * dim);
}

static mscope_moments_bound bounds_of(double k, double e2, double m2, double s2)
{
    mscope_moments_bound bound = { k * e2, k * m2, k * sqrt(e2 * m2), 0.0, 0.0 };

    if (s2 != 0.0) {
        bound.q = k * sqrt(e2 * fabs(s2));
        bound.h = k * sqrt(m2 * fabs(s2));
    }
    return bound;
}

mscope_moments_bound mscope_moments_bound_of(const mscope_map *a, const mscope_moments *before, unsigned products,
                                      double summing)
{
    double e2, m2;

    mscope_magnitudes(a, before, &e2, &m2);
    return bounds_of(mscope_moments_rounding(products, summing), e2, m2, before->ss);
}

mscope_moments_bound mscope_moments_bound_exact(const mscope_map *a, const mscope_moments *before,
                                            const mscope_moments *after, unsigned products, double summing)
{
    double k = mscope_moments_rounding(products, summing), re = sqrt(after->r), rm = sqrt(after->v), e2, m2, e, m;
    mscope_moments_bound bound;

    mscope_magnitudes(a, before, &e2, &m2);
    bound = bounds_of(k, e2, m2, before->ss);
    e = sqrt(e2);
    m = sqrt(m2);
    bound.r = k * e * (2.0 * re + k * e);
    bound.v = k * m * (2.0 * rm + k * m);
    bound.c = k * (e * rm + m * re + k * e * m);
    return bound;
}

static void combine(mscope_total *t, const mscope_moments *x, double sign, const mscope_moments_bound *bound)
{
    t->sum.r += sign * x->r;
    t->sum.v += sign * x->v;
    t->sum.c += sign * x->c;
    t->er += bound->r + U * (fabs(t->sum.r) + x->r);
    t->ev += bound->v + U * (fabs(t->sum.v) + x->v);
    t->ec += bound->c + U * (fabs(t->sum.c) + fabs(x->c));
    if (x->ss != 0.0) {
        t->sum.q += sign * x->q;
        t->sum.h += sign * x->h;
        t->sum.ss += sign * x->ss;
        t->eq += U * (fabs(t->sum.q) + fabs(x->q)) + bound->q;
        t->eh += U * (fabs(t->sum.h) + fabs(x->h)) + bound->h;
    }
}

void mscope_total_add(mscope_total *t, const mscope_moments *x, const mscope_moments_bound *bound)
{
    combine(t, x, 1.0, bound);
}

void mscope_total_sub(mscope_total *t, const mscope_moments *x, const mscope_moments_bound *bound)
{
    combine(t, x, -1.0, bound);
}

/* A tally of n rows was made by n additions, which round as well. */
static mscope_moments_bound tally_bound(const mscope_tally *y)
{
    double k = U * y->rows, r = k * fabs(y->sum.r), v = k * fabs(y->sum.v), s = k * fabs(y->sum.ss);
    mscope_moments_bound bound = { y->e2 + r, y->m2 + v, sqrt(y->e2 * y->m2) + sqrt(r * v), 0.0, 0.0 };

    if (s != 0.0) {
        bound.q = sqrt(y->e2 * y->s2) + sqrt(r * s);
        bound.h = sqrt(y->m2 * y->s2) + sqrt(v * s);
    }
    return bound;
}

void mscope_total_join(mscope_total *t, const mscope_tally *y)
{
    mscope_moments_bound bound = tally_bound(y);

    combine(t, &y->sum, 1.0, &bound);
}

void mscope_total_leave(mscope_total *t, const mscope_tally *y)
{
    mscope_moments_bound bound = tally_bound(y);

    combine(t, &y->sum, -1.0, &bound);
}

void mscope_total_advance(mscope_total *t, const mscope_map *a, unsigned products)
{
    double e11 = fabs(a->a11), e12 = fabs(a->a12), e21 = fabs(a->a21), e22 = fabs(a->a22);
    double er = t->er, ev = t->ev, ec = t->ec, step = U * (6.0 * products + 24.0), e2, m2;

    /* A sum may lie below the exact one by its bound: take magnitudes of sum plus bound. */
    mscope_moments top = t->sum;
    top.r = fabs(top.r) + er;
    top.v = fabs(top.v) + ev;
    mscope_magnitudes(a, &top, &e2, &m2);
    t->er = e11 * e11 * er + 2.0 * e11 * e12 * ec + e12 * e12 * ev + step * e2;
    t->ev = e21 * e21 * er + 2.0 * e21 * e22 * ec + e22 * e22 * ev + step * m2;
    t->ec = e11 * e21 * er + (e11 * e22 + e12 * e21) * ec + e12 * e22 * ev + step * sqrt(e2 * m2);
    if (t->sum.ss != 0.0) {
        double x1 = fabs(a->a11 - 1.0), ds = U * t->sum.ss;
        double es = e11 * t->eq + e12 * t->eh, ms = e21 * t->eq + e22 * t->eh;

        t->er += 2.0 * x1 * es + x1 * x1 * ds;
        t->ev += 2.0 * e21 * ms + e21 * e21 * ds;
        t->ec += x1 * ms + e21 * es + x1 * e21 * ds;
        t->eq = es + x1 * ds + step * sqrt(e2 * fabs(t->sum.ss));
        t->eh = ms + e21 * ds + step * sqrt(m2 * fabs(t->sum.ss));
    }
    mscope_moments_advance(a, &t->sum);
}

void mscope_total_fresh(mscope_total *t)
{
    t->er_fresh = t->er;
    t->ev_fresh = t->ev;
    t->ec_fresh = t->ec;
}

int mscope_total_stale(const mscope_total *t)
{
    double rv = sqrt(fabs(t->sum.r) * fabs(t->sum.v));

    return (t->er > TRUST * fabs(t->sum.r) && t->er > 2.0 * t->er_fresh) ||
           (t->ev > TRUST * fabs(t->sum.v) && t->ev > 2.0 * t->ev_fresh) ||
           (t->ec > TRUST * rv && t->ec > 2.0 * t->ec_fresh);
}
