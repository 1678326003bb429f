/* snapshot.c - the whole state of a table as bytes, and back
 *
 * One walk over the state both writes and reads, so the two cannot differ. Nothing is settled first: a table that is
 * read back continues bit for bit. All words are little-endian; the CRC-32 (IEEE 802.3) covers everything before it.
 * Bytes:
 *
 *     "MSNP", version, config (9 x u32), scalars, schedule, bookkeeping of rows, theta, m, reference, decay moments,
 *     bands, autocorrelation, crc u32
 */
#include <string.h>

#include "table.h"

#define SNAPSHOT_VERSION 11
#ifdef MSCOPE_ONLY_REF               /* a small processor has little stack */
#define SLICES 1
#else
#define SLICES 8                     /* bytes that the checksum takes at once */
#endif

typedef struct snapshot {
    mscope_sink sink;                /* writing; else NULL */
    mscope_source source;            /* reading; else NULL */
    void *ctx;
    uint32_t crc, crc_table[SLICES][256];     /* [k][b]: what byte b does to the checksum k bytes later */
    int err;
} snapshot;

static void crc_init(snapshot *s)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
        s->crc_table[0][i] = c;
    }
    for (int k = 1; k < SLICES; k++)
        for (uint32_t i = 0; i < 256; i++)
            s->crc_table[k][i] = s->crc_table[0][s->crc_table[k - 1][i] & 255] ^ (s->crc_table[k - 1][i] >> 8);
    s->crc = 0xffffffffu;
}

static void crc_add(snapshot *s, const unsigned char *p, size_t n)
{
    uint32_t c = s->crc;

#if SLICES == 8
    for (; n >= 8; n -= 8, p += 8) {
        const uint32_t a = c ^ (p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);

        c = s->crc_table[7][a & 255] ^ s->crc_table[6][a >> 8 & 255] ^ s->crc_table[5][a >> 16 & 255] ^
            s->crc_table[4][a >> 24] ^ s->crc_table[3][p[4]] ^ s->crc_table[2][p[5]] ^ s->crc_table[1][p[6]] ^
            s->crc_table[0][p[7]];
    }
#endif
    for (; n > 0; n--)
        c = s->crc_table[0][(c ^ *p++) & 255] ^ (c >> 8);
    s->crc = c;
}

/* n bytes as they are. */
static void raw(snapshot *s, void *p, size_t n)
{
    if (s->err || n == 0)
        return;
    s->err = s->sink ? s->sink(s->ctx, p, n) : s->source(s->ctx, p, n);
    if (s->err == 0)
        crc_add(s, p, n);
}

static void swap(unsigned char *out, const unsigned char *in, size_t n, size_t width)
{
    for (size_t i = 0; i < n * width; i++)
        out[i] = in[i - i % width + (width - 1 - i % width)];
}

static int little_endian(void)
{
    const uint16_t one = 1;
    unsigned char low;

    memcpy(&low, &one, 1);
    return low == 1;
}

/* n words of `width` bytes each, little-endian in the stream. */
static void words(snapshot *s, void *p, size_t n, size_t width)
{
    unsigned char *at = p, part[512];
    size_t left = n;

    if (little_endian()) {
        raw(s, p, n * width);
        return;
    }
    while (left && s->err == 0) {
        size_t k = left < sizeof part / width ? left : sizeof part / width;

        if (s->sink)
            swap(part, at, k, width);
        raw(s, part, k * width);
        if (s->source && s->err == 0)
            swap(at, part, k, width);
        at += k * width;
        left -= k;
    }
}

static void u32(snapshot *s, uint32_t *x)
{
    words(s, x, 1, 4);
}

static void flag(snapshot *s, int *x)
{
    uint32_t v = (uint32_t)*x;

    u32(s, &v);
    *x = (int)v;
}

static void one_row(snapshot *s, mscope_core_row *x)
{
    unsigned char small[4] = { x->total, (unsigned char)(x->flags & MSCOPE_ROW_FOLLOWED), (unsigned char)x->remembered,
                               (unsigned char)(x->remembered >> 8) };

    words(s, &x->r, 3, 8);
    words(s, &x->active, 2, 8);
    words(s, &x->clock, 2, 4);
    words(s, &x->rate, 2, 4);
    words(s, &x->counted, 1, 4);
    raw(s, small, 4);
    x->total = small[0];
    x->flags = small[1];
    x->remembered = (uint16_t)(small[2] | small[3] << 8);
}

static void account(snapshot *s, mscope_account *x)
{
    words(s, &x->total, sizeof x->total / 8, 8);
    words(s, &x->updates, 1, 8);
    words(s, &x->rows, 2, 4);
    words(s, &x->p, 2, 8);
}

static void band_state(snapshot *s, mscope_band_state *x)
{
    account(s, &x->live);
    account(s, &x->passed);
    words(s, &x->window, sizeof x->window / 8, 8);
    words(s, &x->pulse, sizeof x->pulse / 8, 8);
    words(s, &x->fresh, sizeof x->fresh / 8, 8);
    words(s, &x->fade, sizeof x->fade / 8, 8);
    words(s, &x->probed, sizeof x->probed / 8, 8);
}

static void acf_state(snapshot *s, mscope_table *t)
{
    for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
        words(s, &t->acf[b].references, 3, 4);
        words(s, t->acf[b].a, MSCOPE_ACF_LAGS, 8);
    }
    for (size_t k = 0; k < (size_t)MSCOPE_BANDS * t->cfg.acf_rows; k++) {
        words(s, &t->slot[k].row, 4, 4);
        words(s, &t->slot[k].started, 1, 8);
        flag(s, &t->slot[k].busy);
        words(s, t->slot[k].lag, MSCOPE_ACF_LAGS, 8);
    }
    words(s, t->slot_m, (size_t)MSCOPE_BANDS * t->cfg.acf_rows * t->cfg.dim, t->m_size);
}

static void state(snapshot *s, mscope_table *t)
{
    size_t cells = (size_t)t->cfg.rows * t->cfg.dim;

    words(s, &t->schedule.now, 1, 8);
    words(s, &t->jumped, 1, 8);
    words(s, &t->unseen, 1, 8);
    flag(s, &t->made);
    words(s, &t->step, sizeof t->step / 8, 8);
    u32(s, &t->sweep);
    u32(s, &t->passed);
    words(s, t->schedule.left, sizeof t->schedule.left / 8, 8);
    words(s, t->schedule.node[0], mscope_schedule_nodes(t->cfg.history) * sizeof(mscope_map) / 8, 8);
    for (uint32_t i = 0; i < t->cfg.rows && s->err == 0; i++)
        one_row(s, &t->row[i]);
    words(s, t->theta, cells, t->theta_size);
    words(s, t->m, cells, t->m_size);
    if (t->ref) {
        words(s, t->ref, cells, t->theta_size);
        words(s, t->decay, (size_t)t->cfg.rows * sizeof *t->decay / 8, 8);
    }
    for (unsigned b = 0; b < MSCOPE_TOTALS; b++)
        band_state(s, &t->band[b]);
    acf_state(s, t);
}

/* The configuration that a snapshot and the table it is read into must share. */
static void config_words(const mscope_table *t, uint32_t out[9])
{
    const mscope_table_config *c = &t->cfg;
    const uint32_t v[9] = { c->rows,    c->dim,        (uint32_t)c->state, (uint32_t)c->form, (uint32_t)c->nesterov,
                            (uint32_t)c->reference, c->history, c->acf_rows, MSCOPE_BANDS };

    memcpy(out, v, sizeof v);
}

static int head(snapshot *s, mscope_table *t)
{
    static const char *const name[9] = { "rows", "dim", "state", "form", "nesterov", "reference", "history", "acf_rows",
                                         "bands" };
    unsigned char magic[4] = { 'M', 'S', 'N', 'P' };
    uint32_t version = SNAPSHOT_VERSION, want[9], have[9];

    config_words(t, want);
    memcpy(have, want, sizeof have);
    raw(s, magic, 4);
    u32(s, &version);
    if (s->err)
        return s->err;
    if (memcmp(magic, "MSNP", 4) != 0)
        return mscope_refuse(t, MSCOPE_EPROTO, "snapshot magic", 0, magic[0], 'M', 'M');
    if (version != SNAPSHOT_VERSION)
        return mscope_refuse(t, MSCOPE_EVERSION, "snapshot version", 0, version, SNAPSHOT_VERSION, SNAPSHOT_VERSION);
    words(s, have, 9, 4);
    for (size_t i = 0; i < 9 && s->err == 0; i++)
        if (have[i] != want[i])
            return mscope_refuse(t, MSCOPE_EINVAL, name[i], 0, have[i], want[i], want[i]);
    return s->err;
}

int mscope_table_snapshot_write(mscope_table *t, mscope_sink sink, void *ctx)
{
    snapshot s = { .sink = sink, .ctx = ctx };
    int err = mscope_refuse_open(t, "snapshot inside a step");
    uint32_t crc;

    if (err)
        return err;
    mscope_accounts_bring(t);
    crc_init(&s);
    s.err = head(&s, t);
    state(&s, t);
    crc = ~s.crc;
    u32(&s, &crc);
    return s.err;
}

/* Check the fields that later index memory: a good checksum does not mean that a file can be trusted. */
static int sound(const mscope_table *t)
{
    for (uint32_t i = 0; i < t->cfg.rows; i++)
        if (t->row[i].total >= MSCOPE_TOTALS || (t->row[i].total == 0) != (t->row[i].active == 0) ||
            ((t->row[i].flags & MSCOPE_ROW_FOLLOWED) && (t->row[i].total == 0 || t->cfg.acf_rows == 0)) ||
            mscope_core_row_age(t, &t->row[i]) > t->cfg.history)
            return 0;
    for (size_t k = 0; k < (size_t)MSCOPE_BANDS * t->cfg.acf_rows; k++)
        if (t->slot[k].row >= t->cfg.rows || t->slot[k].filled > MSCOPE_ACF_LAGS ||
            t->slot[k].lags > MSCOPE_ACF_LAGS)
            return 0;
    for (unsigned b = 0; b < MSCOPE_BANDS; b++)
        if (t->acf[b].lags > MSCOPE_ACF_LAGS)
            return 0;
    for (unsigned b = 0; b < MSCOPE_TOTALS; b++)
        if (!mscope_probe_rows_sound(&t->band[b].probed.rows, t->cfg.rows))
            return 0;
    return t->sweep < t->cfg.rows && t->passed < t->cfg.rows && t->unseen <= t->schedule.now &&
           t->schedule.now <= MSCOPE_STEPS_MOST && t->jumped <= MSCOPE_STEPS_MOST - t->schedule.now;
}

int mscope_table_snapshot_read(mscope_table *t, mscope_source source, void *ctx)
{
    snapshot s = { .source = source, .ctx = ctx };
    int err = mscope_refuse_open(t, "snapshot inside a step");
    uint32_t crc, have = 0;

    if (err)
        return err;
    crc_init(&s);
    s.err = head(&s, t);
    if (s.err)
        return s.err;
    state(&s, t);
    crc = ~s.crc;
    u32(&s, &have);
    if (s.err)
        return s.err;
    if (have != crc)
        return mscope_refuse(t, MSCOPE_EPROTO, "snapshot crc", 0, have, crc, crc);
    if (!sound(t))
        return mscope_refuse(t, MSCOPE_EPROTO, "snapshot contents", 0, 0, 0, 0);
    mscope_accounts_stamp(t);                    /* every account was written as of now */
    for (size_t k = 0; k < (size_t)MSCOPE_BANDS * t->cfg.acf_rows; k++)
        t->acf_busy[k / t->cfg.acf_rows] += t->slot[k].busy != 0;
    return MSCOPE_OK;
}
