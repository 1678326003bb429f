/* matrix.c - powers and exponentials of small matrices that keep the digits of slow modes
 *
 * A map is kept as E = map - I. Near the identity E_{a+b} = E_a + E_b + E_a E_b loses nothing, while
 * I + E would round a rate of 1e-12 to four digits. After the first coordinate has moved by a
 * quarter, the map itself is squared: E of a decayed mode tends to -1 and hides the rest.       */
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
            mscope_real sum = 0.0L;
            for (int k = 0; k < n; k++)
                sum += a->a[i * n + k] * b->a[k * n + j];
            out->a[i * n + j] = sum;
        }
}

static void power_settle(power *p)
{
    if (p->plain || fabsl(p->m.a[0]) <= 0.25L)
        return;
    for (int i = 0; i < p->m.n; i++)
        p->m.a[i * p->m.n + i] += 1.0L;
    p->plain = true;
}

static void power_square(power *p)
{
    mscope_mat sq;

    product(&p->m, &p->m, &sq);
    if (!p->plain)
        for (int i = 0; i < sq.n * sq.n; i++)
            sq.a[i] += 2.0L * p->m.a[i];
    p->m = sq;
    power_settle(p);
}

static void power_apply(const power *p, mscope_real *x)
{
    int n = p->m.n;
    mscope_real y[MSCOPE_MAT_MAX] = { 0.0L };

    for (int i = 0; i < n; i++) {
        y[i] = p->plain ? 0.0L : x[i];
        for (int j = 0; j < n; j++)
            y[i] += p->m.a[i * n + j] * x[j];
    }
    memcpy(x, y, (size_t)n * sizeof *x);
}

void mscope_mat_power_apply(const mscope_mat *E, double count, mscope_real *x)
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

/* Osborne balancing by powers of two, which is exact. R, V and C have different units; only after
 * balancing the norm, which decides the scaling, is meaningful. Returns the balanced infinity norm. */
static double balance(mscope_mat *m, mscope_real *s)
{
    int n = m->n;
    double norm = 0.0;

    for (int i = 0; i < n; i++)
        s[i] = 1.0L;
    for (int sweep = 0; sweep < 20; sweep++)
        for (int i = 0; i < n; i++) {
            double row = 0.0, col = 0.0, f;
            for (int j = 0; j < n; j++)
                if (j != i) {
                    row += (double)fabsl(m->a[i * n + j]);
                    col += (double)fabsl(m->a[j * n + i]);
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
            sum += (double)fabsl(m->a[i * n + j]);
        norm = fmax(norm, sum);
    }
    return norm;
}

/* expm1 of a matrix of norm <= 1/4: the 17th term is below 1e-25 of the first */
static void small_expm1(const mscope_mat *a, mscope_mat *out)
{
    mscope_mat term = *a, next;

    *out = *a;
    for (int k = 2; k <= 17; k++) {
        product(&term, a, &next);
        for (int i = 0; i < a->n * a->n; i++) {
            term.a[i] = next.a[i] / k;
            out->a[i] += term.a[i];
        }
    }
}

void mscope_mat_exp_apply(const mscope_mat *A, double t, mscope_real *x)
{
    mscope_mat m = *A;
    mscope_real s[MSCOPE_MAT_MAX];
    double norm = t * balance(&m, s);
    /* beyond 2^2000 nothing is finite, and the caller checks that */
    int n = m.n, halvings = norm > 0.25 ? (int)fmin(ceil(log2(norm / 0.25)), 2000.0) : 0;
    power p = { .plain = false };

    for (int i = 0; i < n * n; i++)
        m.a[i] = ldexpl(m.a[i] * t, -halvings);
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
