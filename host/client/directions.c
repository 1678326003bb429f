/* directions.c - see directions.h */
#include "directions.h"

#include <math.h>

#define FRESH_POWER 0.03             /* share of the halves' difference that is mixed in */
#define FRESH_TANGENT 0.2
#define SLOWEST 0.7                  /* gamma, of the rate at which curvature alone would be critical */
#define MEMORY 0.1                   /* weight of a new product in the tangent's own means */

/* |x|^2 in four sums, so that additions do not wait for one another. */
static double square(const double *x, uint64_t n)
{
    double sum[4] = { 0 };
    uint64_t i = 0;

    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++)
            sum[k] += x[i + (uint64_t)k] * x[i + (uint64_t)k];
    for (; i < n; i++)
        sum[0] += x[i] * x[i];
    return sum[0] + sum[1] + sum[2] + sum[3];
}

int mscope_unit(double *x, uint64_t n)
{
    const double sum = square(x, n);

    if (!(sum > 0.0) || !isfinite(sum))
        return 0;
    const double by = 1.0 / sqrt(sum);
    for (uint64_t i = 0; i < n; i++)
        x[i] *= by;
    return 1;
}

/* 1 or -1: a bit of splitmix64. */
static double draw(uint64_t *draws)
{
    uint64_t z = ++*draws * 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) >> 63 ? 1.0 : -1.0;
}

/* -- the product ------------------------------------------------------------------------------------ */

typedef struct row_sums {
    double curvature, product, noise, vv;
} row_sums;

/* One row of a span of this weight: a and b become h and g. */
static row_sums product_row(const mscope_pair *of, const double *v, double *a, double *b, uint32_t dim, double decay,
                            double weight)
{
    const double per = 1.0 / of->delta, share = of->share, spread = sqrt(share * (1.0 - share));
    const double turning = of->along == MSCOPE_POWER ? weight : 1.0;
    row_sums s = { 0 };

    for (uint32_t j = 0; j < dim; j++) {
        const double ha = per * a[j] + decay * v[j], hb = per * b[j] + decay * v[j];
        const double h = share * ha + (1.0 - share) * hb;
        a[j] = turning * h;
        b[j] = spread * (ha - hb);
        s.curvature += v[j] * h;
        s.product += weight * ha * hb;
        s.noise += b[j] * b[j];
        s.vv += v[j] * v[j];
    }
    return s;
}

/* How much more <h_a, h_b> of a span with this eps counts than of one with that of span 0. */
static double weight_of(double span, double eps)
{
    return span > 0.0 ? span * (2.0 - eps) / (eps * (2.0 - span)) : 1.0;
}

size_t mscope_product(const mscope_rows *r, const mscope_pair *of, const double *v, double *a, double *b,
                      mscope_direction *out, mscope_direction_row *row)
{
    size_t n = 0;

    *out = (mscope_direction){ .along = of->along, .spans = MSCOPE_SPANS_TABLES };
    for (size_t k = 0; k < r->spans; k++)
        out->spans = r->span[k].table < 0 ? MSCOPE_SPANS_ALL : out->spans;
    for (size_t i = 0; i < r->places; i++) {
        const mscope_spot *at = &r->place[i];
        const mscope_probe_span *s = &r->span[at->span];
        const double decay = s->weight_decay * r->scale[at->span] * r->scale[at->span];
        const row_sums x = product_row(of, v + at->at, a + at->at, b + at->at, s->dim, decay,
                                       weight_of(s->eps, of->eps));
        out->curvature += x.curvature;
        out->product += x.product;
        out->noise += x.noise;
        out->values += x.vv > 0.0 ? s->dim : 0;
        if (s->table < 0) {
            out->outside_curvature += x.curvature;
            out->outside_noise += x.noise;
            continue;
        }
        if (x.curvature != 0.0 || x.noise != 0.0)
            row[n++] = (mscope_direction_row){ (uint32_t)s->table, at->row, (float)x.curvature, (float)x.noise };
        if (x.vv > out->top_share) {
            out->top_share = fmin(x.vv, 1.0);
            out->top_table = (uint32_t)s->table;
            out->top_row = at->row;
        }
    }
    return n;
}

/* -- turning ---------------------------------------------------------------------------------------- */

static void add(double *v, double keep, double factor, const double *x, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        v[i] = keep * v[i] + factor * x[i];
}

static void turn_power(mscope_heading *t, uint64_t n, const double *h)
{
    const double a = fmax(0.1, 0.5 / (1.0 + 0.25 * (double)t->turns));
    const double hh = square(h, n);

    if (!(hh > 0.0))
        return;
    add(t->v, 1.0 - a, a / sqrt(hh), h, n);
    (void)mscope_unit(t->v, n);
}

static void turn_tangent(mscope_heading *t, uint64_t n, const double *h, const double *g, const mscope_direction *d,
                         double eps, uint64_t *draws)
{
    const double w = fmax(MEMORY, 1.0 / (1.0 + (double)t->turns)), k = (2.0 - eps) / eps;
    const double now[3] = { d->curvature, fmax(d->product, 0.0), d->noise };

    for (int i = 0; i < 3; i++)
        t->mean[i] += w * (now[i] - t->mean[i]);
    const double l = t->mean[0], c = t->mean[1], noise = t->mean[2];
    if (!(l > 0.0 && c > 0.0))
        return;
    double gamma = 2.0 * l / (c + k * noise), k2 = k;
    if (gamma < SLOWEST * l / c && noise > 0.0) {    /* noise decides: the time scale is free, so go fast */
        gamma = SLOWEST * l / c;
        k2 = fmax((2.0 * l / gamma - c) / noise, 0.0);
    }
    const double by = draw(draws) * sqrt(k2);
    for (uint64_t i = 0; i < n; i++)
        t->v[i] -= gamma * (h[i] + by * g[i]);
    (void)mscope_unit(t->v, n);
}

void mscope_heading_turn(mscope_heading *t, uint64_t n, const double *h, const double *g, const double *fresh,
                         const mscope_direction *d, double eps, uint64_t *draws)
{
    if (d->along == MSCOPE_POWER)
        turn_power(t, n, h);
    else
        turn_tangent(t, n, h, g, d, eps, draws);
    t->turns++;
    if (fresh == NULL)
        return;
    if (d->along == MSCOPE_POWER)
        add(t->v, 1.0, FRESH_POWER * draw(draws), fresh, n);
    else
        add(t->v, sqrt(1.0 - FRESH_TANGENT), sqrt(FRESH_TANGENT) * draw(draws), fresh, n);
    (void)mscope_unit(t->v, n);
}
