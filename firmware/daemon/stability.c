/* stability.c - see stability.h
 *
 * Chosen on gated rows, bags of words and seven small networks, judged on others (tests/accuracy/README.md). */
#include "stability.h"

#include <math.h>
#include <string.h>

#define MEMORY 16u                   /* products in memory, each direction                       */
#define TURNING 4u                   /* first products, of a direction that has hardly turned    */
#define ENOUGH 20u                   /* products, both directions, before H is told              */
#define APART 3.0                    /* standard errors between the recent products and all, ..  */
#define APART_TWICE 2u               /* .. this often running, for the older ones to be forgotten */
#define ALWAYS 0.08                  /* relative difference that is no change                    */
#define RHO_MAX 0.8

static const char few[] = "none: fewer than 20 products with the directions have come";
static const char no_schedule[] = "none: the last step has no schedule in EMA form";
static const char not_positive[] = "none: curvature along the directions is not positive";
static const char not_known[] = "none: curvature along the directions is not known to half of its value";

static void note(mscope_means *m, const double x[3], uint32_t memory, uint32_t turning)
{
    const uint32_t n = ++m->taken > turning ? m->taken - turning : 0;
    const double w = n == 0 || 1.0 / n > 1.0 / memory ? (n == 0 ? 1.0 : 1.0 / n) : 1.0 / memory;
    double d[3], e[3];

    if (m->taken == 1 || n == 0)
        memcpy(m->before, x, sizeof m->before);
    if (n == 0) {
        memcpy(m->mean, x, sizeof m->mean);
        return;
    }
    for (int i = 0; i < 3; i++) {
        d[i] = x[i] - m->mean[i];
        e[i] = m->before[i] - m->mean[i];
    }
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            m->cov[i][k] = (1.0 - w) * (m->cov[i][k] + w * d[i] * d[k]);
            m->lag[i][k] = (1.0 - w) * (m->lag[i][k] + w * 0.5 * (d[i] * e[k] + e[i] * d[k]));
        }
    for (int i = 0; i < 3; i++)
        m->mean[i] += w * d[i];
    m->weight2 = (1.0 - w) * (1.0 - w) * m->weight2 + w * w;
    memcpy(m->before, x, sizeof m->before);
}

static double quadratic(const double g[3], const double a[3][3])
{
    double sum = 0.0;

    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            sum += g[i] * a[i][k] * g[k];
    return sum;
}

/* Variance of g'mean, from the scatter of the products and the correlation of neighbours. */
static double variance_of(const mscope_means *m, const double g[3], uint32_t n, uint32_t memory)
{
    const double v = quadratic(g, m->cov), a = quadratic(g, m->lag);
    const double rho = v > 0.0 ? fmin(fmax(a / v, 0.0), RHO_MAX) : 0.0;
    const double few_of = n < memory ? (n + 1.0) / (n - 1.0) : 1.0;
    const double left = m->weight2 < 0.7 ? 1.0 - m->weight2 : 0.3;      /* what the scatter misses of the variance */

    return fmax(v * (1.0 + rho) / (1.0 - rho) * m->weight2 / left * few_of, 0.0);
}

static const char *read_means(const mscope_means *m, uint32_t memory, uint32_t turning, double eta, double eps,
                              double batch, mscope_read_H *out)
{
    const uint32_t n = m->taken > turning ? m->taken - turning : 0;
    const double l = m->mean[0], c = fmax(m->mean[1], 0.0), t = m->mean[2];
    const double by_c = eta * eps / (2.0 * (2.0 - eps)), by_t = eta / (2.0 * batch);
    const double along[3] = { 1.0, 0.0, 0.0 };

    *out = (mscope_read_H){ NAN, NAN, NAN, NAN, NAN, NAN, NAN, 0.0 };
    if (n < 2)
        return few;
    out->samples = 1.0 / m->weight2;
    out->curvature = l;
    out->curvature_se = sqrt(variance_of(m, along, n, memory));
    if (!(l > 0.0))
        return not_positive;
    if (sqrt(m->cov[0][0] * m->weight2) > 0.5 * l)
        return not_known;
    const double H = (by_t * t + by_c * c) / l;
    const double g[3] = { -H / l, by_c / l, by_t / l };
    out->H = H;
    out->se = sqrt(variance_of(m, g, n, memory));
    out->sharpness = c / l;
    out->noise = t / (batch * l);
    out->part = H > 0.0 ? by_t * t / (l * H) : 0.0;
    return NULL;
}

/* The means of the recent products alone, with equal weights. */
static void recent_of(const mscope_stability *s, int k, mscope_means *out)
{
    *out = (mscope_means){ 0 };
    for (uint32_t i = 0; i < MSCOPE_RECENT; i++)
        note(out, s->recent[k][i], MSCOPE_RECENT, 0);
}

/* How far ln H of the recent products is from that of all, in standard errors; *excess: beyond what these explain. */
static double apart(const mscope_stability *s, int k, double eta, double eps, double batch, double *excess)
{
    mscope_read_H few_H, all_H;
    mscope_means few_m;

    *excess = 0.0;
    if (s->all[k].taken < TURNING + 2 * MSCOPE_RECENT)
        return 0.0;
    recent_of(s, k, &few_m);
    if (read_means(&few_m, MSCOPE_RECENT, 0, eta, eps, batch, &few_H) != NULL ||
        read_means(&s->all[k], MEMORY, TURNING, eta, eps, batch, &all_H) != NULL || !(few_H.H > 0.0) ||
        !(all_H.H > 0.0))
        return 0.0;
    const double off = log(few_H.H / all_H.H), a = few_H.se / few_H.H, b = all_H.se / all_H.H;
    *excess = fmax(off * off - a * a - b * b, 0.0);
    return fabs(off) / sqrt(a * a + b * b + ALWAYS * ALWAYS);
}

static void forget_if_changed(mscope_stability *s, int k, double eps, double batch)
{
    double excess;

    s->apart[k] = apart(s, k, 1.0, eps, batch, &excess) > APART ? s->apart[k] + 1 : 0;
    if (s->apart[k] < APART_TWICE)
        return;
    recent_of(s, k, &s->all[k]);
    s->all[k].taken = TURNING + MSCOPE_RECENT;
    s->apart[k] = 0;
    s->forgotten++;
}

double mscope_stability_take(mscope_stability *s, const mscope_direction *d, double batch, double eps)
{
    const double x[3] = { d->curvature, d->product, batch * d->noise };
    const int k = d->along;

    memmove(s->recent[k][0], s->recent[k][1], (MSCOPE_RECENT - 1) * sizeof s->recent[k][0]);
    memcpy(s->recent[k][MSCOPE_RECENT - 1], x, sizeof x);
    note(&s->all[k], x, MEMORY, TURNING);
    forget_if_changed(s, k, eps, batch);
    s->probes++;
    s->top[k] = *d;
    const uint32_t n = s->all[k].taken > TURNING ? s->all[k].taken - TURNING : 1;
    const double w = n < MEMORY ? 1.0 / n : 1.0 / MEMORY;
    s->whole[k][0] += w * (d->curvature - s->whole[k][0]);
    s->whole[k][1] += w * (d->noise - s->whole[k][1]);
    s->outside[k][0] += w * (d->outside_curvature - s->outside[k][0]);
    s->outside[k][1] += w * (d->outside_noise - s->outside[k][1]);
    return w;
}

const char *mscope_stability_read(const mscope_stability *s, enum mscope_along k, double eta, double eps, double batch,
                                  mscope_read_H *out)
{
    const char *why = read_means(&s->all[k], MEMORY, TURNING, eta, eps, batch, out);
    double excess;

    if (why == NULL && s->probes < ENOUGH)
        why = few;
    if (why == NULL && !(isfinite(eta) && isfinite(eps) && batch > 0.0))
        why = no_schedule;
    if (why != NULL) {
        out->H = out->se = out->part = NAN;
        return why;
    }
    (void)apart(s, (int)k, eta, eps, batch, &excess);
    out->se = out->H * sqrt(out->se * out->se / (out->H * out->H) + excess);
    return NULL;
}
