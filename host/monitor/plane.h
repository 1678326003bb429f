/* plane.h - the bands of one table as a picture: how active they are, and how far one update moves them
 *
 * Data flow: a judged set -> mscope_plane_of one of its tables -> mscope_plane_draw -> an SVG or PNG file. */
#ifndef MSCOPE_MONITOR_PLANE_H
#define MSCOPE_MONITOR_PLANE_H

#include "judged.h"

struct mscope_canvas;                /* common/canvas.h */

typedef struct mscope_plane_dot {
    double p;                        /* occurrences per sample                                     */
    double x;                        /* eta H1: share of its error that a row loses in one update  */
    double updates;                  /* row updates of the band                                    */
    uint64_t band;
    double memory;                   /* retention, updates; NaN: not known                         */
    double H;                        /* eta over its limit, so x may rise to x/H; NaN: not known    */
    int alarm;                       /* near instability or unstable: a ring                       */
} mscope_plane_dot;

typedef struct mscope_plane {
    char title[160];
    double eps, batch;               /* of the last step: they place the regimes                   */
    mscope_plane_dot dot[MSCOPE_BANDS];
    size_t dots;
} mscope_plane;

/* mscope_plane_of - the bands of table i of a set, but for those whose p or curvature is unknown */
void mscope_plane_of(mscope_plane *plane, const mscope_judged *j, size_t i);

/* mscope_plane_border - the x at which a row that occurs p times a sample has damping ratio zeta, low <= x <= high
 *
 * The border of the regimes at zeta 2 and 1/2; damping falls as x rises. Threads any.  Cost about 20 maps      */
double mscope_plane_border(const mscope_plane *plane, double p, double zeta, double low, double high);

/* mscope_plane_paint - the picture in a canvas that is open, with axes and legend
 *
 * Shape    at least one dot; eps and batch > 0                                                        */
void mscope_plane_paint(const mscope_plane *plane, struct mscope_canvas *c);

/* mscope_plane_draw - write the picture; SVG or PNG by the ending of path
 *
 * The borders of the regimes are those of the exact mean map (mscope/theory.h): zeta 1/2 and 2 at P = 1 - (1-p)^B.
 * Errors   MSCOPE_EINVAL  no band to draw;  MSCOPE_EIO  the file cannot be written; *why says it, static */
MSCOPE_MUST_CHECK int mscope_plane_draw(const mscope_plane *plane, const char *path, const char **why);

#endif
