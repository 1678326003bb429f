/* plot.c - risk curves by band, bands in the plane of frequency and momentum, heat map of steps to target (cairo) */
#include "results.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cairo-svg.h>
#include <cairo.h>
#include <fontconfig/fontconfig.h>

enum { WIDTH = 860, HEIGHT = 560, LEFT = 86, TOP = 50, PLOT_W = 560, PLOT_H = 420 };

/* A drawing area in data units; a logarithmic axis takes log10 of what it is given. */
typedef struct canvas {
    cairo_surface_t *surface;
    cairo_t *cr;
    const char *path;
    double x0, x1, y0, y1;
    int log_x, log_y, svg;
} canvas;

static double px(const canvas *c, double x)
{
    x = c->log_x ? log10(x) : x;
    return LEFT + (x - c->x0) / (c->x1 - c->x0) * PLOT_W;
}

static double py(const canvas *c, double y)
{
    y = c->log_y ? log10(y) : y;
    return TOP + PLOT_H - (y - c->y0) / (c->y1 - c->y0) * PLOT_H;
}

/* Dark violet over green to yellow, f from 0 to 1: readable in grey and by the colour-blind. */
static void ink(cairo_t *cr, double f)
{
    static const double stop[5][3] = { { .27, .00, .33 }, { .23, .32, .55 }, { .13, .57, .55 }, { .37, .79, .38 },
                                       { .99, .91, .14 } };
    const double at = fmin(fmax(f, 0), 0.9999) * 4, g = at - floor(at);
    const double *a = stop[(int)at], *b = stop[(int)at + 1];
    cairo_set_source_rgb(cr, a[0] + g * (b[0] - a[0]), a[1] + g * (b[1] - a[1]), a[2] + g * (b[2] - a[2]));
}

/* align 0 left, .5 centre, 1 right */
static void write_text(const canvas *c, double x, double y, double align, double size, const char *s)
{
    cairo_text_extents_t e;
    cairo_set_font_size(c->cr, size);
    cairo_text_extents(c->cr, s, &e);
    cairo_set_source_rgb(c->cr, 0.1, 0.1, 0.1);
    cairo_move_to(c->cr, x - align * e.x_advance, y);
    cairo_show_text(c->cr, s);
}

static int open_canvas(canvas *c, const char *path)
{
    const size_t n = strlen(path);
    c->path = path;
    c->svg = n > 4 && strcmp(path + n - 4, ".svg") == 0;
    c->surface = c->svg ? cairo_svg_surface_create(path, WIDTH, HEIGHT)
                        : cairo_image_surface_create(CAIRO_FORMAT_RGB24, 2 * WIDTH, 2 * HEIGHT);
    c->cr = cairo_create(c->surface);
    if (!c->svg)
        cairo_scale(c->cr, 2, 2);
    cairo_set_source_rgb(c->cr, 1, 1, 1);
    cairo_paint(c->cr);
    cairo_select_font_face(c->cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    return cairo_status(c->cr) == CAIRO_STATUS_SUCCESS ? 0 : -1;
}

static int close_canvas(canvas *c)
{
    cairo_status_t status = cairo_status(c->cr);
    if (status == CAIRO_STATUS_SUCCESS && !c->svg)
        status = cairo_surface_write_to_png(c->surface, c->path);
    cairo_destroy(c->cr);
    cairo_surface_finish(c->surface);
    if (status == CAIRO_STATUS_SUCCESS)
        status = cairo_surface_status(c->surface);
    cairo_surface_destroy(c->surface);
    if (status != CAIRO_STATUS_SUCCESS)
        fprintf(stderr, "momentscope bench compare: %s: %s\n", c->path, cairo_status_to_string(status));
    return status == CAIRO_STATUS_SUCCESS ? 0 : -1;
}

static double tick_step(double lo, double hi)
{
    const double raw = (hi - lo) / 5, unit = pow(10, floor(log10(raw))), f = raw / unit;
    return unit * (f < 1.5 ? 1 : f < 3.5 ? 2 : f < 7.5 ? 5 : 10);
}

static void tick(const canvas *c, int vertical, double at, const char *label)
{
    cairo_set_source_rgb(c->cr, 0.88, 0.88, 0.88);
    cairo_set_line_width(c->cr, 0.7);
    if (vertical) {
        const double y = TOP + PLOT_H - (at - c->y0) / (c->y1 - c->y0) * PLOT_H;
        cairo_move_to(c->cr, LEFT, y);
        cairo_line_to(c->cr, LEFT + PLOT_W, y);
        cairo_stroke(c->cr);
        write_text(c, LEFT - 8, y + 4, 1, 12, label);
    } else {
        const double x = LEFT + (at - c->x0) / (c->x1 - c->x0) * PLOT_W;
        cairo_move_to(c->cr, x, TOP);
        cairo_line_to(c->cr, x, TOP + PLOT_H);
        cairo_stroke(c->cr);
        write_text(c, x, TOP + PLOT_H + 18, 0.5, 12, label);
    }
}

/* Powers of ten, thinned out over many decades and filled in with 2 and 5 over few. */
static void log_ticks(const canvas *c, int vertical, double lo, double hi)
{
    static const double part[] = { 1, 2, 5 };
    const int parts = hi - lo < 2.6 ? 3 : 1;
    const double by = fmax(1, ceil((hi - lo) / 8));
    for (double at = floor(lo / by) * by; at <= hi; at += by)
        for (int k = 0; k < parts; k++) {
            const double x = at + log10(part[k]);
            char label[32];
            snprintf(label, sizeof label, "%.4g", pow(10, x));
            if (x >= lo && x <= hi)
                tick(c, vertical, x, label);
        }
}

static void ticks(const canvas *c, int vertical)
{
    const double lo = vertical ? c->y0 : c->x0, hi = vertical ? c->y1 : c->x1, by = tick_step(lo, hi);
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

static void frame(const canvas *c, const char *title, const char *x_label, const char *y_label)
{
    ticks(c, 0);
    ticks(c, 1);
    cairo_set_source_rgb(c->cr, 0.3, 0.3, 0.3);
    cairo_set_line_width(c->cr, 1);
    cairo_rectangle(c->cr, LEFT, TOP, PLOT_W, PLOT_H);
    cairo_stroke(c->cr);
    write_text(c, LEFT, TOP - 18, 0, 14, title);
    write_text(c, LEFT + PLOT_W / 2.0, TOP + PLOT_H + 44, 0.5, 13, x_label);
    cairo_save(c->cr);
    cairo_translate(c->cr, 22, TOP + PLOT_H / 2.0);
    cairo_rotate(c->cr, -1.5707963267948966);
    write_text(c, 0, 0, 0.5, 13, y_label);
    cairo_restore(c->cr);
}

static void clip(const canvas *c)
{
    cairo_save(c->cr);
    cairo_rectangle(c->cr, LEFT, TOP, PLOT_W, PLOT_H);
    cairo_clip(c->cr);
}

static void name_of(const mscope_result *r, char *out, size_t len)
{
    size_t n = (size_t)snprintf(out, len, "%s, %s, %s: eta %.4g", r->workload, r->schedule, r->semantics, r->eta);
    if (!isnan(r->eps) && n < len)
        n += (size_t)snprintf(out + n, len - n, ", eps %.4g", r->eps);
    if (!isnan(r->batch) && n < len)
        snprintf(out + n, len - n, ", B %.6g", r->batch);
}

/* ---- risk curves ------------------------------------------------------------------------------------------- */

static void curve(const canvas *c, const mscope_result *r, size_t b)
{
    int pen = 0;
    for (size_t i = 0; i < r->points; i++) {
        const double y = r->risk[b][i];
        if (!(y > 0) || !isfinite(y)) {
            pen = 0;
            continue;
        }
        if (pen++ == 0)
            cairo_move_to(c->cr, px(c, r->t[i]), py(c, y));
        else
            cairo_line_to(c->cr, px(c, r->t[i]), py(c, y));
    }
    cairo_stroke(c->cr);
}

static void legend(const canvas *c, int line, const char *label)
{
    const double y = TOP + 12 + 19 * line;
    cairo_move_to(c->cr, LEFT + PLOT_W + 16, y - 4);
    cairo_line_to(c->cr, LEFT + PLOT_W + 40, y - 4);
    cairo_stroke(c->cr);
    write_text(c, LEFT + PLOT_W + 48, y, 0, 12, label);
}

void mscope_plot_end(void)
{
    cairo_debug_reset_static_data();
    FcFini();
}

int mscope_plot_risk(const mscope_result *r, const char *path)
{
    canvas c = { .log_y = 1, .x1 = fmax(r->horizon, 1) };
    char title[256], label[64];
    double lo = 1, hi = 1;
    if (open_canvas(&c, path) < 0)
        return close_canvas(&c);
    for (size_t b = 0; b <= r->bands; b++)
        for (size_t i = 0; i < r->points; i++)
            if (r->risk[b][i] > 0 && isfinite(r->risk[b][i])) {
                lo = b == r->bands ? fmin(lo, r->risk[b][i]) : lo;
                hi = fmax(hi, r->risk[b][i]);
            }
    c.y0 = log10(fmax(lo, 1e-12)) - 1.5;         /* the total and what is above it; fast bands may leave the frame */
    c.y1 = log10(fmin(hi, 1e6)) + 0.1;
    name_of(r, title, sizeof title);
    frame(&c, title, "step", "risk over risk at the start");
    clip(&c);
    cairo_set_line_width(c.cr, 1.8);
    for (size_t b = 0; b < r->bands && r->bands > 1; b++) {
        ink(c.cr, 0.93 * (double)b / (double)(r->bands - 1));
        curve(&c, r, b);
    }
    cairo_set_source_rgb(c.cr, 0, 0, 0);
    cairo_set_line_width(c.cr, 2.6);
    curve(&c, r, r->bands);
    cairo_restore(c.cr);
    cairo_set_source_rgb(c.cr, 0, 0, 0);
    cairo_set_line_width(c.cr, 2.6);
    legend(&c, 0, "all");
    cairo_set_line_width(c.cr, 1.8);
    for (size_t b = 0; b < r->bands && r->bands > 1; b++) {
        snprintf(label, sizeof label, "p = %.2g, %.0f row%s", r->p[b], r->rows[b], r->rows[b] > 1 ? "s" : "");
        ink(c.cr, 0.93 * (double)b / (double)(r->bands - 1));
        legend(&c, 1 + (int)b, label);
    }
    return close_canvas(&c);
}

/* ---- the plane of frequency and momentum ---------------------------------------------------------------------- */

static void line_through(const canvas *c, double slope)     /* eps = slope p */
{
    const double a = pow(10, c->x0), b = pow(10, c->x1);
    cairo_move_to(c->cr, px(c, a), py(c, slope * a));
    cairo_line_to(c->cr, px(c, b), py(c, slope * b));
    cairo_stroke(c->cr);
}

int mscope_plot_plane(const mscope_result *r, const char *path)
{
    static const double dash[] = { 7, 5 };
    canvas c = { .log_x = 1, .log_y = 1 };
    char title[256], label[64];
    double lo = INFINITY, hi = 0;
    if (open_canvas(&c, path) < 0)
        return close_canvas(&c);
    for (size_t b = 0; b < r->bands; b++) {
        lo = fmin(lo, r->p[b]);
        hi = fmax(hi, r->p[b]);
    }
    c.x0 = log10(lo) - 0.5;
    c.x1 = log10(hi) + 0.5;
    c.y0 = fmin(log10(r->eps) - 1, log10(4 * r->eta * lo)) - 0.2;
    c.y1 = 0.2;
    name_of(r, title, sizeof title);
    frame(&c, title, "p, occurrences a sample", "eps = 1 - beta");
    clip(&c);
    cairo_set_line_width(c.cr, 2);
    cairo_set_source_rgb(c.cr, 0.80, 0.25, 0.20);
    if (!isnan(r->d))
        line_through(&c, r->batch / r->d);
    cairo_set_source_rgb(c.cr, 0.35, 0.35, 0.35);
    cairo_set_dash(c.cr, dash, 2, 0);
    line_through(&c, 4 * r->eta);
    cairo_set_dash(c.cr, NULL, 0, 0);
    cairo_set_source_rgb(c.cr, 0.1, 0.1, 0.1);
    cairo_move_to(c.cr, px(&c, lo), py(&c, r->eps));
    cairo_line_to(c.cr, px(&c, hi), py(&c, r->eps));
    cairo_stroke(c.cr);
    for (size_t b = 0; b < r->bands; b++) {
        ink(c.cr, r->bands > 1 ? 0.93 * (double)b / (double)(r->bands - 1) : 0);
        cairo_arc(c.cr, px(&c, r->p[b]), py(&c, r->eps), 4 + 1.2 * log10(fmax(r->rows[b], 1)), 0, 6.2831853);
        cairo_fill(c.cr);
    }
    cairo_restore(c.cr);
    cairo_set_line_width(c.cr, 2);
    cairo_set_source_rgb(c.cr, 0.80, 0.25, 0.20);
    legend(&c, 0, "resonance, eps = p B/d");
    cairo_set_source_rgb(c.cr, 0.35, 0.35, 0.35);
    cairo_set_dash(c.cr, dash, 2, 0);
    legend(&c, 1, "eps = 4 eta p: below it");
    cairo_set_dash(c.cr, NULL, 0, 0);
    write_text(&c, LEFT + PLOT_W + 48, TOP + 12 + 19 * 2, 0, 12, "the mean oscillates");
    cairo_set_source_rgb(c.cr, 0.1, 0.1, 0.1);
    legend(&c, 3, "the rows; dots are bands");
    snprintf(label, sizeof label, "d = %.6g", r->d);
    write_text(&c, LEFT + PLOT_W + 48, TOP + 12 + 19 * 4, 0, 12, label);
    return close_canvas(&c);
}

/* ---- heat map of steps to target -------------------------------------------------------------------------------- */

static int on_map(const mscope_result *r, const mscope_result *like)
{
    return strcmp(r->workload, like->workload) == 0 && strcmp(r->schedule, like->schedule) == 0 &&
           strcmp(r->semantics, like->semantics) == 0 && !(r->batch < like->batch || r->batch > like->batch) &&
           r->eta > 0 && r->eps > 0;
}

static int by_value(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* Edges of the cells around sorted distinct values, in logs. Returns how many values. */
static size_t edges(double *v, size_t n, double *edge)
{
    size_t k = 0;
    qsort(v, n, sizeof *v, by_value);
    for (size_t i = 0; i < n; i++)
        if (k == 0 || v[i] > v[k - 1] * (1 + 1e-9))
            v[k++] = v[i];
    for (size_t i = 1; i < k; i++)
        edge[i] = 0.5 * (log10(v[i - 1]) + log10(v[i]));
    edge[0] = k > 1 ? 2 * log10(v[0]) - edge[1] : log10(v[0]) - 0.2;
    edge[k] = k > 1 ? 2 * log10(v[k - 1]) - edge[k - 1] : log10(v[0]) + 0.2;
    return k;
}

static size_t place(const double *v, size_t n, double x)
{
    size_t i = 0;
    while (i + 1 < n && x > v[i] * (1 + 1e-9))
        i++;
    return i;
}

static double mean_steps(const mscope_result *r)
{
    double mean, low, high;
    mscope_result_steps(r, r->bands, &mean, &low, &high);
    return mean;
}

static void draw_cells(const canvas *c, const mscope_results *all, const mscope_result *like, const double *vx, size_t nx,
                       const double *ex, const double *vy, size_t ny, const double *ey, double lo, double hi)
{
    for (size_t i = 0; i < all->n; i++) {
        const mscope_result *r = &all->at[i];
        if (!on_map(r, like))
            continue;
        const size_t a = place(vx, nx, r->eta), b = place(vy, ny, r->eps);
        const double x = px(c, pow(10, ex[a])), y = py(c, pow(10, ey[b + 1])), mean = mean_steps(r);
        const double w = px(c, pow(10, ex[a + 1])) - x, h = py(c, pow(10, ey[b])) - y;
        char label[32];
        if (r->diverged > 0)
            cairo_set_source_rgb(c->cr, 0.75, 0.30, 0.25);
        else if (!isfinite(mean))
            cairo_set_source_rgb(c->cr, 0.85, 0.85, 0.85);
        else
            ink(c->cr, 1 - log(mean / lo) / fmax(log(hi / lo), 1e-9));
        cairo_rectangle(c->cr, x, y, w + 0.5, h + 0.5);
        cairo_fill(c->cr);
        snprintf(label, sizeof label, "%.4g", mean);
        if (isfinite(mean) && r->diverged == 0 && w > 38) {
            cairo_set_source_rgba(c->cr, 1, 1, 1, 0.75);
            cairo_rectangle(c->cr, x + w / 2 - 18, y + h / 2 - 8, 36, 16);
            cairo_fill(c->cr);
            write_text(c, x + w / 2, y + h / 2 + 4, 0.5, 11, label);
        }
    }
}

int mscope_plot_heat(const mscope_results *all, const char *path)
{
    const mscope_result *like = NULL;
    canvas c = { .log_x = 1, .log_y = 1 };
    char title[256];
    size_t most = 0, n = 0;
    double lo = INFINITY, hi = 0;
    for (size_t i = 0; i < all->n; i++) {
        size_t k = 0;
        for (size_t j = 0; j < all->n; j++)
            k += (size_t)on_map(&all->at[j], &all->at[i]);
        if (k > most) {
            most = k;
            like = &all->at[i];
        }
    }
    double *vx = malloc((4 * most + 8) * sizeof *vx);
    if (like == NULL || vx == NULL || open_canvas(&c, path) < 0) {
        free(vx);
        return like == NULL ? 0 : -1;
    }
    double *vy = vx + most, *ex = vy + most, *ey = ex + most + 2;
    for (size_t i = 0; i < all->n; i++)
        if (on_map(&all->at[i], like)) {
            const double mean = mean_steps(&all->at[i]);
            vx[n] = all->at[i].eta;
            vy[n++] = all->at[i].eps;
            lo = isfinite(mean) ? fmin(lo, fmax(mean, 1)) : lo;
            hi = isfinite(mean) ? fmax(hi, mean) : hi;
        }
    const size_t nx = edges(vx, n, ex), ny = edges(vy, n, ey);
    c.x0 = ex[0];
    c.x1 = ex[nx];
    c.y0 = ey[0];
    c.y1 = ey[ny];
    snprintf(title, sizeof title, "%s, %s, %s, B %.6g: steps to target", like->workload, like->schedule, like->semantics,
             like->batch);
    frame(&c, title, "eta", "eps = 1 - beta");
    clip(&c);
    draw_cells(&c, all, like, vx, nx, ex, vy, ny, ey, lo, hi);
    cairo_restore(c.cr);
    cairo_set_line_width(c.cr, 9);
    ink(c.cr, 1);
    legend(&c, 0, "fewest steps");
    ink(c.cr, 0);
    legend(&c, 1, "most steps");
    cairo_set_source_rgb(c.cr, 0.85, 0.85, 0.85);
    legend(&c, 2, "not reached");
    cairo_set_source_rgb(c.cr, 0.75, 0.30, 0.25);
    legend(&c, 3, "diverged");
    free(vx);
    return close_canvas(&c);
}
