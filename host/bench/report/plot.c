/* plot.c - risk curves by band, bands in the plane of frequency and momentum, heat map of steps to target */
#include "plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/canvas.h"
#include "settings.h"

enum { LEFT = MSCOPE_CANVAS_LEFT, TOP = MSCOPE_CANVAS_TOP, PLOT_W = MSCOPE_CANVAS_W, TITLE = 512 };

/* As the block of the table is called, so that a picture and its block are found by each other. */
static void name_of(const mscope_results *all, const mscope_result *r, char *out, size_t len)
{
    size_t n = (size_t)snprintf(out, len, "%s, %s, %s: %s %.4g", r->workload, r->schedule, r->semantics,
                                isnan(r->eta) ? "eta times" : "eta", isnan(r->eta) ? r->times : r->eta);
    if (!isnan(r->eps) && n < len)
        n += (size_t)snprintf(out + n, len - n, ", eps %.4g", r->eps);
    if (r->batch > 0 && n < len)
        n += (size_t)snprintf(out + n, len - n, ", B %.6g", r->batch);
    else if (!isnan(r->batch) && n < len)
        n += (size_t)snprintf(out + n, len - n, ", all data at once");
    if (n < len)
        mscope_what_varies(all, r, out + n, len - n);
}

static const double dash[] = { 7, 5 };

/* Dark where rows are frequent; by place where bands do not differ in frequency. */
static void band_ink(const mscope_canvas *c, const mscope_result *r, size_t b)
{
    double lo = INFINITY, hi = 0;
    for (size_t k = 0; k < r->bands; k++) {
        lo = fmin(lo, r->p[k]);
        hi = fmax(hi, r->p[k]);
    }
    const double place = r->bands > 1 ? (double)b / (double)(r->bands - 1) : 0;
    mscope_canvas_ink(c->cr, 0.93 * (lo > 0 && hi > 1.01 * lo ? log(hi / r->p[b]) / log(hi / lo) : place));
}

/* ---- risk curves ------------------------------------------------------------------------------------------- */

static void curve(const mscope_canvas *c, const mscope_result *r, size_t b)
{
    int down = 0;
    for (size_t i = 0; i < r->points; i++) {
        const double y = r->risk[b][i];
        if (!(y > 0) || !isfinite(y)) {
            down = 0;
            continue;
        }
        if (down++ == 0)
            cairo_move_to(c->cr, mscope_canvas_x(c, r->t[i]), mscope_canvas_y(c, y));
        else
            cairo_line_to(c->cr, mscope_canvas_x(c, r->t[i]), mscope_canvas_y(c, y));
    }
    cairo_stroke(c->cr);
}

/* A ring on the right edge where theory expects the total at the end. Returns 0 where theory does not know. */
static int expected(const mscope_canvas *c, const mscope_result *r)
{
    double mean, theory, low, high;
    if (r->points == 0 || mscope_result_theory(r, &mean, &theory, &low, &high) == 0 || !(mean > 0) || !(theory > 0))
        return 0;
    cairo_set_source_rgb(c->cr, 0.80, 0.25, 0.20);
    cairo_set_line_width(c->cr, 2);
    cairo_new_sub_path(c->cr);
    cairo_arc(c->cr, mscope_canvas_x(c, r->t[r->points - 1]),
              mscope_canvas_y(c, r->risk[r->bands][r->points - 1] * theory / mean), 5, 0, 6.2831853);
    cairo_stroke(c->cr);
    return 1;
}

void mscope_plot_end(void)
{
    mscope_canvas_end();
}

static int failed(const mscope_canvas *c)
{
    fprintf(stderr, "momentscope bench compare: cannot write %s: %s\n", c->path, c->why);
    return -1;
}

/* Frame in which the total lies, and whatever is above it. Fast bands may leave it below. */
static void fit_frame(mscope_canvas *c, const mscope_result *r)
{
    double lo = 1, hi = 1, least = r->target > 0 ? fmin(r->target, 1) : 1;
    for (size_t b = 0; b <= r->bands; b++)
        for (size_t i = 0; i < r->points; i++)
            if (r->risk[b][i] > 0 && isfinite(r->risk[b][i])) {
                lo = b == r->bands ? fmin(lo, r->risk[b][i]) : lo;
                least = fmin(least, r->risk[b][i]);
                hi = fmax(hi, r->risk[b][i]);
            }
    c->log_y = hi / least > 4;
    const double margin = c->log_y ? 0.1 : 0.05 * fmax(hi - least, 1e-3);
    c->y0 = c->log_y ? fmax(log10(fmax(lo, 1e-12)) - 1.5, log10(fmax(least, 1e-14)) - margin) : least - margin;
    c->y1 = c->log_y ? log10(fmin(hi, 1e6)) + margin : hi + margin;
}

static void pen(const mscope_canvas *c, double grey, double width, int dashed)
{
    cairo_set_source_rgb(c->cr, grey, grey, grey);
    cairo_set_line_width(c->cr, width);
    cairo_set_dash(c->cr, dashed ? dash : NULL, dashed ? 2 : 0, 0);
}

static void risk_curves(const mscope_canvas *c, const mscope_result *r)
{
    mscope_canvas_clip(c);
    pen(c, 0, 1.8, 0);
    for (size_t b = 0; b < r->bands && r->bands > 1; b++) {
        band_ink(c, r, b);
        curve(c, r, b);
    }
    pen(c, 0, 2.6, 0);
    curve(c, r, r->bands);
    pen(c, 0, 1.2, 1);
    if (r->target > 0) {
        cairo_move_to(c->cr, mscope_canvas_x(c, 0), mscope_canvas_y(c, r->target));
        cairo_line_to(c->cr, mscope_canvas_x(c, c->x1), mscope_canvas_y(c, r->target));
        cairo_stroke(c->cr);
    }
    cairo_restore(c->cr);
}

static void risk_legend(const mscope_canvas *c, const mscope_result *r)
{
    char label[64];
    pen(c, 0, 2.6, 0);
    mscope_canvas_legend(c, 0, "all");
    if (expected(c, r)) {
        cairo_set_source_rgb(c->cr, 0.80, 0.25, 0.20);
        mscope_canvas_legend_ring(c, r->bands > 1 ? 2 + (int)r->bands : 2, "theory, at the end");
    }
    pen(c, 0, 1.2, 1);
    if (r->target > 0)
        mscope_canvas_legend(c, 1, "target of all");
    pen(c, 0, 1.8, 0);
    for (size_t b = 0; b < r->bands && r->bands > 1; b++) {
        snprintf(label, sizeof label, "p = %.2g, %.0f row%s", r->p[b], r->rows[b], r->rows[b] > 1 ? "s" : "");
        band_ink(c, r, b);
        mscope_canvas_legend(c, 2 + (int)b, label);
    }
}

int mscope_plot_risk(const mscope_results *all, const mscope_result *r, const char *path)
{
    mscope_canvas c = { .x1 = fmax(r->horizon, 1) };
    char title[TITLE];
    if (mscope_canvas_open(&c, path) < 0)
        return failed(&c);
    fit_frame(&c, r);
    name_of(all, r, title, sizeof title);
    mscope_canvas_frame(&c, title, "step", "risk over risk at the start");
    risk_curves(&c, r);
    risk_legend(&c, r);
    return mscope_canvas_close(&c) < 0 ? failed(&c) : 0;
}

/* ---- the plane of frequency and momentum ---------------------------------------------------------------------- */

static void line_through(const mscope_canvas *c, double slope)     /* eps = slope p */
{
    const double a = pow(10, c->x0), b = pow(10, c->x1);
    cairo_move_to(c->cr, mscope_canvas_x(c, a), mscope_canvas_y(c, slope * a));
    cairo_line_to(c->cr, mscope_canvas_x(c, b), mscope_canvas_y(c, slope * b));
    cairo_stroke(c->cr);
}

static void plane_legend(const mscope_canvas *c, double d)
{
    char label[64];
    cairo_set_line_width(c->cr, 2);
    cairo_set_source_rgb(c->cr, 0.80, 0.25, 0.20);
    mscope_canvas_legend(c, 0, "resonance, eps = p B/d");
    cairo_set_source_rgb(c->cr, 0.35, 0.35, 0.35);
    cairo_set_dash(c->cr, dash, 2, 0);
    mscope_canvas_legend(c, 1, "eps = 4 eta p: below it");
    cairo_set_dash(c->cr, NULL, 0, 0);
    mscope_canvas_text(c, LEFT + PLOT_W + 48, TOP + 12 + 19 * 2, 0, 12, "the mean oscillates");
    cairo_set_source_rgb(c->cr, 0.1, 0.1, 0.1);
    mscope_canvas_legend(c, 3, "the rows; dots are bands");
    snprintf(label, sizeof label, "d = %.6g", d);
    mscope_canvas_text(c, LEFT + PLOT_W + 48, TOP + 12 + 19 * 4, 0, 12, label);
}

int mscope_plot_plane(const mscope_results *all, const mscope_result *r, const char *path)
{
    mscope_canvas c = { .log_x = 1, .log_y = 1 };
    char title[TITLE];
    double lo = INFINITY, hi = 0;
    if (mscope_canvas_open(&c, path) < 0)
        return failed(&c);
    for (size_t b = 0; b < r->bands; b++) {
        lo = fmin(lo, r->p[b]);
        hi = fmax(hi, r->p[b]);
    }
    c.x0 = log10(lo) - 0.5;
    c.x1 = log10(hi) + 0.5;
    c.y0 = fmin(log10(r->eps) - 1, log10(4 * r->eta * lo)) - 0.2;
    c.y1 = 0.2;
    name_of(all, r, title, sizeof title);
    mscope_canvas_frame(&c, title, "p, occurrences a sample", "eps = 1 - beta");
    mscope_canvas_clip(&c);
    cairo_set_line_width(c.cr, 2);
    cairo_set_source_rgb(c.cr, 0.80, 0.25, 0.20);
    if (!isnan(r->d))
        line_through(&c, r->batch / r->d);
    cairo_set_source_rgb(c.cr, 0.35, 0.35, 0.35);
    cairo_set_dash(c.cr, dash, 2, 0);
    line_through(&c, 4 * r->eta);
    cairo_set_dash(c.cr, NULL, 0, 0);
    cairo_set_source_rgb(c.cr, 0.1, 0.1, 0.1);
    cairo_move_to(c.cr, mscope_canvas_x(&c, lo), mscope_canvas_y(&c, r->eps));
    cairo_line_to(c.cr, mscope_canvas_x(&c, hi), mscope_canvas_y(&c, r->eps));
    cairo_stroke(c.cr);
    for (size_t b = 0; b < r->bands; b++) {
        band_ink(&c, r, b);
        cairo_arc(c.cr, mscope_canvas_x(&c, r->p[b]), mscope_canvas_y(&c, r->eps), 4 + 1.2 * log10(fmax(r->rows[b], 1)),
                  0, 6.2831853);
        cairo_fill(c.cr);
    }
    cairo_restore(c.cr);
    plane_legend(&c, r->d);
    return mscope_canvas_close(&c) < 0 ? failed(&c) : 0;
}

/* ---- heat map of steps to target -------------------------------------------------------------------------------- */

static int on_map(const mscope_result *r, const mscope_result *like)
{
    return r->eta > 0 && r->eps > 0 && mscope_same_but_rates(r, like);
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

static void draw_cells(const mscope_canvas *c, const mscope_results *all, const mscope_result *like, const double *vx,
                       size_t nx, const double *ex, const double *vy, size_t ny, const double *ey, double lo, double hi)
{
    for (size_t i = 0; i < all->n; i++) {
        const mscope_result *r = &all->at[i];
        if (!on_map(r, like))
            continue;
        const size_t a = place(vx, nx, r->eta), b = place(vy, ny, r->eps);
        const double x = mscope_canvas_x(c, pow(10, ex[a])), y = mscope_canvas_y(c, pow(10, ey[b + 1])),
                     mean = mean_steps(r);
        const double w = mscope_canvas_x(c, pow(10, ex[a + 1])) - x, h = mscope_canvas_y(c, pow(10, ey[b])) - y;
        char label[32];
        if (r->diverged > 0)
            cairo_set_source_rgb(c->cr, 0.75, 0.30, 0.25);
        else if (!isfinite(mean))
            cairo_set_source_rgb(c->cr, 0.85, 0.85, 0.85);
        else
            mscope_canvas_ink(c->cr, 1 - log(mean / lo) / fmax(log(hi / lo), 1e-9));
        cairo_rectangle(c->cr, x, y, w, h);
        cairo_fill_preserve(c->cr);
        cairo_set_source_rgb(c->cr, 1, 1, 1);         /* a thin border covers the seams that renderers leave */
        cairo_set_line_width(c->cr, 1);
        cairo_stroke(c->cr);
        snprintf(label, sizeof label, isfinite(mean) ? "%.4g" : ">%.0f", isfinite(mean) ? mean : r->horizon);
        if (r->diverged == 0 && w > 46) {
            cairo_set_source_rgba(c->cr, 1, 1, 1, 0.75);
            cairo_rectangle(c->cr, x + w / 2 - 22, y + h / 2 - 8, 44, 16);
            cairo_fill(c->cr);
            mscope_canvas_text(c, x + w / 2, y + h / 2 + 4, 0.5, 11, label);
        }
    }
}

/* A setting of the map with most cells, and how many. */
static const mscope_result *fullest(const mscope_results *all, size_t *most)
{
    const mscope_result *like = NULL;
    *most = 0;
    for (size_t i = 0; i < all->n; i++) {
        size_t k = 0;
        for (size_t j = 0; j < all->n; j++)
            k += (size_t)on_map(&all->at[j], &all->at[i]);
        if (k > *most) {
            *most = k;
            like = &all->at[i];
        }
    }
    return like;
}

static void heat_legend(const mscope_canvas *c)
{
    cairo_set_line_width(c->cr, 9);
    mscope_canvas_ink(c->cr, 1);
    mscope_canvas_legend(c, 0, "fewest steps");
    mscope_canvas_ink(c->cr, 0);
    mscope_canvas_legend(c, 1, "most steps");
    cairo_set_source_rgb(c->cr, 0.85, 0.85, 0.85);
    mscope_canvas_legend(c, 2, "not reached");
    cairo_set_source_rgb(c->cr, 0.75, 0.30, 0.25);
    mscope_canvas_legend(c, 3, "diverged");
}

static void heat_title(const mscope_results *all, const mscope_result *like, char *title, size_t size)
{
    char batch[64] = "", varying[160];
    mscope_what_varies(all, like, varying, sizeof varying);
    if (like->batch > 0)
        snprintf(batch, sizeof batch, ", B %.6g", like->batch);
    else if (!isnan(like->batch))
        snprintf(batch, sizeof batch, ", all data at once");
    snprintf(title, size, "%s, %s, %s%s%s: steps to target", like->workload, like->schedule, like->semantics, batch,
             varying);
}

int mscope_plot_heat(const mscope_results *all, const char *path)
{
    size_t most = 0, n = 0;
    const mscope_result *like = fullest(all, &most);
    mscope_canvas c = { .log_x = 1, .log_y = 1 };
    char title[TITLE];
    double lo = INFINITY, hi = 0;
    double *vx = malloc((4 * most + 8) * sizeof *vx);
    if (like == NULL || vx == NULL || mscope_canvas_open(&c, path) < 0) {
        free(vx);
        return like == NULL ? 0 : vx == NULL ? -1 : failed(&c);
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
    c.own_x = vx;
    c.n_own_x = nx;
    c.own_y = vy;
    c.n_own_y = ny;
    heat_title(all, like, title, sizeof title);
    mscope_canvas_frame(&c, title, "eta", "eps = 1 - beta");
    mscope_canvas_clip(&c);
    draw_cells(&c, all, like, vx, nx, ex, vy, ny, ey, lo, hi);
    cairo_restore(c.cr);
    heat_legend(&c);
    free(vx);
    return mscope_canvas_close(&c) < 0 ? failed(&c) : 0;
}
