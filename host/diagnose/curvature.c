/* curvature.c - the probe's means of h1 and h2, weighed against isotropy
 *
 * A row with N occurrences in the batch has S = sum u_i^2 ~ chi^2_N along the momentum, so h1 = h S and, for isotropic
 * Gaussian features, h2 = h^2 S (S + chi^2_{d-1}), h unknown. With N binomial given N >= 1 the means and covariances
 * of (h1, h2) over h, h^2 are polynomials in the moments of S.                                               */
#include "curvature.h"

#include <math.h>

#define LUMP 0.7                     /* prior probability of isotropy                                       */
#define SPREAD 1.5                   /* prior deviation of ln(H2/H1^2) from it otherwise: e^1.5 either way  */
#define ENOUGH 4.0                   /* samples before isotropy is weighed at all: fewer cannot contradict it  */
#define NEARLY 0.05                  /* and if isotropic: p and P, which fix the value, are counted too      */

typedef struct isotropy {
    double mean1, mean2;             /* E h1/h, E h2/h^2                                                    */
    double v11, v12, v22;            /* relative covariances of one sample                                  */
} isotropy;

/* The factorial moments of N give its moments, and these give the moments of chi^2_N. */
static int isotropic_moments(const mscope_rec_band *b, double P, isotropy *out)
{
    double B = b->batch, p = b->p, D = (double)b->d - 1.0;

    if (!(b->d >= 1) || !(B >= 1.0) || !(p > 0.0) || !(p <= 1.0))
        return 0;
    double f1 = fmax(B * p / P, 1.0), f2 = f1 * (B - 1.0) * p;
    double f3 = f2 * fmax(B - 2.0, 0.0) * p, f4 = f3 * fmax(B - 3.0, 0.0) * p;
    double n1 = f1, n2 = f2 + f1, n3 = f3 + 3.0 * f2 + f1, n4 = f4 + 6.0 * f3 + 7.0 * f2 + f1;
    double s1 = n1, s2 = n2 + 2.0 * n1, s3 = n3 + 6.0 * n2 + 8.0 * n1;
    double s4 = n4 + 12.0 * n3 + 44.0 * n2 + 48.0 * n1;

    out->mean1 = s1;
    out->mean2 = s2 + D * s1;
    out->v11 = s2 / (s1 * s1) - 1.0;
    out->v12 = (s3 + D * s2) / (out->mean1 * out->mean2) - 1.0;
    out->v22 = (s4 + 2.0 * D * s3 + D * (D + 2.0) * s2) / (out->mean2 * out->mean2) - 1.0;
    return isfinite(out->v22) && out->v11 > 0.0;
}

/* Relative standard error of a mean; the scatter of few samples is itself uncertain. */
static double relative(double se, double mean, double n)
{
    double s = se / mean;

    return isfinite(s) && n > 1.0 ? s * sqrt((n + 1.0) / (n - 1.0)) : NAN;
}

static void as_measured(const mscope_rec_band *b, const isotropy *iso, mscope_curved *out)
{
    double n = b->h_samples, r1 = relative(b->H1_se, b->H1, n), r2 = relative(b->H2_se, b->H2, n);

    out->H1 = b->H1;
    out->ratio = b->H2 > 0.0 ? b->H2 / b->H1 : NAN;
    if (isnan(r1) && iso && n >= 1.0)
        r1 = sqrt(iso->v11 / n);
    out->H1_sd = r1;
    /* h2 = h1 (h1 + tau): the scatter of h2 beyond its two powers of h1 is that of tau, and stays in the ratio of means
     */
    double share = fmin(b->H1 / out->ratio, 1.0), two = 1.0 + share;
    out->ratio_sd = isnan(r1) || isnan(r2) ? r1 : sqrt(fmax(r2 * r2 - two * two * r1 * r1, 0.0));
    if (iso && n >= 1.0)
        out->ratio_sd = fmax(out->ratio_sd, (1.0 - share) * sqrt((1.0 + iso->v11) / (n * (double)b->d)));
}

static double mix(double w, double a, double b)
{
    return exp(w * log(a) + (1.0 - w) * log(b));
}

static double mixed_sd(double w, double sd_a, double sd_b, double a, double b)
{
    double apart = log(a / b);

    return sqrt(w * sd_a * sd_a + (1.0 - w) * sd_b * sd_b + w * (1.0 - w) * apart * apart);
}

/* The means of n samples: y = (ln H1/E1, ln H2/E2) = (1, 2) ln h + noise, the delta method's bias taken off. */
static void weigh(const mscope_rec_band *b, const isotropy *iso, mscope_curved *out)
{
    double n = b->h_samples, a = iso->v11 / n, c = iso->v22 / n, x = iso->v12 / n, det = a * c - x * x;
    double y1 = log(b->H1 / iso->mean1) + 0.5 * a, y2 = log(b->H2 / iso->mean2) + 0.5 * c;

    if (!(det > 0.0))
        return;
    double i11 = c / det, i12 = -x / det, i22 = a / det, info = i11 + 4.0 * i12 + 4.0 * i22;
    double scale = exp(((i11 + 2.0 * i12) * y1 + (i12 + 2.0 * i22) * y2) / info);
    /* H depends on the excess H2/H1 - P H1 alone. Where a batch holds many occurrences of a row the excess is a small
     * share of H2/H1, and what would be near or far for H2/H1 is far or near by that much for the excess. */
    double excess = iso->mean2 / iso->mean1 - out->P * iso->mean1, share = excess * iso->mean1 / iso->mean2;
    double near = NEARLY * share, far = SPREAD * share;
    double off = y2 - 2.0 * y1, s2 = c - 4.0 * x + 4.0 * a + near * near, wide = s2 + far * far;
    double in = log(LUMP) - 0.5 * log(s2) - 0.5 * off * off / s2;
    double not_in = log(1.0 - LUMP) - 0.5 * log(wide) - 0.5 * off * off / wide;
    double w = 1.0 / (1.0 + exp(not_in - in)), sd = 1.0 / sqrt(info);
    double H1 = scale * iso->mean1, here = scale * excess, there = out->ratio - out->P * out->H1;

    if (!isfinite(H1) || !(here > 0.0) || !isfinite(w))
        return;
    double by_mix = sqrt(w * (1.0 - w)) * fabs(here - there), by_iso = sd * here, by_ratio = out->ratio_sd * out->ratio;
    out->H1_sd = mixed_sd(w, sd, out->H1_sd, H1, out->H1);
    out->H1 = mix(w, H1, out->H1);
    out->ratio = w * here + (1.0 - w) * there + out->P * out->H1;
    out->ratio_sd = sqrt(w * by_iso * by_iso + (1.0 - w) * by_ratio * by_ratio + by_mix * by_mix) / out->ratio;
    out->isotropic = w;
    out->isotropic_sd = sd;
}

void mscope_curved_of(const mscope_rec_band *b, mscope_curved *out)
{
    isotropy iso;

    out->P = b->P < 1.0 ? b->P : 1.0;
    out->isotropic = out->isotropic_sd = 0.0;
    int known = isotropic_moments(b, out->P, &iso);
    as_measured(b, known ? &iso : NULL, out);
    /* samples that do not scatter at all are not samples of a random batch */
    if (known && !isnan(out->ratio) && b->h_samples >= ENOUGH && !(b->H1_se == 0.0) && !isnan(out->H1_sd))
        weigh(b, &iso, out);
}

/* H2 < H1^2 is impossible, but two noisy means can read so: then the probe sees no noise in the band. */
int mscope_curved_feedback(const mscope_rec_band *b, double P, double H1, double ratio, mscope_feedback *out)
{
    mscope_row row;
    int rc = mscope_row_from_probe(P, H1, fmax(ratio, H1) * H1, b->eps, b->eta, 0, &row);

    if (rc == 0 && b->gaps >= MSCOPE_GAPS_ENOUGH)
        return mscope_row_feedback_measured(&row, b->fade, fmax(b->fade2, b->fade * b->fade), out);
    return rc != 0 ? rc : mscope_row_feedback(&row, out);
}
