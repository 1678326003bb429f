/* stability.c - characteristic coefficients, roots, eta_max, decay rate
 *
 * Implements (158)-(162), (171), (174). The constant coefficient alone decides about stability. It is
 * computed from eta_max - eta and never as a determinant: near the limit a determinant loses five
 * digits, and a general eigensolver nine.                                                      */
#include "private.h"

#include <math.h>

static mscope_real eta_max_of(const mscope_row *row, const mscope_law *l)
{
    return 2.0L * (1.0L + l->beta) / ((1.0L + l->beta) * row->excess + l->eps * row->h1);
}

int mscope_row_eta_max(const mscope_row *row, double *eta_max)
{
    mscope_law l;

    if (mscope_row_check(row, NULL) != MSCOPE_OK || eta_max == NULL)
        return MSCOPE_EINVAL;
    l = mscope_theory_law(row);
    *eta_max = (double)eta_max_of(row, &l);
    return MSCOPE_OK;
}

/* distance of eta from eta_max as published, rounded to double: at eta = eta_max it is exactly 0 */
static mscope_real room(const mscope_row *row, const mscope_law *l)
{
    double top = (double)eta_max_of(row, l);

    return row->eta == top ? 0.0L : 1.0L - row->eta / eta_max_of(row, l);
}

static void drift_cubic(const mscope_row *row, mscope_real c[3])
{
    mscope_law l = mscope_theory_law(row);
    mscope_real P = l.P, Q = l.Q, eps = l.eps, beta = l.beta, h = row->h1, noise = row->excess;
    mscope_real x1 = P + Q * eps, x2 = P + Q * eps * (1.0L + beta), W = P * x1 * x2;
    mscope_real pull = row->eta * eps, lift = 2.0L * pull * h * (1.0L + beta);

    c[0] = P * eps * (2.0L * x2 + beta * P) + lift * x1 -
           pull * pull * h * (h + noise) * (1.0L + Q * beta);
    c[1] = P * eps * eps * (1.0L + beta) + lift * (eps + x1) -
           pull * pull * h * ((2.0L + beta + Q * beta) * noise + h * (1.0L + eps + Q * beta));
    c[2] = lift * eps * room(row, &l);
    for (int i = 0; i < 3; i++)
        c[i] /= W;
}

/* (z - beta)(z^2 - ((1+beta-w)^2 - 2 beta) z + beta^2) - 2 w eps Hn z (z + beta) about z = 1 */
static void step_cubic(const mscope_row *row, mscope_real c[3])
{
    mscope_law l = mscope_theory_law(row);
    mscope_real eps = l.eps, beta = l.beta, w = row->eta * eps * row->h1;
    mscope_real noise = w * eps * row->eta * row->excess;
    mscope_real k0 = w * (2.0L * (1.0L + beta) - w);
    mscope_real k1 = 2.0L * eps + 4.0L * w - (eps + w) * (eps + w);

    c[0] = k1 + eps - noise;
    c[1] = k0 + eps * k1 - noise * (2.0L + beta);
    c[2] = 2.0L * eps * w * (1.0L + beta) * room(row, &l);
}

/* Newton from the right of every root: the cubic is convex and rising there, so the iterates decrease
 * to the rightmost root, and end when rounding makes one increase. */
static mscope_real rightmost_root(const mscope_real c[3])
{
    mscope_real z;

    if (c[2] == 0.0L && c[0] >= 0.0L && c[1] >= 0.0L)
        return 0.0L;
    if (c[0] > 0.0L && c[1] > 0.0L)
        z = c[2] > 0.0L ? 0.0L : -c[2] / c[1];
    else
        z = 2.0L * fmaxl(fabsl(c[0]), fmaxl(sqrtl(fabsl(c[1])), cbrtl(fabsl(c[2]))));
    for (int i = 0; i < 500; i++) {
        mscope_real f = c[2] + z * (c[1] + z * (c[0] + z));
        mscope_real slope = c[1] + z * (2.0L * c[0] + 3.0L * z);
        mscope_real next = z - f / slope;
        if (!(f > 0.0L) || !(slope > 0.0L) || !(next < z))
            break;
        z = next;
    }
    return z;
}

static enum mscope_spectrum spectrum_of(mscope_real z0, mscope_real b, mscope_real k,
                                        mscope_real disc)
{
    if (fabsl(disc) <= 1e-13L * fmaxl(b * b, 4.0L * fabsl(k)))
        return MSCOPE_SPECTRUM_UNDECIDED;
    if (disc < 0.0L)
        return MSCOPE_SPECTRUM_PAIR;
    /* the rightmost root may be a double one, which deflation does not show */
    return fabsl(z0 * z0 + b * z0 + k) <= 1e-13L * (z0 * z0 + fabsl(b * z0) + fabsl(k))
               ? MSCOPE_SPECTRUM_UNDECIDED
               : MSCOPE_SPECTRUM_REAL3;
}

int mscope_theory_roots(const mscope_real c[3], double root[3][2], enum mscope_spectrum *kind)
{
    mscope_real z0, b, k, disc;

    if (!isfinite((double)c[0]) || !isfinite((double)c[1]) || !isfinite((double)c[2]))
        return MSCOPE_ENONFINITE;
    z0 = rightmost_root(c);
    b = c[0] + z0;
    k = z0 != 0.0L ? -c[2] / z0 : c[1];
    disc = b * b - 4.0L * k;
    root[0][0] = (double)z0;
    root[0][1] = root[1][1] = root[2][1] = 0.0;
    if (disc >= 0.0L) {
        mscope_real far = -0.5L * (b + copysignl(sqrtl(disc), b));
        mscope_real near = far != 0.0L ? k / far : 0.0L;
        root[1][0] = (double)fmaxl(far, near);
        root[2][0] = (double)fminl(far, near);
    } else {
        root[1][0] = root[2][0] = (double)(-0.5L * b);
        root[1][1] = (double)(0.5L * sqrtl(-disc));
        root[2][1] = -root[1][1];
    }
    if (kind != NULL)
        *kind = spectrum_of(z0, b, k, disc);
    return MSCOPE_OK;
}

static void round3(const mscope_real from[3], double to[3])
{
    for (int i = 0; i < 3; i++)
        to[i] = (double)from[i];
}

int mscope_row_cubic(const mscope_row *row, double c[3])
{
    mscope_real m[3];

    if (mscope_row_check(row, NULL) != MSCOPE_OK || c == NULL)
        return MSCOPE_EINVAL;
    drift_cubic(row, m);
    round3(m, c);
    return MSCOPE_OK;
}

int mscope_row_step_cubic(const mscope_row *row, double c[3])
{
    mscope_real m[3];

    if (mscope_row_check(row, NULL) != MSCOPE_OK || c == NULL)
        return MSCOPE_EINVAL;
    step_cubic(row, m);
    round3(m, c);
    return MSCOPE_OK;
}

int mscope_cubic_roots(const double c[3], double root[3][2], enum mscope_spectrum *kind)
{
    mscope_real m[3];

    if (c == NULL || root == NULL)
        return MSCOPE_EINVAL;
    for (int i = 0; i < 3; i++)
        m[i] = c[i];
    return mscope_theory_roots(m, root, kind);
}

int mscope_row_spectrum(const mscope_row *row, double root[3][2], enum mscope_spectrum *kind)
{
    mscope_real m[3];

    if (mscope_row_check(row, NULL) != MSCOPE_OK || root == NULL)
        return MSCOPE_EINVAL;
    drift_cubic(row, m);
    return mscope_theory_roots(m, root, kind);
}

int mscope_row_rate(const mscope_row *row, double *rate)
{
    double root[3][2];
    mscope_real m[3];
    int err;

    if (mscope_row_check(row, NULL) != MSCOPE_OK || rate == NULL)
        return MSCOPE_EINVAL;
    step_cubic(row, m);
    err = mscope_theory_roots(m, root, NULL);
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
