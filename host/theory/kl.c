/* kl.c - population KL divergence of the rare-class model from its Bayes rule (203)
 *
 * A two-dimensional trapezoid rule over the plane of mu and the bulk error. Close to the optimum
 * the divergence of one sample is a series in the logit difference, so 1e-12 keeps its digits.   */
#include "private.h"
#include "logistic.h"

#include <math.h>

/* KL(Bernoulli(sig a) || Bernoulli(sig(a + delta))) */
static double sample_kl(double a, double delta)
{
    double w;

    if (a > 0.0) { /* the same value, from the other class, where w is small */
        a = -a;
        delta = -delta;
    }
    w = exp(a);
    w /= 1.0 + w;
    if (fabs(delta) < 1e-3)
        return w * (1.0 - w) * delta * delta *
               (0.5 +
                delta * ((1.0 - 2.0 * w) / 6.0 + delta * (1.0 - 6.0 * w + 6.0 * w * w) / 24.0));
    /* log1p(w expm1(delta)); beyond the range of exp, with exp(delta) factored out */
    if (delta > 30.0)
        return delta + log(w + (1.0 - w) * exp(-delta)) - w * delta;
    return log1p(w * expm1(delta)) - w * delta;
}

/* above this spread the plane needs 1e8 nodes */
static const double SPREAD_MAX = 20.0;

typedef struct rule {
    double h, reach;
} rule;

static rule rule_for(double spread)
{
    return (rule){ fmin(0.125, 0.28 / spread), 9.0 + 2.0 * spread };
}

/* average over z2, the direction of the bulk error */
static double inner(double a, double delta, double root)
{
    rule k = rule_for(root);
    long n = (long)ceil(k.reach / k.h);
    double sum = 0.0;

    if (root == 0.0)
        return sample_kl(a, delta) * 2.50662827463100050242;
    for (long i = -n; i <= n; i++) {
        double x = k.h * (double)i;
        sum += exp(-0.5 * x * x) * sample_kl(a, delta + root * x);
    }
    return sum * k.h;
}

int mscope_lr_kl(const mscope_lr *lr, double s, double R, double *kl)
{
    double b, sum = 0.0, root;
    rule k;
    long n;

    if (kl == NULL || mscope_lr_check(lr, NULL) != MSCOPE_OK ||
        mscope_lr_state_check(lr, s, R, NULL) != MSCOPE_OK)
        return MSCOPE_EINVAL;
    if (lr->r > SPREAD_MAX || fabs(s + lr->r) > SPREAD_MAX || R > SPREAD_MAX * SPREAD_MAX)
        return MSCOPE_ENOTSUP;
    b = mscope_lr_offset(lr->p, lr->r);
    root = sqrt(R);
    k = rule_for(fmax(lr->r, fabs(s + lr->r)));
    n = (long)ceil(k.reach / k.h);
    const double plane = 2.0 * ceil(rule_for(root).reach / rule_for(root).h) + 1.0;
    if (!mscope_lr_affords(lr, 2.0 * (2.0 * (double)n + 1.0) * plane))
        return MSCOPE_EAGAIN;
    for (long i = -n; i <= n; i++) {
        double x = k.h * (double)i, y = x + lr->r;
        sum += exp(-0.5 * x * x) * ((1.0 - lr->p) * inner(lr->r * x + b, s * x, root) +
                                    lr->p * inner(lr->r * y + b, s * y, root));
    }
    *kl = sum * k.h / 6.28318530717958647693;
    return MSCOPE_OK;
}
