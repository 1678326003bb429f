/* curvature.h - what a band remembers of its probes; private to the core
 *
 * A sample (h1, h2) of one probed row is noted in SPANS memories at once. In memory k it counts 2^-(age/L_k), age in
 * steps, L_k from 32 to 131072. Weights depend on steps alone, so sums of shards are the sums of the whole table. Which
 * memory is published is decided when the band is read: the longest that no shorter one contradicts. */
#ifndef MSCOPE_CORE_CURVATURE_H
#define MSCOPE_CORE_CURVATURE_H

#include "mscope/core.h"
#include "steep.h"

#define MSCOPE_PROBE_SPANS 7

typedef struct mscope_probe_memory {
    mscope_probe_sums span[MSCOPE_PROBE_SPANS];
    uint64_t at;                     /* step that the weights belong to: that of the last probe */
    double batch;                    /* of the samples */
    double odd;                      /* probes in a row that came with another batch */
    mscope_probe_rows rows;
} mscope_probe_memory;

/* A probe at step `now` brings samples of this band. Returns 0 when they are to be left out: see curvature.c. */
int mscope_probe_begin(mscope_probe_memory *p, uint64_t now, double batch);
void mscope_probe_take(mscope_probe_memory *p, uint32_t row, double h1, double h2);

/* What the band publishes. Cost O(SPANS^2) */
mscope_curvature mscope_probe_read(const mscope_probe_memory *p, uint64_t now);

#endif
