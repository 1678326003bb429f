/* clocks.c - expectations after a number of ticks of each clock, and the noise floors
 *
 * Which map belongs to which number: after an active update (I+A)^k, every iterate G^n, stored at
 * the last active update the six-dimensional map y <- G y, z <- Q z + P S y, Poisson clock exp(At).
 * Label noise is one more coordinate, constant 1.                                               */
#include "private.h"

#include <math.h>
#include <string.h>

static void put_block(mscope_mat *m, int row, int col, const double *b, double factor)
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            m->a[(row + i) * m->n + col + j] = factor * b[3 * i + j];
}

static void put_inject(mscope_mat *m, int row, const double b[3], double factor)
{
    for (int i = 0; i < 3; i++)
        m->a[(row + i) * m->n + m->n - 1] = factor * b[i];
}

static int stored_map(const mscope_row *row, const double b[3], mscope_mat *m)
{
    double g[9], s[9];
    int err = mscope_row_step(row, g);

    if (err == MSCOPE_OK)
        err = mscope_row_parts(row, NULL, s);
    if (err != MSCOPE_OK)
        return err;
    for (int i = 0; i < 3; i++)
        s[4 * i] += 1.0;
    put_block(m, 0, 0, g, 1.0);
    put_block(m, 3, 0, s, row->P);
    for (int i = 0; i < 3; i++)
        m->a[(3 + i) * m->n + 3 + i] = -row->P;
    if (m->n == 7) {
        put_inject(m, 0, b, 1.0);
        put_inject(m, 3, b, 1.0);
    }
    return MSCOPE_OK;
}

static int simple_map(const mscope_row *row, enum mscope_clock clock, const double b[3],
                      mscope_mat *m)
{
    double a[9];
    int step = clock == MSCOPE_CLOCK_STEP;
    int err = step ? mscope_row_step(row, a) : mscope_row_drift(row, a);

    if (err != MSCOPE_OK)
        return err;
    put_block(m, 0, 0, a, 1.0);
    if (m->n == 4)
        put_inject(m, 0, b, step ? 1.0 : 1.0 / row->P);
    return MSCOPE_OK;
}

static int count_ok(enum mscope_clock clock, double count)
{
    if (clock == MSCOPE_CLOCK_ODE)
        return count >= 0.0 && isfinite(count);
    return count >= 0.0 && count <= 9007199254740992.0 && floor(count) == count;
}

int mscope_row_advance(const mscope_row *row, enum mscope_clock clock, double count, double x[3])
{
    double b[3], y[MSCOPE_MAT_MAX] = { 0 };
    mscope_mat m = { 0 };
    int stored = clock == MSCOPE_CLOCK_STORED, err;

    if (x == NULL || !count_ok(clock, count) || clock > MSCOPE_CLOCK_ODE)
        return MSCOPE_EINVAL;
    err = mscope_row_inject(row, b);
    if (err != MSCOPE_OK)
        return err;
    m.n = (stored ? 6 : 3) + (row->noise2 > 0.0);
    memcpy(y, x, 3 * sizeof *x);
    if (stored)
        memcpy(y + 3, x, 3 * sizeof *x);
    if (row->noise2 > 0.0)
        y[m.n - 1] = 1.0;
    err = stored ? stored_map(row, b, &m) : simple_map(row, clock, b, &m);
    if (err != MSCOPE_OK)
        return err;
    if (clock == MSCOPE_CLOCK_ODE)
        mscope_mat_exp_apply(&m, count, y);
    else
        mscope_mat_power_apply(&m, count, y);
    memcpy(x, stored ? y + 3 : y, 3 * sizeof *x);
    return MSCOPE_OK;
}

int mscope_row_floor(const mscope_row *row, enum mscope_clock clock, double x[3])
{
    mscope_feedback fb;
    double s[9], b[3], y[3], beta, n;
    int err = mscope_row_feedback(row, &fb);

    if (err != MSCOPE_OK || x == NULL || clock > MSCOPE_CLOCK_ODE)
        return MSCOPE_EINVAL;
    if (!(fb.H < 1.0) || row->eta == 0.0)
        return MSCOPE_ESTATE;
    beta = mscope_theory_beta(row->eps, row->beta);
    n = row->eps * row->eps;
    y[0] = fb.R_inf;
    y[1] = n * (row->h1 * (row->h1 + row->excess) * y[0] + row->noise2) /
           (row->eps * (1.0 + beta) + beta * row->eta * row->eps * row->h1);
    y[2] = -0.5 * row->eta * y[1];
    if (clock == MSCOPE_CLOCK_STEP) {
        memcpy(x, y, sizeof y);
        return MSCOPE_OK;
    }
    /* the gates know nothing of the state: an active update sees the step clock's floor */
    err = mscope_row_parts(row, NULL, s);
    if (err == MSCOPE_OK)
        err = mscope_row_inject(row, b);
    if (err != MSCOPE_OK)
        return err;
    for (int i = 0; i < 3; i++)
        x[i] = y[i] + s[3 * i] * y[0] + s[3 * i + 1] * y[1] + s[3 * i + 2] * y[2] + b[i] / row->P;
    return MSCOPE_OK;
}
