/* steep.h - the steepest row of a band by itself: is it near its limit while the band is not?
 *
 * A band publishes one curvature for all its rows, and with it the row of largest H2/H1 (steep_row ..). Rows do not
 * share a limit: one that is ten times steeper diverges while its band looks calm. H of the row is that of a row alone,
 * from its own H1 and H2. The row is the largest of many, so its H must exceed the border by sqrt(2 ln rows) standard
 * errors, which the largest of so many normal deviates does not. */
#ifndef MSCOPE_STEEP_H
#define MSCOPE_STEEP_H

#include "mscope/theory.h"
#include "mscope/wire.h"

typedef struct mscope_steep {
    double row;              /* its number, NaN: no row is known, and all else is NaN or 0                     */
    double H, H_se;          /* eta over the largest stable eta of this row alone; its standard error          */
    double times;            /* H2/H1 of the row over that of the others                                       */
    enum mscope_regime regime;       /* MSCOPE_REGIME_UNSTABLE, _NEAR; _UNKNOWN: nothing to say about it       */
    double confidence;       /* that it is above the border of that regime; 0 when unknown                     */
    char why[MSCOPE_TEXT_MAX + 1];   /* "row 17 is 9.6 times steeper than its band: its own H is 1.2"; else "" */
} mscope_steep;

/* mscope_steep_of - judge the steepest row of a band's record.  Threads any.  Cost O(1) */
void mscope_steep_of(const mscope_rec_band *b, mscope_steep *out);

#endif
