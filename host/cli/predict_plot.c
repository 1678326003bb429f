/* predict_plot.c - a path in a plane, as characters or as an SVG or PNG file */
#include "predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cairo-svg.h>
#include <cairo.h>
#include <fontconfig/fontconfig.h>

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

enum { WIDTH = 720, HEIGHT = 520, LEFT = 92, RIGHT = 24, TOP = 48, BOTTOM = 64 };

static double tick_step(double span)
{
    double raw = span / 5.0, decade = pow(10.0, floor(log10(raw))), m = raw / decade;

    return decade * (m < 1.5 ? 1.0 : m < 3.5 ? 2.0 : m < 7.5 ? 5.0 : 10.0);
}

static double px(const frame *f, double x)
{
    return LEFT + (x - f->x0) / (f->x1 - f->x0) * (WIDTH - LEFT - RIGHT);
}

static double py(const frame *f, double y)
{
    return HEIGHT - BOTTOM - (y - f->y0) / (f->y1 - f->y0) * (HEIGHT - TOP - BOTTOM);
}

static void text_at(cairo_t *cr, double x, double y, double ax, const char *text)
{
    cairo_text_extents_t e;

    cairo_text_extents(cr, text, &e);
    cairo_move_to(cr, x - ax * e.width - e.x_bearing, y);
    cairo_show_text(cr, text);
}

static void line(cairo_t *cr, double x0, double y0, double x1, double y1)
{
    cairo_move_to(cr, x0, y0);
    cairo_line_to(cr, x1, y1);
    cairo_stroke(cr);
}

static void paint_ticks(cairo_t *cr, const frame *f)
{
    double sx = tick_step(f->x1 - f->x0), sy = tick_step(f->y1 - f->y0);
    char label[32];

    cairo_set_line_width(cr, 1.0);
    /* + 0.0 turns the -0 of ceil into 0 */
    for (double k = ceil(f->x0 / sx); k * sx <= f->x1; k += 1.0) {
        cairo_set_source_rgb(cr, 0.88, 0.88, 0.88);
        line(cr, px(f, k * sx), TOP, px(f, k * sx), HEIGHT - BOTTOM);
        cairo_set_source_rgb(cr, 0.2, 0.2, 0.2);
        snprintf(label, sizeof label, "%.4g", k * sx + 0.0);
        text_at(cr, px(f, k * sx), HEIGHT - BOTTOM + 18, 0.5, label);
    }
    for (double k = ceil(f->y0 / sy); k * sy <= f->y1; k += 1.0) {
        cairo_set_source_rgb(cr, 0.88, 0.88, 0.88);
        line(cr, LEFT, py(f, k * sy), WIDTH - RIGHT, py(f, k * sy));
        cairo_set_source_rgb(cr, 0.2, 0.2, 0.2);
        snprintf(label, sizeof label, "%.4g", k * sy + 0.0);
        text_at(cr, LEFT - 8, py(f, k * sy) + 4, 1.0, label);
    }
    cairo_rectangle(cr, LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    cairo_stroke(cr);
}

static void paint_path(cairo_t *cr, const frame *f, const mscope_path *path)
{
    cairo_set_line_width(cr, 1.8);
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
    for (int i = 1; i < path->n; i++) { /* from blue to red: the colour is the time */
        double t = (double)i / path->n;
        cairo_set_source_rgb(cr, 0.12 + 0.75 * t, 0.35 - 0.2 * t, 0.75 - 0.6 * t);
        line(cr, px(f, path->x[i - 1]), py(f, path->y[i - 1]), px(f, path->x[i]),
             py(f, path->y[i]));
    }
    cairo_set_source_rgb(cr, 0.12, 0.35, 0.75);
    cairo_arc(cr, px(f, path->x[0]), py(f, path->y[0]), 5.0, 0.0, 6.3);
    cairo_fill(cr);
    cairo_set_source_rgb(cr, 0.87, 0.15, 0.15);
    cairo_arc(cr, px(f, path->x[path->n - 1]), py(f, path->y[path->n - 1]), 4.0, 0.0, 6.3);
    cairo_fill(cr);
}

static void paint(cairo_t *cr, const mscope_path *path)
{
    frame f = frame_of(path);

    cairo_set_source_rgb(cr, 1.0, 1.0, 1.0);
    cairo_paint(cr);
    cairo_select_font_face(cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cr, 12.0);
    paint_ticks(cr, &f);
    paint_path(cr, &f, path);
    cairo_set_source_rgb(cr, 0.1, 0.1, 0.1);
    text_at(cr, 0.5 * (LEFT + WIDTH - RIGHT), HEIGHT - 20, 0.5, path->x_label);
    cairo_save(cr);
    cairo_translate(cr, 20, 0.5 * (TOP + HEIGHT - BOTTOM));
    cairo_rotate(cr, -1.5707963267948966);
    text_at(cr, 0, 0, 0.5, path->y_label);
    cairo_restore(cr);
    cairo_set_font_size(cr, 14.0);
    text_at(cr, 0.5 * (LEFT + WIDTH - RIGHT), 30, 0.5, path->title);
}

int mscope_plot_file(const char *name, const mscope_path *path)
{
    const char *dot = strrchr(name, '.');
    int svg = dot != NULL && strcmp(dot, ".svg") == 0,
        png = dot != NULL && strcmp(dot, ".png") == 0;
    cairo_surface_t *surface;
    cairo_status_t status;
    cairo_t *cr;

    if (!svg && !png)
        return MSCOPE_ENOTSUP;
    surface = svg ? cairo_svg_surface_create(name, WIDTH, HEIGHT)
                  : cairo_image_surface_create(CAIRO_FORMAT_RGB24, WIDTH, HEIGHT);
    cr = cairo_create(surface);
    paint(cr, path);
    status = cairo_status(cr);
    cairo_destroy(cr);
    if (png && status == CAIRO_STATUS_SUCCESS)
        status = cairo_surface_write_to_png(surface, name);
    cairo_surface_finish(surface);
    if (status == CAIRO_STATUS_SUCCESS)
        status = cairo_surface_status(surface);
    cairo_surface_destroy(surface);
    cairo_debug_reset_static_data(); /* both keep fonts for ever, which hides leaks of our own */
    FcFini();
    return status == CAIRO_STATUS_SUCCESS ? MSCOPE_OK : MSCOPE_EIO;
}
