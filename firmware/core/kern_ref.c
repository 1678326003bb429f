/* kern_ref.c - the scalar reference kernel for every state; its bits are those that the vector kernels must give */
#include "kern_job.h"

double mscope_lanes_fold(const double lane[MSCOPE_LANES])
{
    double four[4];

    for (size_t l = 0; l < 4; l++)
        four[l] = lane[l] + lane[l + 4];
    return (four[0] + four[2]) + (four[1] + four[3]);
}

static inline double fold_double(const double lane[MSCOPE_LANES])
{
    return mscope_lanes_fold(lane);
}

static inline double fold_float(const float lane[MSCOPE_FLOAT_LANES])
{
    float eight[8], four[4];

    for (size_t l = 0; l < 8; l++)
        eight[l] = lane[l] + lane[l + 8];
    for (size_t l = 0; l < 4; l++)
        four[l] = eight[l] + eight[l + 4];
    return (double)((four[0] + four[2]) + (four[1] + four[3]));
}

/* -- one instance of kern_row.inc for each combination of types ------------------------------ */

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)

#define NAME f32
#define THETA float
#define M float
#define SUM double
#include "kern_row.inc"

#define NAME f32_float
#define THETA float
#define M float
#define SUM float
#include "kern_row.inc"

#define NAME mixed
#define THETA float
#define M double
#define SUM double
#include "kern_row.inc"

#define NAME f64
#define THETA double
#define M double
#define SUM double
#include "kern_row.inc"

/* -- the parts that the twins call (kern.h) ------------------------------------------------ */

void mscope_part_f32(float *theta, float *m, const float *ref, const float *g, size_t i, size_t d,
                     const mscope_idle *idle, const mscope_kick *kick, mscope_lanes_double *sum)
{
    part_f32(theta, m, ref, g, i, d, idle, kick, sum);
}

void mscope_part_f32_float(float *theta, float *m, const float *ref, const float *g, size_t i, size_t d,
                           const mscope_idle *idle, const mscope_kick *kick, mscope_lanes_float *sum)
{
    part_f32_float(theta, m, ref, g, i, d, idle, kick, sum);
}

void mscope_part_f32_none(float *theta, float *m, const float *ref, const float *g, size_t i, size_t d,
                          const mscope_idle *idle, const mscope_kick *kick)
{
    (void)ref;
    part_f32(theta, m, NULL, g, i, d, idle, kick, NULL);
}

/* Narrow rows get loops of their own: at widths 1, 2 and 4 the loop over coordinates would cost more than the row. */
#define BY_WIDTH(rows, statistics)                                                                                \
    do {                                                                                                         \
        if (j->dim == 1)                                                                                         \
            rows(j, 1, statistics);                                                                              \
        else if (j->dim == 2)                                                                                    \
            rows(j, 2, statistics);                                                                              \
        else if (j->dim == 4)                                                                                    \
            rows(j, 4, statistics);                                                                              \
        else                                                                                                     \
            rows(j, j->dim, statistics);                                                                         \
    } while (0)

void mscope_rows_f32_ref(const mscope_job *j)
{
    BY_WIDTH(rows_f32, 1);
}

void mscope_rows_f32_float_ref(const mscope_job *j)
{
    BY_WIDTH(rows_f32_float, 1);
}

void mscope_rows_f32_none_ref(const mscope_job *j)
{
    BY_WIDTH(rows_f32, 0);
}

void mscope_rows_mixed_ref(const mscope_job *j)
{
    rows_mixed(j, j->dim, 1);
}

void mscope_rows_mixed_none_ref(const mscope_job *j)
{
    rows_mixed(j, j->dim, 0);
}

void mscope_rows_f64_ref(const mscope_job *j)
{
    rows_f64(j, j->dim, 1);
}

void mscope_rows_f64_none_ref(const mscope_job *j)
{
    rows_f64(j, j->dim, 0);
}

/* -- squared norms ------------------------------------------------------------------------ */

static inline double square(float x)
{
    return (double)x * (double)x;
}

/* The fold with one product in each of the first d lanes and 0 in the others. */
static void sumsq_narrow(const float *f, size_t d, size_t n, double *out)
{
    for (size_t k = 0; k < n; k++, f += d)
        if (d == 1)
            out[k] = square(f[0]);
        else if (d == 2)
            out[k] = square(f[0]) + square(f[1]);
        else
            out[k] = (square(f[0]) + square(f[2])) + (square(f[1]) + square(f[3]));
}

void mscope_sumsq_f32_ref(const void *x, size_t d, size_t n, double *out)
{
    const float *f = x;

    if (d == 1)
        sumsq_narrow(f, 1, n, out);
    else if (d == 2)
        sumsq_narrow(f, 2, n, out);
    else if (d == 4)
        sumsq_narrow(f, 4, n, out);
    else
        for (size_t k = 0; k < n; k++, f += d) {
            double lane[MSCOPE_LANES] = { 0 };

            for (size_t i = 0; i < d; i++)
                lane[i % MSCOPE_LANES] += square(f[i]);
            out[k] = mscope_lanes_fold(lane);
        }
}

void mscope_sumsq_f64_ref(const void *x, size_t d, size_t n, double *out)
{
    const double *f = x;

    for (size_t k = 0; k < n; k++, f += d) {
        double lane[MSCOPE_LANES] = { 0 };

        for (size_t i = 0; i < d; i++)
            lane[i % MSCOPE_LANES] += f[i] * f[i];
        out[k] = mscope_lanes_fold(lane);
    }
}

/* -- products with the reference ---------------------------------------------------------- */

static void fold_products(const mscope_lanes_products *sum, double out[MSCOPE_PRODUCTS])
{
    out[0] = mscope_lanes_fold(sum->q);
    out[1] = mscope_lanes_fold(sum->h);
    out[2] = mscope_lanes_fold(sum->ss);
}

static inline void add_products(mscope_lanes_products *sum, size_t l, double theta, double m, double ref)
{
    sum->q[l] += (theta - ref) * ref;
    sum->h[l] += m * ref;
    sum->ss[l] += ref * ref;
}

void mscope_part_products_f32(const float *theta, const float *m, const float *ref, size_t i, size_t d,
                              mscope_lanes_products *sum)
{
    for (; i < d; i++)
        add_products(sum, i % MSCOPE_LANES, (double)theta[i], (double)m[i], (double)ref[i]);
}

void mscope_products_f32_ref(const void *theta, const void *m, const void *ref, size_t d, double out[MSCOPE_PRODUCTS])
{
    mscope_lanes_products sum = { { 0 }, { 0 }, { 0 } };

    mscope_part_products_f32(theta, m, ref, 0, d, &sum);
    fold_products(&sum, out);
}

void mscope_products_mixed_ref(const void *theta, const void *m, const void *ref, size_t d,
                               double out[MSCOPE_PRODUCTS])
{
    const float *th = theta, *s = ref;
    const double *mo = m;
    mscope_lanes_products sum = { { 0 }, { 0 }, { 0 } };

    for (size_t i = 0; i < d; i++)
        add_products(&sum, i % MSCOPE_LANES, (double)th[i], mo[i], (double)s[i]);
    fold_products(&sum, out);
}

void mscope_products_f64_ref(const void *theta, const void *m, const void *ref, size_t d, double out[MSCOPE_PRODUCTS])
{
    const double *th = theta, *mo = m, *s = ref;
    mscope_lanes_products sum = { { 0 }, { 0 }, { 0 } };

    for (size_t i = 0; i < d; i++)
        add_products(&sum, i % MSCOPE_LANES, th[i], mo[i], s[i]);
    fold_products(&sum, out);
}

static int always(void)
{
    return 1;
}

const mscope_kern mscope_kern_ref = {
    "ref", always,
    { { mscope_rows_f32_ref, mscope_rows_f32_float_ref, mscope_rows_f32_none_ref },
      { mscope_rows_mixed_ref, mscope_rows_mixed_ref, mscope_rows_mixed_none_ref },
      { mscope_rows_f64_ref, mscope_rows_f64_ref, mscope_rows_f64_none_ref } },
    { mscope_sumsq_f32_ref, mscope_sumsq_f64_ref },
    { mscope_products_f32_ref, mscope_products_mixed_ref, mscope_products_f64_ref }
};
