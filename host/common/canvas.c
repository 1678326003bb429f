/* canvas.c - axes and text by cairo */
#include "canvas.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cairo-svg.h>
#include <fontconfig/fontconfig.h>

#include "whole.h"

enum { WIDTH = 860, HEIGHT = 560, LEFT = MSCOPE_CANVAS_LEFT, TOP = MSCOPE_CANVAS_TOP };

#define PLOT_W (c->w > 0 ? c->w : MSCOPE_CANVAS_W)
#define PLOT_H (c->h > 0 ? c->h : MSCOPE_CANVAS_H)

double mscope_canvas_x(const mscope_canvas *c, double x)
{
    x = c->log_x ? log10(x) : x;
    return LEFT + (x - c->x0) / (c->x1 - c->x0) * PLOT_W;
}

double mscope_canvas_y(const mscope_canvas *c, double y)
{
    y = c->log_y ? log10(y) : y;
    return TOP + PLOT_H - (y - c->y0) / (c->y1 - c->y0) * PLOT_H;
}

void mscope_canvas_ink(cairo_t *cr, double f)
{
    static const double stop[5][3] = { { .27, .00, .33 }, { .23, .32, .55 }, { .13, .57, .55 }, { .37, .79, .38 },
                                       { .99, .91, .14 } };
    const double at = fmin(fmax(f, 0), 0.9999) * 4, g = at - floor(at);
    const double *a = stop[(int)at], *b = stop[(int)at + 1];
    cairo_set_source_rgb(cr, a[0] + g * (b[0] - a[0]), a[1] + g * (b[1] - a[1]), a[2] + g * (b[2] - a[2]));
}

void mscope_canvas_text(const mscope_canvas *c, double x, double y, double align, double size, const char *s)
{
    cairo_text_extents_t e;
    cairo_set_font_size(c->cr, size);
    cairo_text_extents(c->cr, s, &e);
    cairo_set_source_rgb(c->cr, 0.1, 0.1, 0.1);
    cairo_move_to(c->cr, x - align * e.x_advance, y);
    cairo_show_text(c->cr, s);
}

static cairo_status_t keep(void *to, const unsigned char *bytes, unsigned len)
{
    return fwrite(bytes, 1, len, to) == len ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_NO_MEMORY;
}

/* The picture is made in memory: cairo says only that writing failed, and leaves an empty file. */
int mscope_canvas_open(mscope_canvas *c, const char *path)
{
    const size_t n = strlen(path);
    c->path = path;
    c->svg = n > 4 && strcmp(path + n - 4, ".svg") == 0;
    c->surface = NULL;
    c->cr = NULL;
    c->image = NULL;
    c->to = open_memstream(&c->image, &c->len);
    if (c->to == NULL)
        return mscope_canvas_close(c);
    c->surface = c->svg ? cairo_svg_surface_create_for_stream(keep, c->to, WIDTH, HEIGHT)
                        : cairo_image_surface_create(CAIRO_FORMAT_RGB24, 2 * WIDTH, 2 * HEIGHT);
    c->cr = cairo_create(c->surface);
    if (!c->svg)
        cairo_scale(c->cr, 2, 2);
    cairo_set_source_rgb(c->cr, 1, 1, 1);
    cairo_paint(c->cr);
    cairo_select_font_face(c->cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    return cairo_status(c->cr) == CAIRO_STATUS_SUCCESS ? 0 : mscope_canvas_close(c);
}

/* The last strokes into memory. */
static cairo_status_t finish(mscope_canvas *c)
{
    cairo_status_t status = cairo_status(c->cr);
    if (status == CAIRO_STATUS_SUCCESS && !c->svg)
        status = cairo_surface_write_to_png_stream(c->surface, keep, c->to);
    cairo_destroy(c->cr);
    cairo_surface_finish(c->surface);
    if (status == CAIRO_STATUS_SUCCESS)
        status = cairo_surface_status(c->surface);
    cairo_surface_destroy(c->surface);
    return status;
}

int mscope_canvas_close(mscope_canvas *c)
{
    const cairo_status_t status = c->to != NULL ? finish(c) : CAIRO_STATUS_NO_MEMORY;
    const int kept = c->to == NULL || fclose(c->to) == 0;

    c->why = NULL;
    if (status != CAIRO_STATUS_SUCCESS)
        c->why = cairo_status_to_string(status);
    else if (!kept || mscope_whole_write(c->path, c->image, c->len) != 0)
        c->why = strerror(errno);
    free(c->image);
    c->image = NULL;
    return c->why == NULL ? 0 : -1;
}

void mscope_canvas_end(void)
{
    cairo_debug_reset_static_data();
    FcFini();
}

static double tick_step(double lo, double hi)
{
    const double raw = (hi - lo) / 5, unit = pow(10, floor(log10(raw))), f = raw / unit;
    return unit * (f < 1.5 ? 1 : f < 3.5 ? 2 : f < 7.5 ? 5 : 10);
}

static void tick(const mscope_canvas *c, int vertical, double at, const char *label)
{
    cairo_set_source_rgb(c->cr, 0.88, 0.88, 0.88);
    cairo_set_line_width(c->cr, 0.7);
    if (vertical) {
        const double y = TOP + PLOT_H - (at - c->y0) / (c->y1 - c->y0) * PLOT_H;
        cairo_move_to(c->cr, LEFT, y);
        cairo_line_to(c->cr, LEFT + PLOT_W, y);
        cairo_stroke(c->cr);
        mscope_canvas_text(c, LEFT - 8, y + 4, 1, 12, label);
    } else {
        const double x = LEFT + (at - c->x0) / (c->x1 - c->x0) * PLOT_W;
        cairo_move_to(c->cr, x, TOP);
        cairo_line_to(c->cr, x, TOP + PLOT_H);
        cairo_stroke(c->cr);
        mscope_canvas_text(c, x, TOP + PLOT_H + 18, 0.5, 12, label);
    }
}

/* Powers of ten, thinned out over many decades and filled in over few. */
static void log_ticks(const mscope_canvas *c, int vertical, double lo, double hi)
{
    static const double some[] = { 1, 2, 5 }, many[] = { 1, 1.5, 2, 3, 4, 5, 6, 7, 8 };
    const double *part = hi - lo < 0.8 ? many : some;
    const int parts = hi - lo < 0.8 ? 9 : hi - lo < 2.6 ? 3 : 1;
    const double by = fmax(1, ceil((hi - lo) / 8));
    for (double at = floor(lo / by) * by; at <= hi; at += by)
        for (int k = 0; k < parts; k++) {
            const double x = at + log10(part[k]);    // NOLINT(clang-analyzer-core.CallAndMessage): parts is its length
            char label[32];
            snprintf(label, sizeof label, "%.4g", pow(10, x));
            if (x >= lo && x <= hi)
                tick(c, vertical, x, label);
        }
}

/* The caller's own values, at most eight of them. */
static void own_ticks(const mscope_canvas *c, int vertical, const double *at, size_t n)
{
    const int in_logs = vertical ? c->log_y : c->log_x;
    for (size_t i = 0; i < n; i += (n + 7) / 8) {
        char label[32];
        snprintf(label, sizeof label, "%.3g", at[i]);
        tick(c, vertical, in_logs ? log10(at[i]) : at[i], label);
    }
}

static void ticks(const mscope_canvas *c, int vertical)
{
    const double lo = vertical ? c->y0 : c->x0, hi = vertical ? c->y1 : c->x1, by = tick_step(lo, hi);
    if (vertical ? c->n_own_y > 0 : c->n_own_x > 0) {
        own_ticks(c, vertical, vertical ? c->own_y : c->own_x, vertical ? c->n_own_y : c->n_own_x);
        return;
    }
    if (vertical ? c->log_y : c->log_x) {
        log_ticks(c, vertical, lo, hi);
        return;
    }
    for (double at = ceil(lo / by) * by; at <= hi + 1e-9 * by; at += by) {
        char label[32];
        snprintf(label, sizeof label, "%.6g", fabs(at) < 1e-9 * by ? 0 : at);
        tick(c, vertical, at, label);
    }
}

void mscope_canvas_frame(const mscope_canvas *c, const char *title, const char *x_label, const char *y_label)
{
    ticks(c, 0);
    ticks(c, 1);
    cairo_set_source_rgb(c->cr, 0.3, 0.3, 0.3);
    cairo_set_line_width(c->cr, 1);
    cairo_rectangle(c->cr, LEFT, TOP, PLOT_W, PLOT_H);
    cairo_stroke(c->cr);
    mscope_canvas_text(c, LEFT, TOP - 18, 0, 14, title);
    mscope_canvas_text(c, LEFT + PLOT_W / 2.0, TOP + PLOT_H + 44, 0.5, 13, x_label);
    cairo_save(c->cr);
    cairo_translate(c->cr, 22, TOP + PLOT_H / 2.0);
    cairo_rotate(c->cr, -1.5707963267948966);
    mscope_canvas_text(c, 0, 0, 0.5, 13, y_label);
    cairo_restore(c->cr);
}

void mscope_canvas_clip(const mscope_canvas *c)
{
    cairo_save(c->cr);
    cairo_rectangle(c->cr, LEFT, TOP, PLOT_W, PLOT_H);
    cairo_clip(c->cr);
}

void mscope_canvas_legend(const mscope_canvas *c, int line, const char *label)
{
    const double y = TOP + 12 + 19 * line;
    cairo_move_to(c->cr, LEFT + PLOT_W + 16, y - 4);
    cairo_line_to(c->cr, LEFT + PLOT_W + 40, y - 4);
    cairo_stroke(c->cr);
    mscope_canvas_text(c, LEFT + PLOT_W + 48, y, 0, 12, label);
}

void mscope_canvas_legend_ring(const mscope_canvas *c, int line, const char *label)
{
    const double y = TOP + 12 + 19 * line;
    cairo_new_sub_path(c->cr);
    cairo_arc(c->cr, LEFT + PLOT_W + 28, y - 4, 5, 0, 6.2831853);
    cairo_stroke(c->cr);
    mscope_canvas_text(c, LEFT + PLOT_W + 48, y, 0, 12, label);
}
