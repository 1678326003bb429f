/* verdict.c - from the record of a band to its regime and a sentence
 *
 * The theory's part (rho, zeta, eta_max, the spectral radius) is host/theory's, the curvature curvature.c's; here
 * the two are joined, errors are carried through, and the result becomes a label and a sentence.            */
#include "verdict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "curvature.h"
#include "mscope/theory.h"
#include "reads.h"
#include "steep.h"

#define PI 3.14159265358979323846
#define NEAR 0.8                     /* borders of the labels */
#define ZETA_SGD 2.0
#define ZETA_HEAVY 0.5
#define NEAR_ODDS 0.25               /* probability from which near-instability is said: an early warning is cheap */
#define NEAR_STAYS 0.15
#define UNSTABLE_ODDS 0.9            /* for unstable: the user will change the run */
#define UNSTABLE_STAYS 0.5
#define GROWTH_SPAN 8.0              /* retention times behind a record's growth */
#define GROWTH_FOLDS 2.0             /* predicted e-folds in that time before their absence says something, .. */
#define GROWTH_SHARE 0.25            /* .. and how much of the predicted growth is absence */
#define ROWS_DIFFER 1.25             /* slowest over fastest period of rows, from which both are said  */
#define STICK 1.1                    /* zeta must pass a border by this factor to leave a regime */

/* P(x > border) for x normal; without an error 0 or 1. */
static double above(double x, double se, double border)
{
    if (!(se > 0))
        return x > border;
    return 0.5 * erfc((border - x) / (se * sqrt(2)));
}

/* H = eta/2 (H2/H1 - P H1) + eta eps P H1/(2 (1+beta)). Isotropic: one scale moves all of it. Else H2/H1 = A + tau,
 * A = sum h1^2/sum h1 moving with H1 and with the scatter of h1, known from n samples to sqrt(2/n).          */
static double error_of_H(const mscope_rec_band *b, const mscope_curved *c, double H)
{
    double beta = 1 - b->eps, n = fmax(b->h_samples, 2), half = 0.5 * b->eta, w = c->isotropic, s = H * c->isotropic_sd;
    double by_tau = half * c->ratio * c->ratio_sd;
    double by_H1 = half * c->H1 * (1 - c->P + c->P * b->eps / (1 + beta)) * c->H1_sd;
    double by_scatter = half * c->H1 * n * c->H1_sd * c->H1_sd * sqrt(2 / n);

    return sqrt(w * s * s + (1 - w) * (by_tau * by_tau + by_H1 * by_H1 + by_scatter * by_scatter));
}

/* Relative standard error of retention. */
static double error_of_fade(const mscope_rec_band *b)
{
    double var = b->gaps >= MSCOPE_GAPS_ENOUGH ? (b->fade2 - b->fade * b->fade) / b->gaps : 0;

    return var > 0 ? sqrt(var) / b->fade : 0;
}

/* zeta goes as the root of x/rho. */
static double error_of_zeta(const mscope_rec_band *b, const mscope_curved *c)
{
    mscope_feedback low, high;
    double s = fmin(c->H1_sd, 1.0);

    if (isnan(s) || mscope_curved_feedback(b, c->P, c->H1 * exp(-s), c->ratio, &low) != 0 ||
        mscope_curved_feedback(b, c->P, c->H1 * exp(s), c->ratio, &high) != 0)
        return NAN;
    if (isinf(low.zeta) || isinf(high.zeta))
        return 0;
    return hypot(0.5 * fabs(log(low.zeta / high.zeta)) * (c->H1_sd / fmax(s, 1e-300)), 0.5 * error_of_fade(b));
}

static enum mscope_regime damping(double zeta, enum mscope_regime before)
{
    double sgd = ZETA_SGD, heavy = ZETA_HEAVY;

    if (before == MSCOPE_REGIME_SGD)
        sgd /= STICK;
    else if (before == MSCOPE_REGIME_RESONANT)
        sgd *= STICK, heavy /= STICK;
    else if (before == MSCOPE_REGIME_HEAVY_BALL)
        heavy *= STICK;
    return zeta > sgd ? MSCOPE_REGIME_SGD : zeta < heavy ? MSCOPE_REGIME_HEAVY_BALL : MSCOPE_REGIME_RESONANT;
}

/* The label by H first, then by zeta; *confidence is the probability that the label is right. */
static enum mscope_regime judge(const mscope_verdict *v, enum mscope_regime before, double *confidence)
{
    int was_unstable = before == MSCOPE_REGIME_UNSTABLE;
    int was_near = was_unstable || before == MSCOPE_REGIME_NEAR;
    double over = 0, close = 0, lz = log(v->zeta), in;

    if (!isnan(v->H)) {
        over = above(v->H, v->H_se, 1);
        close = above(v->H, v->H_se, NEAR);
        if (over > (was_unstable ? UNSTABLE_STAYS : UNSTABLE_ODDS)) {
            *confidence = over;
            return MSCOPE_REGIME_UNSTABLE;
        }
        if (close > (was_near ? NEAR_STAYS : NEAR_ODDS) && v->H_se < v->H) {     /* else H says nothing yet */
            *confidence = close - over;
            return MSCOPE_REGIME_NEAR;
        }
    }
    enum mscope_regime r = damping(v->zeta, before);
    double sgd = above(lz, v->zeta_se, log(ZETA_SGD)), not_heavy = above(lz, v->zeta_se, log(ZETA_HEAVY));

    in = r == MSCOPE_REGIME_SGD ? sgd : r == MSCOPE_REGIME_HEAVY_BALL ? 1 - not_heavy : not_heavy - sgd;
    *confidence = in * (1 - close);
    return r;
}

/* The period of a row of this curvature, in updates; NaN: it does not oscillate. */
static double period_of(const mscope_rec_band *b, double H1)
{
    const double ratio = b->H2 > 0 ? b->H2 / b->H1 : H1;
    mscope_feedback f;

    if (!(H1 > 0) || mscope_curved_feedback(b, fmin(b->P, 1), H1, ratio, &f) != 0 || !(f.omega > 0))
        return NAN;
    return 2 * PI / f.omega;
}

/* One period for the band, and the range of its rows where they differ. */
static void say_period(mscope_verdict *v, const mscope_rec_band *b, const mscope_feedback *f)
{
    const double fast = period_of(b, b->H1_high), slow = period_of(b, b->H1_low);

    if (!(f->omega > 0))
        snprintf(v->why, sizeof v->why, "underdamped, momentum outlasts learning");
    else if (slow > ROWS_DIFFER * fast)
        snprintf(v->why, sizeof v->why, "oscillates, period %.3g updates, of its rows %.3g to %.3g", 2 * PI / f->omega,
                 fast, slow);
    else
        snprintf(v->why, sizeof v->why, "oscillates, period %.3g updates", 2 * PI / f->omega);
}

static void say(mscope_verdict *v, const mscope_rec_band *b, const mscope_feedback *f)
{
    char *to = v->why;
    const size_t cap = sizeof v->why;

    switch (v->regime) {
    case MSCOPE_REGIME_UNSTABLE:
        snprintf(to, cap, "unstable, eta %.3g is above its limit %.3g: the error grows %.2g a step", b->eta, f->eta_max,
                 -f->rate);
        break;
    case MSCOPE_REGIME_NEAR:
        if (f->H > 1)
            snprintf(to, cap, "near instability, eta %.3g and its limit %.3g are the same within the error of %.2g %%",
                     b->eta, f->eta_max, 100 * v->H_se / v->H);
        else
            snprintf(to, cap, "near instability, eta %.3g of at most %.3g", b->eta, f->eta_max);
        break;
    case MSCOPE_REGIME_HEAVY_BALL:
        say_period(v, b, f);
        break;
    case MSCOPE_REGIME_RESONANT:
        snprintf(to, cap, "resonant, memory of %.3g updates and %.3g to learn", f->retention, f->learning);
        break;
    case MSCOPE_REGIME_SGD:
        snprintf(to, cap, "like SGD, memory of %.3g updates against %.3g to learn", f->retention, f->learning);
        break;
    case MSCOPE_REGIME_UNKNOWN:
        break;
    }
}

static void unknown(mscope_verdict *v, const char *why)
{
    v->regime = MSCOPE_REGIME_UNKNOWN;
    snprintf(v->why, sizeof v->why, "stability unknown: %.160s", why);
}

/* Is there anything to judge? */
static int judgeable(const mscope_rec_band *b, mscope_verdict *out)
{
    char text[MSCOPE_TEXT_MAX + 1];

    if (isnan(b->H1)) {
        int none = strncmp(b->h_source, "none: ", 6) == 0;
        unknown(out, none ? b->h_source + 6 : "no probe");
        return 0;
    }
    if (b->rows == 0 && b->P == 0) {
        unknown(out, "no row is in this band now");
        return 0;
    }
    if (!(b->P > 0) || !(b->eps > 0) || !(b->eta > 0)) {
        snprintf(text, sizeof text, "P %.3g, eps %.3g, eta %.3g: the band does not move", b->P, b->eps, b->eta);
        unknown(out, text);
        return 0;
    }
    if (!(b->H1 > 0)) {
        snprintf(text, sizeof text, "curvature along the momentum is %.3g, not positive", b->H1);
        unknown(out, text);
        return 0;
    }
    if (b->H1_se >= b->H1) {
        snprintf(text, sizeof text, "curvature along the momentum is %.3g with a standard error of %.3g", b->H1,
                 b->H1_se);
        unknown(out, text);
        return 0;
    }
    return 1;
}

static void append(mscope_verdict *v, const char *format, double x)
{
    const size_t at = strlen(v->why);

    snprintf(v->why + at, sizeof v->why - at, format, x);
}

/* What the band's momentum did, beside what the model says it should do. A band that is unstable by the model has grown
 * by predicted x GROWTH_SPAN x retention (in steps) e-folds in the time behind `growth`. */
static void compare(const mscope_rec_band *b, const mscope_feedback *f, enum mscope_regime was, mscope_verdict *v)
{
    const double predicted = -v->rate, folds = predicted * GROWTH_SPAN * b->retention / b->P;
    const int quiet = !b->growing && b->growth < GROWTH_SHARE * predicted;

    if (v->regime == MSCOPE_REGIME_UNSTABLE && folds > GROWTH_FOLDS && quiet) {
        v->regime = damping(v->zeta, was);
        v->confidence = fmin(v->confidence, 0.5);
        say(v, b, f);
        append(v, "; H %.3g says unstable, but |m|^2 does not grow: H is not believed", v->H);
    }
}

/* The band holds the limit of all that moves with it. Returns 0 where that says nothing against its other regime. */
static int held_back(const mscope_rec_band *b, const mscope_margin *m, mscope_verdict *v)
{
    if (mscope_margin_weight(b, m->noise_part) < m->blame_from)
        return 0;
    if (m->standing == MSCOPE_STANDING_STABLE)
        v->confidence = fmin(v->confidence, m->confidence);
    if (m->standing != MSCOPE_STANDING_NEAR && m->standing != MSCOPE_STANDING_UNSTABLE)
        return 0;
    v->regime = m->standing == MSCOPE_STANDING_NEAR ? MSCOPE_REGIME_NEAR : MSCOPE_REGIME_UNSTABLE;
    v->confidence = m->confidence;
    v->rate = m->rate > 0 ? -m->rate : NAN;
    snprintf(v->why, sizeof v->why, "%s", m->why);
    if (v->regime == MSCOPE_REGIME_UNSTABLE && mscope_reads_band(b) && !b->growing && !b->top_growing) {
        v->regime = MSCOPE_REGIME_NEAR;      /* the preconditioner follows the error and holds H near 1 */
        v->rate = NAN;
        snprintf(v->why, sizeof v->why, "H %.3g under the preconditioner as it is now, which may hold it there: |m|^2 "
                 "does not grow", m->H);
    }
    return 1;
}

/* The label of a band that a stability record covers: zeta's, unless it holds the limit. */
static void judge_within(const mscope_rec_band *b, const mscope_margin *m, enum mscope_regime was,
                         const mscope_feedback *f, mscope_verdict *v)
{
    const double lz = log(v->zeta);
    const double sgd = above(lz, v->zeta_se, log(ZETA_SGD)), not_heavy = above(lz, v->zeta_se, log(ZETA_HEAVY));

    v->H = m->H;                             /* NaN where the probes do not know it yet                */
    v->H_se = m->H_se;
    v->rate = NAN;
    v->regime = damping(v->zeta, was);
    v->confidence = v->regime == MSCOPE_REGIME_SGD ? sgd
                    : v->regime == MSCOPE_REGIME_HEAVY_BALL ? 1 - not_heavy : not_heavy - sgd;
    if (isnan(v->zeta_se))
        v->confidence *= 0.5;
    v->confidence = fmin(v->confidence, 1 - 0.4 / fmax(b->h_samples, 1));
    say(v, b, f);
    (void)held_back(b, m, v);
    v->confidence = fmin(fmax(v->confidence, 0.01), 0.995);
}

static void tell_growth(const mscope_rec_band *b, mscope_verdict *v)
{
    if (!b->growing || v->regime == MSCOPE_REGIME_UNSTABLE || v->regime == MSCOPE_REGIME_NEAR)
        return;
    v->confidence = fmin(v->confidence, 0.5);
    append(v, "; but |m|^2 grows, at %.2g a step", b->growth);
}

/* Where a band is bad, its row with the largest |m|^2, if the trainer has named its rows. */
static void tell_row(const mscope_rec_band *b, mscope_verdict *v)
{
    const int bad = v->regime == MSCOPE_REGIME_UNSTABLE || v->regime == MSCOPE_REGIME_NEAR || b->growing ||
                    b->top_growing;

    const size_t at = strlen(v->why), room = sizeof v->why - at;
    int n;

    if (!bad || b->top_label[0] == '\0')
        return;
    n = snprintf(v->why + at, room, "; its largest row is %.0f \"%s\"", (double)b->top_row, b->top_label);
    if (n < 0 || (size_t)n >= room)
        v->why[at] = '\0';                  /* half a character would be no UTF-8 */
}

/* Momentum 0: there is no buffer, and nothing to measure of it. */
static void plain_sgd(const mscope_rec_band *b, mscope_verdict *v)
{
    v->regime = MSCOPE_REGIME_SGD;
    v->confidence = 0.995;
    snprintf(v->why, sizeof v->why, mscope_reads_band(b) ? "no momentum: steps of eta g/(sqrt v + epsilon), eta %.3g"
                                                         : "plain SGD at rate %.3g: momentum is 0", b->eta);
}

/* The label of a band by itself, from its own H and zeta. */
static void judge_alone(const mscope_rec_band *b, const mscope_curved *c, const mscope_feedback *f,
                        enum mscope_regime was, mscope_verdict *v)
{
    const int measured = !isnan(c->ratio);

    if (measured) {
        v->H = f->H;
        v->H_se = error_of_H(b, c, f->H);
        v->rate = f->rate;
    }
    v->regime = judge(v, was, &v->confidence);
    if (!measured || isnan(v->zeta_se))      /* the error of the curvature is unknown */
        v->confidence *= 0.5;
    /* the measured hit rate of so few samples, whatever scatter they show: 1: 0.6, 4: 0.9, 16: 0.975 */
    v->confidence = fmin(v->confidence, measured ? 1 - 0.4 / fmax(b->h_samples, 1) : 1);
    v->confidence = fmin(fmax(v->confidence, 0.01), 0.995);
    say(v, b, f);
    if (!measured)
        strncat(v->why, "; stability unknown: no probe", sizeof v->why - strlen(v->why) - 1);
    compare(b, f, was, v);
}

/* A calm band whose steepest row is not. */
static void heed_steep(const mscope_rec_band *b, mscope_verdict *v)
{
    mscope_steep s;

    mscope_steep_of(b, &s);
    if (s.regime == MSCOPE_REGIME_UNKNOWN || v->regime == MSCOPE_REGIME_UNSTABLE || v->regime == MSCOPE_REGIME_NEAR)
        return;
    v->regime = s.regime;
    v->confidence = s.confidence;
    snprintf(v->why, sizeof v->why, "%s", s.why);
}

static void judge_band(const mscope_rec_band *b, const mscope_margin *margin, const mscope_verdict *before,
                       mscope_verdict *out)
{
    mscope_feedback f;
    mscope_curved c;
    const enum mscope_regime was = before != NULL ? before->regime : MSCOPE_REGIME_UNKNOWN;
    const int without = b->eps == 1 && isnan(b->H1);

    memset(out, 0, sizeof *out);
    out->H = out->H_se = out->zeta = out->zeta_se = out->omega = out->rate = NAN;
    if (without)
        plain_sgd(b, out);
    if (without || !judgeable(b, out)) {
        if ((margin == NULL || !held_back(b, margin, out)) && b->growing)
            append(out, "; |m|^2 grows, at %.2g a step", b->growth);
        tell_row(b, out);
        return;
    }
    mscope_curved_of(b, &c);
    if (mscope_curved_feedback(b, c.P, c.H1, isnan(c.ratio) ? c.H1 : c.ratio, &f) != 0) {
        unknown(out, "the record is outside the theory's range");
        return;
    }
    out->zeta = f.zeta;
    out->zeta_se = error_of_zeta(b, &c);
    out->omega = f.omega;
    out->isotropic = c.isotropic;
    if (margin != NULL)
        judge_within(b, margin, was, &f, out);
    else
        judge_alone(b, &c, &f, was, out);
    if (margin == NULL)
        heed_steep(b, out);
    tell_growth(b, out);
    tell_row(b, out);
}

void mscope_verdict_after(const mscope_rec_band *b, const mscope_margin *margin, const mscope_verdict *before,
                          mscope_verdict *out)
{
    judge_band(b, margin, before, out);
    mscope_reads_say(b, out->why, sizeof out->why);
}

void mscope_verdict_band(const mscope_rec_band *b, mscope_verdict *out)
{
    mscope_verdict_after(b, NULL, NULL, out);
}
