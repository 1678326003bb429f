/* stability.c - characteristic coefficients, roots, eta_max, decay rate
 *
 * Implements (158)-(162), (171), (174). The constant coefficient carries the whole stability
 * question and is formed from eta_max - eta, never as a determinant: a determinant loses five
 * digits where it matters, a general eigensolver nine.                                         */
#include "private.h"

#include <math.h>

static double eta_max_of(const mscope_row *row, double beta)
{
    return 2.0 * (1.0 + beta) / ((1.0 + beta) * row->excess + row->eps * row->h1);
}

int mscope_row_eta_max(const mscope_row *row, double *eta_max)
{
    if (mscope_row_check(row, NULL) != MSCOPE_OK || eta_max == NULL)
        return MSCOPE_EINVAL;
    *eta_max = eta_max_of(row, mscope_theory_beta(row->eps, row->beta));
    return MSCOPE_OK;
}

int mscope_row_cubic(const mscope_row *row, double c[3])
{
    double P, Q, eps, beta, eta, h, x1, x2, W, lift, top;

    if (mscope_row_check(row, NULL) != MSCOPE_OK || c == NULL)
        return MSCOPE_EINVAL;
    P = row->P;
    Q = row->Q;
    eps = row->eps;
    beta = mscope_theory_beta(eps, row->beta);
    eta = row->eta;
    h = row->h1;
    x1 = mscope_theory_x1(P, Q, eps);
    x2 = mscope_theory_x2(P, Q, eps, beta);
    W = P * x1 * x2;
    lift = 2.0 * eta * h * eps * (1.0 + beta);
    top = eta_max_of(row, beta);
    c[0] = (P * eps * (2.0 * x2 + beta * P) + lift * x1 -
            eta * eta * eps * eps * h * (h + row->excess) * (1.0 + Q * beta)) /
           W;
    c[1] = (P * eps * eps * (1.0 + beta) + lift * (eps + x1) -
            eta * eta * eps * eps * h *
                ((2.0 + beta + Q * beta) * row->excess + h * (1.0 + eps + Q * beta))) /
           W;
    c[2] = lift * eps * ((top - eta) / top) / W;
    return MSCOPE_OK;
}

/* (z - beta)(z^2 - ((1+beta-w)^2 - 2 beta) z + beta^2) - 2 w eps Hn z (z + beta) about z = 1 */
int mscope_row_step_cubic(const mscope_row *row, double c[3])
{
    double eps, beta, w, noise, k0, k1, top;

    if (mscope_row_check(row, NULL) != MSCOPE_OK || c == NULL)
        return MSCOPE_EINVAL;
    eps = row->eps;
    beta = mscope_theory_beta(eps, row->beta);
    w = row->eta * eps * row->h1;
    noise = w * eps * row->eta * row->excess;
    k0 = w * (2.0 * (1.0 + beta) - w);
    k1 = 2.0 * eps + 4.0 * w - (eps + w) * (eps + w);
    top = eta_max_of(row, beta);
    c[0] = k1 + eps - noise;
    c[1] = k0 + eps * k1 - noise * (2.0 + beta);
    c[2] = 2.0 * eps * w * (1.0 + beta) * ((top - row->eta) / top);
    return MSCOPE_OK;
}

/* Newton from the right of every root: the cubic is convex and rising there, so the iterates fall
 * monotonically on the rightmost root and stop when rounding ends the fall.                     */
static double rightmost_root(const double c[3])
{
    double z;

    if (c[2] == 0.0 && c[0] >= 0.0 && c[1] >= 0.0)
        return 0.0;
    if (c[0] > 0.0 && c[1] > 0.0)
        z = c[2] > 0.0 ? 0.0 : -c[2] / c[1];
    else
        z = 2.0 * fmax(fabs(c[0]), fmax(sqrt(fabs(c[1])), cbrt(fabs(c[2]))));
    for (int i = 0; i < 500; i++) {
        double f = c[2] + z * (c[1] + z * (c[0] + z));
        double slope = c[1] + z * (2.0 * c[0] + 3.0 * z);
        double next = z - f / slope;
        if (!(f > 0.0) || !(slope > 0.0) || !(next < z))
            break;
        z = next;
    }
    return z;
}

static enum mscope_spectrum spectrum_of(double z0, double b, double k, double disc)
{
    if (fabs(disc) <= 1e-13 * fmax(b * b, 4.0 * fabs(k)))
        return MSCOPE_SPECTRUM_UNDECIDED;
    if (disc < 0.0)
        return MSCOPE_SPECTRUM_PAIR;
    /* the rightmost root may itself be double, which deflation cannot see */
    return fabs(z0 * z0 + b * z0 + k) <= 1e-13 * (z0 * z0 + fabs(b * z0) + fabs(k))
               ? MSCOPE_SPECTRUM_UNDECIDED
               : MSCOPE_SPECTRUM_REAL3;
}

int mscope_cubic_roots(const double c[3], double root[3][2], enum mscope_spectrum *kind)
{
    double z0, b, k, disc;

    if (c == NULL || root == NULL)
        return MSCOPE_EINVAL;
    if (!isfinite(c[0]) || !isfinite(c[1]) || !isfinite(c[2]))
        return MSCOPE_ENONFINITE;
    z0 = rightmost_root(c);
    b = c[0] + z0;
    k = z0 != 0.0 ? -c[2] / z0 : c[1];
    disc = b * b - 4.0 * k;
    root[0][0] = z0;
    root[0][1] = root[1][1] = root[2][1] = 0.0;
    if (disc >= 0.0) {
        double far = -0.5 * (b + copysign(sqrt(disc), b));
        double near = far != 0.0 ? k / far : 0.0;
        root[1][0] = fmax(far, near);
        root[2][0] = fmin(far, near);
    } else {
        root[1][0] = root[2][0] = -0.5 * b;
        root[1][1] = 0.5 * sqrt(-disc);
        root[2][1] = -root[1][1];
    }
    if (kind != NULL)
        *kind = spectrum_of(z0, b, k, disc);
    return MSCOPE_OK;
}

int mscope_row_rate(const mscope_row *row, double *rate)
{
    double c[3], root[3][2];
    int err;

    if (rate == NULL)
        return MSCOPE_EINVAL;
    err = mscope_row_step_cubic(row, c);
    if (err == MSCOPE_OK)
        err = mscope_cubic_roots(c, root, NULL);
    if (err == MSCOPE_OK)
        *rate = -log1p(root[0][0]);
    return err;
}

int mscope_row_scales(const mscope_row *row, mscope_scales *out)
{
    double rho;

    if (mscope_row_check(row, NULL) != MSCOPE_OK || out == NULL)
        return MSCOPE_EINVAL;
    rho = row->eps / (row->P + row->eps);
    out->noise = 1.0 / (row->h1 + row->excess);
    out->correlation = rho * row->P / row->h1;
    return MSCOPE_OK;
}
