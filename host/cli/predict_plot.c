/* predict_plot.c - a path in a plane, as characters or as an SVG or PNG file */
#include "predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/canvas.h"

typedef struct frame {
    double x0, x1, y0, y1;
} frame;

static void widen(double *lo, double *hi)
{
    double pad = 0.04 * (*hi - *lo);

    if (!(pad > 0.0))
        pad = fabs(*lo) > 0.0 ? 0.5 * fabs(*lo) : 1.0;
    *lo -= pad;
    *hi += pad;
}

static frame frame_of(const mscope_path *path)
{
    frame f = { path->x[0], path->x[0], path->y[0], path->y[0] };

    for (int i = 1; i < path->n; i++) {
        f.x0 = fmin(f.x0, path->x[i]);
        f.x1 = fmax(f.x1, path->x[i]);
        f.y0 = fmin(f.y0, path->y[i]);
        f.y1 = fmax(f.y1, path->y[i]);
    }
    widen(&f.x0, &f.x1);
    widen(&f.y0, &f.y1);
    return f;
}

static int cell(double v, double lo, double hi, int n)
{
    int i = (int)((v - lo) / (hi - lo) * n);

    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

static void draw_axes(char *grid, const frame *f, int width, int height)
{
    if (f->y0 < 0.0 && f->y1 > 0.0)
        for (int c = 0; c < width; c++)
            grid[(height - 1 - cell(0.0, f->y0, f->y1, height)) * width + c] = '-';
    if (f->x0 < 0.0 && f->x1 > 0.0)
        for (int r = 0; r < height; r++)
            grid[r * width + cell(0.0, f->x0, f->x1, width)] = '|';
}

void mscope_plot_text(FILE *out, const mscope_path *path, int width, int height)
{
    frame f = frame_of(path);
    char *grid = malloc((size_t)width * (size_t)height);

    if (grid == NULL)
        return;
    memset(grid, ' ', (size_t)width * (size_t)height);
    draw_axes(grid, &f, width, height);
    for (int i = path->n - 1; i >= 0; i--) { /* backwards: the marks of the ends stay on top */
        int c = cell(path->x[i], f.x0, f.x1, width),
            r = height - 1 - cell(path->y[i], f.y0, f.y1, height);
        char mark = i == 0 ? 'o' : i == path->n - 1 ? 'x' : '.';
        if (grid[r * width + c] != 'x' || i == 0)
            grid[r * width + c] = mark;
    }
    fprintf(out, "%s\n%11.3g +", path->title, f.y1);
    for (int c = 0; c < width; c++)
        putc('-', out);
    fprintf(out, "+ %s\n", path->y_label);
    for (int r = 0; r < height; r++)
        fprintf(out, "            |%.*s|\n", width, grid + r * width);
    fprintf(out, "%11.3g +", f.y0);
    for (int c = 0; c < width; c++)
        putc('-', out);
    fprintf(out, "+\n%15.3g%*.3g %s   (o start, x end)\n", f.x0, width, f.x1, path->x_label);
    free(grid);
}

/* ---- the same on paper --------------------------------------------------------------------- */

static void dot(const mscope_canvas *c, double x, double y, double radius)
{
    cairo_arc(c->cr, mscope_canvas_x(c, x), mscope_canvas_y(c, y), radius, 0.0, 6.3);
    cairo_fill(c->cr);
}

/* From blue to red: the colour is the time. */
static void paint_path(const mscope_canvas *c, const mscope_path *path)
{
    const int last = path->n - 1;

    cairo_set_line_width(c->cr, 1.8);
    cairo_set_line_cap(c->cr, CAIRO_LINE_CAP_ROUND);
    for (int i = 1; i < path->n; i++) {
        const double t = (double)i / path->n;
        cairo_set_source_rgb(c->cr, 0.12 + 0.75 * t, 0.35 - 0.2 * t, 0.75 - 0.6 * t);
        cairo_move_to(c->cr, mscope_canvas_x(c, path->x[i - 1]), mscope_canvas_y(c, path->y[i - 1]));
        cairo_line_to(c->cr, mscope_canvas_x(c, path->x[i]), mscope_canvas_y(c, path->y[i]));
        cairo_stroke(c->cr);
    }
    cairo_set_source_rgb(c->cr, 0.12, 0.35, 0.75);
    dot(c, path->x[0], path->y[0], 5.0);
    mscope_canvas_legend_ring(c, 0, "start");
    cairo_set_source_rgb(c->cr, 0.87, 0.15, 0.15);
    dot(c, path->x[last], path->y[last], 4.0);
    mscope_canvas_legend_ring(c, 1, "end");
}

int mscope_plot_file(const char *name, const mscope_path *path, char *why, size_t cap)
{
    const frame f = frame_of(path);
    mscope_canvas c = { .x0 = f.x0, .x1 = f.x1, .y0 = f.y0, .y1 = f.y1 };
    int rc = mscope_canvas_open(&c, name);

    if (rc == 0) {
        mscope_canvas_frame(&c, path->title, path->x_label, path->y_label);
        paint_path(&c, path);
        rc = mscope_canvas_close(&c);
    }
    if (rc != 0)
        (void)snprintf(why, cap, "%s", c.why);
    mscope_canvas_end();
    return rc == 0 ? MSCOPE_OK : MSCOPE_EIO;
}
