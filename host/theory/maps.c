/* maps.c - the exact matrices of (R,V,C): per active update, per global step, empty and active
 *
 * Implements (107)-(116) with the sums of batch.c. G - I is written in terms of eps, so that no entry
 * is computed as one minus a number near one. clocks.c applies the maps over time.              */
#include "private.h"

#include <math.h>

/* G - I for a step whose gradient has E[g|e] = h e and E|g|^2 = s |e|^2 */
static void minus_identity(const mscope_row *row, mscope_real h, mscope_real s, mscope_real m[9])
{
    mscope_law l = mscope_theory_law(row);
    mscope_real eta = row->eta, u = l.eps * h, n = l.eps * l.eps * s, move = 1.0L - eta * u;

    m[0] = -2.0L * eta * u + eta * eta * n;
    m[1] = eta * eta * l.beta * l.beta;
    m[2] = -2.0L * eta * l.beta * move;
    m[3] = n;
    m[4] = -l.eps * (1.0L + l.beta);
    m[5] = 2.0L * l.beta * u;
    m[6] = u - eta * n;
    m[7] = -eta * l.beta * l.beta;
    m[8] = -l.eps - 2.0L * eta * l.beta * u;
}

void mscope_theory_step(const mscope_row *row, mscope_real GmI[9])
{
    mscope_real h = row->h1;

    minus_identity(row, h, h * (h + row->excess), GmI);
}

void mscope_theory_active(const mscope_row *row, mscope_real SmI[9])
{
    mscope_real H1 = row->h1 / mscope_theory_law(row).P;

    minus_identity(row, H1, H1 * ((mscope_real)row->h1 + row->excess), SmI);
}

void mscope_theory_drift(const mscope_row *row, mscope_real A[9])
{
    mscope_law l = mscope_theory_law(row);
    mscope_waits w = mscope_theory_waits(&l);

    mscope_theory_drift_of(row, &w, A);
}

void mscope_theory_drift_of(const mscope_row *row, const mscope_waits *waits, mscope_real A[9])
{
    mscope_law l = mscope_theory_law(row);
    mscope_waits w = *waits;
    mscope_real h = row->eta, u = l.eps * (row->h1 / l.P);
    mscope_real n = l.eps * u * ((mscope_real)row->h1 + row->excess);

    A[0] = -2.0L * h * u + h * h * n;                                                 /* (108) */
    A[1] = h * h * (w.s2_theta - 2.0L * h * u * w.s_cross + h * h * n * w.s2_g);      /* (111) */
    A[2] = -2.0L * h * (w.s_theta - h * u * (w.s_g + w.s_theta) + h * h * n * w.s_g); /* (112) */
    A[3] = n;                                                                         /* (113) */
    A[4] = -w.gap2 - 2.0L * h * u * w.bs_g + h * h * n * w.s2_g;                      /* (109) */
    A[5] = 2.0L * u * w.beta1bar - 2.0L * h * n * w.s_g;                              /* (114) */
    A[6] = u - h * n;                                                                 /* (115) */
    A[7] = -h * (w.bs_theta - h * u * (w.s_cross + w.bs_g) + h * h * n * w.s2_g);     /* (116) */
    A[8] =
        -w.gap1 - h * u * (w.s_g + w.s_theta + w.beta1bar) + 2.0L * h * h * n * w.s_g; /* (110) */
}

void mscope_theory_inject(const mscope_row *row, mscope_real b[3])
{
    mscope_law l = mscope_theory_law(row);
    mscope_real n = l.eps * l.eps * row->noise2;

    b[0] = row->eta * (row->eta * n);
    b[1] = n;
    b[2] = -row->eta * n;
}

static void round_to(const mscope_real *from, double *to, int n)
{
    for (int i = 0; i < n; i++)
        to[i] = (double)from[i];
}

int mscope_row_step(const mscope_row *row, double GmI[9])
{
    mscope_real m[9];

    if (mscope_row_check(row, NULL) != MSCOPE_OK || GmI == NULL)
        return MSCOPE_EINVAL;
    mscope_theory_step(row, m);
    round_to(m, GmI, 9);
    return MSCOPE_OK;
}

int mscope_row_parts(const mscope_row *row, double DmI[9], double SmI[9])
{
    mscope_real m[9];

    if (mscope_row_check(row, NULL) != MSCOPE_OK)
        return MSCOPE_EINVAL;
    if (DmI != NULL) {
        minus_identity(row, 0.0L, 0.0L, m);
        round_to(m, DmI, 9);
    }
    if (SmI != NULL) {
        mscope_theory_active(row, m);
        round_to(m, SmI, 9);
    }
    return MSCOPE_OK;
}

int mscope_row_drift(const mscope_row *row, double A[9])
{
    mscope_real m[9];

    if (mscope_row_check(row, NULL) != MSCOPE_OK || A == NULL)
        return MSCOPE_EINVAL;
    mscope_theory_drift(row, m);
    round_to(m, A, 9);
    return MSCOPE_OK;
}

int mscope_row_inject(const mscope_row *row, double b[3])
{
    mscope_real m[3];

    if (mscope_row_check(row, NULL) != MSCOPE_OK || b == NULL)
        return MSCOPE_EINVAL;
    mscope_theory_inject(row, m);
    round_to(m, b, 3);
    return MSCOPE_OK;
}
