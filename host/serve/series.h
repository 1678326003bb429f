/* series.h - how numbers moved: a bounded series of points over steps, thinned out as it grows
 *
 * A full series gives up every second point, so that its points stay evenly spread over the whole run. The newest point
 * is always there.                                                                                             */
#ifndef MSCOPE_SERVE_SERIES_H
#define MSCOPE_SERVE_SERIES_H

#include <stddef.h>
#include <stdint.h>

#include "mscope/err.h"

enum { MSCOPE_SERIES_MOST = 768, MSCOPE_SERIES_COLUMNS = 12 };

typedef struct mscope_series {
    double *step, *at;               /* at: when it was heard, Unix time in s                              */
    float *value;                    /* [points][columns]; NaN: not known                                  */
    size_t points, room, columns;
    uint64_t stride, given;          /* every stride-th point given is kept                                */
    int loose;                       /* the last point is not one of these, and the next one replaces it   */
} mscope_series;

/* mscope_series_add - one more point
 *
 * A step at or below the last ones replaces them: the run went back, as after a restart from an older state.
 * Shape    value: columns numbers; columns is the same for every call, 1 to MSCOPE_SERIES_COLUMNS
 * Errors   MSCOPE_ENOMEM; the series is as it was                                                              */
MSCOPE_MUST_CHECK int mscope_series_add(mscope_series *s, double step, double at, const double *value, size_t columns);

/* mscope_series_after - index of the first point whose step is above `step` */
size_t mscope_series_after(const mscope_series *s, double step);

/* mscope_series_cut - forget the points of this step and above: a run went back */
void mscope_series_cut(mscope_series *s, double step);

/* mscope_series_thin - give up every second point, but never the newest */
void mscope_series_thin(mscope_series *s);

void mscope_series_fini(mscope_series *s);

#endif
