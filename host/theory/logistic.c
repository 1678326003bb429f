/* logistic.c - five-variable dynamics of rare-class logistic regression
 *
 * Implements (212)-(216): one unit of time is one global step, x + drift(x) is the exact
 * conditional mean of a step. Averages come from gauss.c, fixed points are in floors.c. */
#include "private.h"
#include "logistic.h"

#include <math.h>
#include <string.h>

int mscope_lr_drift(const mscope_lr *lr, enum mscope_lr_law law, const double x[5], double dx[5])
{
    mscope_lr_coeffs k;
    double h, b, e, push;
    int err;

    if (x == NULL || dx == NULL)
        return MSCOPE_EINVAL;
    err = mscope_lr_coefficients(lr, law, x[0], x[2], &k);
    if (err != MSCOPE_OK)
        return err;
    h = lr->eta;
    e = lr->eps;
    b = mscope_theory_beta(e, lr->beta);
    push = h * e * e * k.N;
    dx[0] = -h * b * x[1] - h * e * k.f; /* (212) */
    dx[1] = e * (k.f - x[1]);            /* (213) */
    dx[2] = -2.0 * h * b * x[4] - 2.0 * h * e * k.A * x[2] + h * h * b * b * x[3] +
            2.0 * h * h * b * e * k.A * x[4] + h * push;                    /* (214) */
    dx[3] = -e * (1.0 + b) * x[3] + 2.0 * b * e * k.A * x[4] + e * e * k.N; /* (215) */
    dx[4] = -e * x[4] + e * k.A * x[2] - h * b * b * x[3] - 2.0 * h * b * e * k.A * x[4] -
            push; /* (216) */
    return MSCOPE_OK;
}

int mscope_lr_iterate(const mscope_lr *lr, enum mscope_lr_law law, double n, double x[5])
{
    double y[5], dx[5];

    if (x == NULL || !(n >= 0.0 && n <= 1e7) || floor(n) != n ||
        mscope_lr_check(lr, NULL) != MSCOPE_OK)
        return MSCOPE_EINVAL;
    memcpy(y, x, sizeof y);
    for (; n > 0.0; n -= 1.0) {
        int err = mscope_lr_drift(lr, law, y, dx);
        if (err != MSCOPE_OK)
            return err;
        for (int i = 0; i < 5; i++)
            y[i] += dx[i];
    }
    memcpy(x, y, sizeof y);
    return MSCOPE_OK;
}

typedef struct flow {
    const mscope_lr *lr;
    enum mscope_lr_law law;
} flow;

static int flow_field(const void *model, const double *x, double *dx)
{
    const flow *f = model;
    double y[5];

    /* R is a square, but a trial stage of the integrator may be below zero by rounding */
    memcpy(y, x, sizeof y);
    if (y[2] < 0.0 && y[2] > -1e-6)
        y[2] = 0.0;
    return mscope_lr_drift(f->lr, f->law, y, dx);
}

int mscope_lr_flow(const mscope_lr *lr, enum mscope_lr_law law, double t, double x[5])
{
    flow f = { lr, law };
    double scale[5];

    if (x == NULL || !(t >= 0.0 && isfinite(t)) || mscope_lr_check(lr, NULL) != MSCOPE_OK)
        return MSCOPE_EINVAL;
    scale[0] = scale[2] = 1.0;
    scale[1] = scale[4] = lr->p;
    scale[3] = lr->p * lr->p;
    return mscope_theory_integrate(flow_field, &f, 5, scale, t, x);
}
