/* curvature.h - what a band remembers of its probes; private to the core
 *
 * A sample (h1, h2) of one probed row is noted in SPANS memories at once. In memory k it counts 2^-(age/L_k), age in
 * steps, L_k from 32 to 131072. Weights depend on steps alone, so sums of shards are the sums of the whole table. Which
 * memory is published is decided when the band is read: the longest that no shorter one contradicts. */
#ifndef MSCOPE_CORE_CURVATURE_H
#define MSCOPE_CORE_CURVATURE_H

#include "mscope/core.h"

#define MSCOPE_PROBE_SPANS 7

/* Weighted samples: sums of weights and of their squares, means, weighted sums of squared deviations of h1 and of h2,
 * and of the product of both deviations. Every field here is 8 bytes wide, as the snapshot wants it. */
typedef struct mscope_probe_sums {
    double w, w2;
    double h1, h2;
    double dev11, dev22, dev12;
} mscope_probe_sums;

typedef struct mscope_probe_memory {
    mscope_probe_sums span[MSCOPE_PROBE_SPANS];
    uint64_t at;                     /* step that the weights belong to: that of the last probe */
    double batch;                    /* of the samples */
    double odd;                      /* probes in a row that came with another batch */
} mscope_probe_memory;

/* One more sample of weight 1. */
void mscope_probe_note(mscope_probe_sums *s, double h1, double h2);
/* Older samples count `keep` times as much from now on. */
void mscope_probe_fade(mscope_probe_sums *s, double keep);
/* (sum w)^2 / sum w^2; 0 without a sample. */
double mscope_probe_number(const mscope_probe_sums *s);
/* Square of the relative standard error of h2/h1, as a ratio of sums; 0 without a sample. */
double mscope_probe_ratio_var(const mscope_probe_sums *s);

/* A probe at step `now` brings samples of this band. Returns 0 when they are to be left out: see curvature.c. */
int mscope_probe_begin(mscope_probe_memory *p, uint64_t now, double batch);
void mscope_probe_take(mscope_probe_memory *p, double h1, double h2);

/* What the band publishes. Cost O(SPANS^2) */
mscope_curvature mscope_probe_read(const mscope_probe_memory *p, uint64_t now);

#endif
