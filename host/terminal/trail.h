/* trail.h - the last values of each band, drawn as a line of small bars with an arrow for where it goes */
#ifndef MSCOPE_TERMINAL_TRAIL_H
#define MSCOPE_TERMINAL_TRAIL_H

#include "mscope/client.h"
#include "paper.h"

enum { MSCOPE_TRAIL_KEPT = 32, MSCOPE_TRAIL_BARS = 8 };

/* V of the last records of a band, newest last. */
typedef struct mscope_trail {
    double v[MSCOPE_TRAIL_KEPT];
    int n;
} mscope_trail;

typedef struct mscope_trails {
    struct mscope_trail_table {
        char name[MSCOPE_NAME_MAX + 1];
        uint64_t epoch;
        mscope_trail band[MSCOPE_BANDS];
    } *table;
    size_t tables;
} mscope_trails;

/* mscope_trails_take - remember a band's record; others are left alone. Without memory nothing is remembered */
void mscope_trails_take(mscope_trails *t, const mscope_telemetry *m);
void mscope_trails_fini(mscope_trails *t);

/* mscope_trail_of - the trail of a band, or NULL */
const mscope_trail *mscope_trail_of(const mscope_trails *t, const char *table, int band);

/* mscope_trail_draw - MSCOPE_TRAIL_BARS bars of ln V between the smallest and largest kept, a blank, an arrow
 *
 * The arrow goes up or down where the last quarter's mean of ln V differs from that of the quarter before by more than
 * a tenth. ASCII where the paper is not UTF-8.                                                                  */
void mscope_trail_draw(const mscope_trail *t, mscope_paper *to);

#endif
