/* kern.h - the row kernel: catch up, inject the gradient, and sum, in one pass over each row of a job
 *
 *   (theta, m) <- idle (theta, m)                          if the row is late
 *   m <- b22 m + (mt theta + x22 m + mg g)                 if the row has a gradient
 *   theta <- theta + (x11 theta + tm m + tg g)
 *   v = |m|^2, r = |theta - ref|^2, c = <theta - ref, m> of the stored values; gm = <g, m before the injection>
 *
 * Where both maps of a row are plain (idle b11 = 1, x11 = a21 = 0; kick mt = x11 = tg = 0), the terms with these zeros
 * are left out, and theta is not multiplied by 1. That is half the arithmetic; only signs of zeros and 0 times infinity
 * differ.
 *
 * All kernels give the same bits. Products and sums come in the same order and are never contracted; sums are kept in
 * lanes that do not depend on the width of a vector. (A NaN's payload and sign are not part of the bits.)
 *     MSCOPE_STATISTICS_DOUBLE  coordinate i in float64 lane i mod 8, folded 8 -> 4 -> 2 -> 1, lane l with lane l +
 *     half MSCOPE_STATISTICS_FLOAT   (float32 states) coordinate i in float32 lane i mod 16, folded 16 -> 8 -> 4 -> 2
 *     -> 1 at the
 *                               end of the row and of every MSCOPE_SEGMENT coordinates, and these added in float64: no
 *                               lane adds more than 64 products
 *
 * The scalar reference (kern_ref.c) defines the bits; its vector twins must match it. */
#ifndef MSCOPE_CORE_KERN_H
#define MSCOPE_CORE_KERN_H

#include <float.h>
#include <stddef.h>

#include "schedule.h"

/* Bits are part of the contract: float32 must be computed in float32. x87 and some default modes do not. */
#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "float is computed wider than it is stored: use -msse2 -mfpmath=sse (x86) or -fexcess-precision=fast"
#endif
#ifdef __FAST_MATH__
#error "fast-math changes the bits of the core"
#endif

typedef struct mscope_sums {
    double v, r, c, gm;
} mscope_sums;

#define MSCOPE_LANES 8               /* of float64 */
#define MSCOPE_FLOAT_LANES 16
#define MSCOPE_SEGMENT 1024          /* coordinates; a multiple of both */

typedef struct mscope_lanes_double {
    double v[MSCOPE_LANES], r[MSCOPE_LANES], c[MSCOPE_LANES], gm[MSCOPE_LANES];
} mscope_lanes_double;

typedef struct mscope_lanes_float {
    float v[MSCOPE_FLOAT_LANES], r[MSCOPE_FLOAT_LANES], c[MSCOPE_FLOAT_LANES], gm[MSCOPE_FLOAT_LANES];
} mscope_lanes_float;

/* One job: up to 64 rows of a table. Rows are given by index, so that a kernel can fetch the next rows while it works,
 * and do several narrow rows at once.
 *
 * A job with n = 0 opens a sequence of jobs and only fetches its first rows. Each later job fetches the rows
 * row[n .. known-1] of the jobs after it. A missing opening or a wrong guess costs time and changes no result. */
#define MSCOPE_JOB_ROWS 64

typedef struct mscope_job {
    void *theta, *m;                 /* the table's arrays, rows x dim of the state's types, aligned as the element */
    const void *ref;                 /* the same for reference rows, or NULL: r and c about 0 */
    size_t dim;
    size_t n, known;                 /* rows to do, <= MSCOPE_JOB_ROWS; rows listed, >= n, 64 more are enough */
    const uint32_t *row;             /* row[known]; the first n are distinct */
    const void *const *g;            /* g[n], apart from the table; NULL, or a NULL entry: no gradient, gm = 0 */
    const mscope_idle *idle;         /* idle[n], or NULL */
    uint64_t late;                   /* bit i: row i is behind, so idle[i] is applied; 0 without idle */
    const mscope_kick *kick;         /* for every row with a gradient; NULL when g is */
    mscope_sums *out;                /* out[n]; not looked at by rows[][MSCOPE_STATISTICS_NONE] */
} mscope_job;
typedef void mscope_rows_fn(const mscope_job *job);

/* out[i] = |x_i|^2 of n rows of d elements each, in float64 lanes */
typedef void mscope_sumsq_fn(const void *x, size_t d, size_t n, double *out);

/* out = <theta - ref, ref>, <m, ref>, |ref|^2 of one row, in float64 lanes; types of the state */
enum { MSCOPE_PRODUCTS = 3 };
typedef void mscope_products_fn(const void *theta, const void *m, const void *ref, size_t d,
                                double out[MSCOPE_PRODUCTS]);

typedef struct mscope_kern {
    const char *name;
    int (*usable)(void);             /* by this processor */
    mscope_rows_fn *rows[3][3];      /* by enum mscope_state and enum mscope_statistics */
    mscope_sumsq_fn *sumsq[2];       /* 0: float32, 1: float64 */
    mscope_products_fn *products[3]; /* by enum mscope_state */
} mscope_kern;

extern const mscope_kern mscope_kern_ref, mscope_kern_v128, mscope_kern_v256, mscope_kern_v512;
const mscope_kern *mscope_kern_pick(const char *name);     /* NULL: the best usable; returns NULL if there is none */
const mscope_kern *mscope_kern_at(size_t i);               /* all of them, best first; NULL past the end */

double mscope_lanes_fold(const double lane[MSCOPE_LANES]);

/* -- parts of the reference that its twins call ------------------------------------------- */

/* Coordinates i .. d-1 of a row or segment; their products are added to the lanes. */
void mscope_part_f32(float *theta, float *m, const float *ref, const float *g, size_t i, size_t d,
                     const mscope_idle *idle, const mscope_kick *kick, mscope_lanes_double *sum);
void mscope_part_f32_float(float *theta, float *m, const float *ref, const float *g, size_t i, size_t d,
                           const mscope_idle *idle, const mscope_kick *kick, mscope_lanes_float *sum);
void mscope_part_f32_none(float *theta, float *m, const float *ref, const float *g, size_t i, size_t d,
                          const mscope_idle *idle, const mscope_kick *kick);
mscope_rows_fn mscope_rows_f32_ref, mscope_rows_f32_float_ref, mscope_rows_f32_none_ref;
mscope_rows_fn mscope_rows_mixed_ref, mscope_rows_mixed_none_ref, mscope_rows_f64_ref, mscope_rows_f64_none_ref;
mscope_sumsq_fn mscope_sumsq_f32_ref, mscope_sumsq_f64_ref;
mscope_products_fn mscope_products_f32_ref, mscope_products_mixed_ref, mscope_products_f64_ref;

typedef struct mscope_lanes_products {
    double q[MSCOPE_LANES], h[MSCOPE_LANES], ss[MSCOPE_LANES];
} mscope_lanes_products;

/* Coordinates i .. d-1 of a row. */
void mscope_part_products_f32(const float *theta, const float *m, const float *ref, size_t i, size_t d,
                              mscope_lanes_products *sum);

#endif
