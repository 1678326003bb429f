/* shards.h - records of the shards of one table, as the records one daemon over all its rows would publish
 *
 * Shards hold different rows of a table and see the same batches. Sums and bounds add. A mean is weighted by the number
 * of its samples: p and P by rows, g2 by occurrences, U and gm by row updates with the standard errors of the pooled
 * samples, probe curvature by the weights of its samples, Fisher curvature by updates, an autocorrelation by completed
 * references. Retention, learning and delta are computed from the merged values.
 *
 * Nothing is estimated: with every shard at the same step the result equals that of one daemon to rounding. There are
 * two exceptions: probe samples of rows that entered a band of a shard and left it empty between two records; and
 * curvature that changes, since each shard decides by its own samples which older ones still hold. Schedule values are
 * those of the shard furthest ahead, step is that of the shard furthest behind. Pure functions.
 *
 * Threads  any                                                                                */
#ifndef MSCOPE_SHARDS_H
#define MSCOPE_SHARDS_H

#include <stddef.h>

#include "mscope/wire.h"

/* mscope_shards_band - one band from n >= 1 parts; a shard without rows in the band has no part
 *
 * Shape    whole: 0 when a shard of the table is missing: sums are then unknown (NaN), not smaller
 * Cost     O(n)                                                                                              */
void mscope_shards_band(const mscope_rec_band *const *part, size_t n, int whole, mscope_rec_band *out);

/* mscope_shards_table - the table from n >= 1 parts, and in *skew the steps between the first and the last of them */
void mscope_shards_table(const mscope_rec_table *const *part, size_t n, int whole, mscope_rec_table *out,
                         uint64_t *skew);

/* mscope_shards_acf - from n >= 1 parts; parts whose stride is not that of the most references are left out */
/* stability: the one with the largest H; the directions of several trainers do not join into one */
void mscope_shards_stability(const mscope_rec_stability *const *part, size_t n, mscope_rec_stability *out);
void mscope_shards_acf(const mscope_rec_acf *const *part, size_t n, mscope_rec_acf *out);

/* mscope_shards_daemon - counters added, extremes compared */
void mscope_shards_daemon(const mscope_rec_daemon *const *part, size_t n, mscope_rec_daemon *out);

#endif
