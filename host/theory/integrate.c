/* integrate.c - one initial-value problem by GSL's eighth-order Prince-Dormand rule */
#include "private.h"

#include <math.h>
#include <string.h>

#include <gsl/gsl_errno.h>
#include <gsl/gsl_odeiv2.h>

typedef struct problem {
    mscope_ode field;
    const void *model;
} problem;

static int call_field(double t, const double x[], double dx[], void *params)
{
    problem *p = params;

    (void)t;
    /* a trial stage outside the field's range calls for a shorter step; only a field that is out of its time ends it */
    const int rc = p->field(p->model, x, dx);
    return rc == MSCOPE_OK ? GSL_SUCCESS : rc == MSCOPE_EAGAIN ? GSL_EBADFUNC : GSL_FAILURE;
}

static int drive(gsl_odeiv2_system *sys, size_t n, const double *scale, double t, double *y)
{
    gsl_odeiv2_step *step = gsl_odeiv2_step_alloc(gsl_odeiv2_step_rk8pd, n);
    gsl_odeiv2_evolve *evolve = gsl_odeiv2_evolve_alloc(n);
    gsl_odeiv2_control *control = gsl_odeiv2_control_scaled_new(1e-13, 1e-11, 1.0, 0.0, scale, n);
    double at = 0.0, h = t / 64.0;
    int rc = step != NULL && evolve != NULL && control != NULL ? GSL_SUCCESS : GSL_ENOMEM;

    /* a solution that diverges needs shorter and shorter steps: stop before that gets expensive */
    for (long i = 0; rc == GSL_SUCCESS && at < t; i++) {
        rc = gsl_odeiv2_evolve_apply(evolve, control, step, sys, &at, t, &h, y);
        if (rc == GSL_SUCCESS && at < t && (i > 20000 || !(h > 1e-9 * t)))
            rc = GSL_EMAXITER;
    }
    if (control != NULL)
        gsl_odeiv2_control_free(control);
    if (evolve != NULL)
        gsl_odeiv2_evolve_free(evolve);
    if (step != NULL)
        gsl_odeiv2_step_free(step);
    return rc;
}

int mscope_theory_integrate(mscope_ode field, const void *model, size_t n, const double *scale,
                            double t, double *x)
{
    problem p = { field, model };
    gsl_odeiv2_system sys = { call_field, NULL, n, &p };
    gsl_error_handler_t *old;
    double y[5], dx[5];
    int rc = field(model, x, dx);

    if (rc != MSCOPE_OK || n > 5)
        return rc != MSCOPE_OK ? rc : MSCOPE_EINVAL;
    memcpy(y, x, n * sizeof *y);
    old = gsl_set_error_handler_off();
    rc = drive(&sys, n, scale, t, y);
    gsl_set_error_handler(old);
    if (rc == GSL_ENOMEM || rc == GSL_EBADFUNC)
        return rc == GSL_ENOMEM ? MSCOPE_ENOMEM : MSCOPE_EAGAIN;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(y[i]))
            rc = GSL_EFAILED;
    if (rc != GSL_SUCCESS)
        return MSCOPE_ENONFINITE;
    memcpy(x, y, n * sizeof *y);
    return MSCOPE_OK;
}
