/* paper_charts.c - see paper_charts.h */
#include "paper_charts.h"

#include <math.h>
#include <stdio.h>

enum { REGIME = 7, ROW = 13 };       /* column of the regime; height of a bar and its gap */

static const double DECADES = 9;     /* a chart shows so many at most                     */

static double value(const mscope_series *s, size_t i, size_t column)
{
    return (double)s->value[i * s->columns + column];
}

/* Colour by rank: frequent bands dark. */
static void band_ink(cairo_t *cr, const mscope_told *t, int band)
{
    int n = 0, rank = 0;

    for (int b = 0; b < MSCOPE_BANDS; b++) {
        rank += b < band && t->band[b].points > 0;
        n += t->band[b].points > 0;
    }
    mscope_canvas_ink(cr, n > 1 ? 0.92 * rank / (n - 1) : 0);
}

static int fit(mscope_canvas *c, const mscope_told *t, size_t column)
{
    double low = INFINITY, high = 0, first = INFINITY, last = 0;
    size_t n = 0;

    for (int b = 0; b < MSCOPE_BANDS; b++)
        for (size_t i = 0; i < t->band[b].points; i++) {
            const double v = value(&t->band[b], i, column);
            first = fmin(first, t->band[b].step[i]);
            last = fmax(last, t->band[b].step[i]);
            if (!(v > 0) || isinf(v))
                continue;
            low = fmin(low, v);
            high = fmax(high, v);
            n++;
        }
    if (n < 2 || !(last > first))
        return 0;
    c->log_x = 0;
    c->log_y = 1;
    c->x0 = first;
    c->x1 = last;
    c->y1 = log10(high) + 0.1;
    c->y0 = fmax(log10(low), log10(high) - DECADES) - 0.1;
    return 1;
}

static void draw_band(const mscope_canvas *c, const mscope_series *s, size_t column)
{
    int down = 0;

    for (size_t i = 0; i < s->points; i++) {
        const double v = value(s, i, column);
        if (!(v > 0) || isinf(v)) {
            down = 0;
            continue;
        }
        (down ? cairo_line_to : cairo_move_to)(c->cr, mscope_canvas_x(c, s->step[i]), mscope_canvas_y(c, v));
        down = 1;
    }
    cairo_stroke(c->cr);
}

int mscope_paper_chart(mscope_canvas *c, const mscope_told *t, size_t column, const char *title, double x, double y,
                       double w, double h)
{
    if (!fit(c, t, column))
        return 0;
    c->w = w;
    c->h = h;
    cairo_save(c->cr);
    cairo_translate(c->cr, x, y);
    mscope_canvas_frame(c, title, "step", "");
    mscope_canvas_clip(c);
    cairo_set_line_width(c->cr, 1.2);
    cairo_set_line_join(c->cr, CAIRO_LINE_JOIN_ROUND);
    for (int b = 0; b < MSCOPE_BANDS; b++)
        if (t->band[b].points > 0) {
            band_ink(c->cr, t, b);
            draw_band(c, &t->band[b], column);
        }
    cairo_restore(c->cr);
    cairo_restore(c->cr);
    return 1;
}

void mscope_paper_key(const mscope_canvas *c, const mscope_told *t, double x, double y)
{
    mscope_canvas_text(c, x, y, 0, 12, "band");
    x += 40;
    for (int b = 0; b < MSCOPE_BANDS; b++) {
        char name[8];
        if (t->band[b].points == 0)
            continue;
        band_ink(c->cr, t, b);
        cairo_rectangle(c->cr, x, y - 9, 14, 9);
        cairo_fill(c->cr);
        snprintf(name, sizeof name, "%d", b);
        mscope_canvas_text(c, x + 18, y, 0, 12, name);
        x += 44;
    }
}

/* Okabe and Ito's colours, as in the page. */
static const struct {
    double ink[3];
    const char *name;
} regimes[] = { { { .85, .64, .00 }, "sgd-like" },         { { .00, .62, .45 }, "resonant" },
                { { .18, .45, .79 }, "heavy-ball" },       { { .88, .48, .00 }, "near-instability" },
                { { .76, .09, .29 }, "unstable" },         { { .55, .58, .66 }, "unknown" } };

enum { REGIMES = sizeof regimes / sizeof *regimes };

static int regime_at(const mscope_series *s, size_t i)
{
    const double r = value(s, i, REGIME);

    return r >= 0 && r < REGIMES ? (int)r : REGIMES - 1;
}

static void bars(const mscope_canvas *c, const mscope_series *s, double x, double y, double per_step, double first)
{
    for (size_t i = 0, e; i < s->points; i = e) {
        const int r = regime_at(s, i);
        for (e = i; e < s->points && regime_at(s, e) == r;)
            e++;
        const double until = s->step[e < s->points ? e : s->points - 1];
        cairo_set_source_rgb(c->cr, regimes[r].ink[0], regimes[r].ink[1], regimes[r].ink[2]);
        cairo_rectangle(c->cr, x + (s->step[i] - first) * per_step, y, fmax((until - s->step[i]) * per_step, 1),
                        ROW - 3);
        cairo_fill(c->cr);
    }
}

static void regime_key(const mscope_canvas *c, double x, double y)
{
    for (int r = 0; r < REGIMES; r++) {
        cairo_set_source_rgb(c->cr, regimes[r].ink[0], regimes[r].ink[1], regimes[r].ink[2]);
        cairo_rectangle(c->cr, x, y - 9, 14, 9);
        cairo_fill(c->cr);
        mscope_canvas_text(c, x + 18, y, 0, 12, regimes[r].name);
        x += 134;
    }
}

double mscope_paper_timeline_height(const mscope_told *t)
{
    double h = 14 + 44;

    for (int b = 0; b < MSCOPE_BANDS; b++)
        h += t->band[b].points > 0 ? ROW : 0;
    return h;
}

double mscope_paper_timeline(const mscope_canvas *c, const mscope_told *t, double x, double y, double w)
{
    double first = INFINITY, last = 0, at = y + 14;
    char text[48];

    for (int b = 0; b < MSCOPE_BANDS; b++)
        if (t->band[b].points > 0) {
            first = fmin(first, t->band[b].step[0]);
            last = fmax(last, t->band[b].step[t->band[b].points - 1]);
        }
    if (!(last > first))
        return 0;
    mscope_canvas_text(c, x, y, 0, 14, "What each band was, step by step");
    for (int b = 0; b < MSCOPE_BANDS; b++) {
        if (t->band[b].points == 0)
            continue;
        snprintf(text, sizeof text, "%d", b);
        mscope_canvas_text(c, x + 22, at + 9, 1, 11, text);
        bars(c, &t->band[b], x + 30, at, (w - 30) / (last - first), first);
        at += ROW;
    }
    snprintf(text, sizeof text, "step %.0f", first);
    mscope_canvas_text(c, x + 30, at + 12, 0, 11, text);
    snprintf(text, sizeof text, "%.0f", last);
    mscope_canvas_text(c, x + w, at + 12, 1, 11, text);
    regime_key(c, x + 30, at + 34);
    return at + 44 - y;
}
