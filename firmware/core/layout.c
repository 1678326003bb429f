/* layout.c - check a configuration, measure it, and carve a table out of the caller's block */
#include <string.h>

#include "table.h"

#define LINE 64u
#define DEFAULT_HISTORY 16384u
#define SUMMED 4096u                 /* coordinates of one job whose gradients may be sums of several occurrences */

/* As int, because an enum may be as narrow as a byte, signed or not. */
static int among(int x, int last)
{
    return x >= 0 && x <= last;
}

static int in_range(const mscope_table_config *c)
{
    uint32_t h = c->history;

    if (c->dim >= 1 && c->rows > SIZE_MAX / 16 / c->dim)     /* more cells than a 32-bit processor can count in bytes */
        return 0;
    return c->rows >= 1 && c->rows <= (uint32_t)1 << 31 && c->dim >= 1 && c->dim <= 65536 && c->capacity >= 1 &&
           c->capacity <= (uint32_t)1 << 31 && among((int)c->state, MSCOPE_STATE_F64) &&
           among((int)c->statistics, MSCOPE_STATISTICS_OFF) && among((int)c->form, MSCOPE_FORM_FROZEN) &&
           c->acf_rows <= 64 && among(c->nesterov, 1) && among(c->zeroed, 1) && among(c->reference, 1) &&
           (h == 0 || (h >= 16 && h <= (uint32_t)1 << 24 && (h & (h - 1)) == 0));
}

/* Hands out the block piece by piece; base NULL: only measures. */
typedef struct carver {
    unsigned char *base;
    size_t used;
    int overflow;
} carver;

static void *carve(carver *c, size_t n, size_t size)
{
    size_t at = c->used, bytes;

    if (size && n > (SIZE_MAX / 2 - at) / size) {
        c->overflow = 1;
        return NULL;
    }
    bytes = (n * size + LINE - 1) & ~(size_t)(LINE - 1);
    c->used = at + bytes;
    return c->base && bytes ? c->base + at : NULL;
}

/* What cfg fixes in a table, apart from pointers. (A whole mscope_table is too large for a small processor's stack.) */
typedef struct shape {
    mscope_table_config cfg;
    size_t theta_size, m_size, g_size;
    uint32_t chunks, summed;
} shape;

static shape shape_of(const mscope_table_config *cfg)
{
    shape s = { .cfg = *cfg };

    if (s.cfg.history == 0)
        s.cfg.history = DEFAULT_HISTORY;
    s.theta_size = cfg->state == MSCOPE_STATE_F64 ? 8 : 4;
    s.m_size = cfg->state == MSCOPE_STATE_F32 ? 4 : 8;
    s.g_size = s.theta_size;
    s.chunks = cfg->capacity / MSCOPE_CHUNK_ROWS;
    s.chunks = s.chunks < 1 ? 1 : s.chunks > MSCOPE_CHUNKS ? MSCOPE_CHUNKS : s.chunks;
    s.summed = SUMMED / cfg->dim;
    s.summed = s.summed < 1 ? 1 : s.summed > MSCOPE_JOB_ROWS ? MSCOPE_JOB_ROWS : s.summed;
    return s;
}

/* The pieces of a block in order; t NULL: only measure. */
static void lay_out(mscope_table *t, const shape *s, carver *c)
{
    const mscope_table_config *g = &s->cfg;
    size_t cells = (size_t)g->rows * g->dim, slots = (size_t)MSCOPE_BANDS * g->acf_rows;
    mscope_map *nodes;
    mscope_memo *memo;

#define PART(field, n, size)                   \
    do {                                       \
        void *part = carve(c, n, size);        \
        if (t)                                 \
            t->field = part;                   \
    } while (0)
    carve(c, 1, sizeof *t);
    nodes = carve(c, mscope_schedule_nodes(g->history), sizeof *nodes);
    memo = carve(c, g->history, sizeof *memo);
    PART(row, g->rows, sizeof *t->row);
    PART(theta, g->theta ? 0 : cells, s->theta_size);
    PART(m, g->m ? 0 : cells, s->m_size);
    PART(ref, g->reference ? cells : 0, s->theta_size);
    PART(decay, g->reference ? g->rows : 0, sizeof *t->decay);
    PART(slot, slots, sizeof *t->slot);
    PART(slot_m, slots * g->dim, s->m_size);
    PART(scratch.next, g->capacity, sizeof(uint32_t));
    PART(scratch.tail, g->capacity, sizeof(uint32_t));
    PART(scratch.unique, g->capacity, sizeof(uint32_t));
    PART(scratch.row, g->capacity, sizeof(uint32_t));
    PART(scratch.home, g->capacity, sizeof(uint32_t));
    PART(scratch.slot, mscope_coalesce_slots(g->capacity), sizeof(uint32_t));
    PART(scratch.norm, g->capacity, sizeof(double));
    PART(chunk, s->chunks, sizeof *t->chunk);
    for (uint32_t i = 0; i < s->chunks; i++) {
        PART(chunk[i].summed, (size_t)s->summed * g->dim, s->g_size);
        PART(chunk[i].sum, g->dim, sizeof(double));
    }
#undef PART
    if (t == NULL)
        return;
    t->theta = g->theta ? g->theta : t->theta;
    t->m = g->m ? g->m : t->m;
    mscope_schedule_place(&t->schedule, g->history, nodes, memo);
}

static void adopt(mscope_table *t, const shape *s)
{
    t->cfg = s->cfg;
    t->theta_size = s->theta_size;
    t->m_size = s->m_size;
    t->g_size = s->g_size;
    t->chunks = s->chunks;
    t->summed = s->summed;
    t->summing = mscope_summing_error(s->cfg.state == MSCOPE_STATE_F32 ? s->cfg.statistics : MSCOPE_STATISTICS_DOUBLE,
                                      s->cfg.dim);
}

size_t mscope_table_mem(const mscope_table_config *cfg)
{
    carver c = { NULL, 0, 0 };
    shape s;

    if (cfg == NULL || !in_range(cfg))
        return 0;
    s = shape_of(cfg);
    lay_out(NULL, &s, &c);
    return c.overflow ? 0 : c.used;
}

/* Moments of every row from borrowed theta and m, so that totals are right before the first step. */
static int take_stock(mscope_table *t)
{
    if (t->cfg.theta == NULL && t->cfg.m == NULL) {
        t->band[MSCOPE_SILENT_TOTAL].live.rows = t->cfg.rows;
        return MSCOPE_OK;
    }
    for (uint32_t i = 0; i < t->cfg.rows; i++) {
        mscope_sums sums;

        mscope_core_row_run(t, i, &sums);
        mscope_core_row_store(t, i, &sums);
    }
    return mscope_table_resum(t);
}

/* The checks that init and adopt share; *kern gets the kernel. */
static int claim(mscope_table **out, const mscope_table_config *cfg, const void *mem, size_t mem_len,
                 const mscope_kern **kern)
{
    size_t need = mscope_table_mem(cfg);

    if (out == NULL || need == 0 || mem == NULL || (uintptr_t)mem % LINE != 0)
        return MSCOPE_EINVAL;
    if (mem_len < need)
        return MSCOPE_ENOMEM;
    *kern = mscope_kern_pick(cfg->kernel);
    return *kern ? MSCOPE_OK : MSCOPE_ENOTSUP;
}

/* Set everything in the block that is an address or follows from cfg. */
static void set_up(mscope_table *t, const mscope_table_config *cfg, const mscope_kern *kern)
{
    carver c = { (unsigned char *)t, 0, 0 };
    shape s = shape_of(cfg);

    adopt(t, &s);
    t->kern = kern;
    t->cfg.kernel = kern->name;
    lay_out(t, &s, &c);
    t->fault = (mscope_fault){ "", 0, 0.0, 0.0, 0.0 };
    mscope_table_parallel(t, NULL);
}

int mscope_table_init(mscope_table **out, const mscope_table_config *cfg, void *mem, size_t mem_len)
{
    const mscope_kern *kern;
    mscope_table *t = mem;
    int err = claim(out, cfg, mem, mem_len, &kern);

    if (err)
        return err;
    if (!cfg->zeroed)
        memset(mem, 0, mscope_table_mem(cfg));
    set_up(t, cfg, kern);
    mscope_schedule_init(&t->schedule, t->cfg.history, t->schedule.node[0], t->schedule.memo);
    *out = t;
    return take_stock(t);
}

uint64_t mscope_table_layout(void)
{
    const size_t part[] = { sizeof(mscope_table), sizeof(mscope_core_row), sizeof(mscope_decay_moments),
                            sizeof(mscope_acf_slot), sizeof(mscope_probe_memory), sizeof(mscope_chunk),
                            sizeof(mscope_map), sizeof(mscope_memo), sizeof(void *), offsetof(mscope_table, schedule),
                            offsetof(mscope_table, band), offsetof(mscope_table, acf),
                            offsetof(mscope_core_row, rate), offsetof(mscope_core_row, total), MSCOPE_BANDS };
    const unsigned char *byte = (const unsigned char *)part;
    uint64_t h = 14695981039346656037u;          /* FNV-1a over the bytes in memory, so byte order counts as well */

    for (size_t i = 0; i < sizeof part; i++)
        h = (h ^ byte[i]) * 1099511628211u;
    return h;
}

static int same_shape(const mscope_table_config *x, const mscope_table_config *y)
{
    return x->rows == y->rows && x->dim == y->dim && x->state == y->state && x->form == y->form &&
           x->nesterov == y->nesterov && x->reference == y->reference && x->capacity == y->capacity &&
           x->history == (y->history ? y->history : DEFAULT_HISTORY) && x->acf_rows == y->acf_rows &&
           x->statistics == y->statistics && x->theta == NULL && y->theta == NULL && x->m == NULL && y->m == NULL;
}

int mscope_table_adopt(mscope_table **out, const mscope_table_config *cfg, void *mem, size_t mem_len)
{
    const mscope_kern *kern;
    mscope_table *t = mem;
    int err = claim(out, cfg, mem, mem_len, &kern);

    if (err)
        return err;
    if (!same_shape(&t->cfg, cfg) || t->open)
        return MSCOPE_ESTATE;
    set_up(t, cfg, kern);
    *out = t;
    return MSCOPE_OK;
}
