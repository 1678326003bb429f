/* floors.c - noise floors of the logistic model: exact fixed points and the limit below resonance
 *
 * Implements (235), (247), (248) and the Jacobian of (246) at its zero. Above resonance (244) of the
 * paper has one factor eps too many; the fixed point here is that of the drift itself.           */
#include "private.h"
#include "logistic.h"

#include <math.h>

/* residual of the two coupled equations in (s, R); the other variables follow from these */
static int residual(const mscope_lr *lr, enum mscope_lr_law law, double s, double R, double F[2],
                    mscope_lr_coeffs *k)
{
    double b = mscope_theory_beta(lr->eps, lr->beta), e = lr->eps;
    int err = mscope_lr_coefficients(lr, law, s, R, k);

    if (err != MSCOPE_OK)
        return err;
    F[0] = k->f / k->A;
    F[1] = R - 0.5 * lr->eta * (2.0 - e) * k->N / (k->A * (2.0 - e + b * lr->eta * k->A));
    return MSCOPE_OK;
}

/* Newton with a central-difference Jacobian. The residual is smooth and exact to 1e-14, so the
 * difference step changes the rate of convergence and not the answer.                            */
static int newton_step(const mscope_lr *lr, enum mscope_lr_law law, double *s, double *R,
                       double *moved)
{
    mscope_lr_coeffs k;
    double F[2], a[2], b[2], J[4], h = 1e-5, det, ds, dR, damp = 1.0;
    double hr = fmin(h, 0.5 * *R + 1e-12), low = fmax(*R - hr, 0.0);
    int err = residual(lr, law, *s, *R, F, &k);

    if (err == MSCOPE_OK)
        err = residual(lr, law, *s + h, *R, a, &k);
    if (err == MSCOPE_OK)
        err = residual(lr, law, *s - h, *R, b, &k);
    if (err != MSCOPE_OK)
        return err;
    J[0] = (a[0] - b[0]) / (2.0 * h);
    J[2] = (a[1] - b[1]) / (2.0 * h);
    err = residual(lr, law, *s, *R + hr, a, &k);
    if (err == MSCOPE_OK)
        err = residual(lr, law, *s, low, b, &k);
    if (err != MSCOPE_OK)
        return err;
    J[1] = (a[0] - b[0]) / (*R + hr - low);
    J[3] = (a[1] - b[1]) / (*R + hr - low);
    det = J[0] * J[3] - J[1] * J[2];
    ds = -(F[0] * J[3] - F[1] * J[1]) / det;
    dR = -(J[0] * F[1] - J[2] * F[0]) / det;
    if (!isfinite(ds) || !isfinite(dR))
        return MSCOPE_ESTATE;
    while (damp > 1e-6 && (fabs(damp * ds) > 0.5 || damp * dR < -0.9 * *R - 1e-300))
        damp *= 0.5;
    *s += damp * ds;
    *R += damp * dR;
    *moved = fabs(ds) + fabs(dR) / fmax(*R, 1e-300);
    return MSCOPE_OK;
}

int mscope_lr_fixed_point(const mscope_lr *lr, enum mscope_lr_law law, double x[5])
{
    mscope_lr_coeffs k;
    mscope_lr_floor start;
    double s, R, F[2], moved = 1.0, b;
    int err;

    if (x == NULL || mscope_lr_check(lr, NULL) != MSCOPE_OK)
        return MSCOPE_EINVAL;
    err = mscope_lr_limit_floor(lr->eta * lr->d / lr->batch, lr->r, &start);
    if (err != MSCOPE_OK)
        return err;
    s = start.s;
    R = start.R;
    for (int i = 0; i < 200 && moved > 1e-12; i++)
        if (newton_step(lr, law, &s, &R, &moved) != MSCOPE_OK)
            return MSCOPE_ESTATE;
    if (moved > 1e-9 || residual(lr, law, s, R, F, &k) != MSCOPE_OK)
        return MSCOPE_ESTATE;
    b = mscope_theory_beta(lr->eps, lr->beta);
    x[0] = s;
    x[1] = 0.0;
    x[2] = R;
    x[3] = lr->eps * k.N / (2.0 - lr->eps + b * lr->eta * k.A);
    x[4] = -0.5 * lr->eta * x[3];
    return MSCOPE_OK;
}

/* 2 log a + r^2 (1 - 1/a^2) = eta_eff/(2a) in t = a - 1 >= 0; the left side minus the
 * right side rises and is concave, so Newton from the left end never overshoots                                   */
static double limit_excess(double eta_eff, double r)
{
    double t = 0.0;

    for (int i = 0; i < 200; i++) {
        double a = 1.0 + t, r2 = r * r;
        double g = 2.0 * log1p(t) + r2 * t * (2.0 + t) / (a * a) - eta_eff / (2.0 * a);
        double slope = 2.0 / a + 2.0 * r2 / (a * a * a) + eta_eff / (2.0 * a * a);
        double next = t - g / slope;
        if (fabs(next - t) <= 1e-16 * t || next == t)
            break;
        t = next;
    }
    return t;
}

/* R exp(R/c) = eta_eff/2, c = 2 (1 + r^2): Newton, which is above the root after its first step */
static double implicit_floor(double eta_eff, double r)
{
    double c = 2.0 * (1.0 + r * r), R = 0.5 * eta_eff;

    for (int i = 0; i < 200; i++) {
        double g = R - 0.5 * eta_eff * exp(-R / c), slope = 1.0 + 0.5 * eta_eff * exp(-R / c) / c;
        double next = R - g / slope;
        if (fabs(next - R) <= 1e-16 * R)
            break;
        R = next;
    }
    return R;
}

int mscope_lr_limit_floor(double eta_eff, double r, mscope_lr_floor *out)
{
    double t, a, th, R, tr, det, gap, disc;

    if (out == NULL || !(eta_eff >= 0.0 && isfinite(eta_eff)) || !(r >= 0.0 && isfinite(r)))
        return MSCOPE_EINVAL;
    t = limit_excess(eta_eff, r);
    a = 1.0 + t;
    th = r / a;
    R = eta_eff / (2.0 * a);
    out->alpha = a;
    out->R = R;
    out->s = 0.0 - th * t;
    out->G = t + r * th * t;
    out->R_implicit = implicit_floor(eta_eff, r);
    gap = eta_eff / (4.0 * (1.0 + r * r));
    out->alpha1 = 1.0 + gap;
    out->R2 = 0.5 * eta_eff * (1.0 - gap);
    out->s1 = 0.0 - r * gap;
    out->jacobian[0] = -a * (1.0 + th * th);
    out->jacobian[1] = 0.0 - a * th / 2.0;
    out->jacobian[2] = 0.0 - a * 2.0 * th * R;
    out->jacobian[3] = -a * (2.0 + R);
    tr = out->jacobian[0] + out->jacobian[3];
    det = a * a * (2.0 + R + 2.0 * th * th);
    gap = out->jacobian[0] - out->jacobian[3];
    disc = gap * gap + 4.0 * out->jacobian[1] * out->jacobian[2];
    out->rate[1] = 0.5 * (tr - sqrt(disc));
    out->rate[0] = det / out->rate[1];
    return MSCOPE_OK;
}
