/* kern_simd.h - the eight-lane SIMDe twin of the float32 reference kernel, built once for each width
 *
 * The same source serves 256-bit units and, where SIMDe maps one 256-bit vector to two of 128 bits, SSE2 and NEON.
 * The other states use the reference: they are bound by their float64 arithmetic, and rare.
 * Include after defining KERN (the exported object), KERN_NAME and KERN_USABLE.                              */
#include "core/kern.h"

#define SIMDE_ENABLE_NATIVE_ALIASES 0
#include <simde/x86/avx2.h>

typedef struct lanes8 {              /* eight doubles: coordinates 0-3 and 4-7 of each block */
    simde__m256d lo, hi;
} lanes8;

static inline simde__m256d low_pd(simde__m256 x)
{
    return simde_mm256_cvtps_pd(simde_mm256_castps256_ps128(x));
}

static inline simde__m256d high_pd(simde__m256 x)
{
    return simde_mm256_cvtps_pd(simde_mm256_extractf128_ps(x, 1));
}

static inline void lanes_fma(lanes8 *acc, lanes8 a, lanes8 b)        /* two roundings, as the reference has */
{
    acc->lo = simde_mm256_add_pd(acc->lo, simde_mm256_mul_pd(a.lo, b.lo));
    acc->hi = simde_mm256_add_pd(acc->hi, simde_mm256_mul_pd(a.hi, b.hi));
}

static inline lanes8 widen(simde__m256 x)
{
    return (lanes8){ low_pd(x), high_pd(x) };
}

static inline void spill(double out[MSCOPE_LANES], lanes8 x)
{
    simde_mm256_storeu_pd(out, x.lo);
    simde_mm256_storeu_pd(out + 4, x.hi);
}

static void simd_row_f32(void *theta_, void *m_, const void *ref_, const void *g_, size_t d, const mscope_idle *idle,
                         const mscope_kick *kick, mscope_sums *out)
{
    float *theta = theta_, *m = m_;
    const float *ref = ref_, *g = g_;
    mscope_idle a = idle ? *idle : (mscope_idle){ 1, 0, 0, 0, 1, 0 };
    mscope_kick k = kick ? *kick : (mscope_kick){ 1, 0, 0, 0, 0, 0, 0 };
#define SPREAD(x) simde_mm256_set1_ps((float)(x))
    const simde__m256 b11 = SPREAD(a.b11), x11 = SPREAD(a.x11), a12 = SPREAD(a.a12);
    const simde__m256 a21 = SPREAD(a.a21), b22 = SPREAD(a.b22), x22 = SPREAD(a.x22);
    const simde__m256 kb22 = SPREAD(k.b22), kx22 = SPREAD(k.x22), mt = SPREAD(k.mt), mg = SPREAD(k.mg);
    const simde__m256 kx11 = SPREAD(k.x11), tm = SPREAD(k.tm), tg = SPREAD(k.tg);
#undef SPREAD
#define MUL simde_mm256_mul_ps
#define ADD simde_mm256_add_ps
    const simde__m256d zero = simde_mm256_setzero_pd();
    lanes8 v = { zero, zero }, r = v, c = v, gm = v;
    mscope_lanes sum;
    size_t i;

    for (i = 0; i + MSCOPE_LANES <= d; i += MSCOPE_LANES) {
        simde__m256 t = simde_mm256_loadu_ps(theta + i), p = simde_mm256_loadu_ps(m + i);
        lanes8 e, q;

        if (idle) {
            simde__m256 t0 = t;

            t = ADD(MUL(b11, t0), ADD(MUL(x11, t0), MUL(a12, p)));
            p = ADD(MUL(b22, p), ADD(MUL(a21, t0), MUL(x22, p)));
        }
        if (kick) {
            simde__m256 in = simde_mm256_loadu_ps(g + i);

            lanes_fma(&gm, widen(in), widen(p));
            p = ADD(MUL(kb22, p), ADD(ADD(MUL(mt, t), MUL(kx22, p)), MUL(mg, in)));
            t = ADD(t, ADD(ADD(MUL(kx11, t), MUL(tm, p)), MUL(tg, in)));
        }
        simde_mm256_storeu_ps(theta + i, t);
        simde_mm256_storeu_ps(m + i, p);
        q = widen(p);
        e = widen(t);
        if (ref) {
            lanes8 s = widen(simde_mm256_loadu_ps(ref + i));

            e.lo = simde_mm256_sub_pd(e.lo, s.lo);
            e.hi = simde_mm256_sub_pd(e.hi, s.hi);
        }
        lanes_fma(&v, q, q);
        lanes_fma(&r, e, e);
        lanes_fma(&c, e, q);
    }
#undef MUL
#undef ADD
    spill(sum.v, v);
    spill(sum.r, r);
    spill(sum.c, c);
    spill(sum.gm, gm);
    mscope_row_part_f32(theta, m, ref, g, i, d, idle, kick, &sum);
    *out = (mscope_sums){ mscope_lanes_fold(sum.v), mscope_lanes_fold(sum.r), mscope_lanes_fold(sum.c),
                          mscope_lanes_fold(sum.gm) };
}

static double simd_sumsq_f32(const void *x, size_t d)
{
    const float *f = x;
    const simde__m256d zero = simde_mm256_setzero_pd();
    lanes8 acc = { zero, zero };
    double lane[MSCOPE_LANES];
    size_t i;

    for (i = 0; i + MSCOPE_LANES <= d; i += MSCOPE_LANES) {
        lanes8 w = widen(simde_mm256_loadu_ps(f + i));

        lanes_fma(&acc, w, w);
    }
    spill(lane, acc);
    for (; i < d; i++)
        lane[i % MSCOPE_LANES] += (double)f[i] * (double)f[i];
    return mscope_lanes_fold(lane);
}

static void simd_rows_f32(const mscope_job *j)
{
    mscope_job_each(j, simd_row_f32, 4, 4, 1);
}

static void simd_rows_f32_bare(const mscope_job *j)
{
    mscope_job_each(j, simd_row_f32, 4, 4, 0);
}

static int simd_usable(void)
{
    return KERN_USABLE;
}

const mscope_kern KERN = {
    KERN_NAME, simd_usable,
    { { simd_rows_f32, simd_rows_f32, simd_rows_f32_bare },
      { mscope_rows_mixed_ref, mscope_rows_mixed_ref, mscope_rows_mixed_bare_ref },
      { mscope_rows_f64_ref, mscope_rows_f64_ref, mscope_rows_f64_bare_ref } },
    { simd_row_f32, mscope_row_mixed_ref, mscope_row_f64_ref },
    { simd_sumsq_f32, mscope_sumsq_f64_ref }
};
