/* mixture_flow.c - Runge-Kutta on the drift of mixture_flow.h */
#include "mixture_flow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_qrng.h>

enum { PAIRS = 1024, MOST = MSCOPE_MIXTURE_UNITS, PLANE = 2 };

typedef struct {
    const mscope_mixture *m;
    size_t pairs;
    double point[PAIRS][MOST + PLANE];
} flow;

/* R = L L^T; a pivot lost to rounding or rank is a zero column. */
static void cholesky(const mscope_mixture_state *s, size_t units, double L[MOST][MOST])
{
    memset(L, 0, sizeof(double[MOST][MOST]));
    for (size_t j = 0; j < units; j++) {
        double pivot = s->R[j][j];
        for (size_t k = 0; k < j; k++)
            pivot -= L[j][k] * L[j][k];
        if (!(pivot > 1e-14 * s->R[j][j]))
            continue;
        L[j][j] = sqrt(pivot);
        for (size_t i = j + 1; i < units; i++) {
            double x = s->R[i][j];
            for (size_t k = 0; k < j; k++)
                x -= L[i][k] * L[j][k];
            L[i][j] = x / L[j][j];
        }
    }
}

/* One X: its part in the plane of mu and nu, and its products with the rest of each W. Adds weight times the drift. */
static void sample(const mscope_mixture *m, const mscope_mixture_state *s, double label, const double plane[PLANE],
                   const double *rest, double weight, mscope_mixture_state *to)
{
    double a[MOST], out = 0;
    for (size_t i = 0; i < m->units; i++) {
        a[i] = s->mu[i] * plane[0] + s->nu[i] * plane[1] + rest[i];
        out += s->v[i] * fmax(a[i], 0);
    }
    const double e = 1 / (1 + exp(-out)) - label, corrector = weight * m->c / m->lambda * e * e;
    for (size_t i = 0; i < m->units; i++) {
        if (!(a[i] > 0))
            continue;
        const double by = weight * e * s->v[i];
        to->v[i] -= weight * e * a[i];
        to->mu[i] -= by * plane[0];
        to->nu[i] -= by * plane[1];
        for (size_t j = 0; j < m->units; j++) {
            to->R[i][j] -= by * rest[j];
            to->R[j][i] -= by * rest[j];
            to->R[i][j] += a[j] > 0 ? corrector * s->v[i] * s->v[j] : 0;
        }
    }
}

static void drift(const flow *f, const mscope_mixture_state *s, mscope_mixture_state *to)
{
    const mscope_mixture *m = f->m;
    const double sigma = 1 / sqrt(m->lambda), weight = 1 / (2 * (double)f->pairs * (double)m->clusters);
    double L[MOST][MOST], rest[MOST];
    cholesky(s, m->units, L);
    memset(to, 0, sizeof *to);
    for (size_t k = 0; k < 2 * f->pairs; k++) {
        const double *p = f->point[k / 2], sign = k % 2 == 0 ? sigma : -sigma;
        for (size_t i = 0; i < m->units; i++) {
            rest[i] = 0;
            for (size_t j = 0; j <= i; j++)
                rest[i] += sign * L[i][j] * p[PLANE + j];
        }
        for (size_t c = 0; c < m->clusters; c++) {
            double plane[PLANE] = { sign * p[0], m->clusters == 4 ? sign * p[1] : 0 };
            plane[c / 2] += c % 2 == 0 ? 1 : -1;
            sample(m, s, m->clusters == 2 ? c == 0 : c < 2, plane, rest, weight, to);
        }
    }
    for (size_t i = 0; i < m->units; i++) {
        to->v[i] -= m->alpha * s->v[i];
        to->mu[i] -= m->alpha * s->mu[i];
        to->nu[i] -= m->alpha * s->nu[i];
        for (size_t j = 0; j < m->units; j++)
            to->R[i][j] -= 2 * m->alpha * s->R[i][j];
    }
}

/* a + h b, the states as arrays of numbers */
static mscope_mixture_state along(const mscope_mixture_state *a, double h, const mscope_mixture_state *b)
{
    enum { COUNT = sizeof(mscope_mixture_state) / sizeof(double) };
    double x[COUNT], y[COUNT];
    mscope_mixture_state out;
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    for (size_t i = 0; i < COUNT; i++)
        x[i] += h * y[i];
    memcpy(&out, x, sizeof out);
    return out;
}

int mscope_mixture_flow(const mscope_mixture *m, double time, mscope_mixture_state *s)
{
    flow f = { .m = m, .pairs = (size_t)fmin(fmax(64 * sqrt(1000 / m->lambda), 64), PAIRS) };
    gsl_qrng *q = gsl_qrng_alloc(gsl_qrng_sobol, (unsigned)m->units + PLANE);
    const double steps = fmax(1, ceil(time / 0.1)), h = time / steps;
    if (q == NULL)
        return -1;
    for (size_t k = 0; k < f.pairs; k++) {
        gsl_qrng_get(q, f.point[k]);
        for (size_t i = 0; i < m->units + PLANE; i++)
            f.point[k][i] = gsl_cdf_ugaussian_Pinv(f.point[k][i]);
    }
    gsl_qrng_free(q);
    for (double i = 0; i < steps; i++) {
        mscope_mixture_state k1, k2, k3, k4, at;
        drift(&f, s, &k1);
        at = along(s, h / 2, &k1);
        drift(&f, &at, &k2);
        at = along(s, h / 2, &k2);
        drift(&f, &at, &k3);
        at = along(s, h, &k3);
        drift(&f, &at, &k4);
        at = along(&k1, 2, &k2);
        at = along(&at, 2, &k3);
        at = along(&at, 1, &k4);
        *s = along(s, h / 6, &at);
    }
    return 0;
}
