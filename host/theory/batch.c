/* batch.c - checks of inputs, batch factors, waiting-time sums and catch-up
 *
 * Implements (22), (29), (33)-(45), (50)-(54). Nothing here is a difference of close numbers:
 * Q and P come from exp and expm1 of B log1p(-p), and 1 - Q beta is written P + Q eps.         */
#include "private.h"

#include <math.h>

int mscope_theory_refuse(mscope_bad *why, const char *field, double value, const char *range)
{
    if (why != NULL)
        *why = (mscope_bad){ field, value, range };
    return MSCOPE_EINVAL;
}

double mscope_theory_beta(double eps, double beta)
{
    return beta == 0.0 ? 1.0 - eps : beta;
}

int mscope_theory_momentum(double eps, double beta, mscope_bad *why)
{
    if (!(eps > 0.0 && eps <= 1.0))
        return mscope_theory_refuse(why, "eps", eps, "0 < eps <= 1");
    /* an eps below half an ulp leaves beta = 1.0, and every formula that matters uses eps */
    if (!(beta >= 0.0 && beta <= 1.0))
        return mscope_theory_refuse(why, "beta", beta, "0 <= beta < 1");
    /* eps and beta rounded separately disagree by an ulp; those of two runs disagree by more */
    if (fabs(beta + eps - 1.0) > 1e-12 && beta != 0.0)
        return mscope_theory_refuse(why, "beta", beta, "beta + eps = 1");
    return MSCOPE_OK;
}

double mscope_theory_x1(double P, double Q, double eps)
{
    return P + Q * eps;
}

double mscope_theory_x2(double P, double Q, double eps, double beta)
{
    return P + Q * eps * (1.0 + beta);
}

mscope_law mscope_theory_law(const mscope_row *row)
{
    mscope_law l = { row->P, row->Q, row->eps, row->beta };

    /* the smaller one of each pair has the digits, and the larger one follows from it */
    if (row->P <= row->Q)
        l.Q = 1.0L - l.P;
    else
        l.P = 1.0L - l.Q;
    if (row->eps <= 0.5 || row->beta == 0.0)
        l.beta = 1.0L - l.eps;
    else
        l.eps = 1.0L - l.beta;
    return l;
}

mscope_waits mscope_theory_waits(const mscope_law *law)
{
    mscope_real P = law->P, Q = law->Q, eps = law->eps, beta = law->beta, b2 = beta * beta;
    mscope_real x1 = P + Q * eps, x2 = P + Q * eps * (1.0L + beta);
    mscope_waits w = {
        .beta1bar = P * beta / x1,
        .beta2bar = P * b2 / x2,
        .gap1 = eps / x1,
        .gap2 = eps * (1.0L + beta) / x2,
        .s_theta = beta / x1,
        .s_g = Q * beta / x1,
        .s2_theta = b2 * (1.0L + Q * beta) / (x1 * x2),
        .s2_g = Q * b2 * (1.0L + Q * beta) / (x1 * x2),
        .bs_theta = P * b2 / (x1 * x2),
        .bs_g = P * Q * b2 * beta / (x1 * x2),
        .s_cross = Q * b2 * (1.0L + beta) / (x1 * x2),
    };

    return w;
}

int mscope_ls_check(const mscope_ls *ls, mscope_bad *why)
{
    if (ls == NULL)
        return mscope_theory_refuse(why, "ls", NAN, "not NULL");
    if (!(ls->d >= 1.0 && isfinite(ls->d)))
        return mscope_theory_refuse(why, "d", ls->d, "d >= 1, finite");
    if (!(ls->p >= 1e-280 && ls->p <= 1.0))
        return mscope_theory_refuse(why, "p", ls->p, "0 < p <= 1 (and p >= 1e-280)");
    if (!(ls->batch > 0.0 && isfinite(ls->batch)))
        return mscope_theory_refuse(why, "B", ls->batch, "B > 0, finite");
    if (!(ls->eta >= 0.0 && isfinite(ls->eta)))
        return mscope_theory_refuse(why, "eta", ls->eta, "eta >= 0, finite");
    if (!(ls->noise >= 0.0 && isfinite(ls->noise)))
        return mscope_theory_refuse(why, "noise", ls->noise, "noise >= 0, finite");
    return mscope_theory_momentum(ls->eps, ls->beta, why);
}

int mscope_row_check(const mscope_row *row, mscope_bad *why)
{
    if (row == NULL)
        return mscope_theory_refuse(why, "row", NAN, "not NULL");
    if (!(row->P > 0.0 && row->P <= 1.0))
        return mscope_theory_refuse(why, "P", row->P, "0 < P <= 1");
    if (!(row->Q >= 0.0 && fabs(row->P + row->Q - 1.0) <= 1e-12))
        return mscope_theory_refuse(why, "Q", row->Q, "Q = 1 - P");
    if (!(row->h1 > 0.0 && isfinite(row->h1)))
        return mscope_theory_refuse(why, "h1", row->h1, "h1 > 0, finite");
    if (!(row->excess >= 0.0 && isfinite(row->excess)))
        return mscope_theory_refuse(why, "excess", row->excess, "excess >= 0, finite");
    if (!(row->eta >= 0.0 && isfinite(row->eta)))
        return mscope_theory_refuse(why, "eta", row->eta, "eta >= 0, finite");
    if (!(row->noise2 >= 0.0 && isfinite(row->noise2)))
        return mscope_theory_refuse(why, "noise2", row->noise2, "noise2 >= 0, finite");
    return mscope_theory_momentum(row->eps, row->beta, why);
}

int mscope_row_from_ls(const mscope_ls *ls, mscope_row *row)
{
    int err = mscope_ls_check(ls, NULL);
    double log_q;

    if (err != MSCOPE_OK || row == NULL)
        return MSCOPE_EINVAL;
    log_q = ls->batch * log1p(-ls->p);
    *row = (mscope_row){
        .P = -expm1(log_q),
        .Q = exp(log_q),
        .h1 = ls->p,
        .excess = (ls->d + 2.0 - ls->p) / ls->batch,
        .eps = ls->eps,
        .beta = mscope_theory_beta(ls->eps, ls->beta),
        .eta = ls->eta,
        .noise2 = ls->p * ls->d * ls->noise / ls->batch,
    };
    return mscope_row_check(row, NULL);
}

int mscope_row_from_probe(double P, double H1, double H2, double eps, double eta, double noise2,
                          mscope_row *row)
{
    mscope_row r = { .P = P,
                     .Q = 1.0 - P,
                     .h1 = P * H1,
                     .excess = H2 / H1 - P * H1,
                     .eps = eps,
                     .beta = 1.0 - eps,
                     .eta = eta,
                     .noise2 = noise2 };

    if (row == NULL || !(H1 > 0.0) || !(H2 >= H1 * H1 * (1.0 - 1e-12)))
        return MSCOPE_EINVAL;
    if (r.excess < 0.0)
        r.excess = 0.0;
    if (mscope_row_check(&r, NULL) != MSCOPE_OK)
        return MSCOPE_EINVAL;
    *row = r;
    return MSCOPE_OK;
}

int mscope_ls_batch(const mscope_ls *ls, mscope_batch *out)
{
    mscope_row row;
    mscope_law law;
    mscope_waits w;
    double B1;

    if (mscope_row_from_ls(ls, &row) != MSCOPE_OK || out == NULL)
        return MSCOPE_EINVAL;
    law = mscope_theory_law(&row);
    w = mscope_theory_waits(&law);
    B1 = ls->p / row.P;
    *out = (mscope_batch){
        .P = row.P,
        .Q = row.Q,
        .B1 = B1,
        .Bdiag = B1 / ls->batch,
        .Bcross = ls->p * B1 * ((ls->batch - 1.0) / ls->batch),
        .B2 = B1 * (ls->p + row.excess),
        .beta1bar = (double)w.beta1bar,
        .beta2bar = (double)w.beta2bar,
        .gap1 = (double)w.gap1,
        .gap2 = (double)w.gap2,
        .s_theta = (double)w.s_theta,
        .s_g = (double)w.s_g,
        .s2_theta = (double)w.s2_theta,
        .s2_g = (double)w.s2_g,
        .bs_theta = (double)w.bs_theta,
        .bs_g = (double)w.bs_g,
        .s_cross = (double)w.s_cross,
    };
    return MSCOPE_OK;
}

int mscope_catchup(double eps, double idle, double *S, double *decay)
{
    double a;

    if (S == NULL || decay == NULL || !(eps > 0.0 && eps <= 1.0) || !(idle >= 0.0))
        return MSCOPE_EINVAL;
    if (idle == 0.0) { /* 0 * log1p(-1) would be NaN for plain SGD */
        *S = 0.0;
        *decay = 1.0;
        return MSCOPE_OK;
    }
    a = idle * log1p(-eps);
    *S = -((1.0 - eps) / eps) * expm1(a);
    *decay = exp(a);
    return MSCOPE_OK;
}
