/* clocks.c - expectations after a number of ticks of each clock, and the noise floors
 *
 * Each clock has its map. Right after an active update: (I+A)^k. After every global step: G^n.
 * Stored at the last active update: the six-dimensional y <- G y, z <- Q z + P S y. Poisson clock:
 * exp(A t). Label noise is one more coordinate, which is constantly 1.                          */
#include "private.h"

#include <math.h>
#include <string.h>

static void put_block(mscope_mat *m, int row, int col, const mscope_real *b, mscope_real factor)
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            m->a[(row + i) * m->n + col + j] = factor * b[3 * i + j];
}

static void put_inject(mscope_mat *m, int row, const mscope_real b[3], mscope_real factor)
{
    for (int i = 0; i < 3; i++)
        m->a[(row + i) * m->n + m->n - 1] = factor * b[i];
}

static void stored_map(const mscope_row *row, mscope_mat *m)
{
    mscope_real P = mscope_theory_law(row).P, g[9], s[9], b[3];

    mscope_theory_step(row, g);
    mscope_theory_active(row, s);
    mscope_theory_inject(row, b);
    for (int i = 0; i < 3; i++)
        s[4 * i] += 1.0L;
    put_block(m, 0, 0, g, 1.0L);
    put_block(m, 3, 0, s, P);
    for (int i = 0; i < 3; i++)
        m->a[(3 + i) * m->n + 3 + i] = -P;
    if (m->n == 7) {
        put_inject(m, 0, b, 1.0L);
        put_inject(m, 3, b, 1.0L);
    }
}

static void simple_map(const mscope_row *row, int step, mscope_mat *m)
{
    mscope_real a[9], b[3];

    if (step)
        mscope_theory_step(row, a);
    else
        mscope_theory_drift(row, a);
    mscope_theory_inject(row, b);
    put_block(m, 0, 0, a, 1.0L);
    if (m->n == 4)
        put_inject(m, 0, b, step ? 1.0L : 1.0L / mscope_theory_law(row).P);
}

static int count_ok(enum mscope_clock clock, double count)
{
    if (clock == MSCOPE_CLOCK_ODE)
        return count >= 0.0 && isfinite(count);
    return count >= 0.0 && count <= 9007199254740992.0 && floor(count) == count;
}

int mscope_row_advance(const mscope_row *row, enum mscope_clock clock, double count, double x[3])
{
    int stored = clock == MSCOPE_CLOCK_STORED, first = stored ? 3 : 0;
    mscope_real y[MSCOPE_MAT_MAX] = { 0 };
    mscope_mat m = { 0 };

    if (mscope_row_check(row, NULL) != MSCOPE_OK || x == NULL || clock > MSCOPE_CLOCK_ODE ||
        !count_ok(clock, count))
        return MSCOPE_EINVAL;
    m.n = (stored ? 6 : 3) + (row->noise2 > 0.0);
    for (int i = 0; i < 3; i++)
        y[i] = y[first + i] = x[i];
    if (row->noise2 > 0.0)
        y[m.n - 1] = 1.0L;
    if (stored)
        stored_map(row, &m);
    else
        simple_map(row, clock == MSCOPE_CLOCK_STEP, &m);
    if (clock == MSCOPE_CLOCK_ODE)
        mscope_mat_exp_apply(&m, count, y);
    else
        mscope_mat_power_apply(&m, count, y);
    for (int i = 0; i < 3; i++)
        if (!isfinite((double)y[first + i]))
            return MSCOPE_ENONFINITE;
    for (int i = 0; i < 3; i++)
        x[i] = (double)y[first + i];
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
    /* gates do not depend on the state, so an active update starts from the floor of the step clock */
    err = mscope_row_parts(row, NULL, s);
    if (err == MSCOPE_OK)
        err = mscope_row_inject(row, b);
    if (err != MSCOPE_OK)
        return err;
    for (int i = 0; i < 3; i++)
        x[i] = y[i] + s[3 * i] * y[0] + s[3 * i + 1] * y[1] + s[3 * i + 2] * y[2] + b[i] / row->P;
    return MSCOPE_OK;
}
