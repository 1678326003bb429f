/* renewal.c - a row whose gaps between active updates were measured
 *
 * With gaps that are independent of one another the moments at one active update give those at the next by I + A, and A
 * depends on the law of the gaps only through fade = E(1 - beta^K) and fade2 = E(1 - beta^K)^2. Written in these two,
 * every sum of (33)-(45) is free of differences of numbers near 1.                                      */
#include "private.h"

#include <math.h>

static mscope_waits waits_of(const mscope_row *row, double fade, double fade2)
{
    mscope_law l = mscope_theory_law(row);
    mscope_real f = fade, f2 = fade2, gap2 = 2.0L * f - f2, by = l.beta / l.eps;
    mscope_waits w = {
        .beta1bar = 1.0L - f,
        .beta2bar = 1.0L - gap2,
        .gap1 = f,
        .gap2 = gap2,
        .s_theta = by * f,
        .s2_theta = by * by * f2,
        .bs_theta = by * (f - f2),
    };

    w.s_g = w.s_theta - w.beta1bar;
    w.bs_g = w.bs_theta - w.beta2bar;
    w.s_cross = w.s2_theta - w.bs_theta;
    w.s2_g = w.s_cross - w.bs_g;
    return w;
}

/* A, and z^3 + c[0] z^2 + c[1] z + c[2] of it. */
static void cubic_of(const mscope_row *row, const mscope_waits *w, mscope_real c[3])
{
    mscope_real A[9];

    mscope_theory_drift_of(row, w, A);
    c[0] = -(A[0] + A[4] + A[8]);
    c[1] = A[0] * A[4] - A[1] * A[3] + A[0] * A[8] - A[2] * A[6] + A[4] * A[8] - A[5] * A[7];
    c[2] = -(A[0] * (A[4] * A[8] - A[5] * A[7]) - A[1] * (A[3] * A[8] - A[5] * A[6]) +
             A[2] * (A[3] * A[7] - A[4] * A[6]));
}

/* Is a row mean-square stable at this eta? Stability is lost where det(-A) = 0: the map keeps second-moment matrices
 * positive, so its dominant eigenvalue is real. */
static int stable(const mscope_row *row, const mscope_waits *w, double eta)
{
    mscope_row at = *row;
    mscope_real c[3];

    at.eta = eta;
    cubic_of(&at, w, c);
    return c[2] > 0.0L;
}

/* The smallest eta that is not stable, from a first guess. */
static double limit(const mscope_row *row, const mscope_waits *w, double guess)
{
    double low = 0.0, high = guess * 1e-3;

    while (stable(row, w, high) && high < guess * 1e6) {
        low = high;
        high *= 1.5;
    }
    for (int i = 0; i < 50 && high - low > 1e-12 * high; i++) {
        double mid = 0.5 * (low + high);

        if (stable(row, w, mid))
            low = mid;
        else
            high = mid;
    }
    return high;
}

int mscope_row_feedback_measured(const mscope_row *row, double fade, double fade2, mscope_feedback *out)
{
    int err = mscope_row_feedback(row, out);
    double root[3][2];
    mscope_real c[3];
    mscope_waits w;

    if (err != MSCOPE_OK)
        return err;
    if (!(fade > 0.0 && fade <= 1.0 && fade2 >= fade * fade * (1.0 - 1e-12) && fade2 <= fade))
        return MSCOPE_EINVAL;
    w = waits_of(row, fade, fade2);
    out->rho = fade;
    out->retention = 1.0 / fade;
    out->delta = out->x / fade;
    mscope_theory_mean_mode(out->rho, out->x, &out->zeta, &out->omega);
    out->eta_max = limit(row, &w, out->eta_max);
    out->H = row->eta / out->eta_max;
    cubic_of(row, &w, c);
    err = mscope_theory_roots(c, root, NULL);
    if (err != MSCOPE_OK)
        return err;
    out->rate = -log1p(root[0][0]) * row->P;
    out->regime = mscope_regime_of(out->H, out->zeta);
    return MSCOPE_OK;
}
