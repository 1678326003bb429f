/* compare.h - settings side by side: steps to target by band */
#ifndef MSCOPE_BENCH_COMPARE_H
#define MSCOPE_BENCH_COMPARE_H

#include "results.h"

/* mscope_compare_print - a block for each setting on standard output: bands, steps to target, theory where it is known
 *
 * every 0: of each workload, schedule, semantics and batch only the setting with the fewest steps to the total's
 * target. prefix, if not NULL: plots PREFIX-risk-N, PREFIX-plane-N of each block and PREFIX-heat; ending "png" or
 * "svg".
 * Returns  0, or -1 when a plot cannot be written; stderr says which */
int mscope_compare_print(const mscope_results *all, int every, const char *prefix, const char *ending);

#endif
