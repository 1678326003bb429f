/* paper_charts.h - the charts of a report, each into a canvas that is open */
#ifndef MSCOPE_SERVE_PAPER_CHARTS_H
#define MSCOPE_SERVE_PAPER_CHARTS_H

#include "common/canvas.h"
#include "story.h"

/* mscope_paper_chart - one column of all bands of a table over steps, on a logarithmic scale
 *
 * Shape    column: its place in MSCOPE_STORY_BAND; w, h: of the frame; at its place in the canvas' units
 * Returns  0 where no band has two known positive values, and nothing is drawn                                  */
int mscope_paper_chart(mscope_canvas *c, const mscope_told *t, size_t column, const char *title, double x, double y,
                       double w, double h);

/* mscope_paper_key - which colour is which band, in one line */
void mscope_paper_key(const mscope_canvas *c, const mscope_told *t, double x, double y);

/* mscope_paper_timeline_height - what the next one will take */
double mscope_paper_timeline_height(const mscope_told *t);

/* mscope_paper_timeline - the verdict of every band from step to step, as bars; returns the height that it took */
double mscope_paper_timeline(const mscope_canvas *c, const mscope_told *t, double x, double y, double w);

#endif
