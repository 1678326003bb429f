/* lr_limits.c - limit ODEs of the logistic regions
 *
 * Implements (237)-(240), (246), (250), (254). alpha(s, R) depends on the state here; with alpha
 * fixed at its optimum the equations would be the linearisation only.                            */
#include "private.h"

#include <math.h>
#include <string.h>

typedef struct region {
    char tag;
    double eps, ep, eta_eff, pump, r; /* ep = eta_ p_; pump drives V (250) */
} region;

static int region_open(const char *tag, const mscope_prefactors *f, double r, region *out)
{
    if (tag == NULL || f == NULL || !(r >= 0.0 && isfinite(r)) || !(f->p > 0.0) ||
        !(f->batch > 0.0) || !(f->eps > 0.0) || !(f->eta > 0.0) ||
        !isfinite(f->p + f->batch + f->eps + f->eta))
        return MSCOPE_EINVAL;
    if (strlen(tag) != 1 || strchr("ACDEF", tag[0]) == NULL)
        return MSCOPE_ENOTSUP;
    *out = (region){
        .tag = tag[0], .eps = f->eps, .ep = f->eta * f->p, .eta_eff = f->eta / f->batch, .r = r
    };
    out->pump = tag[0] == 'E' ? f->eps * f->eps / (f->p * f->batch) : 0.0;
    return MSCOPE_OK;
}

static int region_field(const void *model, const double *x, double *dx)
{
    const region *g = model;
    double s = x[0], log_alpha = s * g->r + 0.5 * (s * s + x[2]), alpha = exp(log_alpha);
    double pull = alpha * s + g->r * expm1(log_alpha); /* alpha (s + r) - r */

    if (!isfinite(alpha))
        return MSCOPE_ENONFINITE;
    if (g->tag == 'D') {
        dx[0] = -g->ep * pull;
        dx[2] = -2.0 * g->ep * alpha * x[2] + g->ep * g->eta_eff;
        dx[1] = dx[3] = dx[4] = 0.0;
        return MSCOPE_OK;
    }
    dx[0] = -g->ep * x[1];
    dx[1] = g->eps * (pull - x[1]);
    dx[2] = -2.0 * g->ep * x[4];
    dx[3] = -2.0 * g->eps * x[3] + 2.0 * g->eps * alpha * x[4] + g->pump;
    dx[4] = -g->eps * x[4] + g->eps * alpha * x[2] - g->ep * x[3];
    return MSCOPE_OK;
}

int mscope_lr_limit_drift(const char *tag, const mscope_prefactors *f, double r, const double x[5],
                          double dx[5])
{
    region g;
    int err = region_open(tag, f, r, &g);

    if (err != MSCOPE_OK)
        return err;
    if (x == NULL || dx == NULL)
        return MSCOPE_EINVAL;
    return region_field(&g, x, dx);
}

int mscope_lr_limit_flow(const char *tag, const mscope_prefactors *f, double r, double tau,
                         double x[5])
{
    static const double scale[5] = { 1.0, 1.0, 1.0, 1.0, 1.0 };
    region g;
    int err = region_open(tag, f, r, &g);

    if (err != MSCOPE_OK)
        return err;
    if (x == NULL || !(tau >= 0.0 && isfinite(tau)))
        return MSCOPE_EINVAL;
    return mscope_theory_integrate(region_field, &g, 5, scale, tau, x);
}
