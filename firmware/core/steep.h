/* steep.h - the few rows of a band whose curvature is kept one by one; private to the core
 *
 * Eight rows are the steepest that probes have met, by h2/h1, which H follows. Eight others are chosen by a hash of
 * their number, whatever their curvature: a fair sample, which tells how much the rows of a band differ. */
#ifndef MSCOPE_CORE_STEEP_H
#define MSCOPE_CORE_STEEP_H

#include "mscope/core.h"
#include "sums.h"

#define MSCOPE_STEEP_ROWS 8
#define MSCOPE_FAIR_ROWS 8

typedef struct mscope_probe_row {
    uint64_t row;                    /* its number + 1; 0: free */
    mscope_probe_sums sums;          /* of its own samples; one counts for half after 22 later ones */
} mscope_probe_row;

typedef struct mscope_probe_rows {
    mscope_probe_row steep[MSCOPE_STEEP_ROWS], fair[MSCOPE_FAIR_ROWS];
} mscope_probe_rows;

/* One sample of a row. typical: h1 of the band, by which the ranks of rows with few samples are lowered. */
void mscope_probe_rows_note(mscope_probe_rows *p, uint32_t row, double h1, double h2, double typical);
/* Forget the rows that are not in the band any more: in_band(ctx, row) says. */
void mscope_probe_rows_purge(mscope_probe_rows *p, int (*in_band)(const void *ctx, uint32_t row), const void *ctx);
/* Are all row numbers below `rows`? */
int mscope_probe_rows_sound(const mscope_probe_rows *p, uint32_t rows);
/* The steepest of the rows that have 16 samples, since rows of few are among the steepest by luck; NULL: none. */
const mscope_probe_row *mscope_probe_rows_steepest(const mscope_probe_rows *p, double typical);
/* Variance of mean h1 between rows over the square of their mean, without the scatter of the samples; negative: fewer
 * than four rows of the fair sample have two samples. */
double mscope_probe_rows_spread(const mscope_probe_rows *p);

#endif
