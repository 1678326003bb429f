/* judge.c - see judge.h */
#include "judge.h"

#include <math.h>
#include <stdio.h>

#include "protocol/fields.h"

enum { BODIES = 4, PIECE = 256 };
#define LARGE 1e145                  /* its square can still be summed */

typedef struct bodies {              /* what should follow the header */
    const char *name[BODIES];
    size_t len[BODIES];
    unsigned n;
} bodies;

static void want(bodies *b, const char *name, size_t len)
{
    b->name[b->n] = name;
    b->len[b->n++] = len;
}

static bodies bodies_of(const mscope_hello *t, const mscope_header *h)
{
    const int columns = h->kind == MSCOPE_STEP && (t->form == MSCOPE_FORM_READ || t->form == MSCOPE_FORM_FROZEN);
    const size_t n = h->count, values = n * (columns ? MSCOPE_READ_COLUMNS : t->dim) * mscope_value_size(h->value_type);
    bodies b = { .n = 0 };

    if (h->kind == MSCOPE_SYNC) {
        want(&b, "theta", values);
        want(&b, "m", values);
    } else if (h->kind == MSCOPE_REFERENCE) {
        want(&b, "values", values);
    } else if (h->kind == MSCOPE_STEP || h->kind == MSCOPE_PROBE) {
        if (n > 0) {
            want(&b, "indices", n * h->index_type);
            want(&b, "values", values);
        }
        if (h->flags & MSCOPE_FLAG_COUNTS)
            want(&b, "counts", 4 * n);
        if (h->flags & MSCOPE_FLAG_SCHEDULE)
            want(&b, "schedule", 24);
    }
    return b;
}

static int check_parts(const bodies *b, const mscope_header *h, const size_t *len, unsigned n, mscope_refusal *why)
{
    char range[64];

    if (h->flags & MSCOPE_FLAG_SHM)
        return mscope_refusal_set(why, MSCOPE_ENOTSUP, "flags", "without SHM",
                                  "the bodies were in memory of another process", "0x%x", h->flags);
    (void)snprintf(range, sizeof range, "%u", b->n + 1);
    if (n != b->n + 1)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "parts", range, "too few or too many for its kind", "%u", n);
    for (unsigned i = 0; i < b->n; i++) {
        (void)snprintf(range, sizeof range, "%zu bytes", b->len[i]);
        if (len[1 + i] != b->len[i])
            return mscope_refusal_set(why, MSCOPE_EPROTO, b->name[i], range, "a part of another length", "%zu bytes",
                                      len[1 + i]);
    }
    return 0;
}

/* -- what the parts hold ----------------------------------------------------------------------------------------- */

static int check_values(const char *name, const uint8_t *in, unsigned type, size_t n, mscope_refusal *why)
{
    const size_t size = mscope_value_size(type);
    double x[PIECE];

    for (size_t i = 0, k; i < n; i += k) {
        int bad = 0;
        k = n - i < PIECE ? n - i : PIECE;
        mscope_values_decode(in + i * size, type, k, x, 1);
        for (size_t j = 0; j < k; j++)
            bad |= !(fabs(x[j]) <= LARGE);
        for (size_t j = 0; bad && j < k; j++)
            if (!(fabs(x[j]) <= LARGE))
                return mscope_refusal_set(why, MSCOPE_ENONFINITE, name, "finite, |x| <= 1e145",
                                          "a value that is not finite, or too large to be squared and summed",
                                          "%g at %zu", x[j], i + j);
    }
    return 0;
}

/* Indices below rows, or counts: then from 1 on. */
static int check_numbers(const char *name, const uint8_t *in, unsigned type, size_t n, uint32_t low, uint32_t end,
                         mscope_refusal *why)
{
    char range[64];

    for (size_t i = 0; i < n; i++) {
        uint32_t v = 0;
        if (mscope_indices_decode(in + i * type, type, 1, end, &v) == 1 && v >= low)
            continue;
        (void)snprintf(range, sizeof range, "%u..%u", low, end - 1);
        return mscope_refusal_set(why, low == 0 ? MSCOPE_EINDEX : MSCOPE_EINVAL, name, range,
                                  low == 0 ? "an index outside the table"
                                           : "an entry stands for at least one occurrence",
                                  "another at entry %zu", i);
    }
    return 0;
}

static int check_schedule(const mscope_hello *t, const mscope_header *h, const uint8_t *in, mscope_refusal *why)
{
    const int reads = t->form == MSCOPE_FORM_READ || t->form == MSCOPE_FORM_FROZEN;
    double s[3] = { 0, 0, 0 };

    if (in != NULL)
        mscope_values_decode(in, MSCOPE_F64, 3, s, 1);
    const struct {
        const char *field;
        double value, most;
    } range[] = {
        { "a (eta)", h->a, 1e150 },
        { "weight_decay", s[0], reads ? 0 : 1e150 },
        { "decoupled_decay", s[1], reads ? 1 : 1e150 },
        { "dampening", s[2], t->form == MSCOPE_FORM_TORCH && !t->nesterov ? 1 : 0 },
        { "eta * decoupled_decay", reads ? 0 : h->a * s[1], 1 },
    };
    for (size_t i = 0; i < sizeof range / sizeof *range; i++)
        if (!(range[i].value >= 0 && range[i].value <= range[i].most)) {
            char text[32];
            (void)snprintf(text, sizeof text, "0..%g", range[i].most);
            return mscope_refusal_set(why, MSCOPE_EINVAL, range[i].field, text, "outside the schedule's range", "%g",
                                      range[i].value);
        }
    return 0;
}

static int judge_entries(const mscope_hello *t, const mscope_header *h, const uint8_t *const *part, const bodies *b,
                         mscope_refusal *why)
{
    const size_t n = h->count;
    const unsigned at = n > 0 ? 3 : 1;
    char range[32];
    int err = 0;

    (void)snprintf(range, sizeof range, "0..%u", t->capacity);
    if (n > t->capacity)
        return mscope_refusal_set(why, MSCOPE_EINVAL, "count", range, "more entries than HELLO's capacity", "%zu", n);
    if (n > 0)
        err = check_numbers("indices", part[1], h->index_type, n, 0, t->rows, why);
    if (err == 0 && n > 0)
        err = check_values("values", part[2], h->value_type, b->len[1] / mscope_value_size(h->value_type), why);
    if (err == 0 && (h->flags & MSCOPE_FLAG_COUNTS))
        err = check_numbers("counts", part[at], 4, n, 1, UINT32_MAX, why);
    if (err == 0 && h->kind == MSCOPE_STEP)
        err = check_schedule(t, h, h->flags & MSCOPE_FLAG_SCHEDULE ? part[b->n] : NULL, why);
    return err;
}

static int judge_rows(const mscope_hello *t, const mscope_header *h, const uint8_t *const *part, const bodies *b,
                      mscope_refusal *why)
{
    const uint64_t end = (uint64_t)h->extra + h->count;
    char range[48];
    int err = 0;

    (void)snprintf(range, sizeof range, "first + count <= %u", t->rows);
    if (end > t->rows || ((h->flags & MSCOPE_FLAG_LAST) && end != t->rows))
        return mscope_refusal_set(why, MSCOPE_EINDEX, "extra (first row)", range,
                                  "rows outside the table, or LAST on others than its last", "%u + %u", h->extra,
                                  h->count);
    for (unsigned i = 0; i < b->n && err == 0; i++)
        err = check_values(b->name[i], part[1 + i], h->value_type, (size_t)h->count * t->dim, why);
    return err;
}

static int judge_words(const mscope_hello *t, const mscope_header *h, const uint8_t *const *part, const size_t *len,
                       unsigned n, mscope_refusal *why)
{
    mscope_direction d;
    mscope_note note;

    if (n < 2)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "parts", "at least 2", "nothing follows the header", "%u", n);
    if (h->kind == MSCOPE_NOTE)
        return mscope_note_decode(part[1], len[1], &note, why);
    if (h->kind == MSCOPE_DIRECTION)
        return mscope_direction_decode(part[1], len[1], &d, why);
    if ((uint64_t)h->extra + h->count > t->rows)
        return mscope_refusal_set(why, MSCOPE_EINDEX, "extra (first row)", "rows of the table",
                                  "labels of rows outside the table", "%u + %u", h->extra, h->count);
    return mscope_labels_check((const char *)part[1], len[1], h->count, why);
}

int mscope_judge(const mscope_hello *t, const mscope_header *h, const uint8_t *const *part, const size_t *len,
                 unsigned n, mscope_refusal *why)
{
    const bodies b = bodies_of(t, h);
    int err;

    if (h->kind == MSCOPE_NOTE || h->kind == MSCOPE_LABELS || h->kind == MSCOPE_DIRECTION)
        return judge_words(t, h, part, len, n, why);
    if (h->kind < MSCOPE_STEP || h->kind > MSCOPE_SYNC)
        return 0;
    if (h->value_type == MSCOPE_F64 && t->state != MSCOPE_STATE_F64)
        return mscope_refusal_set(why, MSCOPE_EINVAL, "value_type", "1 f32, 2 f16, 3 bf16", "this table keeps float32",
                                  "4 (float64)");
    err = check_parts(&b, h, len, n, why);
    if (err != 0)
        return err;
    return h->kind == MSCOPE_STEP || h->kind == MSCOPE_PROBE ? judge_entries(t, h, part, &b, why)
                                                             : judge_rows(t, h, part, &b, why);
}
