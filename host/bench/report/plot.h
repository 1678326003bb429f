/* plot.h - results as pictures: PNG, or SVG where path ends in .svg. Titles name what varies within all
 *
 * Returns of all  0, or -1 with a message on stderr                                                      */
#ifndef MSCOPE_BENCH_PLOT_H
#define MSCOPE_BENCH_PLOT_H

#include "results.h"

/* mscope_plot_risk - risk over risk at the start, by step, a curve for each band and the total */
int mscope_plot_risk(const mscope_results *all, const mscope_result *r, const char *path);

/* mscope_plot_plane - bands in the plane of frequency p and eps = 1 - beta, with the line of resonance */
int mscope_plot_plane(const mscope_results *all, const mscope_result *r, const char *path);

/* mscope_plot_heat - steps to target by eta and eps, of results that differ in nothing else; where there are several
 * such maps, of the one with most cells; 0 and no file if none has one */
int mscope_plot_heat(const mscope_results *all, const char *path);

/* mscope_plot_end - frees the fonts that cairo and fontconfig would keep until exit; no plot after it */
void mscope_plot_end(void);

#endif
