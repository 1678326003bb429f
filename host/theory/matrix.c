/* matrix.c - powers and exponentials of small matrices that keep the digits of slow modes
 *
 * A map is held as E = map - I. Near the identity E_{a+b} = E_a + E_b + E_a E_b loses nothing,
 * where I + E would round a rate of 1e-12 to four digits. Once the first coordinate has moved by a
 * quarter the map itself is squared: E of a decayed mode tends to -1 and hides what is left.    */
#include "private.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

typedef struct power {
    mscope_mat m;
    bool plain; /* m holds the map, not the map minus the identity */
} power;

static void product(const mscope_mat *a, const mscope_mat *b, mscope_mat *out)
{
    int n = a->n;

    out->n = n;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0.0;
            for (int k = 0; k < n; k++)
                sum += a->a[i * n + k] * b->a[k * n + j];
            out->a[i * n + j] = sum;
        }
}

static void power_settle(power *p)
{
    if (p->plain || fabs(p->m.a[0]) <= 0.25)
        return;
    for (int i = 0; i < p->m.n; i++)
        p->m.a[i * p->m.n + i] += 1.0;
    p->plain = true;
}

static void power_square(power *p)
{
    mscope_mat sq;

    product(&p->m, &p->m, &sq);
    if (!p->plain)
        for (int i = 0; i < sq.n * sq.n; i++)
            sq.a[i] += 2.0 * p->m.a[i];
    p->m = sq;
    power_settle(p);
}

static void power_apply(const power *p, double *x)
{
    int n = p->m.n;
    double y[MSCOPE_MAT_MAX];

    for (int i = 0; i < n; i++) {
        y[i] = p->plain ? 0.0 : x[i];
        for (int j = 0; j < n; j++)
            y[i] += p->m.a[i * n + j] * x[j];
    }
    memcpy(x, y, (size_t)n * sizeof *x);
}

void mscope_mat_power_apply(const mscope_mat *E, double count, double *x)
{
    power p = { *E, false };

    power_settle(&p);
    while (count > 0.0) {
        if (fmod(count, 2.0) != 0.0)
            power_apply(&p, x);
        count = floor(count / 2.0);
        if (count > 0.0)
            power_square(&p);
    }
}

/* Osborne balancing by powers of two: exact, and the norm that rules the scaling becomes honest
 * although R, V and C carry different units. Returns the infinity norm of the balanced matrix. */
static double balance(mscope_mat *m, double *s)
{
    int n = m->n;
    double norm = 0.0;

    for (int i = 0; i < n; i++)
        s[i] = 1.0;
    for (int sweep = 0; sweep < 20; sweep++)
        for (int i = 0; i < n; i++) {
            double row = 0.0, col = 0.0, f;
            for (int j = 0; j < n; j++)
                if (j != i) {
                    row += fabs(m->a[i * n + j]);
                    col += fabs(m->a[j * n + i]);
                }
            if (!(row > 0.0 && col > 0.0))
                continue;
            f = exp2(round(0.5 * (log2(row) - log2(col))));
            s[i] *= f;
            for (int j = 0; j < n; j++)
                if (j != i) {
                    m->a[i * n + j] /= f;
                    m->a[j * n + i] *= f;
                }
        }
    for (int i = 0; i < n; i++) {
        double sum = 0.0;
        for (int j = 0; j < n; j++)
            sum += fabs(m->a[i * n + j]);
        norm = fmax(norm, sum);
    }
    return norm;
}

/* expm1 of a matrix of norm <= 1/4: the 13th term is below 1e-17 of the first */
static void small_expm1(const mscope_mat *a, mscope_mat *out)
{
    mscope_mat term = *a, next;

    *out = *a;
    for (int k = 2; k <= 13; k++) {
        product(&term, a, &next);
        for (int i = 0; i < a->n * a->n; i++) {
            term.a[i] = next.a[i] / k;
            out->a[i] += term.a[i];
        }
    }
}

void mscope_mat_exp_apply(const mscope_mat *A, double t, double *x)
{
    mscope_mat m = *A;
    double s[MSCOPE_MAT_MAX], norm = t * balance(&m, s);
    int n = m.n, halvings = norm > 0.25 ? (int)ceil(log2(norm / 0.25)) : 0;
    power p = { .plain = false };

    for (int i = 0; i < n * n; i++)
        m.a[i] = ldexp(m.a[i] * t, -halvings);
    small_expm1(&m, &p.m);
    power_settle(&p);
    for (int i = 0; i < halvings; i++)
        power_square(&p);
    for (int i = 0; i < n; i++)
        x[i] /= s[i];
    power_apply(&p, x);
    for (int i = 0; i < n; i++)
        x[i] *= s[i];
}
