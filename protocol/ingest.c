/* ingest.c - what messages between trainer and daemon say in maps; protocol/README.md, section 1
 *
 * Whether a message fits a table is for the daemon to judge.                                                  */
#include "fields.h"

#include <string.h>

#define SIZE(type, name) sizeof(((type *)0)->name)
#define FIELD(type, kind, name, low, high) \
    { #name, MSCOPE_FIELD_##kind, offsetof(type, name), SIZE(type, name), low, high, NULL }
#define WORD(type, name, list) { #name, MSCOPE_FIELD_word, offsetof(type, name), SIZE(type, name), 0, 0, list }
#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static const char *const state_words[] = { "f32", "mixed", "f64", NULL };
static const char *const form_words[] = { "ema", "torch", "read", "frozen", NULL };
static const char *const along_words[] = { "power", "tangent", NULL };
static const char *const spanned_words[] = { "tables", "all", NULL };

#define ROWS_MAX ((uint64_t)1 << 31)
#define LARGE 1e145                  /* its square can still be summed */

static const mscope_field hello_fields[] = {
    FIELD(mscope_hello, name, table, 0, 0),
    FIELD(mscope_hello, text, client, 0, 0),
    FIELD(mscope_hello, u32, rows, 1, ROWS_MAX),
    FIELD(mscope_hello, u32, dim, 1, 65536),
    FIELD(mscope_hello, u32, capacity, 1, ROWS_MAX),
    FIELD(mscope_hello, u64, step, 0, MSCOPE_STEP_MAX),
    WORD(mscope_hello, state, state_words),
    WORD(mscope_hello, form, form_words),
    FIELD(mscope_hello, bool, nesterov, 0, 0),
    FIELD(mscope_hello, text, reference, 0, 0),
    FIELD(mscope_hello, bool, fresh, 0, 0),
    FIELD(mscope_hello, bool, nll, 0, 0),
    FIELD(mscope_hello, u32, acf_rows, 0, 64),
    FIELD(mscope_hello, option_name, optimizer, 0, 0),
    FIELD(mscope_hello, option_u32, width, 0, 65536),
    FIELD(mscope_hello, flag, narrow, 0, 0),
};

static const mscope_field welcome_fields[] = {
    FIELD(mscope_welcome, u64, epoch, 0, 0),         FIELD(mscope_welcome, u64, next_seq, 0, 0),
    FIELD(mscope_welcome, u64, step, 0, 0),          FIELD(mscope_welcome, bool, exact, 0, 0),
    FIELD(mscope_welcome, u64, credit_messages, 0, 0), FIELD(mscope_welcome, u64, credit_bytes, 0, 0),
    FIELD(mscope_welcome, flag, shm, 0, 0),
};

static const mscope_field direction_fields[] = {
    WORD(mscope_direction, along, along_words),
    WORD(mscope_direction, spans, spanned_words),
    FIELD(mscope_direction, u64, values, 1, 0),
    FIELD(mscope_direction, f64, curvature, 0, 0),
    FIELD(mscope_direction, f64, product, 0, 0),
    FIELD(mscope_direction, f64, noise, 0, 0),
    FIELD(mscope_direction, f64, outside_curvature, 0, 0),
    FIELD(mscope_direction, f64, outside_noise, 0, 0),
    FIELD(mscope_direction, u32, top_table, 0, 0),
    FIELD(mscope_direction, u32, top_row, 0, 0),
    FIELD(mscope_direction, f64, top_share, 0, 0),
};

static const mscope_field note_fields[] = { FIELD(mscope_note, text, text, 0, 0) };

static const mscope_field refusal_fields[] = {
    FIELD(mscope_refusal, int, code, 0, 0),   FIELD(mscope_refusal, text, field, 0, 0),
    FIELD(mscope_refusal, text, value, 0, 0), FIELD(mscope_refusal, text, range, 0, 0),
    FIELD(mscope_refusal, text, text, 0, 0),
};

static int name_ok(const char *s)
{
    if (s[0] == '\0')
        return 0;
    for (; *s != '\0'; s++)
        if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
              strchr("_.-", *s) != NULL))
            return 0;
    return 1;
}

int mscope_hello_encode(const mscope_hello *v, uint8_t *out, size_t cap)
{
    if (v->state < 0 || v->state > MSCOPE_STATE_F64 || v->form < 0 || v->form > MSCOPE_FORM_FROZEN)
        return MSCOPE_EINVAL;
    return mscope_fields_encode(hello_fields, LEN(hello_fields), v, out, cap);
}

/* A table whose optimizer is only read has two numbers a row in the place of theta, and two of m. */
static int check_read(const mscope_hello *v, mscope_refusal *why)
{
    const char *const text = "a table of form read or frozen";

    if (v->dim != MSCOPE_READ_DIM)
        return mscope_refuse_u64(why, "dim", v->dim, "2", text);
    if (v->width == 0)
        return mscope_refuse_u64(why, "width", 0, "1..65536", text);
    if (v->state != MSCOPE_STATE_F64)
        return mscope_refusal_set(why, MSCOPE_EINVAL, "state", "f64", text, "%s", state_words[v->state]);
    if (v->acf_rows != 0)
        return mscope_refuse_u64(why, "acf_rows", v->acf_rows, "0", text);
    if (v->nesterov || v->nll)
        return mscope_refusal_set(why, MSCOPE_EINVAL, v->nesterov ? "nesterov" : "nll", "false", text, "true");
    if (v->reference[0] != '\0')
        return mscope_refusal_set(why, MSCOPE_EINVAL, "reference", "\"\"", text, "%.40s", v->reference);
    return 0;
}

int mscope_hello_decode(const uint8_t *in, size_t len, mscope_hello *v, mscope_refusal *why)
{
    mscope_hello got;
    int bad = mscope_fields_decode(hello_fields, LEN(hello_fields), in, len, &got, why);

    if (!bad && MSCOPE_FORM_READS(got.form))
        bad = check_read(&got, why);
    if (!bad && !name_ok(got.table))
        bad = mscope_refusal_set(why, MSCOPE_EINVAL, "table", "1..63 of letters, digits, _ . -",
                            "a table name becomes part of a topic", "%s", got.table);
    if (!bad)
        *v = got;
    return bad;
}

int mscope_welcome_encode(const mscope_welcome *v, uint8_t *out, size_t cap)
{
    return mscope_fields_encode(welcome_fields, LEN(welcome_fields), v, out, cap);
}

int mscope_welcome_decode(const uint8_t *in, size_t len, mscope_welcome *v, mscope_refusal *why)
{
    mscope_welcome got;
    int bad = mscope_fields_decode(welcome_fields, LEN(welcome_fields), in, len, &got, why);

    if (!bad)
        *v = got;
    return bad;
}

int mscope_direction_encode(const mscope_direction *v, uint8_t *out, size_t cap)
{
    if (v->along < 0 || v->along > MSCOPE_TANGENT || v->spans < 0 || v->spans > MSCOPE_SPANS_ALL)
        return MSCOPE_EINVAL;
    return mscope_fields_encode(direction_fields, LEN(direction_fields), v, out, cap);
}

static int check_direction(const mscope_direction *v, mscope_refusal *why)
{
    static const struct {
        const char *name;
        double low, high;
        const char *range;
    } of[] = {
        { "curvature", -LARGE, LARGE, "finite, at most 1e145 in size" },
        { "product", -LARGE, LARGE, "finite, at most 1e145 in size" },
        { "noise", 0.0, LARGE, "0..1e145" },
        { "outside_curvature", -LARGE, LARGE, "finite, at most 1e145 in size" },
        { "outside_noise", 0.0, LARGE, "0..1e145" },
        { "top_share", 0.0, 1.0, "0..1" },
    };
    const double x[LEN(of)] = { v->curvature, v->product, v->noise, v->outside_curvature, v->outside_noise,
                                v->top_share };
    int bad = 0;

    for (size_t i = 0; i < LEN(of) && !bad; i++)
        bad = mscope_check_real(why, of[i].name, x[i], x[i] >= of[i].low && x[i] <= of[i].high, of[i].range,
                         "out of range");
    return bad;
}

int mscope_direction_decode(const uint8_t *in, size_t len, mscope_direction *v, mscope_refusal *why)
{
    mscope_direction got;
    int bad = mscope_fields_decode(direction_fields, LEN(direction_fields), in, len, &got, why);

    if (!bad)
        bad = check_direction(&got, why);
    if (!bad)
        *v = got;
    return bad;
}

int mscope_note_encode(const mscope_note *v, uint8_t *out, size_t cap)
{
    return mscope_fields_encode(note_fields, LEN(note_fields), v, out, cap);
}

int mscope_note_decode(const uint8_t *in, size_t len, mscope_note *v, mscope_refusal *why)
{
    mscope_note got;
    int bad = mscope_fields_decode(note_fields, LEN(note_fields), in, len, &got, why);

    if (!bad && got.text[0] == '\0')
        bad = mscope_refusal_set(why, MSCOPE_EINVAL, "text", "1 to 191 bytes", "a note says something", "\"\"");
    if (!bad)
        *v = got;
    return bad;
}

int mscope_refusal_encode(const mscope_refusal *v, uint8_t *out, size_t cap)
{
    return mscope_fields_encode(refusal_fields, LEN(refusal_fields), v, out, cap);
}

int mscope_refusal_decode(const uint8_t *in, size_t len, mscope_refusal *v)
{
    mscope_refusal got;
    int bad = mscope_fields_decode(refusal_fields, LEN(refusal_fields), in, len, &got, NULL);

    if (!bad)
        *v = got;
    return bad;
}
