/* kern_narrow.h - rows of 1, 2 or 4 floats: a vector holds one coordinate of several rows
 *
 * Each row has its own coefficients in its own lane, and its sums are never folded across a vector: the lanes of kern.h
 * are its coordinates. Batches whose rows differ (some without a gradient, plain and other maps) and the last rows of a
 * job go to the reference. Part of kern_simd.h. */

/* x[k] for every row k of a batch, side by side */
#if KERN_LANES == 16
#define EACH(x)                                                                                                   \
    simde_mm512_set_ps(x(15), x(14), x(13), x(12), x(11), x(10), x(9), x(8),                                      \
                       x(7), x(6), x(5), x(4), x(3), x(2), x(1), x(0))
#define EACH_LOW(x) simde_mm512_set_pd(x(7), x(6), x(5), x(4), x(3), x(2), x(1), x(0))
#define EACH_HIGH(x) simde_mm512_set_pd(x(15), x(14), x(13), x(12), x(11), x(10), x(9), x(8))
#elif KERN_LANES == 8
#define EACH(x) simde_mm256_set_ps(x(7), x(6), x(5), x(4), x(3), x(2), x(1), x(0))
#define EACH_LOW(x) simde_mm256_set_pd(x(3), x(2), x(1), x(0))
#define EACH_HIGH(x) simde_mm256_set_pd(x(7), x(6), x(5), x(4))
#else
#define EACH(x) simde_mm_set_ps(x(3), x(2), x(1), x(0))
#define EACH_LOW(x) simde_mm_set_pd(x(1), x(0))
#define EACH_HIGH(x) simde_mm_set_pd(x(3), x(2))
#endif

/* One coefficient of every row, rounded as a cast rounds. */
#define COEFFICIENT(field) (join_f(EACH_LOW(field), EACH_HIGH(field)))

typedef struct batch {
    size_t at[KERN_LANES];           /* first coordinate of each row */
    const float *g[KERN_LANES];
    const mscope_idle *idle;
    uint32_t late, all;              /* bit k: row k is late; all bits of a batch */
    int with_g, plain;
} batch;

/* Rows k0 .. of the job; returns 0 when they differ. */
MSCOPE_INLINE int batch_open(batch *b, const mscope_job *j, size_t k0, size_t dim, int plain_kick)
{
    uint32_t nulls = 0, bent = 0;

    b->all = (uint32_t)(((uint64_t)1 << KERN_LANES) - 1);
    b->late = (uint32_t)(j->late >> k0) & b->all;
    b->idle = j->idle ? j->idle + k0 : NULL;
    b->with_g = j->g != NULL;
    for (unsigned k = 0; k < KERN_LANES; k++)
        b->at[k] = (size_t)j->row[k0 + k] * dim;
    for (unsigned k = 0; k < KERN_LANES; k++) {
        b->g[k] = j->g ? j->g[k0 + k] : NULL;
        nulls |= b->with_g && b->g[k] == NULL;
    }
    if (b->late == b->all)
        for (unsigned k = 0; k < KERN_LANES; k++)
            bent |= (uint32_t)!mscope_plain_idle(&b->idle[k]);
    else if (b->late)
        for (unsigned k = 0; k < KERN_LANES; k++)
            bent |= b->late >> k & 1 && !mscope_plain_idle(&b->idle[k]);
    b->plain = (!b->with_g || plain_kick) && !bent;
    /* A kick that is not plain makes no row plain. With a plain one all idle maps must be plain. */
    return !nulls && (b->plain || (b->with_g && !plain_kick));
}

static inline vf choose(uint32_t bits, vf yes, vf no)
{
#if KERN_LANES == 16
    return simde_mm512_mask_mov_ps(no, (simde__mmask16)bits, yes);
#else
    uint32_t word[KERN_LANES];
    vf mask;

    for (unsigned k = 0; k < KERN_LANES; k++)
        word[k] = bits >> k & 1 ? UINT32_MAX : 0;
    memcpy(&mask, word, sizeof mask);
    return VF(or)(VF(and)(mask, yes), VF(andnot)(mask, no));
#endif
}

/* The fold over the lanes of kern.h when each of `dim` coordinates is one lane; + 0 because lanes start at 0. */
#define OVER(add, zero, x)                                                                                        \
    add(dim == 1 ? (x)[0] : dim == 2 ? add((x)[0], (x)[1]) : add(add((x)[0], (x)[2]), add((x)[1], (x)[3])), zero)

typedef union columns {              /* products of a batch, by coordinate; d: by halves of the batch */
    struct {
        vd v[2][4], r[2][4], c[2][4], gm[2][4];
    } d;
    struct {
        vf v[4], r[4], c[4], gm[4];
    } f;
} columns;

MSCOPE_INLINE void sum_column(columns *s, int c, int how, int with_ref, vf t, vf p, vf ref)
{
    if (how == FLOAT) {
        vf e = with_ref ? SUB(t, ref) : t;

        s->f.v[c] = MUL(p, p);
        s->f.r[c] = MUL(e, e);
        s->f.c[c] = MUL(e, p);
    }
    if (how == DOUBLE)
        for (int h = 0; h < 2; h++) {
            vd q = h ? high_d(p) : low_d(p), e = h ? high_d(t) : low_d(t);

            if (with_ref)
                e = SUB_D(e, h ? high_d(ref) : low_d(ref));
            s->d.v[h][c] = MUL_D(q, q);
            s->d.r[h][c] = MUL_D(e, e);
            s->d.c[h][c] = MUL_D(e, q);
        }
}

MSCOPE_INLINE void store_columns(const columns *s, size_t dim, int how, mscope_sums *out)
{
    const vd none = VD(setzero)();

    if (how == FLOAT) {
        const vf zero = VF(setzero)();
        vf v = OVER(ADD, zero, s->f.v), r = OVER(ADD, zero, s->f.r), c = OVER(ADD, zero, s->f.c);
        vf gm = OVER(ADD, zero, s->f.gm);

        store_sums(low_d(v), low_d(r), low_d(c), low_d(gm), (double *)(void *)out);
        store_sums(high_d(v), high_d(r), high_d(c), high_d(gm), (double *)(void *)(out + HALF));
    } else {
        for (int h = 0; h < 2; h++)
            store_sums(OVER(ADD_D, none, s->d.v[h]), OVER(ADD_D, none, s->d.r[h]), OVER(ADD_D, none, s->d.c[h]),
                       OVER(ADD_D, none, s->d.gm[h]), (double *)(void *)(out + h * HALF));
    }
}

MSCOPE_INLINE void do_batch(const batch *b, const mscope_job *j, const kick_f *kick, size_t dim, int how, int with_ref,
                            mscope_sums *out)
{
    float *theta = j->theta, *m = j->m;
    const float *ref = j->ref;
    const vf none = VF(setzero)();
    idle_f a = { none, none, none, none, none, none };
    columns s;

    if (b->late) {
#define FIELD(k) b->idle[k].a12
        a.a12 = COEFFICIENT(FIELD);
#undef FIELD
#define FIELD(k) b->idle[k].b22
        a.b22 = COEFFICIENT(FIELD);
#undef FIELD
#define FIELD(k) b->idle[k].x22
        a.x22 = COEFFICIENT(FIELD);
#undef FIELD
    }
    if (b->late && !b->plain) {
#define FIELD(k) b->idle[k].b11
        a.b11 = COEFFICIENT(FIELD);
#undef FIELD
#define FIELD(k) b->idle[k].x11
        a.x11 = COEFFICIENT(FIELD);
#undef FIELD
#define FIELD(k) b->idle[k].a21
        a.a21 = COEFFICIENT(FIELD);
#undef FIELD
    }
    for (size_t c = 0; c < dim; c++) {
        float back[2][KERN_LANES];
        vf t, p, s0 = none;

#define AT(k) theta[b->at[k] + c]
        t = EACH(AT);
#undef AT
#define AT(k) m[b->at[k] + c]
        p = EACH(AT);
#undef AT
        if (b->late) {
            vf t1, p1;

            if (b->plain) {
                t1 = ADD(t, MUL(a.a12, p));
                p1 = ADD(MUL(a.b22, p), MUL(a.x22, p));
            } else {
                t1 = ADD(MUL(a.b11, t), ADD(MUL(a.x11, t), MUL(a.a12, p)));
                p1 = ADD(MUL(a.b22, p), ADD(MUL(a.a21, t), MUL(a.x22, p)));
            }
            t = b->late == b->all ? t1 : choose(b->late, t1, t);
            p = b->late == b->all ? p1 : choose(b->late, p1, p);
        }
        if (how == FLOAT)
            s.f.gm[c] = none;
        else
            s.d.gm[0][c] = s.d.gm[1][c] = VD(setzero)();
        if (b->with_g) {
            vf in;

#define AT(k) b->g[k][c]
            in = EACH(AT);
#undef AT
            if (how == FLOAT)
                s.f.gm[c] = MUL(in, p);
            if (how == DOUBLE) {
                s.d.gm[0][c] = MUL_D(low_d(in), low_d(p));
                s.d.gm[1][c] = MUL_D(high_d(in), high_d(p));
            }
            if (b->plain) {
                p = ADD(MUL(kick->b22, p), ADD(MUL(kick->x22, p), MUL(kick->mg, in)));
                t = ADD(t, MUL(kick->tm, p));
            } else {
                p = ADD(MUL(kick->b22, p), ADD(ADD(MUL(kick->mt, t), MUL(kick->x22, p)), MUL(kick->mg, in)));
                t = ADD(t, ADD(ADD(MUL(kick->x11, t), MUL(kick->tm, p)), MUL(kick->tg, in)));
            }
        }
        VF(storeu)(back[0], t);
        VF(storeu)(back[1], p);
        for (unsigned k = 0; k < KERN_LANES; k++) {
            theta[b->at[k] + c] = back[0][k];
            m[b->at[k] + c] = back[1][k];
        }
        if (with_ref) {
#define AT(k) ref[b->at[k] + c]
            s0 = EACH(AT);
#undef AT
        }
        sum_column(&s, (int)c, how, with_ref, t, p, s0);
    }
    if (how != NONE)
        store_columns(&s, dim, how, out);
}

/* dim: 1, 2 or 4, a constant in each call, as how and with_ref are. */
MSCOPE_INLINE void narrow(const mscope_job *job, size_t dim, int how, int with_ref, mscope_rows_fn *reference)
{
    static const mscope_kick still = { 1, 0, 0, 0, 0, 0, 0 };
    const mscope_job j = *job;
    const kick_f kick = kick_spread(j.kick ? j.kick : &still);
    const int plain_kick = !j.kick || mscope_plain_kick(j.kick);
    size_t k0;

    mscope_reach(job, dim, sizeof(float), sizeof(float), with_ref);
    for (k0 = 0; k0 < j.n; k0 += KERN_LANES) {
        size_t n = j.n - k0 < KERN_LANES ? j.n - k0 : KERN_LANES;
        batch b;

        if (n == KERN_LANES && batch_open(&b, &j, k0, dim, plain_kick)) {
            do_batch(&b, &j, &kick, dim, how, with_ref, how == NONE ? NULL : j.out + k0);
        } else {
            mscope_job part = j;

            part.n = part.known = n;
            part.row += k0;
            part.g = j.g ? j.g + k0 : NULL;
            part.idle = j.idle ? j.idle + k0 : NULL;
            part.late = j.late >> k0;
            part.out = how == NONE ? NULL : j.out + k0;
            reference(&part);
        }
    }
}

#undef EACH
#undef EACH_LOW
#undef EACH_HIGH
