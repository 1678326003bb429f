/* kern_simd.h - the vector twin of the reference kernel, in SIMDe intrinsics; built once for each width
 *
 * Include after defining KERN (the exported object), KERN_NAME, KERN_LANES (floats in a vector: 4, 8, 16) and
 * KERN_USABLE. Rows are done in blocks of 16 coordinates. The rest of a row is a block with masked sums where the
 * processor has masks; elsewhere the reference does it. Rows of 1, 2 and 4 coordinates are packed (kern_narrow.h).
 * States with float64 in them use the reference. */
#include <string.h>

#include "kern_job.h"
#include "kern_vec.h"

#if KERN_LANES == 16 && defined(SIMDE_X86_AVX512F_NATIVE)
#define MASKED 1
#define LEAST 4                      /* narrower rows go to the reference, unless they are packed */
#else
#define MASKED 0
#define LEAST BLOCK
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

/* All coefficients are rounded at once; spreading each from memory costs no more than a load. */
static inline idle_f idle_spread(const mscope_idle *a)
{
    const double *x = (const double *)(const void *)a;       /* six doubles, in order of declaration */
    float f[8];

    simde_mm_storeu_ps(f, four_floats(x));
    simde_mm_storeu_ps(f + 4, simde_mm_cvtpd_ps(simde_mm_loadu_pd(x + 4)));
    return (idle_f){ VF(set1)(f[0]), VF(set1)(f[1]), VF(set1)(f[2]), VF(set1)(f[3]), VF(set1)(f[4]), VF(set1)(f[5]) };
}

#define SPREAD(x) VF(set1)((float)(x))
static inline kick_f kick_spread(const mscope_kick *k)
{
    return (kick_f){ SPREAD(k->b22), SPREAD(k->x22), SPREAD(k->mt), SPREAD(k->mg), SPREAD(k->x11), SPREAD(k->tm),
                     SPREAD(k->tg) };
#undef SPREAD
}

#if MASKED
/* The first n < 16 floats at p, without touching a byte beyond. A load under a mask would also fetch the next line when
 * it reaches into it, which often holds another row that is not needed. */
static __attribute__((noinline)) vf load_some(const float *p, unsigned n)
{
    __m128 quad[4] = { _mm_setzero_ps(), _mm_setzero_ps(), _mm_setzero_ps(), _mm_setzero_ps() };
    unsigned whole = n / 4, rest = n % 4;
    __m512 x;

    for (unsigned i = 0; i < 3; i++)
        if (i < whole)
            quad[i] = _mm_loadu_ps(p + 4 * i);
    if (rest) {
        const float *q = p + 4 * whole;
        double pair = 0.0;
        __m128 last;

        memcpy(&pair, q, (rest == 1 ? 1 : 2) * sizeof *q);       /* q is aligned as a float alone */
        last = _mm_castpd_ps(_mm_set_sd(pair));
        if (rest == 3)
            last = _mm_movelh_ps(last, _mm_load_ss(q + 2));
        for (unsigned i = 0; i < 4; i++)
            if (i == whole)
                quad[i] = last;
    }
    x = _mm512_zextps128_ps512(quad[0]);
    if (n > 4)
        x = _mm512_insertf32x4(x, quad[1], 1);
    if (n > 8)
        x = _mm512_insertf32x4(x, quad[2], 2);
    return n > 12 ? _mm512_insertf32x4(x, quad[3], 3) : x;
}

static __attribute__((noinline)) void store_some(float *p, vf x, unsigned n)
{
    float all[BLOCK], *from = all;

    _mm512_storeu_ps(all, x);
    for (unsigned piece = BLOCK / 2; piece > 0; piece /= 2)
        if (n & piece) {
            memcpy(p, from, piece * sizeof *p);
            p += piece;
            from += piece;
        }
}

#define LOAD_LOW(p) (n == BLOCK ? load_d(p) : low_d(LOAD(p)))
#define LOAD_HIGH(p) (n == BLOCK ? load_d((p) + HALF) : high_d(LOAD(p)))
#define LOAD(p) (n == BLOCK ? _mm512_loadu_ps(p) : load_some(p, n))
#define STORE(p, x) (n == BLOCK ? _mm512_storeu_ps(p, x) : store_some(p, x, n))
#define INTO(acc, x) (n == BLOCK ? _mm512_add_ps(acc, x) : _mm512_mask_add_ps(acc, mask, acc, x))
#define EXACT_LOW(acc, a, b)                                                                                      \
    (n == BLOCK ? _mm512_fmadd_pd(a, b, acc) : _mm512_mask3_fmadd_pd(a, b, acc, (__mmask8)mask))
#define EXACT_HIGH(acc, a, b)                                                                                     \
    (n == BLOCK ? _mm512_fmadd_pd(a, b, acc) : _mm512_mask3_fmadd_pd(a, b, acc, (__mmask8)(mask >> 8)))
#define INTO_LOW(acc, x) (n == BLOCK ? _mm512_add_pd(acc, x) : _mm512_mask_add_pd(acc, (__mmask8)mask, acc, x))
#define INTO_HIGH(acc, x) (n == BLOCK ? _mm512_add_pd(acc, x) : _mm512_mask_add_pd(acc, (__mmask8)(mask >> 8), acc, x))
#else
#define LOAD(p) VF(loadu)(p)
#define LOAD_LOW(p) load_d(p)
#define LOAD_HIGH(p) load_d((p) + HALF)
#define STORE(p, x) VF(storeu)(p, x)
#define INTO(acc, x) ADD(acc, x)
#define EXACT_LOW(acc, a, b) VD(fmadd)(a, b, acc)
#define EXACT_HIGH(acc, a, b) VD(fmadd)(a, b, acc)
#define INTO_LOW(acc, x) ADD_D(acc, x)
#define INTO_HIGH(acc, x) ADD_D(acc, x)
#endif

/* Every product is rounded before it is added, as in the reference. EXACT fuses the two: a product of two floats fits a
 * double, so its rounding changes no bit. */

/* n coordinates: BLOCK of them or, with masks, fewer. idle, g, ref, d and f may be NULL. n and which are NULL are
 * constants in each call. */
MSCOPE_INLINE void block(float *theta, float *m, const float *ref, const float *g, unsigned n, int plain,
                         const idle_f *idle, const kick_f *kick, sums_d *d, sums_f *f)
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
        const int l = 2 * k % PARTS, h = (2 * k + 1) % PARTS;   /* which vectors of the 8 float64 lanes */

        if (idle) {
            vf t0 = t;

            if (plain) {
                t = ADD(t0, MUL(idle->a12, p));
                p = ADD(MUL(idle->b22, p), MUL(idle->x22, p));
            } else {
                t = ADD(MUL(idle->b11, t0), ADD(MUL(idle->x11, t0), MUL(idle->a12, p)));
                p = ADD(MUL(idle->b22, p), ADD(MUL(idle->a21, t0), MUL(idle->x22, p)));
            }
        }
        if (g) {
            vf in = LOAD(g + o);

            if (d) {
                d->gm[l] = EXACT_LOW(d->gm[l], LOAD_LOW(g + o), low_d(p));
                d->gm[h] = EXACT_HIGH(d->gm[h], LOAD_HIGH(g + o), high_d(p));
            }
            if (f)
                f->gm[k] = INTO(f->gm[k], MUL(in, p));
            if (plain) {
                p = ADD(MUL(kick->b22, p), ADD(MUL(kick->x22, p), MUL(kick->mg, in)));
                t = ADD(t, MUL(kick->tm, p));
            } else {
                p = ADD(MUL(kick->b22, p), ADD(ADD(MUL(kick->mt, t), MUL(kick->x22, p)), MUL(kick->mg, in)));
                t = ADD(t, ADD(ADD(MUL(kick->x11, t), MUL(kick->tm, p)), MUL(kick->tg, in)));
            }
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

            d->v[l] = EXACT_LOW(d->v[l], ql, ql);
            d->v[h] = EXACT_HIGH(d->v[h], qh, qh);
            if (ref) {
                el = SUB_D(el, LOAD_LOW(ref + o));
                eh = SUB_D(eh, LOAD_HIGH(ref + o));
                d->r[l] = INTO_LOW(d->r[l], MUL_D(el, el));
                d->r[h] = INTO_HIGH(d->r[h], MUL_D(eh, eh));
                d->c[l] = INTO_LOW(d->c[l], MUL_D(el, ql));
                d->c[h] = INTO_HIGH(d->c[h], MUL_D(eh, qh));
            } else {
                d->r[l] = EXACT_LOW(d->r[l], el, el);
                d->r[h] = EXACT_HIGH(d->r[h], eh, eh);
                d->c[l] = EXACT_LOW(d->c[l], el, ql);
                d->c[h] = EXACT_HIGH(d->c[h], eh, qh);
            }
        }
    }
}

#if !MASKED
static void tail_d(float *theta, float *m, const float *ref, const float *g, size_t i, size_t n,
                   const mscope_idle *idle, const mscope_kick *kick, sums_d *d)
{
    mscope_lanes_double lanes;

    memcpy(&lanes, d, sizeof lanes);
    mscope_part_f32(theta, m, ref, g, i, n, idle, kick, &lanes);
    memcpy(d, &lanes, sizeof lanes);
}

static void tail_f(float *theta, float *m, const float *ref, const float *g, size_t i, size_t n,
                   const mscope_idle *idle, const mscope_kick *kick, sums_f *f)
{
    mscope_lanes_float lanes;

    memcpy(&lanes, f, sizeof lanes);
    mscope_part_f32_float(theta, m, ref, g, i, n, idle, kick, &lanes);
    memcpy(f, &lanes, sizeof lanes);
}
#endif

/* One segment of a row; fetches the segment `next` meanwhile. idle, g, ref, d and f may be NULL. */
MSCOPE_INLINE void segment(float *theta, float *m, const float *ref, const float *g, size_t n, int plain,
                           const mscope_idle *late, const idle_f *idle, const mscope_kick *kick, const kick_f *kf,
                           mscope_place next, int fetch, int loose, sums_d *d, sums_f *f)
{
    size_t i;

    for (i = 0; i + BLOCK <= n; i += BLOCK) {
        if (fetch)
            mscope_fetch(next, i * sizeof(float), i * sizeof(float), ref != NULL);
        block(theta + i, m + i, ref ? ref + i : NULL, g ? g + i : NULL, BLOCK, plain, idle, kf, d, f);
    }
    if (fetch && loose)
        mscope_fetch_last(next, n, sizeof(float), sizeof(float), ref != NULL);
    if (i == n)
        return;
#if MASKED
    (void)late;
    (void)kick;
    block(theta + i, m + i, ref ? ref + i : NULL, g ? g + i : NULL, (unsigned)(n - i), plain, idle, kf, d, f);
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

/* What is the same for all rows of a job; how, with_ref and single are constants in each call. */
typedef struct walk {
    mscope_job j;                    /* a copy, which the compiler knows that no store through theta or m changes */
    size_t dim, ahead;
    int how, with_ref, single, fetch, loose;     /* single: rows of one segment */
} walk;

MSCOPE_INLINE void row(const walk *w, size_t i, const kick_f *kf, int plain, const mscope_idle *late, const float *g)
{
    const size_t dim = w->dim, whole = w->single ? dim : MSCOPE_SEGMENT;
    const mscope_job *j = &w->j;
    double out[4] = { 0.0, 0.0, 0.0, 0.0 };
    idle_f idle;
    sums_d d;
    sums_f f;

    if (late)
        idle = idle_spread(late);
    if (w->how == DOUBLE)
        zero_d(&d);
    for (size_t at = 0; at < dim; at += whole) {
        size_t n = dim - at < whole ? dim - at : whole;
        mscope_place here = mscope_place_of(j, j->row[i], dim, at, sizeof(float), sizeof(float), w->with_ref);
        mscope_place next = mscope_place_next(j, i, w->ahead, dim, at, w->single, sizeof(float), sizeof(float),
                                              w->with_ref);

        if (w->how == FLOAT)
            zero_f(&f);
        segment((float *)(void *)here.theta, (float *)(void *)here.m,
                w->with_ref ? (const float *)(const void *)here.ref : NULL, g ? g + at : NULL, n, plain, late,
                late ? &idle : NULL, j->kick, kf, next, w->fetch, w->loose, w->how == DOUBLE ? &d : NULL,
                w->how == FLOAT ? &f : NULL);
        if (w->how == FLOAT)
            fold_floats(f.v, f.r, f.c, f.gm, out);
        if (w->single)
            break;
    }
    if (w->how == DOUBLE)
        fold_doubles(d.v, d.r, d.c, d.gm, (double *)(void *)&j->out[i]);
    if (w->how == FLOAT)
        j->out[i] = (mscope_sums){ out[0], out[1], out[2], out[3] };
}

/* Each branch passes compile-time constants to row(), so the compiler makes a specialised loop body for it. */
MSCOPE_INLINE void walk_rows(const mscope_job *job, size_t dim, int how, int with_ref)
{
    static const mscope_kick still = { 1, 0, 0, 0, 0, 0, 0 };
    const walk w = { *job, dim, mscope_ahead(dim), how, with_ref, dim == BLOCK,
                     !mscope_short(dim, sizeof(float)),
                     mscope_loose(job, dim, sizeof(float), sizeof(float), with_ref) };
    const kick_f kf = kick_spread(job->kick ? job->kick : &still);
    const int plain_kick = !job->kick || mscope_plain_kick(job->kick);

    for (size_t i = 0; i < w.j.n; i++) {
        const mscope_idle *late = w.j.late >> i & 1 ? &w.j.idle[i] : NULL;
        const float *g = w.j.g ? w.j.g[i] : NULL;
        int plain_idle = !late || mscope_plain_idle(late);

        if (!g && plain_idle)
            row(&w, i, NULL, 1, late, NULL);
        else if (!g)
            row(&w, i, NULL, 0, late, NULL);
        else if (!(plain_kick && plain_idle))
            row(&w, i, &kf, 0, late, g);
        else if (late)
            row(&w, i, &kf, 1, late, g);
        else
            row(&w, i, &kf, 1, NULL, g);
    }
}

/* A width of one block has the most overhead for its size, so it has a loop of its own. */
MSCOPE_INLINE void rows(const mscope_job *j, int how, int with_ref)
{
    mscope_reach(j, j->dim, sizeof(float), sizeof(float), with_ref);
    if (j->n == 0)
        mscope_fetch_first(j, sizeof(float), sizeof(float), with_ref);
    else if (j->dim == BLOCK)
        walk_rows(j, BLOCK, how, with_ref);
    else
        walk_rows(j, j->dim, how, with_ref);
}

#include "kern_narrow.h"

/* By width, and by whether there is a reference. Narrow rows without statistics are so little work that packing them
 * costs more. */
#define DISPATCH(how, reference)                                                                                  \
    do {                                                                                                         \
        if (how != NONE && j->dim == 1)                                                                          \
            NARROW(1, how, reference);                                                                           \
        else if (how != NONE && j->dim == 2)                                                                     \
            NARROW(2, how, reference);                                                                           \
        else if (how != NONE && j->dim == 4)                                                                     \
            NARROW(4, how, reference);                                                                           \
        else if (j->dim < LEAST)                                                                                 \
            reference(j);                                                                                        \
        else if (how != NONE && j->ref)                                                                          \
            rows(j, how, 1);                                                                                     \
        else                                                                                                     \
            rows(j, how, 0);                                                                                     \
    } while (0)
#define NARROW(dim, how, reference)                                                                               \
    (j->ref ? narrow(j, dim, how, 1, reference) : narrow(j, dim, how, 0, reference))

static void rows_f32(const mscope_job *j)
{
    DISPATCH(DOUBLE, mscope_rows_f32_ref);
}

static void rows_f32_float(const mscope_job *j)
{
    DISPATCH(FLOAT, mscope_rows_f32_float_ref);
}

static void rows_f32_none(const mscope_job *j)
{
    DISPATCH(NONE, mscope_rows_f32_none_ref);
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

static void products_f32(const void *theta, const void *m, const void *ref, size_t d, double out[MSCOPE_PRODUCTS])
{
    const float *th = theta, *mo = m, *s = ref;
    mscope_lanes_products sum;
    vd q[PARTS], h[PARTS], ss[PARTS];
    size_t i;

    for (int k = 0; k < PARTS; k++)
        q[k] = h[k] = ss[k] = VD(setzero)();
    for (i = 0; i + BLOCK <= d; i += BLOCK)
        for (int k = 0; k < 2 * PARTS; k++) {
            const size_t at = i + (size_t)(k / 2) * KERN_LANES;
            const vf a = VF(loadu)(th + at), b = VF(loadu)(mo + at), c = VF(loadu)(s + at);
            const vd r = k % 2 ? high_d(c) : low_d(c);

            q[k % PARTS] = ADD_D(q[k % PARTS], MUL_D(SUB_D(k % 2 ? high_d(a) : low_d(a), r), r));
            h[k % PARTS] = ADD_D(h[k % PARTS], MUL_D(k % 2 ? high_d(b) : low_d(b), r));
            ss[k % PARTS] = ADD_D(ss[k % PARTS], MUL_D(r, r));
        }
    memcpy(sum.q, q, sizeof sum.q);
    memcpy(sum.h, h, sizeof sum.h);
    memcpy(sum.ss, ss, sizeof sum.ss);
    mscope_part_products_f32(th, mo, s, i, d, &sum);
    out[0] = mscope_lanes_fold(sum.q);
    out[1] = mscope_lanes_fold(sum.h);
    out[2] = mscope_lanes_fold(sum.ss);
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
    { sumsq_f32, mscope_sumsq_f64_ref },
    { products_f32, mscope_products_mixed_ref, mscope_products_f64_ref }
};
