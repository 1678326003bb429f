/* entries.c - see entries.h
 *
 * Arrays in the form that the core wants (little-endian, aligned, of the state's own type) are checked and applied in
 * place, in the message. Bodies in shared memory can still be written by the trainer: each byte is read once, into the
 * shadow's scratch, and checked there, so that nothing changes between check and use. The core checks gradients itself,
 * before anything moves.                                                                                      */
#include "entries.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "protocol/refusal.h"

#define MAGNITUDE 1e145              /* 65536 squares of it still sum below the core's 1e300   */
#define LITTLE (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
/* After a copy the compiler must not read the source again: the trainer may have changed it. */
#define COPIED(p) __asm__ volatile("" : : "r"(p) : "memory")

int mscope_core_refusal(const mscope_shadow *s, int code, mscope_refusal *why)
{
    const mscope_fault *f = mscope_table_fault(s->core);
    char range[64];

    (void)snprintf(range, sizeof range, "%.9g..%.9g", f->low, f->high);
    if (code == MSCOPE_EINVAL && f->field != NULL)           /* a number of the step, not one entry of many */
        return mscope_refusal_set(why, code, f->field, range,
                                  strcmp(f->field, "dampening") == 0 && f->high == 0.0
                                      ? "only a table of torch form without nesterov has dampening"
                                      : "the step was not applied: send it again with a value in this range",
                                  "%.17g", f->value);
    return mscope_refusal_set(why, code, f->field != NULL ? f->field : "step", range, mscope_strerror(code),
                              "%.17g at %zu", f->value, f->at);
}

/* -- parts ----------------------------------------------------------------------------------- */

int mscope_take(mscope_cursor *c, const char *field, uint64_t want, const uint8_t **at)
{
    char range[64];

    (void)snprintf(range, sizeof range, "%llu bytes", (unsigned long long)want);
    if (c->used == c->n)
        return mscope_refusal_set(c->why, MSCOPE_EPROTO, field, range, "the message has too few parts",
                                  "missing part");
    if (c->f[c->used].len != want)
        return mscope_refusal_set(c->why, MSCOPE_EPROTO, field, range, "a part whose length does not fit the header",
                                  "%zu bytes", c->f[c->used].len);
    *at = c->f[c->used++].at;
    return 0;
}

int mscope_take_end(const mscope_cursor *c)
{
    char range[64];

    if (c->used == c->n)
        return 0;
    (void)snprintf(range, sizeof range, "%zu after the header", c->used);
    return mscope_refusal_set(c->why, MSCOPE_EPROTO, "parts", range, "the message has too many parts", "%zu", c->n);
}

int mscope_check_type(const mscope_shadow *s, const mscope_header *h, mscope_refusal *why)
{
    if (h->value_type != MSCOPE_F64 || s->hello.state == MSCOPE_STATE_F64)
        return 0;
    return mscope_refusal_set(why, MSCOPE_EINVAL, "value_type", "1 f32, 2 f16, 3 bf16", "this table keeps float32",
                              "4 (float64)");
}

/* Branch-free, in fixed pieces that the compiler vectorises: an exponent of all ones is a NaN or an infinity. */
static uint32_t bad_f32(const float *x, size_t n)
{
    uint32_t bad[16] = { 0 }, any = 0, u[16];
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        memcpy(u, x + i, sizeof u);
        for (unsigned l = 0; l < 16; l++)
            bad[l] |= (u[l] & 0x7f800000u) + 0x00800000u;
    }
    for (; i < n; i++) {
        memcpy(u, x + i, sizeof *u);
        bad[0] |= (u[0] & 0x7f800000u) + 0x00800000u;
    }
    for (unsigned l = 0; l < 16; l++)
        any |= bad[l];
    return any & 0x80000000u;
}

static int any_bad(const void *x, size_t n, int f64)
{
    const double *d = x;
    uint32_t bad = 0;

    if (!f64)
        return bad_f32(x, n) != 0;
    for (size_t i = 0; i < n; i++)
        bad |= !(fabs(d[i]) <= MAGNITUDE);
    return bad != 0;
}

/* x begins at value `first` of the part. rows: the row of each entry, or NULL: rows base, base + 1, ... */
static int refuse_value(const mscope_shadow *s, const char *field, const void *x, size_t first, int f64,
                        const uint32_t *rows, uint32_t base, mscope_refusal *why)
{
    size_t i = 0, entry;

    while (f64 ? fabs(((const double *)x)[i]) <= MAGNITUDE : isfinite(((const float *)x)[i]))
        i++;
    entry = (first + i) / s->hello.dim;
    return mscope_refusal_set(why, MSCOPE_ENONFINITE, field, f64 ? "finite, |x| <= 1e145" : "finite",
                              "a value that is not finite, or too large to be squared and summed",
                              "%g in row %zu, column %zu", f64 ? ((const double *)x)[i] : (double)((const float *)x)[i],
                              rows != NULL ? rows[entry] : base + entry, (first + i) % s->hello.dim);
}

int mscope_values_in(const mscope_shadow *s, const mscope_header *h, const char *field, const uint8_t *in,
                     size_t first, size_t n, void *out, int f64, mscope_refusal *why)
{
    mscope_values_decode(in + first * mscope_value_size(h->value_type), h->value_type, n, out, f64);
    return any_bad(out, n, f64) ? refuse_value(s, field, out, first, f64, NULL, h->extra, why) : 0;
}

static void copy_values(const mscope_shadow *s, const mscope_header *h, const uint8_t *in, size_t n)
{
    int f64 = s->hello.state == MSCOPE_STATE_F64;

    if (LITTLE && h->value_type == (f64 ? MSCOPE_F64 : MSCOPE_F32))
        memcpy(s->values, in, n * (f64 ? sizeof(double) : sizeof(float)));
    else
        mscope_values_decode(in, h->value_type, n, s->values, f64);
    COPIED(s->values);
}

static int usable_in_place(const uint8_t *at, const mscope_header *h, size_t size)
{
    return LITTLE && !(h->flags & MSCOPE_FLAG_SHM) && (uintptr_t)at % size == 0;
}

static int refuse_index(const mscope_shadow *s, uint64_t v, size_t at, mscope_refusal *why)
{
    char range[64];

    (void)snprintf(range, sizeof range, "0..%u", s->hello.rows - 1);
    return mscope_refusal_set(why, MSCOPE_EINDEX, "indices", range, "an index outside the table", "%llu at entry %zu",
                              (unsigned long long)v, at);
}

int mscope_rows_in(const mscope_shadow *s, const mscope_header *h, const uint8_t *idx, const uint32_t **out,
                   mscope_refusal *why)
{
    size_t n = h->count, at;
    uint64_t v = 0;

    if (h->index_type == MSCOPE_U32 && usable_in_place(idx, h, sizeof(uint32_t)))
        *out = (const uint32_t *)(const void *)idx;
    else if (h->index_type == MSCOPE_U32 && LITTLE) {
        memcpy(s->rows, idx, n * sizeof *s->rows);
        COPIED(s->rows);
    } else {
        at = mscope_indices_decode(idx, h->index_type, n, s->hello.rows, s->rows);
        for (unsigned b = 0; b < h->index_type && at < n; b++)
            v |= (uint64_t)idx[at * h->index_type + b] << (8 * b);
        if (at < n)
            return refuse_index(s, v, at, why);
        COPIED(s->rows);
    }
    for (size_t i = 0; i < n; i++)
        if ((*out)[i] >= s->hello.rows)
            return refuse_index(s, (*out)[i], i, why);
    return 0;
}

int mscope_count_in(const mscope_shadow *s, const mscope_header *h, mscope_refusal *why)
{
    char range[64];

    if (h->count <= s->hello.capacity)
        return 0;
    (void)snprintf(range, sizeof range, "0..%u", s->hello.capacity);
    return mscope_refusal_set(why, MSCOPE_EINVAL, "count", range, "more entries than HELLO's capacity", "%u", h->count);
}

int mscope_entries_in(mscope_shadow *s, const mscope_header *h, mscope_cursor *c, mscope_entries *out)
{
    const uint8_t *idx, *val;
    size_t n = h->count, size = s->hello.state == MSCOPE_STATE_F64 ? 8 : 4;
    int err = mscope_count_in(s, h, c->why);

    *out = (mscope_entries){ .rows = s->rows, .values = s->values };
    if (err)
        return err;
    if (n == 0)
        return mscope_table_apply_check(s->core, NULL, NULL, 0, &out->checked);
    err = mscope_check_type(s, h, c->why);
    if (!err)
        err = mscope_take(c, "indices", (uint64_t)n * h->index_type, &idx);
    if (!err)
        err = mscope_take(c, "values", (uint64_t)n * s->hello.dim * mscope_value_size(h->value_type), &val);
    if (!err)
        err = mscope_rows_in(s, h, idx, &out->rows, c->why);
    if (err)
        return err;
    n *= s->hello.dim;
    if (h->value_type != (size == 8 ? MSCOPE_F64 : MSCOPE_F32) || !usable_in_place(val, h, size))
        copy_values(s, h, val, n);
    else
        out->values = val;
    if (size == 8 && any_bad(out->values, n, 1))
        return refuse_value(s, "values", out->values, 0, 1, out->rows, 0, c->why);
    err = mscope_table_apply_check(s->core, out->rows, out->values, h->count, &out->checked);
    if (err == MSCOPE_ENONFINITE && size == 4)
        return refuse_value(s, "values", out->values, 0, 0, out->rows, 0, c->why);
    return err ? mscope_core_refusal(s, err, c->why) : 0;
}

int mscope_counts_in(mscope_shadow *s, const mscope_header *h, mscope_cursor *c, mscope_entries *out)
{
    const uint8_t *at;
    size_t known, i = 0;
    int err;

    if (!(h->flags & MSCOPE_FLAG_COUNTS))
        return 0;
    err = mscope_take(c, "counts", (uint64_t)h->count * 4, &at);
    if (err)
        return err;
    known = mscope_indices_decode(at, MSCOPE_U32, h->count, UINT32_MAX, s->counts);
    COPIED(s->counts);
    out->counts = s->counts;
    while (i < known && s->counts[i] != 0)
        i++;
    if (i < h->count)
        return mscope_refusal_set(c->why, MSCOPE_EINVAL, "counts", "1..4294967294",
                                  "an entry stands for at least one occurrence", "%s at entry %zu",
                                  i < known ? "0" : "4294967295", i);
    return 0;
}

int mscope_schedule_in(const mscope_header *h, mscope_cursor *c, mscope_step *step)
{
    const uint8_t *at;
    double v[3];
    int err;

    *step = (mscope_step){ .eta = h->a, .eps = h->b, .batch = (double)h->extra };
    if (!(h->flags & MSCOPE_FLAG_SCHEDULE))
        return 0;
    err = mscope_take(c, "schedule", sizeof v, &at);
    if (err)
        return err;
    mscope_values_decode(at, MSCOPE_F64, 3, v, 1);
    step->weight_decay = v[0];
    step->decoupled_decay = v[1];
    step->dampening = v[2];
    return 0;
}
