/* bigram.h - what the comparison of frozen, catch-up and dense looks at inside a bigram run */
#ifndef MSCOPE_BENCH_WORKLOAD_BIGRAM_H
#define MSCOPE_BENCH_WORKLOAD_BIGRAM_H

#include "rows.h"

extern const mscope_workload mscope_workload_bigram;

/* mscope_bigram_rows - the embedding, settled; p of each row in *p */
mscope_bench_rows *mscope_bigram_rows(void *self, const double **p);

#endif
