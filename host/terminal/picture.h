/* picture.h - the live picture of watch: the verdict first, then the bands of one table, then the chosen band's words
 *
 * It draws what it is given on paper and asks nobody; keys only change the look.                                  */
#ifndef MSCOPE_TERMINAL_PICTURE_H
#define MSCOPE_TERMINAL_PICTURE_H

#include "monitor/monitor.h"
#include "trail.h"

/* What a person has chosen by keys; all zero to begin with. */
typedef struct mscope_look {
    size_t table;                /* counted among the tables that have a table record */
    int chosen;                  /* line of the list of bands */
    int sort;                    /* index of the sort order */
    int paused, help, quit;
    uint32_t columns;            /* 0: those that fit */
} mscope_look;

/* mscope_look_key - what a key changes; a key without a meaning changes nothing.  Shape key: of screen.h */
void mscope_look_key(mscope_look *look, int key);

/* mscope_picture_draw - the picture for `rows` lines; look is brought within what there is
 *
 * Shape    coverage: one for each table, NULL with one daemon. to: empty, as wide as the window                  */
void mscope_picture_draw(const mscope_judged *j, const mscope_coverage *coverage, const mscope_subscriber_stats *stats,
                         const mscope_trails *trails, mscope_look *look, int rows, mscope_paper *to);

#endif
