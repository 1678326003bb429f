/* kern_ref.c - the scalar reference kernel for every state; the truth the twins are held to */
#include "core/kern.h"

#define PART mscope_row_part_f32
#define THETA float
#define M float
#define G float
#define WORK float
#include "core/kern_row.inc"
#undef PART
#undef M
#undef WORK

#define PART row_part_mixed
#define M double
#define WORK double
static void PART(THETA *theta, M *m, const THETA *ref, const G *g, size_t i, size_t d, const mscope_idle *idle,
                 const mscope_kick *kick, mscope_lanes *sum);
#include "core/kern_row.inc"
#undef PART
#undef THETA
#undef G

#define PART row_part_f64
#define THETA double
#define G double
static void PART(THETA *theta, M *m, const THETA *ref, const G *g, size_t i, size_t d, const mscope_idle *idle,
                 const mscope_kick *kick, mscope_lanes *sum);
#include "core/kern_row.inc"
#undef PART
#undef THETA
#undef M
#undef G
#undef WORK

double mscope_lanes_fold(const double lane[MSCOPE_LANES])
{
    double four[4];

    for (size_t l = 0; l < 4; l++)
        four[l] = lane[l] + lane[l + 4];
    return (four[0] + four[2]) + (four[1] + four[3]);
}

static void fold(const mscope_lanes *lanes, mscope_sums *out)
{
    *out = (mscope_sums){ mscope_lanes_fold(lanes->v), mscope_lanes_fold(lanes->r), mscope_lanes_fold(lanes->c),
                          mscope_lanes_fold(lanes->gm) };
}

static void row_f32(void *theta, void *m, const void *ref, const void *g, size_t d, const mscope_idle *idle,
                    const mscope_kick *kick, mscope_sums *out)
{
    mscope_lanes sum = { { 0 }, { 0 }, { 0 }, { 0 } };

    mscope_row_part_f32(theta, m, ref, g, 0, d, idle, kick, &sum);
    fold(&sum, out);
}

void mscope_row_mixed_ref(void *theta, void *m, const void *ref, const void *g, size_t d, const mscope_idle *idle,
                          const mscope_kick *kick, mscope_sums *out)
{
    mscope_lanes sum = { { 0 }, { 0 }, { 0 }, { 0 } };

    row_part_mixed(theta, m, ref, g, 0, d, idle, kick, &sum);
    fold(&sum, out);
}

void mscope_row_f64_ref(void *theta, void *m, const void *ref, const void *g, size_t d, const mscope_idle *idle,
                        const mscope_kick *kick, mscope_sums *out)
{
    mscope_lanes sum = { { 0 }, { 0 }, { 0 }, { 0 } };

    row_part_f64(theta, m, ref, g, 0, d, idle, kick, &sum);
    fold(&sum, out);
}

static double sumsq_f32(const void *x, size_t d)
{
    const float *f = x;
    double lane[MSCOPE_LANES] = { 0 };

    for (size_t i = 0; i < d; i++)
        lane[i % MSCOPE_LANES] += (double)f[i] * (double)f[i];
    return mscope_lanes_fold(lane);
}

double mscope_sumsq_f64_ref(const void *x, size_t d)
{
    const double *f = x;
    double lane[MSCOPE_LANES] = { 0 };

    for (size_t i = 0; i < d; i++)
        lane[i % MSCOPE_LANES] += f[i] * f[i];
    return mscope_lanes_fold(lane);
}

static void rows_f32(const mscope_job *j)
{
    mscope_job_each(j, row_f32, 4, 4, 1);
}

static void rows_f32_bare(const mscope_job *j)
{
    mscope_job_each(j, row_f32, 4, 4, 0);
}

void mscope_rows_mixed_ref(const mscope_job *j)
{
    mscope_job_each(j, mscope_row_mixed_ref, 4, 8, 1);
}

void mscope_rows_mixed_bare_ref(const mscope_job *j)
{
    mscope_job_each(j, mscope_row_mixed_ref, 4, 8, 0);
}

void mscope_rows_f64_ref(const mscope_job *j)
{
    mscope_job_each(j, mscope_row_f64_ref, 8, 8, 1);
}

void mscope_rows_f64_bare_ref(const mscope_job *j)
{
    mscope_job_each(j, mscope_row_f64_ref, 8, 8, 0);
}

static int always(void)
{
    return 1;
}

const mscope_kern mscope_kern_ref = {
    "ref", always,
    { { rows_f32, rows_f32, rows_f32_bare },
      { mscope_rows_mixed_ref, mscope_rows_mixed_ref, mscope_rows_mixed_bare_ref },
      { mscope_rows_f64_ref, mscope_rows_f64_ref, mscope_rows_f64_bare_ref } },
    { row_f32, mscope_row_mixed_ref, mscope_row_f64_ref }, { sumsq_f32, mscope_sumsq_f64_ref }
};
