/* canvas.h - a drawing area in data units: frame, ticks, text, colours, legend (cairo) */
#ifndef MSCOPE_COMMON_CANVAS_H
#define MSCOPE_COMMON_CANVAS_H

#include <stddef.h>
#include <stdio.h>

#include <cairo.h>

enum { MSCOPE_CANVAS_LEFT = 86, MSCOPE_CANVAS_TOP = 50, MSCOPE_CANVAS_W = 560, MSCOPE_CANVAS_H = 420 };

/* A drawing area in data units; a logarithmic axis takes log10 of what it is given. */
typedef struct mscope_canvas {
    cairo_surface_t *surface;
    cairo_t *cr;
    FILE *to;                        /* the picture in memory: len bytes at image, once it is finished */
    char *image;
    size_t len;
    const char *path, *why;          /* why: set by a call that failed, static                        */
    double x0, x1, y0, y1;
    double w, h;                     /* size of the frame; 0: MSCOPE_CANVAS_W and _H                           */
    int log_x, log_y, svg;
    const double *own_x, *own_y;     /* values to mark instead of round numbers, ascending; NULL: none */
    size_t n_own_x, n_own_y;
} mscope_canvas;

/* mscope_canvas_open - begin a picture: SVG where path ends in .svg, else PNG. The ranges of the axes are set before or
 * after
 *
 * Returns  0, or -1 with c->why: then it is closed                                                            */
int mscope_canvas_open(mscope_canvas *c, const char *path);

/* mscope_canvas_close - write the file, whole or not at all (whole.h); 0, or -1 with c->why */
int mscope_canvas_close(mscope_canvas *c);

/* mscope_canvas_end - free the fonts that cairo and fontconfig keep until exit; nothing is drawn after it */
void mscope_canvas_end(void);

/* Place on the page of a value on an axis. */
double mscope_canvas_x(const mscope_canvas *c, double x);
double mscope_canvas_y(const mscope_canvas *c, double y);

/* Dark violet over green to yellow, f from 0 to 1: readable in grey and by the colour-blind. */
void mscope_canvas_ink(cairo_t *cr, double f);
/* align: 0 left, .5 centre, 1 right */
void mscope_canvas_text(const mscope_canvas *c, double x, double y, double align, double size, const char *s);
void mscope_canvas_frame(const mscope_canvas *c, const char *title, const char *x_label, const char *y_label);
/* Until cairo_restore nothing is drawn outside the frame. */
void mscope_canvas_clip(const mscope_canvas *c);
/* A stroke in the present colour and width (or a ring), and what it stands for, beside the frame. */
void mscope_canvas_legend(const mscope_canvas *c, int line, const char *label);
void mscope_canvas_legend_ring(const mscope_canvas *c, int line, const char *label);

#endif
