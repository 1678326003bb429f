/* kern.h - the row kernel: catch up, inject, and sum, in one pass over a row
 *
 *   (theta, m) <- idle (theta, m)                          if idle
 *   m <- b22 m + (mt theta + x22 m + mg g)                 if kick
 *   theta <- theta + (x11 theta + tm m + tg g)
 *   v = |m|^2, r = |theta - ref|^2, c = <theta - ref, m> of the stored values; gm = <g, m before the injection>
 *
 * Every twin gives the same bits: products and sums in the same order, never contracted, reductions in eight
 * double lanes (coordinate i in lane i mod 8) folded 8 -> 4 -> 2 -> 1.                                       */
#ifndef MSCOPE_CORE_KERN_H
#define MSCOPE_CORE_KERN_H

#include <stddef.h>

#include "core/schedule.h"

typedef struct mscope_sums {
    double v, r, c, gm;
} mscope_sums;

#define MSCOPE_LANES 8
typedef struct mscope_lanes {
    double v[MSCOPE_LANES], r[MSCOPE_LANES], c[MSCOPE_LANES], gm[MSCOPE_LANES];
} mscope_lanes;

/* theta, m, ref, g: rows of d elements of the state's types, any alignment of the element, apart from each other;
 * ref, idle may be NULL; g and kick are NULL together.                                                       */
typedef void mscope_row_fn(void *theta, void *m, const void *ref, const void *g, size_t d, const mscope_idle *idle,
                           const mscope_kick *kick, mscope_sums *out);
typedef double mscope_sumsq_fn(const void *x, size_t d);

typedef struct mscope_kern {
    const char *name;
    int (*usable)(void);
    mscope_row_fn *row[3];           /* by enum mscope_state */
    mscope_sumsq_fn *sumsq[2];       /* 0: float32, 1: float64 */
} mscope_kern;

extern const mscope_kern mscope_kern_ref, mscope_kern_v128, mscope_kern_v256;
const mscope_kern *mscope_kern_pick(const char *name);     /* NULL: the widest usable; NULL result: not usable here */
const mscope_kern *mscope_kern_at(size_t i);               /* all of them, widest first; NULL past the end */

double mscope_lanes_fold(const double lane[MSCOPE_LANES]);

/* The reference over coordinates i .. d-1, adding into lanes: whole rows, and the tails of the twins. */
void mscope_row_part_f32(float *theta, float *m, const float *ref, const float *g, size_t i, size_t d,
                         const mscope_idle *idle, const mscope_kick *kick, mscope_lanes *sum);
mscope_row_fn mscope_row_mixed_ref, mscope_row_f64_ref;
mscope_sumsq_fn mscope_sumsq_f64_ref;

#endif
