/* kern_vec.h - one set of names for vectors of 4, 8 or 16 floats, and of half as many doubles
 *
 * KERN_LANES gives the number of floats. PARTS vectors make a block of 16 coordinates; as many vectors of doubles hold
 * its 8 lanes. */
#ifndef MSCOPE_CORE_KERN_VEC_H
#define MSCOPE_CORE_KERN_VEC_H

#include <string.h>

#if defined(__ARM_NEON) && !defined(__aarch64__)
#define SIMDE_NO_NATIVE              /* NEON of ARMv7 flushes denormals to zero; SIMDe's plain C on VFP keeps them */
#endif
#if KERN_LANES == 16
#include <simde/x86/avx512.h>
typedef simde__m512 vf;
typedef simde__m512d vd;
#define VF(op) simde_mm512_##op##_ps
#define VD(op) simde_mm512_##op##_pd
#elif KERN_LANES == 8
#include <simde/x86/avx2.h>
#include <simde/x86/fma.h>
typedef simde__m256 vf;
typedef simde__m256d vd;
#define VF(op) simde_mm256_##op##_ps
#define VD(op) simde_mm256_##op##_pd
#else
#include <simde/x86/sse2.h>
#include <simde/x86/fma.h>
typedef simde__m128 vf;
typedef simde__m128d vd;
#define VF(op) simde_mm_##op##_ps
#define VD(op) simde_mm_##op##_pd
#endif

#define BLOCK 16
#define PARTS (BLOCK / KERN_LANES)
#define HALF (KERN_LANES / 2)

#define ADD(a, b) VF(add)(a, b)
#define SUB(a, b) VF(sub)(a, b)
#define MUL(a, b) VF(mul)(a, b)
#define ADD_D(a, b) VD(add)(a, b)
#define SUB_D(a, b) VD(sub)(a, b)
#define MUL_D(a, b) VD(mul)(a, b)

/* HALF floats as doubles, straight from memory: no vector has to be split. */
static inline vd load_d(const float *p)
{
#if KERN_LANES == 16 && defined(SIMDE_X86_AVX512F_NATIVE)
    return _mm512_cvtps_pd(_mm256_loadu_ps(p));
#elif KERN_LANES == 16
    vd out;
    simde__m256d half[2] = { simde_mm256_cvtps_pd(simde_mm_loadu_ps(p)),
                             simde_mm256_cvtps_pd(simde_mm_loadu_ps(p + 4)) };

    memcpy(&out, half, sizeof out);
    return out;
#elif KERN_LANES == 8
    return simde_mm256_cvtps_pd(simde_mm_loadu_ps(p));
#else
    double pair;

    memcpy(&pair, p, sizeof pair);   /* p has the alignment of a float only */
    return simde_mm_cvtps_pd(simde_mm_castpd_ps(simde_mm_set_sd(pair)));
#endif
}

/* Lower and upper half of x as doubles, and back. */
static inline vd low_d(vf x)
{
#if KERN_LANES == 16 && defined(SIMDE_X86_AVX512F_NATIVE)
    return _mm512_cvtps_pd(_mm512_castps512_ps256(x));
#elif KERN_LANES == 16
    float f[16];

    memcpy(f, &x, sizeof f);
    return load_d(f);
#elif KERN_LANES == 8
    return simde_mm256_cvtps_pd(simde_mm256_castps256_ps128(x));
#else
    return simde_mm_cvtps_pd(x);
#endif
}

static inline vd high_d(vf x)
{
#if KERN_LANES == 16 && defined(SIMDE_X86_AVX512F_NATIVE)
    return _mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)));
#elif KERN_LANES == 16
    float f[16], upper[16] = { 0 };

    memcpy(f, &x, sizeof f);
    memcpy(upper, f + 8, sizeof f / 2);
    return low_d(simde_mm512_loadu_ps(upper));
#elif KERN_LANES == 8
    return simde_mm256_cvtps_pd(simde_mm256_extractf128_ps(x, 1));
#else
    return simde_mm_cvtps_pd(simde_mm_movehl_ps(x, x));
#endif
}

/* Lower and upper half rounded to floats. */
static inline vf join_f(vd low, vd high)
{
#if KERN_LANES == 16 && defined(SIMDE_X86_AVX512F_NATIVE)
    return _mm512_castpd_ps(_mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_castps_pd(_mm512_cvtpd_ps(low))),
                                               _mm256_castps_pd(_mm512_cvtpd_ps(high)), 1));
#elif KERN_LANES == 16
    double d[16];
    float f[16];

    memcpy(d, &low, sizeof low);
    memcpy(d + 8, &high, sizeof high);
    for (int i = 0; i < 16; i++)
        f[i] = (float)d[i];
    return simde_mm512_loadu_ps(f);
#elif KERN_LANES == 8
    return simde_mm256_insertf128_ps(simde_mm256_castps128_ps256(simde_mm256_cvtpd_ps(low)),
                                     simde_mm256_cvtpd_ps(high), 1);
#else
    return simde_mm_movelh_ps(simde_mm_cvtpd_ps(low), simde_mm_cvtpd_ps(high));
#endif
}

/* x[0 .. 3], rounded. */
static inline simde__m128 four_floats(const double *x)
{
#if KERN_LANES >= 8
    return simde_mm256_cvtpd_ps(simde_mm256_loadu_pd(x));
#else
    return simde_mm_movelh_ps(simde_mm_cvtpd_ps(simde_mm_loadu_pd(x)), simde_mm_cvtpd_ps(simde_mm_loadu_pd(x + 2)));
#endif
}

/* Four sums of 8 float64 lanes, folded as mscope_lanes_fold does, side by side. */
static inline simde__m128d fold_to_two(const vd x[PARTS])
{
#if KERN_LANES == 16
    simde__m256d four = simde_mm256_add_pd(simde_mm512_castpd512_pd256(x[0]), simde_mm512_extractf64x4_pd(x[0], 1));

    return simde_mm_add_pd(simde_mm256_castpd256_pd128(four), simde_mm256_extractf128_pd(four, 1));
#elif KERN_LANES == 8
    simde__m256d four = simde_mm256_add_pd(x[0], x[1]);

    return simde_mm_add_pd(simde_mm256_castpd256_pd128(four), simde_mm256_extractf128_pd(four, 1));
#else
    return simde_mm_add_pd(simde_mm_add_pd(x[0], x[2]), simde_mm_add_pd(x[1], x[3]));
#endif
}

static inline void fold_pair(const vd a[PARTS], const vd b[PARTS], double out[2])
{
    simde__m128d x = fold_to_two(a), y = fold_to_two(b);

    simde_mm_storeu_pd(out, simde_mm_add_pd(simde_mm_unpacklo_pd(x, y), simde_mm_unpackhi_pd(x, y)));
}

/* HALF rows' sums, one kind in each vector, stored row by row: v r c gm, v r c gm, ... */
static inline void store_sums(vd v, vd r, vd c, vd gm, double *out)
{
#if KERN_LANES == 16 && defined(SIMDE_X86_AVX512F_NATIVE)
    const __m512i first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    const __m512i second = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    __m512d vr[2] = { _mm512_unpacklo_pd(v, r), _mm512_unpackhi_pd(v, r) };
    __m512d cg[2] = { _mm512_unpacklo_pd(c, gm), _mm512_unpackhi_pd(c, gm) };

    for (int odd = 0; odd < 2; odd++) {
        __m512d a = _mm512_permutex2var_pd(vr[odd], first, cg[odd]);
        __m512d b = _mm512_permutex2var_pd(vr[odd], second, cg[odd]);

        _mm256_storeu_pd(out + 4 * odd, _mm512_castpd512_pd256(a));
        _mm256_storeu_pd(out + 4 * odd + 8, _mm512_extractf64x4_pd(a, 1));
        _mm256_storeu_pd(out + 4 * odd + 16, _mm512_castpd512_pd256(b));
        _mm256_storeu_pd(out + 4 * odd + 24, _mm512_extractf64x4_pd(b, 1));
    }
#else
    double x[4][HALF];

    memcpy(x[0], &v, sizeof v);
    memcpy(x[1], &r, sizeof r);
    memcpy(x[2], &c, sizeof c);
    memcpy(x[3], &gm, sizeof gm);
    for (int i = 0; i < HALF; i++)
        for (int k = 0; k < 4; k++)
            out[4 * i + k] = x[k][i];
#endif
}

/* 16 float32 lanes, 16 -> 4. */
static inline simde__m128 fold_to_four(const vf x[PARTS])
{
#if KERN_LANES == 16
    simde__m512d d = simde_mm512_castps_pd(x[0]);
    simde__m256 eight = simde_mm256_add_ps(simde_mm256_castpd_ps(simde_mm512_castpd512_pd256(d)),
                                           simde_mm256_castpd_ps(simde_mm512_extractf64x4_pd(d, 1)));

    return simde_mm_add_ps(simde_mm256_castps256_ps128(eight), simde_mm256_extractf128_ps(eight, 1));
#elif KERN_LANES == 8
    simde__m256 eight = simde_mm256_add_ps(x[0], x[1]);

    return simde_mm_add_ps(simde_mm256_castps256_ps128(eight), simde_mm256_extractf128_ps(eight, 1));
#else
    return simde_mm_add_ps(simde_mm_add_ps(x[0], x[2]), simde_mm_add_ps(x[1], x[3]));
#endif
}

/* out[k] = fold of the k-th of four sums of float64 lanes. */
static inline void fold_doubles(const vd a[PARTS], const vd b[PARTS], const vd c[PARTS], const vd d[PARTS],
                                double out[4])
{
#if KERN_LANES == 16 && defined(SIMDE_X86_AVX512F_NATIVE)
    const __m512i even = _mm512_set_epi64(0, 0, 0, 0, 6, 4, 2, 0);
    __m512d ab = _mm512_add_pd(_mm512_shuffle_f64x2(a[0], b[0], 0x44), _mm512_shuffle_f64x2(a[0], b[0], 0xee));
    __m512d cd = _mm512_add_pd(_mm512_shuffle_f64x2(c[0], d[0], 0x44), _mm512_shuffle_f64x2(c[0], d[0], 0xee));
    __m512d two = _mm512_add_pd(_mm512_shuffle_f64x2(ab, cd, 0x88), _mm512_shuffle_f64x2(ab, cd, 0xdd));
    __m512d one = _mm512_add_pd(two, _mm512_permute_pd(two, 0x55));

    _mm256_storeu_pd(out, _mm512_castpd512_pd256(_mm512_permutexvar_pd(even, one)));
#else
    fold_pair(a, b, out);
    fold_pair(c, d, out + 2);
#endif
}

/* out[k] += fold of the k-th of four sums of float32 lanes. */
static inline void fold_floats(const vf a[PARTS], const vf b[PARTS], const vf c[PARTS], const vf d[PARTS],
                               double out[4])
{
#if KERN_LANES == 16 && defined(SIMDE_X86_AVX512F_NATIVE)
    const __m512i fourth = _mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 8, 4, 0);
    __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a[0], b[0], 0x44), _mm512_shuffle_f32x4(a[0], b[0], 0xee));
    __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(c[0], d[0], 0x44), _mm512_shuffle_f32x4(c[0], d[0], 0xee));
    __m512 four = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
    __m512 two = _mm512_add_ps(four, _mm512_permute_ps(four, 0x4e));
    __m512 one = _mm512_add_ps(two, _mm512_permute_ps(two, 0xb1));
    __m128 all = _mm512_castps512_ps128(_mm512_permutexvar_ps(fourth, one));

    _mm256_storeu_pd(out, _mm256_add_pd(_mm256_loadu_pd(out), _mm256_cvtps_pd(all)));
#else
    simde__m128 p = fold_to_four(a), q = fold_to_four(b), r = fold_to_four(c), s = fold_to_four(d);
    simde__m128 pq = simde_mm_add_ps(simde_mm_movelh_ps(p, q), simde_mm_movehl_ps(q, p));
    simde__m128 rs = simde_mm_add_ps(simde_mm_movelh_ps(r, s), simde_mm_movehl_ps(s, r));
    simde__m128 all = simde_mm_add_ps(simde_mm_shuffle_ps(pq, rs, SIMDE_MM_SHUFFLE(2, 0, 2, 0)),
                                      simde_mm_shuffle_ps(pq, rs, SIMDE_MM_SHUFFLE(3, 1, 3, 1)));

    simde_mm_storeu_pd(out, simde_mm_add_pd(simde_mm_loadu_pd(out), simde_mm_cvtps_pd(all)));
    simde_mm_storeu_pd(out + 2,
                       simde_mm_add_pd(simde_mm_loadu_pd(out + 2), simde_mm_cvtps_pd(simde_mm_movehl_ps(all, all))));
#endif
}

#endif
