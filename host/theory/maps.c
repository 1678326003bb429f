/* maps.c - the exact matrices of (R,V,C): per active update, per global step, empty and active
 *
 * Implements (107)-(116) with the sums of batch.c, and G - I written out in eps, so that no entry
 * is formed as one minus something. What the maps do over time is in clocks.c.                  */
#include "private.h"

#include <math.h>

/* G - I for a step whose gradient has E[g|e] = h e and E|g|^2 = s |e|^2 */
static void step_minus_identity(const mscope_row *row, double h, double s, double m[9])
{
    double beta = mscope_theory_beta(row->eps, row->beta), eta = row->eta, eps = row->eps;
    double u = eps * h, n = eps * eps * s;
    double move = 1.0 - eta * u;

    m[0] = -2.0 * eta * u + eta * eta * n;
    m[1] = eta * eta * beta * beta;
    m[2] = -2.0 * eta * beta * move;
    m[3] = n;
    m[4] = -eps * (1.0 + beta);
    m[5] = 2.0 * beta * u;
    m[6] = u - eta * n;
    m[7] = -eta * beta * beta;
    m[8] = -eps - 2.0 * eta * beta * u;
}

int mscope_row_step(const mscope_row *row, double GmI[9])
{
    if (mscope_row_check(row, NULL) != MSCOPE_OK || GmI == NULL)
        return MSCOPE_EINVAL;
    step_minus_identity(row, row->h1, row->h1 * (row->h1 + row->excess), GmI);
    return MSCOPE_OK;
}

int mscope_row_parts(const mscope_row *row, double DmI[9], double SmI[9])
{
    if (mscope_row_check(row, NULL) != MSCOPE_OK)
        return MSCOPE_EINVAL;
    if (DmI != NULL)
        step_minus_identity(row, 0.0, 0.0, DmI);
    if (SmI != NULL) {
        double H1 = row->h1 / row->P;
        step_minus_identity(row, H1, H1 * (row->h1 + row->excess), SmI);
    }
    return MSCOPE_OK;
}

int mscope_row_drift(const mscope_row *row, double A[9])
{
    mscope_batch w;
    double h, u, n;

    if (mscope_row_check(row, NULL) != MSCOPE_OK || A == NULL)
        return MSCOPE_EINVAL;
    mscope_theory_waits(row->P, row->Q, row->eps, mscope_theory_beta(row->eps, row->beta), &w);
    h = row->eta;
    u = row->eps * (row->h1 / row->P);
    n = row->eps * u * (row->h1 + row->excess);
    A[0] = -2.0 * h * u + h * h * n;                                                     /* (108) */
    A[1] = h * h * (w.s2_theta - 2.0 * h * u * w.s_cross + h * h * n * w.s2_g);          /* (111) */
    A[2] = -2.0 * h * (w.s_theta - h * u * (w.s_g + w.s_theta) + h * h * n * w.s_g);     /* (112) */
    A[3] = n;                                                                            /* (113) */
    A[4] = -w.gap2 - 2.0 * h * u * w.bs_g + h * h * n * w.s2_g;                          /* (109) */
    A[5] = 2.0 * u * w.beta1bar - 2.0 * h * n * w.s_g;                                   /* (114) */
    A[6] = u - h * n;                                                                    /* (115) */
    A[7] = -h * (w.bs_theta - h * u * (w.s_cross + w.bs_g) + h * h * n * w.s2_g);        /* (116) */
    A[8] = -w.gap1 - h * u * (w.s_g + w.s_theta + w.beta1bar) + 2.0 * h * h * n * w.s_g; /* (110) */
    return MSCOPE_OK;
}

int mscope_row_inject(const mscope_row *row, double b[3])
{
    double n;

    if (mscope_row_check(row, NULL) != MSCOPE_OK || b == NULL)
        return MSCOPE_EINVAL;
    n = row->eps * row->eps * row->noise2;
    b[0] = row->eta * row->eta * n;
    b[1] = n;
    b[2] = -row->eta * n;
    return MSCOPE_OK;
}
