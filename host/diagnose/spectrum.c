/* spectrum.c - ESPRIT of order 2 and the periodogram of a reference autocorrelation */
#include "spectrum.h"

#include <complex.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <fftw3.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_linalg.h>

#define PI 3.14159265358979323846
#define FEWEST_LAGS 8
#define CLEAR 2.0                    /* a mode's singular value over that of the noise */
#define FFT_POINTS 513               /* even extension of the lags, zeros behind: 1024 points */
#define AGREE 1.2                    /* frequencies within this factor agree */
#define SLOWED 2.2                   /* rows of unequal frequency read slower than the model, to this factor */
#define PAIR_SURE 0.7                /* with less apparent damping a pair is not noise on two real modes */

/* -- ESPRIT ----------------------------------------------------------------------------------------- */

typedef struct svd {
    gsl_matrix *u, *v;
    gsl_vector *s, *work;
} svd;

static void svd_fini(svd *x)
{
    gsl_matrix_free(x->u);
    gsl_matrix_free(x->v);
    gsl_vector_free(x->s);
    gsl_vector_free(x->work);
}

static int hankel_svd(const double *a, size_t n, svd *x)
{
    size_t cols = n / 2, rows = n - cols + 1;

    *x = (svd){ .u = gsl_matrix_alloc(rows, cols), .v = gsl_matrix_alloc(cols, cols),
                .s = gsl_vector_alloc(cols), .work = gsl_vector_alloc(cols) };
    if (x->u == NULL || x->v == NULL || x->s == NULL || x->work == NULL)
        return MSCOPE_ENOMEM;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            gsl_matrix_set(x->u, i, j, a[i + j]);
    return gsl_linalg_SV_decomp(x->u, x->v, x->s, x->work) == GSL_SUCCESS ? 0 : MSCOPE_EIO;
}

/* Rows of the signal space one lag apart differ by Phi: least squares over the rows, and its 2 eigenvalues. */
static void shift_eigenvalues(const gsl_matrix *u, size_t order, double complex z[2])
{
    double g[2][2] = { { 0 } }, c[2][2] = { { 0 } };

    for (size_t i = 0; i + 1 < u->size1; i++)
        for (size_t j = 0; j < order; j++)
            for (size_t k = 0; k < order; k++) {
                g[j][k] += gsl_matrix_get(u, i, j) * gsl_matrix_get(u, i, k);
                c[j][k] += gsl_matrix_get(u, i, j) * gsl_matrix_get(u, i + 1, k);
            }
    if (order == 1) {
        z[0] = z[1] = c[0][0] / g[0][0];
        return;
    }
    double det = g[0][0] * g[1][1] - g[0][1] * g[1][0];
    double f00 = (g[1][1] * c[0][0] - g[0][1] * c[1][0]) / det, f01 = (g[1][1] * c[0][1] - g[0][1] * c[1][1]) / det;
    double f10 = (g[0][0] * c[1][0] - g[1][0] * c[0][0]) / det, f11 = (g[0][0] * c[1][1] - g[1][0] * c[0][1]) / det;
    double complex half = 0.5 * (f00 + f11), root = csqrt(half * half - (f00 * f11 - f01 * f10));
    z[0] = half + root;
    z[1] = half - root;
}

/* -- the coarse picture ------------------------------------------------------------------------------- */

static int periodogram_peak(const double *a, size_t n, double stride, double *peak)
{
    double *x = fftw_alloc_real(FFT_POINTS);
    fftw_plan plan = x != NULL ? fftw_plan_r2r_1d(FFT_POINTS, x, x, FFTW_REDFT00, FFTW_ESTIMATE) : NULL;
    size_t top = 0;

    if (plan == NULL) {
        fftw_free(x);
        return MSCOPE_ENOMEM;
    }
    for (size_t j = 0; j < FFT_POINTS; j++)
        x[j] = j < n ? a[j] * 0.5 * (1 + cos(PI * (double)j / (double)n)) : 0;
    fftw_execute(plan);
    for (size_t k = 1; k + 1 < FFT_POINTS; k++)
        if (x[k] > x[k - 1] && x[k] >= x[k + 1] && x[k] > (top ? x[top] : 0))
            top = k;
    *peak = top && x[top] > x[0] ? PI * (double)top / (FFT_POINTS - 1) / stride : 0;
    fftw_destroy_plan(plan);
    fftw_free(x);
    return 0;
}

/* -- modes ---------------------------------------------------------------------------------------------- */

static int readable(const mscope_rec_acf *a, mscope_modes *out)
{
    if (a->references < MSCOPE_ACF_REFERENCES) {
        snprintf(out->why, sizeof out->why, "%llu completed references, at least %d are needed",
                 (unsigned long long)a->references, MSCOPE_ACF_REFERENCES);
        return 0;
    }
    if (a->a.n < FEWEST_LAGS || a->a.n > MSCOPE_ACF_LAGS || a->stride == 0) {
        snprintf(out->why, sizeof out->why, "%u lags, at least %d are needed", a->a.n, FEWEST_LAGS);
        return 0;
    }
    for (uint32_t j = 0; j < a->a.n; j++)
        if (!isfinite(a->a.at[j]) || !(a->a.at[0] > 0)) {
            snprintf(out->why, sizeof out->why, "lag %u is %g after %g at lag 0", j, a->a.at[j], a->a.at[0]);
            return 0;
        }
    return 1;
}

/* lambda in (0, 1) decays by -log lambda a stride; anything else is noise. */
static double decay(double complex z)
{
    double r = creal(z);

    return r > 0 && r < 1 ? -log(r) : NAN;
}

static void name_modes(const double complex z[2], double stride, mscope_modes *out)
{
    if (cimag(z[0]) != 0) {
        double complex s = -clog(z[0]);
        out->kind = MSCOPE_MODES_PAIR;
        out->omega = fabs(cimag(s)) / stride;
        out->zeta = fmax(creal(s), 0) / cabs(s);
        return;
    }
    double a = decay(z[0]), b = decay(z[1]);
    out->omega = 0;
    if (!isnan(a) && !isnan(b) && out->clear > CLEAR) {
        out->kind = MSCOPE_MODES_REAL;
        out->zeta = 0.5 * (a + b) / sqrt(a * b);
    } else if (!isnan(a)) {
        out->kind = MSCOPE_MODES_ONE;
    } else {
        out->kind = MSCOPE_MODES_UNKNOWN;
        out->omega = NAN;
        snprintf(out->why, sizeof out->why, "the autocorrelation does not decay over its lags");
    }
}

int mscope_modes_of(const mscope_rec_acf *a, mscope_modes *out)
{
    double x[MSCOPE_ACF_LAGS];
    double complex z[2];
    svd h;

    memset(out, 0, sizeof *out);
    out->omega = out->zeta = out->peak = out->clear = NAN;
    out->references = a->references;
    out->nyquist = a->stride > 0 ? PI / (double)a->stride : NAN;
    if (!readable(a, out))
        return 0;
    for (uint32_t j = 0; j < a->a.n; j++)
        x[j] = a->a.at[j] / a->a.at[0];
    gsl_error_handler_t *old = gsl_set_error_handler_off();
    int rc = hankel_svd(x, a->a.n, &h);
    if (rc == 0)
        rc = periodogram_peak(x, a->a.n, (double)a->stride, &out->peak);
    if (rc == 0) {
        double second = gsl_vector_get(h.s, 1), rounding = 1e-12 * gsl_vector_get(h.s, 0);
        out->clear = second / fmax(gsl_vector_get(h.s, 2), rounding);
        shift_eigenvalues(h.u, second > rounding ? 2 : 1, z);
        name_modes(z, (double)a->stride, out);
        if (out->kind == MSCOPE_MODES_PAIR && !(out->clear > CLEAR) && !(out->zeta < PAIR_SURE)) {
            out->kind = MSCOPE_MODES_ONE;        /* a weak pair is one decay and noise */
            out->omega = 0;
            out->zeta = NAN;
        }
    } else {
        snprintf(out->why, sizeof out->why, "%s", mscope_strerror(rc));
    }
    svd_fini(&h);
    gsl_set_error_handler(old);
    return rc;
}

/* -- against the model ------------------------------------------------------------------------------------ */

static void too_fast(const mscope_modes *m, char *say, size_t cap)
{
    snprintf(say, cap, "autocorrelation cannot see so fast an oscillation, its lags are %.3g updates apart",
             PI / m->nyquist);
}

static enum mscope_agreement saw_pair(const mscope_modes *m, const mscope_verdict *v, char *say, size_t cap)
{
    double period = 2 * PI / m->omega, factor = m->omega / v->omega;

    if (isnan(v->omega)) {
        snprintf(say, cap, "autocorrelation says period %.3g updates", period);
        return MSCOPE_NO_WORD;
    }
    if (v->omega > 0 && factor < AGREE && factor > 1 / AGREE) {
        snprintf(say, cap, "autocorrelation says period %.3g updates: agrees", period);
        return MSCOPE_AGREES;
    }
    if (v->omega > 0.9 * m->nyquist) {
        too_fast(m, say, cap);
        return MSCOPE_NO_WORD;
    }
    if (v->omega > 0 && v->isotropic < 0.5 && factor < 1 && factor > 1 / SLOWED) {
        snprintf(say, cap,
                 "autocorrelation says period %.3g updates: agrees that it oscillates, slowed by unequal rows", period);
        return MSCOPE_AGREES;
    }
    if (!(m->zeta < PAIR_SURE) && !(v->zeta < 0.5)) {
        snprintf(say, cap, "autocorrelation says strongly damped: agrees");
        return MSCOPE_AGREES;
    }
    if (v->omega > 0)
        snprintf(say, cap, "autocorrelation says period %.3g updates: contradicts, the model says %.3g", period,
                 2 * PI / v->omega);
    else
        snprintf(say, cap, "autocorrelation says period %.3g updates: contradicts, the model sees no oscillation",
                 period);
    return MSCOPE_CONTRADICTS;
}

enum mscope_agreement mscope_modes_against(const mscope_modes *m, const mscope_verdict *v, char *say, size_t cap)
{
    if (m->kind == MSCOPE_MODES_UNKNOWN) {
        snprintf(say, cap, "autocorrelation unknown: %s", m->why);
        return MSCOPE_NO_WORD;
    }
    if (m->kind == MSCOPE_MODES_PAIR)
        return saw_pair(m, v, say, cap);
    if (isnan(v->zeta)) {
        snprintf(say, cap, "autocorrelation says decay without oscillation");
        return MSCOPE_NO_WORD;
    }
    if (v->zeta < 0.5 && v->omega > 0.9 * m->nyquist) {
        too_fast(m, say, cap);
        return MSCOPE_NO_WORD;
    }
    if (v->zeta < 0.5) {
        snprintf(say, cap, "autocorrelation says no oscillation: contradicts, or rows of unequal frequency hide it");
        return MSCOPE_CONTRADICTS;
    }
    snprintf(say, cap, "autocorrelation says decay without oscillation: agrees");
    return MSCOPE_AGREES;
}
