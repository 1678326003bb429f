/* kern_simd.h - the SIMDe twin of the reference kernel, built once for each width
 *
 * Include after defining KERN (the exported object), KERN_NAME, KERN_LANES (floats in a vector: 4, 8, 16) and
 * KERN_USABLE. Rows narrower than a block go to the reference, whose loops for them hold no vector either.
 * Blocks of 16 coordinates; what is left of a row is done under a mask where the processor has masks, by the reference
 * elsewhere.                                                                                                   */
#include "core/kern_job.h"
#include "core/kern_vec.h"

#if KERN_LANES == 16 && defined(SIMDE_X86_AVX512F_NATIVE)
#define MASKED 1
#else
#define MASKED 0
#endif

typedef struct idle_f {
    vf b11, x11, a12, a21, b22, x22;
} idle_f;

typedef struct kick_f {
    vf b22, x22, mt, mg, x11, tm, tg;
} kick_f;

typedef struct sums_d {              /* 8 float64 lanes each */
    vd v[PARTS], r[PARTS], c[PARTS], gm[PARTS];
} sums_d;

typedef struct sums_f {              /* 16 float32 lanes each */
    vf v[PARTS], r[PARTS], c[PARTS], gm[PARTS];
} sums_f;

static inline idle_f idle_spread(const mscope_idle *a)
{
#define SPREAD(x) VF(set1)((float)(x))
    return (idle_f){ SPREAD(a->b11), SPREAD(a->x11), SPREAD(a->a12), SPREAD(a->a21), SPREAD(a->b22), SPREAD(a->x22) };
}

static inline kick_f kick_spread(const mscope_kick *k)
{
    return (kick_f){ SPREAD(k->b22), SPREAD(k->x22), SPREAD(k->mt), SPREAD(k->mg), SPREAD(k->x11), SPREAD(k->tm),
                     SPREAD(k->tg) };
#undef SPREAD
}

#if MASKED
#define LOAD(p) (n == BLOCK ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(mask, p))
#define STORE(p, x) (n == BLOCK ? _mm512_storeu_ps(p, x) : _mm512_mask_storeu_ps(p, mask, x))
#define INTO(acc, x) (n == BLOCK ? _mm512_add_ps(acc, x) : _mm512_mask_add_ps(acc, mask, acc, x))
#define INTO_LOW(acc, x) (n == BLOCK ? _mm512_add_pd(acc, x) : _mm512_mask_add_pd(acc, (__mmask8)mask, acc, x))
#define INTO_HIGH(acc, x) (n == BLOCK ? _mm512_add_pd(acc, x) : _mm512_mask_add_pd(acc, (__mmask8)(mask >> 8), acc, x))
#else
#define LOAD(p) VF(loadu)(p)
#define STORE(p, x) VF(storeu)(p, x)
#define INTO(acc, x) ADD(acc, x)
#define INTO_LOW(acc, x) ADD_D(acc, x)
#define INTO_HIGH(acc, x) ADD_D(acc, x)
#endif

/* acc += a b, two roundings as the reference has; part k of a block falls into lanes k HALF.. and (k + 1/2).. of 8. */
#define SUM_D(acc, k, a, b)                                                                                       \
    ((acc)[2 * (k) % PARTS] = INTO_LOW((acc)[2 * (k) % PARTS], MUL_D(low_d(a), low_d(b))),                       \
     (acc)[(2 * (k) + 1) % PARTS] = INTO_HIGH((acc)[(2 * (k) + 1) % PARTS], MUL_D(high_d(a), high_d(b))))

/* n coordinates, BLOCK of them or, with masks, fewer. idle, g, ref, d and f may be NULL; constants all in each call. */
MSCOPE_INLINE void block(float *theta, float *m, const float *ref, const float *g, unsigned n, const idle_f *idle,
                         const kick_f *kick, sums_d *d, sums_f *f)
{
#if MASKED
    const __mmask16 mask = (__mmask16)((1u << n) - 1u);
#else
    (void)n;
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC unroll 4
#endif
    for (int k = 0; k < PARTS; k++) {
        size_t o = (size_t)k * KERN_LANES;
        vf t = LOAD(theta + o), p = LOAD(m + o);

        if (idle) {
            vf t0 = t;

            t = ADD(MUL(idle->b11, t0), ADD(MUL(idle->x11, t0), MUL(idle->a12, p)));
            p = ADD(MUL(idle->b22, p), ADD(MUL(idle->a21, t0), MUL(idle->x22, p)));
        }
        if (g) {
            vf in = LOAD(g + o);

            if (d)
                SUM_D(d->gm, k, in, p);
            if (f)
                f->gm[k] = INTO(f->gm[k], MUL(in, p));
            p = ADD(MUL(kick->b22, p), ADD(ADD(MUL(kick->mt, t), MUL(kick->x22, p)), MUL(kick->mg, in)));
            t = ADD(t, ADD(ADD(MUL(kick->x11, t), MUL(kick->tm, p)), MUL(kick->tg, in)));
        }
        STORE(theta + o, t);
        STORE(m + o, p);
        if (f) {
            vf e = ref ? SUB(t, LOAD(ref + o)) : t;

            f->v[k] = INTO(f->v[k], MUL(p, p));
            f->r[k] = INTO(f->r[k], MUL(e, e));
            f->c[k] = INTO(f->c[k], MUL(e, p));
        }
        if (d) {
            vd ql = low_d(p), qh = high_d(p), el = low_d(t), eh = high_d(t);
            const int l = 2 * k % PARTS, h = (2 * k + 1) % PARTS;

            if (ref) {
                vf s = LOAD(ref + o);

                el = SUB_D(el, low_d(s));
                eh = SUB_D(eh, high_d(s));
            }
            d->v[l] = INTO_LOW(d->v[l], MUL_D(ql, ql));
            d->r[l] = INTO_LOW(d->r[l], MUL_D(el, el));
            d->c[l] = INTO_LOW(d->c[l], MUL_D(el, ql));
            d->v[h] = INTO_HIGH(d->v[h], MUL_D(qh, qh));
            d->r[h] = INTO_HIGH(d->r[h], MUL_D(eh, eh));
            d->c[h] = INTO_HIGH(d->c[h], MUL_D(eh, qh));
        }
    }
}

#if !MASKED
static void tail_d(float *theta, float *m, const float *ref, const float *g, size_t i, size_t n, const mscope_idle *idle,
                   const mscope_kick *kick, sums_d *d)
{
    mscope_lanes lanes;

    memcpy(&lanes, d, sizeof lanes);
    mscope_part_f32(theta, m, ref, g, i, n, idle, kick, &lanes);
    memcpy(d, &lanes, sizeof lanes);
}

static void tail_f(float *theta, float *m, const float *ref, const float *g, size_t i, size_t n, const mscope_idle *idle,
                   const mscope_kick *kick, sums_f *f)
{
    mscope_float_lanes lanes;

    memcpy(&lanes, f, sizeof lanes);
    mscope_part_f32_float(theta, m, ref, g, i, n, idle, kick, &lanes);
    memcpy(f, &lanes, sizeof lanes);
}
#endif

/* One segment of a row, fetching the segment `next` meanwhile; idle, g, ref, d and f may be NULL. */
MSCOPE_INLINE void segment(float *theta, float *m, const float *ref, const float *g, size_t n, const mscope_idle *late,
                           const idle_f *idle, const mscope_kick *kick, const kick_f *kf, mscope_place next, sums_d *d,
                           sums_f *f)
{
    size_t i;

    for (i = 0; i + BLOCK <= n; i += BLOCK) {
        mscope_fetch(next, i * sizeof(float), i * sizeof(float), ref != NULL);
        block(theta + i, m + i, ref ? ref + i : NULL, g ? g + i : NULL, BLOCK, idle, kf, d, f);
    }
    mscope_fetch_last(next, n, sizeof(float), sizeof(float), ref != NULL);
    if (i == n)
        return;
#if MASKED
    (void)late;
    (void)kick;
    block(theta + i, m + i, ref ? ref + i : NULL, g ? g + i : NULL, (unsigned)(n - i), idle, kf, d, f);
#else
    if (d)
        tail_d(theta, m, ref, g, i, n, late, g ? kick : NULL, d);
    else if (f)
        tail_f(theta, m, ref, g, i, n, late, g ? kick : NULL, f);
    else
        mscope_part_f32_none(theta, m, ref, g, i, n, late, g ? kick : NULL);
#endif
}

static inline void zero_d(sums_d *d)
{
    for (int k = 0; k < PARTS; k++)
        d->v[k] = d->r[k] = d->c[k] = d->gm[k] = VD(setzero)();
}

static inline void zero_f(sums_f *f)
{
    for (int k = 0; k < PARTS; k++)
        f->v[k] = f->r[k] = f->c[k] = f->gm[k] = VF(setzero)();
}

enum { NONE, FLOAT, DOUBLE };

/* One row; with_ref, how, late and g are constants or nearly so in each call. */
MSCOPE_INLINE void row(const mscope_job *j, size_t i, size_t ahead, const kick_f *kf, const mscope_idle *late,
                       const float *g, int how, int with_ref)
{
    double out[4] = { 0.0, 0.0, 0.0, 0.0 };
    idle_f idle;
    sums_d d;
    sums_f f;

    if (late)
        idle = idle_spread(late);
    if (how == DOUBLE)
        zero_d(&d);
    for (size_t at = 0; at < j->dim; at += MSCOPE_SEGMENT) {
        size_t n = j->dim - at < MSCOPE_SEGMENT ? j->dim - at : MSCOPE_SEGMENT;
        mscope_place here = mscope_place_of(j, j->row[i], j->dim, at, sizeof(float), sizeof(float), with_ref);
        mscope_place next = mscope_place_next(j, i, ahead, j->dim, at, sizeof(float), sizeof(float), with_ref);

        if (how == FLOAT)
            zero_f(&f);
        segment((float *)(void *)here.theta, (float *)(void *)here.m,
                with_ref ? (const float *)(const void *)here.ref : NULL, g ? g + at : NULL, n, late, late ? &idle : NULL,
                j->kick, kf, next, how == DOUBLE ? &d : NULL, how == FLOAT ? &f : NULL);
        if (how == FLOAT)
            fold_quad(f.v, f.r, f.c, f.gm, out);
    }
    if (how == DOUBLE) {
        fold_pair(d.v, d.r, out);
        fold_pair(d.c, d.gm, out + 2);
    }
    if (how != NONE)
        j->out[i] = (mscope_sums){ out[0], out[1], out[2], out[3] };
}

MSCOPE_INLINE void rows(const mscope_job *j, int how, int with_ref)
{
    static const mscope_kick still = { 1, 0, 0, 0, 0, 0, 0 };
    const size_t ahead = mscope_ahead(j->dim);
    const kick_f kf = kick_spread(j->kick ? j->kick : &still);

    if (j->n == 0)
        mscope_fetch_first(j, sizeof(float), sizeof(float), with_ref);
    for (size_t i = 0; i < j->n; i++) {
        const mscope_idle *late = j->late >> i & 1 ? &j->idle[i] : NULL;
        const float *g = j->g ? j->g[i] : NULL;

        if (g && late)
            row(j, i, ahead, &kf, late, g, how, with_ref);
        else if (g)
            row(j, i, ahead, &kf, NULL, g, how, with_ref);
        else
            row(j, i, ahead, NULL, late, NULL, how, with_ref);
    }
}

static void rows_f32(const mscope_job *j)
{
    if (j->dim < BLOCK)
        mscope_rows_f32_ref(j);
    else if (j->ref)
        rows(j, DOUBLE, 1);
    else
        rows(j, DOUBLE, 0);
}

static void rows_f32_float(const mscope_job *j)
{
    if (j->dim < BLOCK)
        mscope_rows_f32_float_ref(j);
    else if (j->ref)
        rows(j, FLOAT, 1);
    else
        rows(j, FLOAT, 0);
}

static void rows_f32_none(const mscope_job *j)
{
    if (j->dim < BLOCK)
        mscope_rows_f32_none_ref(j);
    else
        rows(j, NONE, 0);
}

static void sumsq_f32(const void *x, size_t d, size_t n, double *out)
{
    const float *f = x;

    if (d < BLOCK) {
        mscope_sumsq_f32_ref(x, d, n, out);
        return;
    }
    for (size_t row = 0; row < n; row++, f += d) {
        vd acc[PARTS];
        double lane[MSCOPE_LANES];
        size_t i;

        for (int k = 0; k < PARTS; k++)
            acc[k] = VD(setzero)();
        for (i = 0; i + BLOCK <= d; i += BLOCK)
            for (int k = 0; k < PARTS; k++) {
                vf w = VF(loadu)(f + i + k * KERN_LANES);

                acc[2 * k % PARTS] = ADD_D(acc[2 * k % PARTS], MUL_D(low_d(w), low_d(w)));
                acc[(2 * k + 1) % PARTS] = ADD_D(acc[(2 * k + 1) % PARTS], MUL_D(high_d(w), high_d(w)));
            }
        memcpy(lane, acc, sizeof lane);
        for (; i < d; i++)
            lane[i % MSCOPE_LANES] += (double)f[i] * (double)f[i];
        out[row] = mscope_lanes_fold(lane);
    }
}

static int usable(void)
{
    return KERN_USABLE;
}

const mscope_kern KERN = {
    KERN_NAME, usable,
    { { rows_f32, rows_f32_float, rows_f32_none },
      { mscope_rows_mixed_ref, mscope_rows_mixed_ref, mscope_rows_mixed_none_ref },
      { mscope_rows_f64_ref, mscope_rows_f64_ref, mscope_rows_f64_none_ref } },
    { sumsq_f32, mscope_sumsq_f64_ref }
};
