/* gauss.c - Gaussian averages of sigmoids by the trapezoid rule
 *
 * Implements (191), (194), (195), (198), (199), (217), (219), (228). The trapezoid rule converges
 * exponentially on the real line. Its step follows from the poles of the sigmoid, at distance
 * pi/sqrt q, and its range from the Gaussian tilted by exp(G). Gauss-Hermite rules fail for q > 6. */
#include "private.h"
#include "logistic.h"

#include <math.h>

/* Above this spread the rule needs 1e5 nodes, and the theory has lost its meaning.              */
static const double Q_MAX = 1e4;

int mscope_lr_check(const mscope_lr *lr, mscope_bad *why)
{
    if (lr == NULL)
        return mscope_theory_refuse(why, "lr", NAN, "not NULL");
    if (!(lr->d >= 1.0 && isfinite(lr->d)))
        return mscope_theory_refuse(why, "d", lr->d, "d >= 1, finite");
    if (!(lr->p >= 1e-280 && lr->p < 1.0))
        return mscope_theory_refuse(why, "p", lr->p, "0 < p < 1 (and p >= 1e-280)");
    if (!(lr->batch > 0.0 && isfinite(lr->batch)))
        return mscope_theory_refuse(why, "B", lr->batch, "B > 0, finite");
    if (!(lr->eta >= 0.0 && isfinite(lr->eta)))
        return mscope_theory_refuse(why, "eta", lr->eta, "eta >= 0, finite");
    if (!(lr->r >= 0.0 && lr->r <= 50.0))
        return mscope_theory_refuse(why, "r", lr->r, "0 <= r <= 50");
    return mscope_theory_momentum(lr->eps, lr->beta, why);
}

int mscope_lr_state_check(const mscope_lr *lr, double s, double R, mscope_bad *why)
{
    if (!isfinite(s) || !((s + lr->r) * (s + lr->r) <= Q_MAX))
        return mscope_theory_refuse(why, "s", s, "(s + r)^2 <= 1e4");
    if (!(R >= 0.0 && R <= Q_MAX))
        return mscope_theory_refuse(why, "R", R, "0 <= R <= 1e4");
    return MSCOPE_OK;
}

double mscope_lr_offset(double p, double r)
{
    return log(p) - log1p(-p) - 0.5 * r * r;
}

static double sigmoid(double x)
{
    if (x >= 0.0)
        return 1.0 / (1.0 + exp(-x));
    x = exp(x);
    return x / (1.0 + x);
}

/* sums over one class: slope E[sig'], and with e = sig(G1) or sig(-G2): E[e], E[e^2] and the
 * curvature average that enters (199)                                                            */
typedef struct averages {
    double slope, err, err2, curve;
} averages;

/* Nodes on either side of 0. A term is largest at most 2 root away, where the square of exp(root x) meets the weight,
 * and not beyond |mean|/root, where the sigmoid is at its end. */
static long nodes(double mean, double root)
{
    const double peak = root > 0.0 ? fmin(2.0 * root, fabs(mean) / root) : 0.0;

    return (long)ceil((9.0 + peak) / fmin(0.125, 0.28 / root));
}

static averages average(double mean, double q, int rare)
{
    double root = sqrt(q), h = fmin(0.125, 0.28 / root);
    long n = nodes(mean, root);
    averages sum = { 0 };

    for (long i = -n; i <= n; i++) {
        double x = h * (double)i, g = mean + root * x, w = exp(-0.5 * x * x);
        double s = sigmoid(g), c = sigmoid(-g), e = rare ? c : s, o = rare ? s : c;
        sum.slope += w * s * c;
        sum.err += w * e;
        sum.err2 += w * e * e;
        /* 2 s^2 c (2-3s) for the common class; for the rare one, -2 s c^2 (1-3s) */
        sum.curve += w * 2.0 * e * e * o * (2.0 - 3.0 * e);
    }
    h /= 2.50662827463100050242; /* sqrt(2 pi) */
    sum.slope *= h;
    sum.err *= h;
    sum.err2 *= h;
    sum.curve *= h;
    return sum;
}

int mscope_lr_affords(const mscope_lr *lr, double terms)
{
    if (lr->terms == NULL)
        return 1;
    if (*lr->terms < terms)
        return 0;
    *lr->terms -= terms;
    return 1;
}

static double terms_of(const mscope_lr *lr, const mscope_lr_coeffs *k)
{
    const double root = sqrt(k->q);

    return 2.0 * (double)(nodes(k->b_star, root) + nodes(k->theta_par * lr->r + k->b_star, root)) + 2.0;
}

static void exact_averages(const mscope_lr *lr, mscope_lr_coeffs *k)
{
    averages common = average(k->b_star, k->q, 0);
    averages rare = average(k->theta_par * lr->r + k->b_star, k->q, 1);
    double p = lr->p, p1 = 1.0 - p;

    k->A = p1 * common.slope + p * rare.slope;
    k->B = -p * rare.err;
    k->D0 = p1 * common.err2 + p * rare.err2;
    k->Dtheta = p1 * common.curve + p * rare.curve;
    k->f = k->A * k->theta_par + k->B * lr->r;
}

int mscope_lr_coefficients(const mscope_lr *lr, enum mscope_lr_law law, double s, double R,
                           mscope_lr_coeffs *out)
{
    mscope_lr_coeffs k;
    double cross;

    if (out == NULL || mscope_lr_check(lr, NULL) != MSCOPE_OK ||
        mscope_lr_state_check(lr, s, R, NULL) != MSCOPE_OK)
        return MSCOPE_EINVAL;
    k.b_star = mscope_lr_offset(lr->p, lr->r);
    k.theta_par = s + lr->r;
    k.q = k.theta_par * k.theta_par + R;
    cross = (lr->batch - 1.0) / lr->batch;
    if (!mscope_lr_affords(lr, law == MSCOPE_LR_EXACT ? terms_of(lr, &k) : 1.0))
        return MSCOPE_EAGAIN;
    if (law == MSCOPE_LR_EXACT) {
        exact_averages(lr, &k);
        k.N = ((lr->d - 1.0) * k.D0 + R * k.Dtheta) / lr->batch + cross * k.A * k.A * R;
    } else {
        double log_alpha = s * lr->r + 0.5 * (s * s + R), alpha = exp(log_alpha);
        k.A = lr->p * alpha;
        k.B = -lr->p;
        k.D0 = k.Dtheta = NAN;
        k.f = lr->p * (alpha * s + lr->r * expm1(log_alpha));
        k.N = lr->d * lr->p / lr->batch + cross * k.A * k.A * R;
    }
    *out = k;
    return MSCOPE_OK;
}

int mscope_lr_sparse_kl(double r, double s, double R, double *alpha, double *G)
{
    double log_alpha = s * r + 0.5 * (s * s + R);

    if (alpha == NULL || G == NULL || !isfinite(log_alpha) || !(R >= 0.0) || !(r >= 0.0))
        return MSCOPE_EINVAL;
    *alpha = exp(log_alpha);
    *G = expm1(log_alpha) - s * r;
    return MSCOPE_OK;
}
