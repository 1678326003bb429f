/* feedback.c - feedback H, stiffness, damping of the mean error, and the regime of one row
 *
 * Only H = eta/eta_max decides about stability. Below it the damping ratio of the exact mean map on
 * the active clock decides the regime. The published Delta is reported and decides nothing.     */
#include "private.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

const char *mscope_regime_name(enum mscope_regime regime)
{
    static const char *const names[] = { "sgd-like", "resonant", "heavy-ball", "near-instability",
                                         "unstable", "unknown" };
    return names[(unsigned)regime < MSCOPE_REGIME_UNKNOWN ? regime : MSCOPE_REGIME_UNKNOWN];
}

enum mscope_regime mscope_regime_of(double H, double zeta)
{
    if (!(H <= 1.0))
        return MSCOPE_REGIME_UNSTABLE;
    if (H > 0.8)
        return MSCOPE_REGIME_NEAR;
    if (zeta > 2.0)
        return MSCOPE_REGIME_SGD;
    return zeta < 0.5 ? MSCOPE_REGIME_HEAVY_BALL : MSCOPE_REGIME_RESONANT;
}

/* With multipliers 1 - mu, mu = rho/2 ((1+x) +- sqrt((1+x)^2 - 4 x/rho)), and s = -log(1 - mu):
 * zeta = (s1 + s2)/(2 sqrt(|s1 s2|)), omega = |Im s|. A negative real multiplier flips the sign of
 * the error at every update: omega = pi, and the formula is continuous across that border.       */
void mscope_theory_mean_mode(double rho, double x, double *zeta, double *omega)
{
    double disc = (1.0 + x) * (1.0 + x) - 4.0 * x / rho;
    double big, small, a, b, wa, wb;

    if (disc < 0.0) {
        double re = 1.0 - 0.5 * rho * (1.0 + x), im = 0.5 * rho * sqrt(-disc);
        a = -0.5 * log1p(-rho);
        *omega = atan2(im, re);
        *zeta = a / hypot(a, *omega);
        return;
    }
    big = 0.5 * rho * ((1.0 + x) + sqrt(disc));
    small = big > 0.0 ? x * rho / big : 0.0;
    wa = big > 1.0 ? PI : 0.0;
    wb = small > 1.0 ? PI : 0.0;
    a = big > 1.0 ? -log(big - 1.0) : -log1p(-big);
    b = small > 1.0 ? -log(small - 1.0) : -log1p(-small);
    /* the mode that decays more slowly is the visible one */
    *omega = a < b ? wa : wb;
    *zeta = 0.5 * (a + b) / sqrt(hypot(a, wa) * hypot(b, wb));
    if (isinf(a) || isinf(b) || isnan(*zeta))
        *zeta = INFINITY;
}

static double step_frequency(double eps, double beta, double w)
{
    double lag = 4.0 * w - (eps + w) * (eps + w); /* 4 beta - (1 + beta - w)^2 */

    if (lag > 0.0)
        return atan2(sqrt(lag), 1.0 + beta - w);
    return w > 1.0 + beta ? PI : 0.0;
}

int mscope_row_feedback(const mscope_row *row, mscope_feedback *out)
{
    double eps, beta, w;
    int err = mscope_row_check(row, NULL);

    if (err != MSCOPE_OK || out == NULL)
        return MSCOPE_EINVAL;
    eps = row->eps;
    beta = mscope_theory_beta(eps, row->beta);
    w = row->eta * eps * row->h1;
    err = mscope_row_eta_max(row, &out->eta_max);
    if (err == MSCOPE_OK)
        err = mscope_row_rate(row, &out->rate);
    if (err != MSCOPE_OK)
        return err;
    out->Hn = 0.5 * row->eta * row->excess;
    out->Hc = w / (2.0 * (1.0 + beta));
    out->H = row->eta / out->eta_max;
    out->phi = 0.5 * row->eta * row->noise2 / row->h1;
    out->R_inf = out->H < 1.0 ? out->phi / ((out->eta_max - row->eta) / out->eta_max) : INFINITY;
    out->rho = eps / mscope_theory_x1(row->P, row->Q, eps);
    out->rho_proxy = eps / (row->P + eps);
    out->x = row->eta * (row->h1 / row->P);
    out->retention = mscope_theory_x1(row->P, row->Q, eps) / eps;
    out->learning = 1.0 / out->x;
    out->delta = out->x * out->retention;
    out->delta_proxy = out->x / out->rho_proxy;
    mscope_theory_mean_mode(out->rho, out->x, &out->zeta, &out->omega);
    out->omega2 = row->eta * row->h1 / eps;
    out->omega_step = step_frequency(eps, beta, w);
    out->rate_cap = beta > 0.5 ? -log1p(-eps) : -log(beta);
    out->regime = mscope_regime_of(out->H, out->zeta);
    return MSCOPE_OK;
}
