/* limits.c - the limit ODE of each regime, its universal cubic, its solution
 *
 * Implements (185), (188) and the table of clocks and constants by regime. Above the resonance line
 * the limit is a heavy ball, on it a heavy ball with multiplicative noise, below it R alone.    */
#include "private.h"

#include <math.h>
#include <string.h>

/* the limit of P where the expected number of open gates stays finite */
static double limit_activity(const mscope_exponents *e, const mscope_prefactors *f)
{
    double tol = e->tol > 0.0 ? e->tol : 1e-9;

    return e->sigma <= tol ? -expm1(f->batch * log1p(-f->p)) : -expm1(-f->p * f->batch);
}

static double limit_rho(const mscope_limit *l, const mscope_exponents *e,
                        const mscope_prefactors *f)
{
    switch (l->atlas.batch) {
    case MSCOPE_DENSE_SPARSE:
        return f->eps / limit_activity(e, f);
    case MSCOPE_SPARSE:
        return f->eps / (f->p * f->batch);
    default:
        return f->eps;
    }
}

static void limit_below(mscope_limit *l, const mscope_exponents *e, const mscope_prefactors *f)
{
    double speed = f->eta * f->p;

    if (l->atlas.batch == MSCOPE_DENSE_SPARSE)
        speed /= limit_activity(e, f);
    else if (l->atlas.batch == MSCOPE_SPARSE)
        speed = f->eta / f->batch;
    l->dim = 1;
    l->eta_eff = f->eta / f->batch;
    l->c_eff = speed * (2.0 - l->eta_eff);
}

static int limit_ball(mscope_limit *l, const mscope_exponents *e, const mscope_prefactors *f)
{
    double rho = limit_rho(l, e, f), eb, lack;

    l->rho = rho;
    l->etabar = eb = f->eta * f->p / f->eps;
    l->dim = l->atlas.phase == MSCOPE_ON ? 3 : 2;
    l->zeta = l->dim == 3 ? f->eps / (f->p * f->batch) : 0.0;
    l->xi = rho * l->zeta;
    memcpy(l->M,
           (double[9]){ 0.0, 0.0, -2.0 * rho * eb, l->xi, -2.0 * rho, 2.0 * rho, rho, -rho * eb,
                        -rho },
           sizeof l->M);
    l->cubic[0] = 3.0;
    l->cubic[1] = 2.0 + 4.0 * eb;
    l->cubic[2] = 2.0 * eb * (2.0 - eb * l->zeta);
    lack = 1.0 - 4.0 * eb;
    l->discriminant = 4.0 * (lack * lack * lack - 27.0 * pow(eb, 4) * l->zeta * l->zeta);
    l->oscillates = eb > 0.25;
    return mscope_cubic_roots(l->cubic, l->root, &l->spectrum);
}

int mscope_limit_of(const mscope_exponents *e, const mscope_prefactors *f, mscope_limit *out)
{
    mscope_limit l = { .dim = 0 };
    int err = mscope_classify(e, &l.atlas);

    if (err != MSCOPE_OK || out == NULL || f == NULL)
        return MSCOPE_EINVAL;
    if (!(f->p > 0.0) || !(f->batch > 0.0) || !(f->eps > 0.0) || !(f->eta > 0.0) ||
        !isfinite(f->p + f->batch + f->eps + f->eta))
        return MSCOPE_EINVAL;
    if (e->kappa == 0.0 && f->p > 1.0)
        return MSCOPE_EINVAL;
    if (strcmp(l.atlas.limit, "none") == 0)
        ;
    else if (l.atlas.phase == MSCOPE_BELOW)
        limit_below(&l, e, f);
    else
        err = limit_ball(&l, e, f);
    if (err == MSCOPE_OK)
        *out = l;
    return err;
}

int mscope_limit_at(const mscope_limit *limit, double tau, double x[3])
{
    mscope_mat m = { .n = 3 };
    mscope_real y[3];

    if (limit == NULL || x == NULL || !(tau >= 0.0 && isfinite(tau)))
        return MSCOPE_EINVAL;
    if (limit->dim == 0)
        return MSCOPE_ENOTSUP;
    if (limit->dim == 1) {
        x[0] *= exp(-limit->c_eff * tau);
        return MSCOPE_OK;
    }
    for (int i = 0; i < 9; i++)
        m.a[i] = limit->M[i];
    for (int i = 0; i < 3; i++)
        y[i] = x[i];
    mscope_mat_exp_apply(&m, tau, y);
    for (int i = 0; i < 3; i++)
        x[i] = (double)y[i];
    return MSCOPE_OK;
}
