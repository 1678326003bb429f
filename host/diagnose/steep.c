/* steep.c - see steep.h */
#include "steep.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "curvature.h"

#define NEAR 0.8                     /* the borders of verdict.c */
#define FEW 1.9                      /* samples of equal weight below which no error is known */

/* Relative standard error of H2/H1 of the row; the scatter of few samples is itself uncertain. They weigh as their h1:
 * where a row occurs once a batch, as chi^2_1, so n samples are worth n/3. */
static double relative(const mscope_rec_band *b)
{
    double n = b->steep_samples / 3;

    return n > FEW ? b->steep_se * sqrt((n + 1) / (n - 1)) : NAN;
}

/* Standard errors by which the largest of that many equal rows exceeds their mean. */
static double largest_of(double rows)
{
    return sqrt(2 * log(fmax(rows, 2)));
}

/* H2/H1 of the other rows, as if every row had as many samples; of the band where so the row has more than all. */
static double rest(const mscope_rec_band *b)
{
    double n = (double)b->rows, h1 = n * b->H1 - b->steep_H1, h2 = n * b->H2 - b->steep_H2;

    return h1 > 0 && h2 > 0 ? h2 / h1 : b->H2 / b->H1;
}

static void judge(mscope_steep *s, const char *label, double margin)
{
    double border = s->H - margin * s->H_se > 1 ? 1 : NEAR;

    if (!(s->H - margin * s->H_se > NEAR))
        return;
    s->regime = border < 1 ? MSCOPE_REGIME_NEAR : MSCOPE_REGIME_UNSTABLE;
    s->confidence = s->H_se > 0 ? fmin(1 - 0.5 * erfc((s->H - border) / (s->H_se * sqrt(2))), 0.995) : 0.995;
    snprintf(s->why, sizeof s->why, "row %.0f%s%s%s is %.2g times steeper than its band: its own H is %.2g", s->row,
             label[0] != '\0' ? " \"" : "", label, label[0] != '\0' ? "\"" : "", s->times, s->H);
}

void mscope_steep_of(const mscope_rec_band *b, mscope_steep *out)
{
    const double P = fmin(b->P, 1), ratio = b->steep_H2 / b->steep_H1, se = relative(b);
    const double margin = largest_of((double)b->rows);
    mscope_feedback f;

    memset(out, 0, sizeof *out);
    out->row = out->H = out->H_se = out->times = NAN;
    out->regime = MSCOPE_REGIME_UNKNOWN;
    if (isnan(b->steep_row) || !(b->steep_H1 > 0) || !(ratio > 0) || isnan(se) || !(b->H1 > 0) || !(b->H2 > 0) ||
        !(b->P > 0) || !(b->eps > 0) || !(b->eta > 0) || mscope_curved_feedback(b, P, b->steep_H1, ratio, &f) != 0)
        return;
    out->row = b->steep_row;
    out->times = ratio / rest(b);
    out->H = f.H;
    out->H_se = 0.5 * b->eta * ratio * se;
    if (out->times * (1 - margin * se) > 1)
        judge(out, b->steep_label, margin);
}
