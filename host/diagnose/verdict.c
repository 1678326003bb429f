/* verdict.c - from a band's record to a regime in words
 *
 * The theory's part (rho, zeta, eta_max, the spectral radius) is host/theory's; here it is fed with measured
 * curvature and turned into a sentence. Confidence comes from the measured hit rate of probes by sample count,
 * lowered when one standard error of H1 would change the label.                                            */
#include "verdict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "mscope/theory.h"

#define PI 3.14159265358979323846

double mscope_verdict_confidence(double samples)
{
    /* 235 random bands: share of right regimes by probe row samples a band */
    static const double at[] = { 1, 2, 4, 8, 16, 64, 256 }, hit[] = { 0.6, 0.80, 0.89, 0.94, 0.96, 0.99, 0.995 };
    const int last = (int)(sizeof at / sizeof at[0]) - 1;

    if (!(samples >= 1))
        return 0;
    for (int i = 0; i < last; i++)
        if (samples < at[i + 1])
            return hit[i] + (hit[i + 1] - hit[i]) * log(samples / at[i]) / log(at[i + 1] / at[i]);
    return hit[last];
}

/* H2 < H1^2 cannot be, but two noisy means can say so: then the band is noise-free as far as the probe can tell. */
static int feedback(const mscope_rec_band *b, double H1, double H2, mscope_feedback *out)
{
    mscope_row row;
    double P = b->P < 1 ? b->P : 1;

    if (!(H2 >= H1 * H1))
        H2 = H1 * H1;
    int rc = mscope_row_from_probe(P, H1, H2, b->eps, b->eta, 0, &row);
    return rc != 0 ? rc : mscope_row_feedback(&row, out);
}

static enum mscope_regime damping(double zeta)
{
    return mscope_regime_of(0, zeta);
}

static void say(mscope_verdict *v, const mscope_rec_band *b, const mscope_feedback *f, enum mscope_regime regime)
{
    char *to = v->why;
    const size_t cap = sizeof v->why;

    switch (regime) {
    case MSCOPE_REGIME_UNSTABLE:
        snprintf(to, cap, "unstable, eta %.3g is above its limit %.3g: the error grows %.2g a step", b->eta, f->eta_max,
                 -f->rate);
        break;
    case MSCOPE_REGIME_NEAR:
        snprintf(to, cap, "near instability, eta %.3g of at most %.3g", b->eta, f->eta_max);
        break;
    case MSCOPE_REGIME_HEAVY_BALL:
        if (f->omega > 0)
            snprintf(to, cap, "oscillates, period %.3g updates", 2 * PI / f->omega);
        else
            snprintf(to, cap, "underdamped, momentum outlasts learning");
        break;
    case MSCOPE_REGIME_RESONANT:
        snprintf(to, cap, "resonant, memory (%.3g updates) and learning (%.3g) keep pace", f->retention, f->learning);
        break;
    case MSCOPE_REGIME_SGD:
        snprintf(to, cap, "like SGD, memory of %.3g updates against %.3g to learn", f->retention, f->learning);
        break;
    }
}

static void unknown(mscope_verdict *v, const char *why)
{
    v->regime = "unknown";
    snprintf(v->why, sizeof v->why, "stability unknown: %.160s", why);
}

void mscope_verdict_band(const mscope_rec_band *b, mscope_verdict *out)
{
    mscope_feedback f, low, high;
    char text[MSCOPE_TEXT_MAX + 1];

    memset(out, 0, sizeof *out);
    out->H = out->zeta = out->omega = out->rate = NAN;
    if (isnan(b->H1)) {
        int none = strncmp(b->h_source, "none: ", 6) == 0;
        unknown(out, none ? b->h_source + 6 : "no probe");
        return;
    }
    if (!(b->P > 0) || !(b->eps > 0) || !(b->eta > 0)) {
        snprintf(text, sizeof text, "P %.3g, eps %.3g, eta %.3g: the band does not move", b->P, b->eps, b->eta);
        unknown(out, text);
        return;
    }
    if (!(b->H1 > 0)) {
        snprintf(text, sizeof text, "curvature along the momentum is %.3g, not positive", b->H1);
        unknown(out, text);
        return;
    }
    int measured = !isnan(b->H2);
    if (feedback(b, b->H1, measured ? b->H2 : b->H1 * b->H1, &f) != 0) {
        unknown(out, "the record is outside the theory's range");
        return;
    }
    out->zeta = f.zeta;
    out->omega = f.omega;
    if (measured) {
        out->H = f.H;
        out->rate = f.rate;
        out->confidence = mscope_verdict_confidence(b->h_samples);
    } else {
        f.regime = damping(f.zeta);
        out->confidence = 0.5;
    }
    out->regime = mscope_regime_name(f.regime);
    say(out, b, &f, f.regime);
    if (!measured)
        strncat(out->why, "; stability unknown: no probe", sizeof out->why - strlen(out->why) - 1);
    /* one standard error of curvature either way, noise in proportion */
    double s = isfinite(b->H1_se) ? b->H1_se / b->H1 : 0, ratio = measured ? b->H2 / (b->H1 * b->H1) : 1;
    if (s > 0 && s < 1 && feedback(b, b->H1 * (1 - s), ratio * b->H1 * b->H1 * (1 - s) * (1 - s), &low) == 0 &&
        feedback(b, b->H1 * (1 + s), ratio * b->H1 * b->H1 * (1 + s) * (1 + s), &high) == 0) {
        enum mscope_regime l = measured ? low.regime : damping(low.zeta), h = measured ? high.regime : damping(high.zeta);
        if (l != f.regime || h != f.regime)
            out->confidence *= 0.7;
    } else if (s >= 1) {
        out->confidence *= 0.5;
    }
}
