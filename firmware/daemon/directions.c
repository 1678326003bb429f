/* directions.c - see directions.h; protocol/README.md 1.3 and 1.14 have the message */
#include "directions.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "protocol/bytes.h"
#include "protocol/refusal.h"
#include "entries.h"
#include "shadow.h"

typedef struct entries {             /* of a message, not copied                                 */
    const uint8_t *tables, *rows, *values;
    uint32_t n;
} entries;

static mscope_shadow *table_of(mscope_engine *e, uint64_t session, const entries *in, uint32_t i, mscope_shadow *last)
{
    const uint32_t handle = (uint32_t)mscope_get32(in->tables + 4 * (size_t)i);

    return last != NULL && last->handle == handle ? last : mscope_shadow_find(e, session, handle);
}

static int check_entries(mscope_engine *e, const mscope_header *h, const entries *in, mscope_refusal *why)
{
    mscope_shadow *s = NULL;
    char range[64];

    for (uint32_t i = 0; i < in->n; i++) {
        const uint32_t row = (uint32_t)mscope_get32(in->rows + 4 * (size_t)i);
        float x[2];

        if ((s = table_of(e, h->session, in, i, s)) == NULL)
            return mscope_refusal_set(why, MSCOPE_ESTATE, "tables", "handles announced by HELLO",
                                      "this session holds no such table", "%u at entry %u",
                                      (unsigned)mscope_get32(in->tables + 4 * (size_t)i), i);
        if (row >= s->hello.rows) {
            (void)snprintf(range, sizeof range, "0..%u", s->hello.rows - 1);
            return mscope_refusal_set(why, MSCOPE_EINDEX, "rows", range, "a row outside its table", "%u at entry %u",
                                      row, i);
        }
        mscope_values_decode(in->values + 8 * (size_t)i, MSCOPE_F32, 2, x, 0);
        if (!isfinite(x[0]) || !(x[1] >= 0.0f) || !isfinite(x[1]))
            return mscope_refusal_set(why, MSCOPE_ENONFINITE, "values", "(finite, finite and >= 0)",
                                      "curvature and noise of a row", "(%g, %g) at entry %u", (double)x[0],
                                      (double)x[1], i);
    }
    return 0;
}

static int check_top(mscope_engine *e, const mscope_header *h, const mscope_direction *d, mscope_refusal *why)
{
    const mscope_shadow *s = d->top_share > 0.0 ? mscope_shadow_find(e, h->session, d->top_table) : NULL;

    if (d->top_share == 0.0 || (s != NULL && d->top_row < s->hello.rows))
        return 0;
    return mscope_refusal_set(why, s == NULL ? MSCOPE_ESTATE : MSCOPE_EINDEX, s == NULL ? "top_table" : "top_row",
                              "a row of a table of this session", "the row with the largest share does not exist",
                              "row %u of table (handle) %u", d->top_row, d->top_table);
}

static int read_parts(const mscope_header *h, const mscope_part *f, size_t n, mscope_direction *d, entries *in,
                      mscope_refusal *why)
{
    mscope_cursor c = { f, n, 1, why };
    int err;

    if (n == 0)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "parts", "1 or 4 after the header", "DIRECTION has a map",
                                  "none");
    err = mscope_direction_decode(f[0].at, f[0].len, d, why);
    in->n = h->count;
    if (!err && h->count > 0 && h->index_type != MSCOPE_U32)
        return mscope_refusal_set(why, MSCOPE_EINVAL, "index_type", "4 (u32)", "rows of DIRECTION are u32", "%u",
                                  h->index_type);
    if (!err && h->count > 0)
        err = mscope_take(&c, "tables", 4 * (uint64_t)h->count, &in->tables);
    if (!err && h->count > 0)
        err = mscope_take(&c, "rows", 4 * (uint64_t)h->count, &in->rows);
    if (!err && h->count > 0)
        err = mscope_take(&c, "values", 8 * (uint64_t)h->count, &in->values);
    return err ? err : mscope_take_end(&c);
}

/* Every table of the session that these means cover lets its older shares fade. */
static void fade_shares(mscope_engine *e, const mscope_shadow *anchor, int k, double w)
{
    for (uint32_t i = 0; i < e->cfg.max_tables; i++) {
        mscope_shadow *s = &e->shadows[i];
        if (!s->used || s->session != anchor->session || strcmp(s->covered, anchor->hello.table) != 0)
            continue;
        for (int b = 0; b < MSCOPE_BANDS; b++) {
            s->shares[k].curvature[b] *= 1.0 - w;
            s->shares[k].noise[b] *= 1.0 - w;
        }
    }
}

static void add_shares(mscope_engine *e, const mscope_shadow *anchor, const mscope_header *h, const entries *in, int k,
                       double w)
{
    mscope_shadow *s = NULL;

    for (uint32_t i = 0; i < in->n; i++) {
        mscope_table_row_info row;
        float x[2];

        s = table_of(e, h->session, in, i, s);
        if (strcmp(s->covered, anchor->hello.table) != 0) {
            memset(s->shares, 0, sizeof s->shares);
            memcpy(s->covered, anchor->hello.table, sizeof s->covered);
        }
        if (mscope_table_row(s->core, (uint32_t)mscope_get32(in->rows + 4 * (size_t)i), &row) != 0 ||
            row.band >= MSCOPE_BANDS)
            continue;                        /* a row that was never active has no band */
        mscope_values_decode(in->values + 8 * (size_t)i, MSCOPE_F32, 2, x, 0);
        s->shares[k].curvature[row.band] += w * (double)x[0];
        s->shares[k].noise[row.band] += w * (double)x[1];
    }
}

int mscope_direction_apply(mscope_engine *e, mscope_shadow *s, const mscope_header *h, const mscope_part *f, size_t n,
                           mscope_refusal *why)
{
    mscope_direction d;
    entries in = { NULL, NULL, NULL, 0 };
    int err = read_parts(h, f, n, &d, &in, why);

    if (!err)
        err = check_entries(e, h, &in, why);
    if (!err)
        err = check_top(e, h, &d, why);
    if (!err && !s->stepped)
        err = mscope_refusal_set(why, MSCOPE_ESTATE, "step", "after the first STEP of the table",
                                 "a direction is judged by the schedule of a step", "no step");
    if (err)
        return err;
    memcpy(s->covered, s->hello.table, sizeof s->covered);
    const double w = mscope_stability_take(&s->stability, &d, s->last.batch, s->last.eps);
    fade_shares(e, s, d.along, w);
    add_shares(e, s, h, &in, d.along, w);
    s->stability.top_table[d.along][0] = '\0';
    if (d.top_share > 0.0)
        memcpy(s->stability.top_table[d.along], mscope_shadow_find(e, h->session, d.top_table)->hello.table,
               sizeof s->stability.top_table[d.along]);
    return 0;
}

void mscope_direction_forget(mscope_shadow *s)
{
    memset(&s->stability, 0, sizeof s->stability);
    memset(s->shares, 0, sizeof s->shares);
    s->covered[0] = '\0';
}
