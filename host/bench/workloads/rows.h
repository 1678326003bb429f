/* rows.h - a table of rows under a schedule: what the four semantics do to rows without a gradient
 *
 * Catch-up is firmware/core, one table a band; dense, frozen and row clock are plain loops over the same arrays,
 * kept simple on purpose: they are what catch-up is compared with. All of it is float64. Rules that divide by a
 * running mean of g^2 have no closed form for silent steps: under them catch-up is the dense sweep.
 *
 *     mscope_bench_rows_touch (rows to be read);  read theta;  mscope_bench_rows_step;  ..  mscope_bench_rows_settle */
#ifndef MSCOPE_BENCH_ROWS_H
#define MSCOPE_BENCH_ROWS_H

#include "bench/workload.h"

typedef struct mscope_bench_rows {
    uint32_t rows, dim;
    size_t bands;
    double *theta, *m;                                 /* rows x dim                          */
    double *v, *tau;                                   /* the same; NULL until a rule needs them: squares.h */
    uint32_t first[MSCOPE_BENCH_BANDS + 1];            /* band b: rows first[b] .. first[b+1]-1 */
    uint64_t *active;                                  /* active updates of each row          */
    const double **gradient;                           /* of a dense sweep                    */
    uint32_t *slot;                                    /* row numbers within their band       */
    void *mem[MSCOPE_BENCH_BANDS];
    struct mscope_table *table[MSCOPE_BENCH_BANDS];    /* made at the first catch-up step     */
    int torch;                                /* set before the first step: catch up in torch's form whatever gain is */
    int opened, form;
    double seconds;                                    /* spent in touch and step, for comparisons of speed */
} mscope_bench_rows;

/* mscope_bench_rows_open - rows in contiguous bands, theta and m zero
 * Returns  0 or negative; close also after a failure                                                          */
int mscope_bench_rows_open(mscope_bench_rows *r, uint32_t rows, uint32_t dim, size_t bands, const uint32_t *first);
void mscope_bench_rows_close(mscope_bench_rows *r);

/* mscope_bench_rows_touch - make theta of these rows current (ascending, no duplicates) */
int mscope_bench_rows_touch(mscope_bench_rows *r, const uint32_t *row, size_t n);

/* mscope_bench_rows_step - one step; g[n][dim] are the summed gradients of the ascending rows
 * Returns  negative when a gradient is not finite                                                             */
int mscope_bench_rows_step(mscope_bench_rows *r, const mscope_bench_step *step, const uint32_t *row, const double *g,
                           size_t n);

/* mscope_bench_rows_set - give a row other values, as of now, at any time before or between steps */
int mscope_bench_rows_set(mscope_bench_rows *r, uint32_t row, const double *theta, const double *m);

/* mscope_bench_rows_settle - make every row current */
int mscope_bench_rows_settle(mscope_bench_rows *r);

/* mscope_bench_move - one dense vector, one step; g NULL: a step without gradient */
void mscope_bench_move(const mscope_bench_rates *a, size_t n, double *theta, double *m, const double *g);

/* ---- a workload of one dense vector: one band, no gate ---------------------------------------------------- */

/* mscope_bench_only - the rates of its one band */
const mscope_bench_rates *mscope_bench_only(const mscope_bench_step *step);

/* mscope_bench_single - a summary of one band with p = 1 and one row; stat: count values, the rest 0 */
void mscope_bench_single(mscope_bench_summary *out, double risk, const double *stat, size_t count);

/* The update as a linear map, for whoever predicts it:
 *     m <- keep m + gain g;   theta <- theta - pull m - push g        (the new m)
 * Plain momentum: pull = eta, push = 0; nesterov and direct terms are folded in.                             */
typedef struct mscope_bench_linear {
    double keep, gain, pull, push;
} mscope_bench_linear;

mscope_bench_linear mscope_bench_linear_of(const mscope_bench_rates *a);

#endif
