/* linear_moments.c - in the eigenbasis of sum x x^T, where the mean gradient is a product by each eigenvalue */
#include "linear_moments.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_eigen.h>

#include "dot.h"

/* z = X U (exact only), b = U^T X^T y; P, K, V: covariances of (w, w), (w, m), (m, m), N of g: d x d or their
 * diagonals. */
typedef struct {
    const mscope_linear_problem *p;
    int exact;
    size_t wide;                     /* numbers in each of P, K, V, N                             */
    double *h, *b, *w, *m, *r;       /* eigenvalues, b, mean w, mean m, mean of sum_i e_i x_i      */
    double *P, *K, *V, *N, *K_old;
    double *z, *line;
    double yy;
} state;

static void gram(const mscope_linear_problem *p, gsl_matrix *A)
{
    gsl_matrix_set_zero(A);
    for (size_t i = 0; i < p->n; i++)
        for (size_t j = 0; j < p->d; j++) {
            double *row = gsl_matrix_ptr(A, j, 0);
            const double xj = (double)p->x[i * p->d + j];
            for (size_t k = 0; k <= j; k++)
                row[k] += xj * (double)p->x[i * p->d + k];
        }
}

/* out = U^T in */
static void turn(const gsl_matrix *U, const double *in, double *out)
{
    memset(out, 0, U->size1 * sizeof *out);
    for (size_t j = 0; j < U->size1; j++)
        for (size_t k = 0; k < U->size2; k++)
            out[k] += gsl_matrix_get(U, j, k) * in[j];
}

static void rotate(state *s, const gsl_matrix *U)
{
    const mscope_linear_problem *p = s->p;
    memset(s->r, 0, p->d * sizeof *s->r);
    for (size_t i = 0; i < p->n; i++) {
        for (size_t j = 0; j < p->d; j++) {
            s->line[j] = (double)p->x[i * p->d + j];
            s->r[j] += s->line[j] * (double)p->y[i];
        }
        if (s->exact)
            turn(U, s->line, s->z + i * p->d);
        s->yy += (double)p->y[i] * (double)p->y[i];
    }
    turn(U, s->r, s->b);
    turn(U, p->start, s->w);
}

/* N = var sum_i E e_i^2 x_i x_i^T - apart E r r^T, r = sum_i e_i x_i; needs the means of before the step. */
static void noise(state *s)
{
    const mscope_linear_problem *p = s->p;
    const size_t d = p->d;
    double square = s->yy;
    for (size_t j = 0; j < d; j++) {
        s->r[j] = s->h[j] * s->w[j] - s->b[j];
        square += s->h[j] * s->w[j] * s->w[j] - 2 * s->w[j] * s->b[j];
    }
    if (!s->exact) {
        for (size_t j = 0; j < d; j++)
            square += s->h[j] * s->P[j];
        for (size_t j = 0; j < d; j++)
            s->N[j] =
                p->var * s->h[j] * square / (double)p->n - p->apart * (s->h[j] * s->h[j] * s->P[j] + s->r[j] * s->r[j]);
        return;
    }
    for (size_t j = 0; j < d; j++)
        for (size_t k = 0; k < d; k++)
            s->N[j * d + k] = -p->apart * (s->h[j] * s->h[k] * s->P[j * d + k] + s->r[j] * s->r[k]);
    for (size_t i = 0; i < p->n; i++) {
        const double *z = s->z + i * d, e = mscope_bench_dot(z, s->w, d) - (double)p->y[i];
        double spread = 0;
        for (size_t j = 0; j < d; j++)
            spread += z[j] * mscope_bench_dot(s->P + j * d, z, d);
        for (size_t j = 0; j < d; j++) {
            const double by = p->var * (e * e + spread) * z[j];
            for (size_t k = 0; k < d; k++)
                s->N[j * d + k] += by * z[k];
        }
    }
}

/* dw_j <- a_j dw_j + b dm_j + c xi_j;   dm_j <- e_j dw_j + keep dm_j + gain xi_j */
static void covariances(state *s, const mscope_bench_linear *l)
{
    const size_t d = s->p->d, others = s->exact ? d : 1;
    const double b = -l->pull * l->keep, c = -l->pull * l->gain - l->push, q = l->keep, G = l->gain;
    memcpy(s->K_old, s->K, s->wide * sizeof *s->K);
    for (size_t j = 0; j < d; j++)
        for (size_t o = 0; o < others; o++) {
            const size_t k = s->exact ? o : j, at = s->exact ? j * d + k : j, mirror = s->exact ? k * d + j : j;
            const double gj = s->p->share * s->h[j], gk = s->p->share * s->h[k], ej = G * gj, ek = G * gk;
            const double aj = 1 - l->pull * ej - l->push * gj, ak = 1 - l->pull * ek - l->push * gk;
            const double P = s->P[at], K = s->K_old[at], T = s->K_old[mirror], V = s->V[at], N = s->N[at];
            s->P[at] = aj * ak * P + aj * b * K + b * ak * T + b * b * V + c * c * N;
            s->K[at] = aj * ek * P + aj * q * K + b * ek * T + b * q * V + c * G * N;
            s->V[at] = ej * ek * P + ej * q * K + q * ek * T + q * q * V + G * G * N;
        }
}

static void means(state *s, const mscope_bench_linear *l)
{
    for (size_t j = 0; j < s->p->d; j++) {
        const double g = s->p->share * s->r[j];
        s->m[j] = l->keep * s->m[j] + l->gain * g;
        s->w[j] -= l->pull * s->m[j] + l->push * g;
    }
}

static void report(const state *s, const gsl_matrix *U, mscope_linear_moments *out)
{
    const size_t d = s->p->d;
    double square = s->yy, least = s->yy;
    turn(U, s->p->probe, s->r);
    out->along = mscope_bench_dot(s->r, s->w, d);
    turn(U, s->p->start, s->r);
    out->first = mscope_bench_dot(s->r, s->w, d);
    out->square = mscope_bench_dot(s->w, s->w, d);
    for (size_t j = 0; j < d; j++) {
        const double P = s->P[s->exact ? j * d + j : j];
        out->square += P;
        square += s->h[j] * (s->w[j] * s->w[j] + P) - 2 * s->w[j] * s->b[j];
        least -= s->h[j] > 1e-6 ? s->b[j] * s->b[j] / s->h[j] : 0;      /* x is float32: a zero eigenvalue is 1e-7 */
    }
    out->train = fmax(square, 0) / (2 * (double)s->p->n);
    out->least = fmax(least, 0) / (2 * (double)s->p->n);
}

int mscope_linear_expect(const mscope_linear_problem *p, const mscope_bench_linear *a, double t, int exact,
                         mscope_linear_moments *out)
{
    const size_t d = p->d, wide = exact ? d * d : d, z = exact ? p->n * d : 0;
    gsl_matrix *A = gsl_matrix_alloc(d, d), *U = gsl_matrix_alloc(d, d);
    gsl_vector *h = gsl_vector_alloc(d);
    gsl_eigen_symmv_workspace *work = gsl_eigen_symmv_alloc(d);
    double *mem = calloc(6 * d + 5 * wide + z, sizeof *mem);
    int rc = -1;
    if (A != NULL && U != NULL && h != NULL && work != NULL && mem != NULL) {
        state s = { .p = p, .exact = exact, .wide = wide };
        double **part[] = { &s.h, &s.b, &s.w, &s.m, &s.r, &s.line }, **square[] = { &s.P, &s.K, &s.V, &s.N, &s.K_old };
        for (size_t i = 0; i < 6; i++)
            *part[i] = mem + i * d;
        for (size_t i = 0; i < 5; i++)
            *square[i] = mem + 6 * d + i * wide;
        s.z = mem + 6 * d + 5 * wide;
        gram(p, A);
        gsl_eigen_symmv(A, h, U, work);
        for (size_t j = 0; j < d; j++)
            s.h[j] = fmax(gsl_vector_get(h, j), 0);
        rotate(&s, U);
        for (double i = 0; i < t; i++) {
            noise(&s);
            covariances(&s, a);
            means(&s, a);
        }
        report(&s, U, out);
        rc = 0;
    }
    free(mem);
    gsl_eigen_symmv_free(work);
    gsl_vector_free(h);
    gsl_matrix_free(U);
    gsl_matrix_free(A);
    return rc;
}
