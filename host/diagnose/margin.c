/* margin.c - see margin.h */
#include "margin.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "mscope/theory.h"
#include "reads.h"

#define NEAR 0.8
#define NEAR_ODDS 0.5                /* runs at half of their limit are common, and many are good */
#define NEAR_STAYS 0.35
#define UNSTABLE_ODDS 0.9            /* a wrong alarm makes people change a run                   */
#define UNSTABLE_STAYS 0.5
#define NOISE_FROM 0.3               /* noise part from which the estimate is less certain, ..    */
#define NOISE_FULL 0.5               /* .. and from which it is as uncertain as it gets           */
#define FAR 0.25                     /* H from which on "stable" has doubts                       */
#define COARSE 0.5                   /* standard error over H from which H says nothing              */
#define BURST_MOST 20.0
#define BURST_GAPS 64.0              /* gaps before their mean says something of bursts           */
#define BLAME 0.2                    /* weight of a band that holds the limit                     */
#define GROWTH_SPAN 8.0              /* retention times behind a record's growth                  */
#define GROWTH_FOLDS 2.0             /* e-folds whose absence says something                      */
#define GROWTH_SHARE 0.25            /* .. and how much of the predicted growth is absence        */

const char *mscope_standing_name(enum mscope_standing s)
{
    static const char *const names[] = { "unknown", "stable", "near-instability", "unstable" };

    return names[s];
}

double mscope_margin_weight(const mscope_rec_band *b, double noise_part)
{
    const double w = noise_part * fmax(b->noise_share, 0) + (1 - noise_part) * fmax(b->curvature_share, 0);

    return w > 0 ? w : 0;
}

/* eta_max of a row of the band that is active independently from step to step, over its own. */
static double burst_of(const mscope_rec_band *b)
{
    mscope_feedback independent, measured;
    mscope_row row;

    if (!(b->gaps >= BURST_GAPS) || !(b->H1 > 0) || !(b->H2 > 0) || !(b->P > 0) ||
        mscope_row_from_probe(fmin(b->P, 1), b->H1, fmax(b->H2, b->H1 * b->H1), b->eps, b->eta, 0, &row) != 0 ||
        mscope_row_feedback(&row, &independent) != 0 ||
        mscope_row_feedback_measured(&row, b->fade, fmax(b->fade2, b->fade * b->fade), &measured) != 0)
        return 1;
    return fmin(fmax(independent.eta_max / measured.eta_max, 1), BURST_MOST);
}

static double bursts(const mscope_rec_band *const *band, size_t n)
{
    double weights = 0, sum = 0;

    for (size_t i = 0; i < n; i++) {
        const double w = fmax(band[i]->noise_share, 0);
        if (!(w > 0))
            continue;
        weights += w;
        sum += w * burst_of(band[i]);
    }
    return weights > 0 ? (sum + fmax(1 - weights, 0)) / fmax(weights, 1) : 1;
}

/* The bands that hold the limit: those of weight BLAME, or the heaviest. None where parameters outside have more. */
static double blame(const mscope_rec_band *const *band, size_t n, double noise_part, double outside)
{
    double most = 0;

    for (size_t i = 0; i < n; i++)
        most = fmax(most, mscope_margin_weight(band[i], noise_part));
    return most > outside ? fmin(most, BLAME) : INFINITY;
}

static double outside_of(const mscope_rec_stability *r, double noise_part)
{
    const double w = noise_part * r->outside_noise + (1 - noise_part) * r->outside_curvature;

    return w > 0 ? w : 0;
}

/* P(true H > border). */
static double odds(const mscope_margin *x, double border)
{
    const double much = fmin(fmax((x->noise_part - NOISE_FROM) / (NOISE_FULL - NOISE_FROM), 0), 1);
    const double off = -0.06 + 0.34 * much, sd = 0.07 + 0.30 * much, se = x->H_se / x->H;

    return 0.5 * erfc(-(log(x->H / border) + off) / (sqrt(2) * sqrt(sd * sd + se * se)));
}

/* Should the momentum of every band that holds the limit have grown, and has it not? Where parameters outside the
 * tables hold it, every band is asked: what they do to the loss reaches the rows. */
static int quiet(const mscope_margin *x, const mscope_rec_band *const *band, size_t n)
{
    const double from = isinf(x->blame_from) ? 0 : x->blame_from;
    int any = 0;

    for (size_t i = 0; i < n; i++) {
        const mscope_rec_band *b = band[i];
        if (mscope_margin_weight(b, x->noise_part) < from || !(b->rows > 0))
            continue;
        if (b->growing || !(b->growth < GROWTH_SHARE * x->rate) ||
            !(x->rate * GROWTH_SPAN * b->retention / b->P > GROWTH_FOLDS))
            return 0;
        any = 1;
    }
    return any;
}

/* Every band is of an optimizer that is read, and no momentum grows: the preconditioner follows the error and holds H
 * near 1, which ruins nothing. */
static int held(const mscope_rec_band *const *band, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!mscope_reads_band(band[i]) || band[i]->growing || band[i]->top_growing)
            return 0;
    return n > 0;
}

static void stand(mscope_margin *x, enum mscope_standing before)
{
    const int was_unstable = before == MSCOPE_STANDING_UNSTABLE;
    const int was_near = was_unstable || before == MSCOPE_STANDING_NEAR;

    x->over = odds(x, 1);
    x->close = odds(x, NEAR);
    if (x->over > (was_unstable ? UNSTABLE_STAYS : UNSTABLE_ODDS)) {
        x->standing = MSCOPE_STANDING_UNSTABLE;
        x->confidence = x->over;
    } else if (x->close > (was_near ? NEAR_STAYS : NEAR_ODDS)) {
        x->standing = MSCOPE_STANDING_NEAR;
        x->confidence = x->close;
    } else {
        x->standing = MSCOPE_STANDING_STABLE;
        x->confidence = 1 - x->close;
        if (x->H > FAR)
            x->confidence = fmin(x->confidence, 1 - 0.5 * x->noise_part);
    }
    x->confidence = fmin(fmax(x->confidence, 0.01), 0.995);
}

static void say(mscope_margin *x)
{
    const size_t cap = sizeof x->why;
    int at;

    if (x->held)
        at = snprintf(x->why, cap, "near instability, H %.3g under the preconditioner as it is now, which may hold it "
                      "there: no |m|^2 grows", x->H);
    else if (x->standing == MSCOPE_STANDING_UNSTABLE)
        at = snprintf(x->why, cap, "unstable, eta %.3g is above its limit %.3g", x->eta, x->eta_max);
    else if (x->standing == MSCOPE_STANDING_NEAR)
        at = snprintf(x->why, cap, "near instability, eta %.3g of at most about %.3g", x->eta, x->eta_max);
    else
        at = snprintf(x->why, cap, "stable, eta %.3g of at most about %.3g%s", x->eta, x->eta_max,
                      x->H < 0.1 ? " as the loss is shaped here" : "");
    if (at > 0 && (size_t)at < cap)
        at += snprintf(x->why + at, cap - (size_t)at, "; %.0f %% of H is batch noise", 100 * x->noise_part);
    if (at > 0 && (size_t)at < cap && x->doubted)
        snprintf(x->why + at, cap - (size_t)at, "; H %.3g says unstable, but |m|^2 does not grow: H is not believed",
                 x->H);
}

void mscope_margin_of(const mscope_rec_stability *r, const mscope_rec_band *const *band, size_t n,
                     const mscope_margin *before, mscope_margin *out)
{
    const enum mscope_standing was = before != NULL ? before->standing : MSCOPE_STANDING_UNKNOWN;

    memset(out, 0, sizeof *out);
    out->H = out->H_se = out->eta_max = NAN;
    out->eta = r->eta;
    out->noise_part = r->noise_part;
    out->burst = 1;
    out->blame_from = INFINITY;
    if (!(r->H > 0) || !(r->H_se >= 0)) {
        const int none = strncmp(r->h_source, "none: ", 6) == 0;
        snprintf(out->why, sizeof out->why, "stability unknown: %.160s", none ? r->h_source + 6 : "no probe");
        return;
    }
    if (r->H_se > COARSE * r->H) {
        snprintf(out->why, sizeof out->why, "stability unknown: H is %.2g with a standard error of %.2g", r->H,
                 r->H_se);
        return;
    }
    out->burst = bursts(band, n);
    const double by_burst = 1 + r->noise_part * (out->burst - 1);
    out->H = r->H * by_burst;
    out->H_se = r->H_se * by_burst;
    out->noise_part = r->noise_part * out->burst / by_burst;
    out->eta_max = r->eta / out->H;
    out->blame_from = blame(band, n, out->noise_part, outside_of(r, out->noise_part));
    /* Plain SGD along v: the mean square changes by -2 eta <v,Hv> (1 - H) a step, no faster than momentum lets it. */
    out->rate = out->H > 1 ? fmin(2 * r->eta * r->curvature * (out->H - 1), 2 * r->eps) : 0;
    stand(out, was);
    if (out->standing == MSCOPE_STANDING_UNSTABLE && held(band, n)) {
        out->held = 1;
        out->rate = 0;
        out->standing = MSCOPE_STANDING_NEAR;
        out->confidence = fmin(fmax(out->close, 0.01), 0.995);
    } else if (out->standing == MSCOPE_STANDING_UNSTABLE && quiet(out, band, n)) {
        out->doubted = 1;
        out->standing = MSCOPE_STANDING_STABLE;
        out->confidence = 0.5;
    }
    say(out);
}
