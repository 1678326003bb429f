/* fixture.h - a table under measurement, the rows and gradients it is fed, and the truth beside it: sampled rows in
 * dense float64 */
#ifndef TESTS_BENCH_FIXTURE_H
#define TESTS_BENCH_FIXTURE_H

#include "../harness.h"
#include "measure.h"

#define STEP 4096u                   /* distinct rows in a step */
#define SAMPLES 48u                  /* rows followed densely in float64 */
#define ETA 0.05
#define EPS 0.1

/* -- a table and what it is fed ---------------------------------------------------------- */

typedef struct fixture {
    uint32_t rows, dim, steps;       /* steps listed */
    uint32_t *order;                 /* steps x STEP distinct rows */
    float *g;                        /* STEP x dim: the gradients of every step */
    float *theta, *m;                /* the table's */
    mscope_table *t;
    void *block;
    size_t block_len;
    uint32_t sample[SAMPLES];
    double *dense;                   /* SAMPLES x (theta, m) of dim */
    double most[SAMPLES];            /* largest |theta| met: the scale of its rounding */
    uint32_t active[SAMPLES];
} fixture;

/* Ranks are scattered over the table: frequent rows are no neighbours. */
static inline uint32_t draw_row(uint32_t rows, int zipf)
{
    uint64_t rank = zipf ? (uint64_t)exp(rng_uniform() * log((double)rows)) : (uint64_t)(rng_uniform() * rows);

    return (uint32_t)(rank * 2654435761u % rows);
}

static inline void list_rows(fixture *f, int zipf)
{
    uint32_t *seen = calloc(f->rows, sizeof *seen);

    f->order = huge((size_t)f->steps * STEP * sizeof *f->order);
    for (size_t i = 0; seen && i < (size_t)f->steps * STEP; i++) {
        uint32_t row, step = (uint32_t)(i / STEP) + 1;

        do
            row = draw_row(f->rows, zipf);
        while (seen[row] == step);
        seen[row] = step;
        f->order[i] = row;
    }
    free(seen);
    for (uint32_t s = 0; s < SAMPLES; s++)       /* frequent rows and rare ones */
        f->sample[s] = s < SAMPLES / 2 ? f->order[s] : (uint32_t)(rng_u64() % f->rows);
}

static inline void start_dense(fixture *f)
{
    f->dense = calloc((size_t)SAMPLES * 2 * f->dim, sizeof *f->dense);
    if (f->dense == NULL)
        exit(2);
    for (uint32_t s = 0; s < SAMPLES; s++) {
        f->active[s] = 0;
        for (uint32_t i = 0; i < f->dim; i++)
            f->dense[(size_t)s * 2 * f->dim + i] = (double)f->theta[(size_t)f->sample[s] * f->dim + i];
        f->most[s] = 1.0;
    }
}

static inline void open_table(fixture *f, uint32_t rows, uint32_t dim, uint32_t steps, int zipf)
{
    mscope_table_config cfg = { .rows = rows, .dim = dim, .capacity = STEP, .zeroed = 1, .acf_rows = 8 };
    size_t cells = (size_t)rows * dim;

    *f = (fixture){ .rows = rows, .dim = dim, .steps = steps };
    rng_seed(11);
    list_rows(f, zipf);
    f->g = huge((size_t)STEP * dim * sizeof(float));
    for (size_t i = 0; i < (size_t)STEP * dim; i++)
        f->g[i] = (float)rng_normal();
    f->theta = cfg.theta = huge(cells * sizeof(float));
    f->m = cfg.m = huge(cells * sizeof(float));
    for (size_t i = 0; i < cells; i++)
        f->theta[i] = (float)(rng_uniform() - 0.5);
    f->block_len = mscope_table_mem(&cfg);
    f->block = huge(f->block_len);
    if (mscope_table_init(&f->t, &cfg, f->block, f->block_len) != MSCOPE_OK)
        exit(2);
    start_dense(f);
}

static inline void close_table(fixture *f)
{
    size_t cells = (size_t)f->rows * f->dim * sizeof(float);

    munmap(f->order, (size_t)f->steps * STEP * sizeof *f->order);
    munmap(f->g, (size_t)STEP * f->dim * sizeof(float));
    munmap(f->theta, cells);
    munmap(f->m, cells);
    munmap(f->block, f->block_len);
    free(f->dense);
}

static inline const uint32_t *rows_of(const fixture *f, uint32_t k)
{
    return f->order + (size_t)(k % f->steps) * STEP;
}

/* -- the truth --------------------------------------------------------------------------- */

static inline void dense_step(fixture *f, const uint32_t *rows, uint32_t n, double eta, double eps)
{
    for (uint32_t s = 0; s < SAMPLES; s++) {
        double *theta = f->dense + (size_t)s * 2 * f->dim, *m = theta + f->dim;
        const float *g = NULL;

        for (uint32_t k = 0; k < n && g == NULL; k++)
            if (rows[k] == f->sample[s])
                g = f->g + (size_t)k * f->dim;
        f->active[s] += g != NULL;
        for (uint32_t i = 0; i < f->dim; i++) {
            m[i] = (1.0 - eps) * m[i] + (g ? eps * (double)g[i] : 0.0);
            theta[i] -= eta * m[i];
            f->most[s] = fmax(f->most[s], fabs(theta[i]));
        }
    }
}

static inline void step(fixture *f, const uint32_t *rows, uint32_t n, double eta, double eps)
{
    const mscope_step p = { .eta = eta, .eps = eps, .batch = STEP };

    if (mscope_table_step_begin(f->t, &p) != MSCOPE_OK ||
        (n && mscope_table_apply(f->t, rows, f->g, NULL, n) != MSCOPE_OK) || mscope_table_step_end(f->t) != MSCOPE_OK) {
        fprintf(stderr, "step: refused: %s\n", mscope_table_fault(f->t)->field);
        exit(1);
    }
}

static inline void totals(fixture *f, double sum[3], double err[3])
{
    memset(sum, 0, 3 * sizeof *sum);
    memset(err, 0, 3 * sizeof *err);
    for (unsigned b = 0; b <= MSCOPE_BANDS; b++) {
        mscope_band x;

        if (mscope_table_band(f->t, b < MSCOPE_BANDS ? b : MSCOPE_BAND_SILENT, &x) != MSCOPE_OK)
            exit(1);
        sum[0] += x.R;
        sum[1] += x.V;
        sum[2] += x.C;
        err[0] += x.R_err;
        err[1] += x.V_err;
        err[2] += x.C_err;
    }
}

static inline int off(const char *what, double value, double truth, double bound)
{
    if (fabs(value - truth) <= bound)
        return 0;
    fprintf(stderr, "step: %s: %.17g instead of %.17g, off by more than %.3g\n", what, value, truth, bound);
    return 1;
}

/* Streamed totals, totals after a resum and after a settle agree within their bounds, and with the vectors to 1e-9;
 * sampled rows are dense float64's. A row rounds four times in an active update and once when it is settled, each
 * half an ulp of the largest theta it met; m's rounding enters theta as eta/eps of it, and that is below 1 here. */
static inline int right(fixture *f)
{
    static const char *const name[] = { "R", "V", "C" };
    double was[3], was_err[3], is[3], is_err[3], sum[3] = { 0.0, 0.0, 0.0 };
    size_t cells = (size_t)f->rows * f->dim;
    int wrong = 0;

    totals(f, was, was_err);
    if (mscope_table_resum(f->t) != MSCOPE_OK)
        return 0;
    totals(f, is, is_err);
    for (int i = 0; i < 3; i++)
        wrong |= off(name[i], was[i], is[i], was_err[i] + is_err[i]);
    if (mscope_table_settle(f->t) != MSCOPE_OK || mscope_table_resum(f->t) != MSCOPE_OK)
        return 0;
    totals(f, is, is_err);
    for (size_t i = 0; i < cells; i++) {
        sum[0] += (double)f->theta[i] * (double)f->theta[i];
        sum[1] += (double)f->m[i] * (double)f->m[i];
        sum[2] += (double)f->theta[i] * (double)f->m[i];
    }
    wrong |= off("R of the vectors", is[0], sum[0], 1e-9 * sum[0]) |
             off("V of the vectors", is[1], sum[1], 1e-9 * sum[1]) |
             off("C of the vectors", is[2], sum[2], 1e-9 * sqrt(sum[0] * sum[1]));
    for (uint32_t s = 0; s < SAMPLES; s++)
        for (uint32_t i = 0; i < f->dim; i++)
            wrong |= off("theta of a sampled row", (double)f->theta[(size_t)f->sample[s] * f->dim + i],
                         f->dense[(size_t)s * 2 * f->dim + i], 0x1p-24 * f->most[s] * (5.0 * f->active[s] + 4.0));
    return !wrong;
}

static inline void warm_up(fixture *f, uint32_t steps, uint32_t n)
{
    for (uint32_t k = 0; k < steps; k++) {
        step(f, rows_of(f, k), n, ETA, EPS);
        dense_step(f, rows_of(f, k), n, ETA, EPS);
    }
}

#endif
