/* kern.h - the row kernel: catch up, inject, and sum, in one pass over each row of a job
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

/* One job: up to 64 rows of a table. Rows are looked up by index, so that a kernel may fetch the next ones while it
 * works, and do several narrow rows at once.
 *
 * A sequence of jobs is opened with n = 0, which only fetches the first rows; after that each job fetches rows
 * of row[n .. known-1], which the following jobs will do. Wrong guesses and missing openings cost time, never results. */
#define MSCOPE_JOB_ROWS 64

typedef struct mscope_job {
    void *theta, *m;                 /* the table's arrays, rows x dim of the state's types, aligned as the element */
    const void *ref;                 /* the same for reference rows, or NULL: r and c about 0 */
    size_t dim;
    size_t n, known;                 /* rows to do, <= MSCOPE_JOB_ROWS; rows listed, >= n: 64 more are enough */
    const uint32_t *row;             /* row[known]; the first n are distinct */
    const void *const *g;            /* g[n], apart from the table; NULL, or a NULL entry: no gradient, gm = 0 */
    const mscope_idle *idle;         /* idle[n], or NULL */
    uint64_t late;                   /* bit i: row i is behind, so idle[i] is applied; 0 without idle */
    const mscope_kick *kick;         /* for every row with a gradient; NULL when g is */
    mscope_sums *out;                /* out[n]; not looked at by rows[][MSCOPE_STATISTICS_NONE] */
} mscope_job;
typedef void mscope_rows_fn(const mscope_job *job);

typedef struct mscope_kern {
    const char *name;
    int (*usable)(void);
    mscope_rows_fn *rows[3][3];      /* by enum mscope_state and enum mscope_statistics */
    mscope_row_fn *row[3];           /* by enum mscope_state */
    mscope_sumsq_fn *sumsq[2];       /* 0: float32, 1: float64 */
} mscope_kern;

/* Job rows through a function for one row. */
static inline void mscope_job_each(const mscope_job *j, mscope_row_fn *row, size_t theta_size, size_t m_size,
                                   int statistics)
{
    for (size_t i = 0; i < j->n; i++) {
        size_t at = (size_t)j->row[i] * j->dim;
        const void *g = j->g ? j->g[i] : NULL;
        mscope_sums none;

        row((unsigned char *)j->theta + at * theta_size, (unsigned char *)j->m + at * m_size,
            j->ref ? (const unsigned char *)j->ref + at * theta_size : NULL, g, j->dim,
            j->late >> i & 1 ? &j->idle[i] : NULL, g ? j->kick : NULL, statistics ? &j->out[i] : &none);
    }
}

extern const mscope_kern mscope_kern_ref, mscope_kern_v128, mscope_kern_v256;
const mscope_kern *mscope_kern_pick(const char *name);     /* NULL: the widest usable; NULL result: not usable here */
const mscope_kern *mscope_kern_at(size_t i);               /* all of them, widest first; NULL past the end */

double mscope_lanes_fold(const double lane[MSCOPE_LANES]);

/* The reference over coordinates i .. d-1, adding into lanes: whole rows, and the tails of the twins. */
void mscope_row_part_f32(float *theta, float *m, const float *ref, const float *g, size_t i, size_t d,
                         const mscope_idle *idle, const mscope_kick *kick, mscope_lanes *sum);
mscope_row_fn mscope_row_mixed_ref, mscope_row_f64_ref;
mscope_rows_fn mscope_rows_mixed_ref, mscope_rows_mixed_bare_ref, mscope_rows_f64_ref, mscope_rows_f64_bare_ref;
mscope_sumsq_fn mscope_sumsq_f64_ref;

#endif
