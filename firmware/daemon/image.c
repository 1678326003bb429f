/* image.c - see image.h */
#include "image.h"

static void put_growth(mscope_writer *w, const mscope_growth *g)
{
    const uint64_t whole[] = { g->readings, g->blocks, g->settled_at, g->block_end, g->count, g->jumps, g->quiet,
                               (uint64_t)g->growing };
    const double real[] = { g->sum, g->top[0], g->top[1], g->top[2], g->highest, g->lowest_high };

    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        mscope_write_u(w, whole[i], 8);
    for (size_t i = 0; i < sizeof real / sizeof *real; i++)
        mscope_write_f64(w, real[i]);
    for (size_t i = 0; i < MSCOPE_GROWTH_KEPT; i++) {
        mscope_write_f64(w, g->mean[i]);
        mscope_write_u(w, g->middle[i], 8);
    }
}

static void get_growth(mscope_reader *src, mscope_growth *g)
{
    g->readings = mscope_read_u(src, 8);
    g->blocks = mscope_read_u(src, 8);
    g->settled_at = mscope_read_u(src, 8);
    g->block_end = mscope_read_u(src, 8);
    g->count = (uint32_t)mscope_read_u(src, 8);
    g->jumps = (uint32_t)mscope_read_u(src, 8);
    g->quiet = (uint32_t)mscope_read_u(src, 8);
    g->growing = mscope_read_u(src, 8) != 0;
    g->sum = mscope_read_f64(src);
    for (size_t i = 0; i < 3; i++)
        g->top[i] = mscope_read_f64(src);
    g->highest = mscope_read_f64(src);
    g->lowest_high = mscope_read_f64(src);
    for (size_t i = 0; i < MSCOPE_GROWTH_KEPT; i++) {
        g->mean[i] = mscope_read_f64(src);
        g->middle[i] = mscope_read_u(src, 8);
    }
}

static void put_agreement(mscope_writer *w, const mscope_agree_sums *a)
{
    const double real[] = { a->batch, a->half_life, a->w, a->w2, a->u, a->u2, a->occurrences, a->s2 };

    mscope_write_u(w, a->step, 8);
    for (size_t i = 0; i < sizeof real / sizeof *real; i++)
        mscope_write_f64(w, real[i]);
}

static void get_agreement(mscope_reader *src, mscope_agree_sums *a)
{
    double *const real[] = { &a->batch, &a->half_life, &a->w, &a->w2, &a->u, &a->u2, &a->occurrences, &a->s2 };

    a->step = mscope_read_u(src, 8);
    for (size_t i = 0; i < sizeof real / sizeof *real; i++)
        *real[i] = mscope_read_f64(src);
}

static void put_means(mscope_writer *w, const mscope_means *m)
{
    mscope_write_u(w, m->taken, 4);
    mscope_write_f64(w, m->weight2);
    for (int i = 0; i < 3; i++) {
        mscope_write_f64(w, m->mean[i]);
        mscope_write_f64(w, m->before[i]);
        for (int k = 0; k < 3; k++) {
            mscope_write_f64(w, m->cov[i][k]);
            mscope_write_f64(w, m->lag[i][k]);
        }
    }
}

static void get_means(mscope_reader *src, mscope_means *m)
{
    m->taken = (uint32_t)mscope_read_u(src, 4);
    m->weight2 = mscope_read_f64(src);
    for (int i = 0; i < 3; i++) {
        m->mean[i] = mscope_read_f64(src);
        m->before[i] = mscope_read_f64(src);
        for (int k = 0; k < 3; k++) {
            m->cov[i][k] = mscope_read_f64(src);
            m->lag[i][k] = mscope_read_f64(src);
        }
    }
}

static void put_stability(mscope_writer *w, const mscope_shadow *s)
{
    const mscope_stability *j = &s->stability;

    (void)mscope_write_bytes(w, s->covered, sizeof s->covered);
    mscope_write_u(w, j->probes, 8);
    mscope_write_u(w, j->forgotten, 8);
    for (int k = 0; k < MSCOPE_DIRECTIONS; k++) {
        put_means(w, &j->all[k]);
        for (unsigned i = 0; i < MSCOPE_RECENT; i++)
            for (int c = 0; c < 3; c++)
                mscope_write_f64(w, j->recent[k][i][c]);
        mscope_write_u(w, j->apart[k], 4);
        for (int i = 0; i < 2; i++) {
            mscope_write_f64(w, j->whole[k][i]);
            mscope_write_f64(w, j->outside[k][i]);
        }
        mscope_write_u(w, (uint64_t)j->top[k].spans, 4);
        mscope_write_u(w, j->top[k].values, 8);
        mscope_write_u(w, j->top[k].top_row, 4);
        mscope_write_f64(w, j->top[k].top_share);
        (void)mscope_write_bytes(w, j->top_table[k], sizeof j->top_table[k]);
        for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
            mscope_write_f64(w, s->shares[k].curvature[b]);
            mscope_write_f64(w, s->shares[k].noise[b]);
        }
    }
}

static void get_name(mscope_reader *src, char name[MSCOPE_NAME_MAX + 1])
{
    (void)mscope_read_bytes(src, name, MSCOPE_NAME_MAX + 1);
    name[MSCOPE_NAME_MAX] = '\0';
}

static void get_stability(mscope_reader *src, mscope_shadow *s)
{
    mscope_stability *j = &s->stability;

    get_name(src, s->covered);
    j->probes = mscope_read_u(src, 8);
    j->forgotten = mscope_read_u(src, 8);
    for (int k = 0; k < MSCOPE_DIRECTIONS; k++) {
        get_means(src, &j->all[k]);
        for (unsigned i = 0; i < MSCOPE_RECENT; i++)
            for (int c = 0; c < 3; c++)
                j->recent[k][i][c] = mscope_read_f64(src);
        j->apart[k] = (uint32_t)mscope_read_u(src, 4);
        for (int i = 0; i < 2; i++) {
            j->whole[k][i] = mscope_read_f64(src);
            j->outside[k][i] = mscope_read_f64(src);
        }
        j->top[k].spans = mscope_read_u(src, 4) == MSCOPE_SPANS_ALL ? MSCOPE_SPANS_ALL : MSCOPE_SPANS_TABLES;
        j->top[k].values = mscope_read_u(src, 8);
        j->top[k].top_row = (uint32_t)mscope_read_u(src, 4);
        j->top[k].top_share = mscope_read_f64(src);
        get_name(src, j->top_table[k]);
        for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
            s->shares[k].curvature[b] = mscope_read_f64(src);
            s->shares[k].noise[b] = mscope_read_f64(src);
        }
    }
}

static void put_readings(mscope_writer *w, const mscope_shadow *s)
{
    const mscope_climb *c = &s->climb;
    const uint64_t whole[] = { c->next, c->readings, (uint64_t)c->placed, (uint64_t)c->climbing, c->band };
    
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        mscope_write_u(w, whole[i], 8);
    mscope_write_f64(w, c->R);
    for (size_t i = 0; i < MSCOPE_CLIMB_KEPT; i++)
        mscope_write_f64(w, c->part[i]);
    for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
        mscope_write_f64(w, c->gm[b]);
        mscope_write_f64(w, c->g2[b]);
        put_growth(w, &s->growth[b]);
        put_growth(w, &s->top_growth[b]);
        mscope_write_u(w, s->top[b].row, 4);
        mscope_write_f64(w, s->top[b].v);
    }
}

static void get_readings(mscope_reader *src, mscope_shadow *s)
{
    mscope_climb *c = &s->climb;

    c->next = mscope_read_u(src, 8);
    c->readings = mscope_read_u(src, 8);
    c->placed = mscope_read_u(src, 8) != 0;
    c->climbing = mscope_read_u(src, 8) != 0;
    c->band = (uint32_t)mscope_read_u(src, 8);
    c->R = mscope_read_f64(src);
    for (size_t i = 0; i < MSCOPE_CLIMB_KEPT; i++)
        c->part[i] = mscope_read_f64(src);
    for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
        c->gm[b] = mscope_read_f64(src);
        c->g2[b] = mscope_read_f64(src);
        get_growth(src, &s->growth[b]);
        get_growth(src, &s->top_growth[b]);
        s->top[b].row = (uint32_t)mscope_read_u(src, 4);
        s->top[b].v = mscope_read_f64(src);
    }
}

int mscope_image_put(const mscope_shadow *s, mscope_writer *w)
{
    uint8_t hello[MSCOPE_HELLO_MAX];
    const double last[] = { s->last.eta, s->last.eps, s->last.dampening, s->last.weight_decay, s->last.decoupled_decay,
                            s->last.batch };
    const uint64_t flags = (uint64_t)s->stepped | (uint64_t)s->probed << 1 | (uint64_t)s->window_over << 2 |
                           (uint64_t)s->other_m << 3;
    const uint64_t words[] = { s->session, s->handle, (uint64_t)s->attached, (uint64_t)s->exact, s->healed,
                               s->referenced, flags, s->lost, s->refused, s->syncs, s->published, s->doubted };
    int n = mscope_hello_encode(&s->hello, hello, sizeof hello);

    if (n < 0)
        return n;
    mscope_write_u(w, (uint64_t)n, 4);
    (void)mscope_write_bytes(w, hello, (size_t)n);
    mscope_write_u(w, s->history, 4);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        mscope_write_u(w, words[i], 8);
    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++)
        mscope_write_f64(w, last[i]);
    for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
        mscope_write_f64(w, s->fisher[b]);
        mscope_write_f64(w, s->fisher_updates[b]);
        put_agreement(w, &s->agreement[b]);
        mscope_write_f64(w, s->moved[b].sum);
        mscope_write_f64(w, s->moved[b].updates);
    }
    put_readings(w, s);
    put_stability(w, s);
    return 0;
}

int mscope_image_get_hello(mscope_reader *src, mscope_hello *hello, uint32_t *history)
{
    uint8_t bytes[MSCOPE_HELLO_MAX];
    mscope_refusal why = { .text = "cut short" };
    size_t n = (size_t)mscope_read_u(src, 4);              /* 4 bytes */

    if (n > sizeof bytes || mscope_read_bytes(src, bytes, n) || mscope_hello_decode(bytes, n, hello, &why))
        return MSCOPE_EPROTO;
    *history = (uint32_t)mscope_read_u(src, 4);
    return 0;
}

void mscope_image_get(mscope_reader *src, mscope_shadow *s, uint64_t now_ns)
{
    uint64_t words[12];

    for (unsigned i = 0; i < 12; i++)
        words[i] = mscope_read_u(src, 8);
    s->session = words[0];
    s->handle = (uint32_t)words[1];
    s->attached = words[2] != 0;
    s->exact = words[3] != 0;
    s->healed = (uint32_t)words[4];
    s->referenced = (uint32_t)words[5];
    s->stepped = (int)(words[6] & 1);
    s->probed = (int)(words[6] >> 1 & 1);
    s->window_over = (int)(words[6] >> 2 & 1);
    s->other_m = (int)(words[6] >> 3 & 1);
    s->lost = words[7];
    s->refused = words[8];
    s->syncs = words[9];
    s->published = words[10];
    s->doubted = words[11];
    s->last.eta = mscope_read_f64(src);
    s->last.eps = mscope_read_f64(src);
    s->last.dampening = mscope_read_f64(src);
    s->last.weight_decay = mscope_read_f64(src);
    s->last.decoupled_decay = mscope_read_f64(src);
    s->last.batch = mscope_read_f64(src);
    for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
        s->fisher[b] = mscope_read_f64(src);
        s->fisher_updates[b] = mscope_read_f64(src);
        get_agreement(src, &s->agreement[b]);
        s->moved[b].sum = mscope_read_f64(src);
        s->moved[b].updates = mscope_read_f64(src);
    }
    get_readings(src, s);
    get_stability(src, s);
    s->heard_ns = now_ns;
    s->changed = 1;
}
