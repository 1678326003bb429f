/* price.c - see price.h */
#include "price.h"

#include <math.h>
#include <string.h>

static const double FAR = 1e9;            /* steps                                                  */
static const double H_MAX = 0.8;
static const double EVEN = 0.1;           /* variance of curvature over its squared mean: rows below count as even */
static const double WIDEST = 1000;        /* largest over smallest curvature                        */

/* Variance over squared mean of four curvatures in equal ratios. */
static double variance(double spread)
{
    double sum = 0, square = 0;

    for (int j = 0; j < 4; j++) {
        const double h = pow(spread, -j / 3.0);
        sum += h / 4;
        square += h * h / 4;
    }
    return square / (sum * sum) - 1;
}

static double spread_of(double wanted)
{
    double low = 0, high = log(WIDEST);

    if (wanted < EVEN)
        return 1;
    for (int i = 0; i < 50; i++) {
        const double middle = 0.5 * (low + high);
        *(variance(exp(middle)) < wanted ? &low : &high) = middle;
    }
    return exp(low);
}

/* Band i with its spread told from its noise. */
static mscope_risk_band resolved(const mscope_measured *m, size_t i, double noise)
{
    const double h1 = m->h1[i], beyond = isfinite(noise) ? fmax(m->excess_seen[i] - noise, 0) : 0;
    const double spread = spread_of(beyond / h1);

    return mscope_measured_band(m, i, spread, spread > 1 ? m->excess_seen[i] : fmin(m->excess[i], noise));
}

int mscope_price_of(const mscope_measured *m, const mscope_margin *margin, double fraction, mscope_price *out)
{
    const double noise = margin != NULL && margin->standing != MSCOPE_STANDING_UNKNOWN && margin->noise_part >= 0
                             ? 2 * margin->H * margin->noise_part / m->now.eta
                             : INFINITY;
    mscope_setting single = m->now, own[MSCOPE_SEARCH_BANDS] = { { 0, 0 } };
    mscope_risk_band band[MSCOPE_SEARCH_BANDS];
    mscope_model model = { .bands = 0 };
    double risk = 0;

    memset(out, 0, sizeof *out);
    out->gain_own = 1;
    if (m->bands == 0 || !(fraction > 0 && fraction < 1))
        return MSCOPE_EINVAL;
    for (size_t i = 0; i < m->bands; i++) {
        band[i] = resolved(m, i, noise);
        for (int j = 0; j < band[i].groups; j++)
            risk += band[i].weight * band[i].h1[j] * band[i].R0[j];
        if (mscope_model_add(&model, &band[i], m->number[i] < MSCOPE_BANDS - 1) != 0)
            return MSCOPE_EINVAL;
    }
    const mscope_search s = { .model = &model, .target = fraction * risk, .limit = FAR, .H_max = H_MAX };
    const double together = mscope_search_single(&s, &single), each = mscope_search_beta_eta(&s, own);
    out->gain_own = isfinite(each) ? fmax(1, together / each) : 1;
    out->flag = out->gain_own > MSCOPE_PRICE_FLAG;
    if (isfinite(each)) {
        out->eta_own = own[0].eta;
        out->have_own = mscope_conflict_of(band, m->bands, m->activity, own[0], &out->own) == MSCOPE_OK;
    }
    return MSCOPE_OK;
}
