/* bigram.h - what others need of the bigram workloads: the text, and the rows inside a run */
#ifndef MSCOPE_BENCH_WORKLOAD_BIGRAM_H
#define MSCOPE_BENCH_WORKLOAD_BIGRAM_H

#include "nextword/text.h"
#include "rows.h"

extern const mscope_workload mscope_workload_bigram;

/* mscope_bigram_text - the text that MOMENTSCOPE_TEXT names (files, colons between), else prose of this system
 *
 * Returns  as text_read                                                                              */
int mscope_bigram_text(text *t, uint32_t words);

/* mscope_bigram_rows - the embedding, settled; p of each row in *p */
mscope_bench_rows *mscope_bigram_rows(void *self, const double **p);

#endif
