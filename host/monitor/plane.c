/* plane.c - see plane.h */
#include "plane.h"

#include <math.h>
#include <stdio.h>

#include "common/canvas.h"
#include "mscope/theory.h"

enum { ACROSS = 160 };               /* points of a border */

static const double HEAVY_BALL[3] = { .80, .87, .97 }, RESONANT[3] = { .84, .94, .84 }, SGD[3] = { .98, .93, .80 };

void mscope_plane_of(mscope_plane *plane, const mscope_judged *j, size_t i)
{
    const mscope_latest_table *t = &j->latest.table[i];
    const mscope_rec_table *table = &t->table.record.u.table;

    *plane = (mscope_plane){ .eps = table->eps, .batch = table->batch };
    snprintf(plane->title, sizeof plane->title, "table %s, step %.0f: one eta %.3g, one beta %.6g, batch %.4g", t->name,
             (double)table->step, table->eta, 1 - table->eps, table->batch);
    for (int b = 0; b < MSCOPE_BANDS; b++) {
        const mscope_rec_band *band = &t->band[b].record.u.band;
        const double x = band->eta * band->H1;
        const enum mscope_regime regime = j->verdict[i][b].regime;

        if (t->have[b] && band->p > 0 && x > 0)
            plane->dot[plane->dots++] =
                (mscope_plane_dot){ .p = band->p, .x = x, .updates = (double)band->updates, .band = band->band,
                                    .memory = band->retention, .H = j->verdict[i][b].H,
                                    .alarm = regime == MSCOPE_REGIME_NEAR || regime == MSCOPE_REGIME_UNSTABLE };
    }
}

/* The damping ratio of a row of this frequency that loses the share x of its error in one update. */
static double damping(const mscope_plane *plane, double p, double x)
{
    const double P = p < 1 ? -expm1(plane->batch * log1p(-p)) : 1;
    mscope_feedback f;
    mscope_row row;

    if (mscope_row_from_probe(P, x, x * x, plane->eps, 1, 0, &row) != 0 || mscope_row_feedback(&row, &f) != 0)
        return NAN;
    return f.zeta;
}

double mscope_plane_border(const mscope_plane *plane, double p, double zeta, double low, double high)
{
    while (high / low > 1.001) {
        const double mid = sqrt(low * high);

        if (damping(plane, p, mid) > zeta)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* Fill what lies above a border, over what was painted before. */
static void fill_above(const mscope_canvas *c, const mscope_plane *plane, double zeta, const double ink[3])
{
    const double low = pow(10, c->y0), high = pow(10, c->y1);

    for (int i = 0; i <= ACROSS; i++) {
        const double p = pow(10, c->x0 + (c->x1 - c->x0) * i / ACROSS),
                     at = mscope_plane_border(plane, p, zeta, low / 10, high * 10);

        (i == 0 ? cairo_move_to : cairo_line_to)(c->cr, mscope_canvas_x(c, p), mscope_canvas_y(c, at));
    }
    cairo_line_to(c->cr, mscope_canvas_x(c, pow(10, c->x1)), mscope_canvas_y(c, high * 100));
    cairo_line_to(c->cr, mscope_canvas_x(c, pow(10, c->x0)), mscope_canvas_y(c, high * 100));
    cairo_close_path(c->cr);
    cairo_set_source_rgb(c->cr, ink[0], ink[1], ink[2]);
    cairo_fill(c->cr);
}

static void regions(const mscope_canvas *c, const mscope_plane *plane)
{
    mscope_canvas_clip(c);
    cairo_set_source_rgb(c->cr, SGD[0], SGD[1], SGD[2]);
    cairo_paint(c->cr);
    fill_above(c, plane, 2, RESONANT);
    fill_above(c, plane, 0.5, HEAVY_BALL);
    cairo_restore(c->cr);
}

static void dots(const mscope_canvas *c, const mscope_plane *plane)
{
    double most = 0;

    for (size_t i = 0; i < plane->dots; i++)
        most = fmax(most, plane->dot[i].updates);
    for (size_t i = 0; i < plane->dots; i++) {
        const mscope_plane_dot *d = &plane->dot[i];
        const double x = mscope_canvas_x(c, d->p), y = mscope_canvas_y(c, d->x),
                     radius = 4 + 12 * sqrt(d->updates / most);
        char name[24];

        cairo_new_sub_path(c->cr);
        cairo_arc(c->cr, x, y, radius, 0, 6.2831853);
        cairo_set_source_rgb(c->cr, d->alarm ? .75 : .16, d->alarm ? .15 : .25, d->alarm ? .10 : .45);
        cairo_fill(c->cr);
        snprintf(name, sizeof name, "%.0f", (double)d->band);
        mscope_canvas_text(c, x, y - radius - 4, 0.5, 11, name);
    }
}

/* A line through a value of each dot, from rare to frequent rows. */
static void line_through(const mscope_canvas *c, const mscope_plane *plane, double value(const mscope_plane_dot *d))
{
    for (size_t i = plane->dots; i-- > 0;) {
        const double x = value(&plane->dot[i]);
        if (x > 0 && x < 1e300)
            cairo_line_to(c->cr, mscope_canvas_x(c, plane->dot[i].p), mscope_canvas_y(c, x));
    }
    cairo_stroke(c->cr);
}

static double memory_is_learning(const mscope_plane_dot *d)
{
    return 1 / d->memory;
}

static double at_the_limit(const mscope_plane_dot *d)
{
    return d->x / d->H;
}

static void lines(const mscope_canvas *c, const mscope_plane *plane)
{
    const double dash[] = { 7, 4 }, dots[] = { 2, 4 };

    mscope_canvas_clip(c);
    cairo_set_line_width(c->cr, 1.5);
    cairo_set_source_rgb(c->cr, 0, .41, .30);
    cairo_set_dash(c->cr, dash, 2, 0);
    line_through(c, plane, memory_is_learning);
    cairo_set_source_rgb(c->cr, .64, .07, .24);
    cairo_set_dash(c->cr, dots, 2, 0);
    line_through(c, plane, at_the_limit);
    cairo_restore(c->cr);
}

static void legend_line(const mscope_canvas *c, double left, double y, const char *words)
{
    cairo_set_line_width(c->cr, 1.5);
    cairo_move_to(c->cr, left, y - 4);
    cairo_line_to(c->cr, left + 22, y - 4);
    cairo_stroke(c->cr);
    mscope_canvas_text(c, left + 30, y, 0, 12, words);
}

static void legend(const mscope_canvas *c)
{
    const double dash[] = { 7, 4 }, dots[] = { 2, 4 };
    static const struct {
        const double *ink;
        const char *words[3];
    } rows[] = {
        { HEAVY_BALL, { "heavy ball: swings past", "the target and back", "" } },
        { RESONANT, { "resonant: memory and", "learning keep pace", "" } },
        { SGD, { "like SGD: momentum has", "faded before the next", "gradient" } },
    };
    const double left = MSCOPE_CANVAS_LEFT + MSCOPE_CANVAS_W + 14;
    double y = MSCOPE_CANVAS_TOP + 14;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cairo_rectangle(c->cr, left, y - 11, 22, 14);
        cairo_set_source_rgb(c->cr, rows[i].ink[0], rows[i].ink[1], rows[i].ink[2]);
        cairo_fill(c->cr);
        for (size_t k = 0; k < 3 && rows[i].words[k][0] != '\0'; k++, y += 17)
            mscope_canvas_text(c, left + 30, y, 0, 12, rows[i].words[k]);
        y += 10;
    }
    mscope_canvas_text(c, left, y, 0, 12, "a dot: a band of rows, with");
    mscope_canvas_text(c, left, y + 17, 0, 12, "its number; the larger, the");
    mscope_canvas_text(c, left, y + 34, 0, 12, "more updates it received");
    cairo_save(c->cr);
    cairo_set_source_rgb(c->cr, 0, .41, .30);
    cairo_set_dash(c->cr, dash, 2, 0);
    legend_line(c, left, y + 64, "memory = learning");
    cairo_set_source_rgb(c->cr, .64, .07, .24);
    cairo_set_dash(c->cr, dots, 2, 0);
    legend_line(c, left, y + 84, "limit, H = 1");
    cairo_restore(c->cr);
}

static void fit(mscope_canvas *c, const mscope_plane *plane)
{
    double x[2] = { INFINITY, 0 }, y[2] = { INFINITY, 0 }, limit = 0;

    for (size_t i = 0; i < plane->dots; i++) {
        x[0] = fmin(x[0], plane->dot[i].p);
        x[1] = fmax(x[1], plane->dot[i].p);
        y[0] = fmin(y[0], plane->dot[i].x);
        y[1] = fmax(y[1], plane->dot[i].x);
    }
    /* limits that are not far away belong into the picture */
    for (size_t i = 0; i < plane->dots; i++)
        if (plane->dot[i].H > 0 && at_the_limit(&plane->dot[i]) < 40 * y[1])
            limit = fmax(limit, at_the_limit(&plane->dot[i]));
    c->log_x = c->log_y = 1;
    c->x0 = log10(x[0]) - 0.3;
    c->x1 = log10(x[1]) + 0.3;
    c->y0 = fmin(log10(y[0]) - 0.6, -2.5);
    c->y1 = fmax(fmax(log10(y[1]) + 0.6, -0.5), limit > 0 ? log10(limit) + 0.25 : -0.5);
}

void mscope_plane_paint(const mscope_plane *plane, mscope_canvas *c)
{
    fit(c, plane);
    regions(c, plane);
    mscope_canvas_frame(c, plane->title, "p, occurrences per sample: rare rows left, frequent rows right",
                        "eta H1, share of its error a row loses in one update");
    lines(c, plane);
    dots(c, plane);
    legend(c);
}

int mscope_plane_draw(const mscope_plane *plane, const char *path, const char **why)
{
    mscope_canvas c = { 0 };
    int code = MSCOPE_OK;

    *why = "no band has both a rate and a curvature";
    if (plane->dots == 0 || !(plane->eps > 0) || !(plane->batch > 0))
        return MSCOPE_EINVAL;
    if (mscope_canvas_open(&c, path) != 0) {
        *why = c.why;
        return MSCOPE_EIO;
    }
    mscope_plane_paint(plane, &c);
    if (mscope_canvas_close(&c) != 0) {
        *why = c.why;
        code = MSCOPE_EIO;
    }
    mscope_canvas_end();
    return code;
}
