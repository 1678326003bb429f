/* ingest.c - headers, maps and arrays between trainer and daemon; protocol/README.md, section 1
 *
 * Numbers are written byte by byte, little-endian, so no struct layout or byte order of the host reaches the wire.
 * Whether a message fits a table is for the daemon to judge.                                                  */
#include "fields.h"
#include "header.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"

enum { AT_VERSION = 4, AT_KIND = 5, AT_FLAGS = 6, AT_SESSION = 8, AT_SEQ = 16, AT_STEP = 24, AT_A = 32, AT_B = 40,
       AT_TABLE = 48, AT_COUNT = 52, AT_EXTRA = 56, AT_INDEX = 60, AT_VALUE = 61, AT_CRC = 62 };

static const uint8_t magic[4] = { 'M', 'S', 'C', 'P' };

static uint64_t bits_of(double x)
{
    uint64_t u;

    memcpy(&u, &x, sizeof u);
    return u;
}

static double double_of(uint64_t u)
{
    double x;

    memcpy(&x, &u, sizeof x);
    return x;
}

static float float_of(uint32_t u)
{
    float x;

    memcpy(&x, &u, sizeof x);
    return x;
}

/* CRC-16/XMODEM, four bits at a time: entry i is the remainder of i x^16. */
static uint16_t crc16(const uint8_t *p, size_t n)
{
    static const uint16_t of[16] = { 0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
                                     0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef };
    unsigned crc = 0;

    for (size_t i = 0; i < n; i++) {
        crc = (crc << 4 & 0xffffu) ^ of[crc >> 12 ^ p[i] >> 4];
        crc = (crc << 4 & 0xffffu) ^ of[crc >> 12 ^ (p[i] & 15u)];
    }
    return (uint16_t)crc;
}

/* -- header ----------------------------------------------------------------------------------- */

/* enum mscope_value to the number on the wire, and back. One to one, so an unknown number stays unknown. */
static uint8_t value_on_wire(uint8_t value_type)
{
    return value_type % 16 == 0 ? value_type : value_type ^ 16;
}

void mscope_header_encode(const mscope_header *h, uint8_t out[MSCOPE_HEADER_LEN])
{
    memcpy(out, magic, sizeof magic);
    out[AT_VERSION] = MSCOPE_WIRE_VERSION;
    out[AT_KIND] = h->kind;
    mscope_put_le(out + AT_FLAGS, h->flags, 2);
    mscope_put_le(out + AT_SESSION, h->session, 8);
    mscope_put_le(out + AT_SEQ, h->seq, 8);
    mscope_put_le(out + AT_STEP, h->step, 8);
    mscope_put_le(out + AT_A, bits_of(h->a), 8);
    mscope_put_le(out + AT_B, bits_of(h->b), 8);
    mscope_put_le(out + AT_TABLE, h->table, 4);
    mscope_put_le(out + AT_COUNT, h->count, 4);
    mscope_put_le(out + AT_EXTRA, h->extra, 4);
    out[AT_INDEX] = h->index_type;
    out[AT_VALUE] = value_on_wire(h->value_type);
    mscope_put_le(out + AT_CRC, crc16(out, AT_CRC), 2);
}

static int refuse_u64(mscope_refusal *why, const char *field, uint64_t v, const char *range, const char *text)
{
    return mscope_refusal_set(why, MSCOPE_EINVAL, field, range, text, "%llu", (unsigned long long)v);
}

static int check_real(mscope_refusal *why, const char *field, double v, int ok, const char *range,
                      const char *text)
{
    if (!isfinite(v))
        return mscope_refusal_set(why, MSCOPE_ENONFINITE, field, range, "not a finite number", "%g", v);
    return ok ? 0 : mscope_refusal_set(why, MSCOPE_EINVAL, field, range, text, "%.17g", v);
}

/* Which flags a kind may carry, and whether values or indices may follow. */
static unsigned flags_of(unsigned kind)
{
    switch (kind) {
    case MSCOPE_STEP:
        return MSCOPE_FLAG_COUNTS | MSCOPE_FLAG_SCHEDULE | MSCOPE_FLAG_SHM;
    case MSCOPE_PROBE:
        return MSCOPE_FLAG_SHM;
    case MSCOPE_SYNC:
    case MSCOPE_REFERENCE:
        return MSCOPE_FLAG_LAST;
    case MSCOPE_ACK:
        return MSCOPE_FLAG_INEXACT;
    default:
        return 0;
    }
}

/* flags_of in words, for a refusal. */
static const char *flag_names(unsigned kind)
{
    switch (kind) {
    case MSCOPE_STEP:
        return "0, 1 COUNTS, 2 SCHEDULE, 16 SHM, and sums of these";
    case MSCOPE_PROBE:
        return "0 or 16 SHM";
    case MSCOPE_SYNC:
    case MSCOPE_REFERENCE:
        return "0 or 4 LAST";
    case MSCOPE_ACK:
        return "0 or 8 INEXACT";
    default:
        return "0";
    }
}

static int kind_known(unsigned k)
{
    return (k >= MSCOPE_HELLO && k <= MSCOPE_LABELS) || (k >= MSCOPE_WELCOME && k <= MSCOPE_ERROR);
}

static int check_types(const mscope_header *h, mscope_refusal *why)
{
    const int direction = h->kind == MSCOPE_DIRECTION;
    const uint8_t wire = value_on_wire(h->value_type);
    int rows = h->kind == MSCOPE_STEP || h->kind == MSCOPE_PROBE || direction;
    int values = rows || h->kind == MSCOPE_SYNC || h->kind == MSCOPE_REFERENCE;

    if ((h->flags & MSCOPE_FLAG_SHM) && rows && h->count == 0)
        return refuse_u64(why, "flags", h->flags, "SHM only with count > 0", "a message without entries has no bodies");
    if (rows && h->count > 0) {
        if (h->index_type != MSCOPE_U32 && h->index_type != MSCOPE_U64)
            return refuse_u64(why, "index_type", h->index_type, "4 (u32) or 8 (u64)", "unknown index type");
    } else if (h->index_type != 0)
        return refuse_u64(why, "index_type", h->index_type, "0", "no indices follow this message");
    if (values && h->count > 0) {
        if (direction && h->value_type != MSCOPE_F32)
            return refuse_u64(why, "value_type", wire, "1 f32", "shares are float32");
        if (h->value_type < MSCOPE_F32 || h->value_type > MSCOPE_F64)
            return refuse_u64(why, "value_type", wire, "1 f32, 2 f16, 3 bf16, 4 f64", "unknown value type");
    } else if (h->value_type != 0)
        return refuse_u64(why, "value_type", wire, "0", "no values follow this message");
    return 0;
}

static int check_scalars(const mscope_header *h, mscope_refusal *why)
{
    int bad = 0;

    switch (h->kind) {
    case MSCOPE_STEP:
        bad = check_real(why, "a (eta)", h->a, h->a >= 0, "0..1e150", "a step size is not negative");
        if (!bad)
            bad = check_real(why, "b (eps)", h->b, h->b >= 0 && h->b <= 1, "0..1", "b is eps = 1 - beta");
        if (!bad && h->extra == 0)
            bad = refuse_u64(why, "extra (batch)", 0, "1..4294967295", "a step has at least one sample");
        if (!bad && (h->flags & MSCOPE_FLAG_COUNTS) && h->count == 0)
            bad = refuse_u64(why, "flags", h->flags, "COUNTS only with count > 0", "counts of no entries");
        return bad;
    case MSCOPE_PROBE:
        bad = check_real(why, "a (delta)", h->a, h->a > 0, "finite, > 0", "a probe is taken at some distance");
        break;
    case MSCOPE_DIRECTION:
        bad = check_real(why, "a", h->a, h->a == 0, "0", "unused in this message");
        break;
    case MSCOPE_SYNC:
    case MSCOPE_REFERENCE:
    case MSCOPE_LABELS:
        if (h->count == 0)
            return refuse_u64(why, "count", 0, "1..4294967295", "a chunk has at least one row");
        bad = check_real(why, "a", h->a, h->a == 0, "0", "unused in this message");
        break;
    default:
        if (h->kind < MSCOPE_WELCOME && h->count != 0)
            return refuse_u64(why, "count", h->count, "0", "nothing is counted in this message");
        bad = check_real(why, "a", h->a, h->a == 0, "0", "unused in this message");
    }
    if (!bad)
        bad = check_real(why, "b", h->b, h->b == 0, "0", "unused in this message");
    if (!bad && h->extra != 0 && h->kind != MSCOPE_SYNC && h->kind != MSCOPE_REFERENCE &&
        h->kind != MSCOPE_LABELS)
        bad = refuse_u64(why, "extra", h->extra, "0", "unused in this message");
    return bad;
}

int mscope_header_check(const mscope_header *h, mscope_refusal *why)
{
    int bad;

    if (!kind_known(h->kind))
        return refuse_u64(why, "kind", h->kind, "1..10 to the daemon, 64..66 from it", "unknown kind of message");
    if (h->flags & ~flags_of(h->kind))
        return mscope_refusal_set(why, MSCOPE_EINVAL, "flags", flag_names(h->kind),
                                  "a flag that this kind of message does not have", "0x%x", h->flags);
    if (h->session == 0 && h->kind != MSCOPE_ERROR)
        return refuse_u64(why, "session", 0, "1..2^64-1", "a session number is drawn at random and never 0");
    if (h->seq == 0 && h->kind < MSCOPE_WELCOME)
        return refuse_u64(why, "seq", 0, "1..2^64-1", "sequence numbers start at 1");
    if (h->step > MSCOPE_STEP_MAX && h->kind >= MSCOPE_STEP && h->kind <= MSCOPE_LABELS)
        return refuse_u64(why, "step", h->step, "0..9007199254740991", "a step number that no double can hold exactly");
    bad = check_scalars(h, why);
    return bad ? bad : check_types(h, why);
}

int mscope_header_read(const uint8_t *bytes, size_t len, mscope_header *h, mscope_refusal *why)
{
    if (len != MSCOPE_HEADER_LEN)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "header", "64 bytes", "the first part is not a header",
                                  "%zu bytes", len);
    if (memcmp(bytes, magic, sizeof magic) != 0)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "magic", "MSCP", "not a momentscope message",
                                  "%02x%02x%02x%02x", bytes[0], bytes[1], bytes[2], bytes[3]);
    if (crc16(bytes, AT_CRC) != mscope_get16(bytes + AT_CRC)) {
        char range[16];
        (void)snprintf(range, sizeof range, "0x%04x", crc16(bytes, AT_CRC));
        return mscope_refusal_set(why, MSCOPE_EPROTO, "crc", range, "the header was damaged", "0x%04x",
                                  mscope_get16(bytes + AT_CRC));
    }
    if (bytes[AT_VERSION] != MSCOPE_WIRE_VERSION)
        return mscope_refusal_set(why, MSCOPE_EVERSION, "version", "1", "another version of the wire", "%u",
                                  bytes[AT_VERSION]);
    *h = (mscope_header){
        .kind = bytes[AT_KIND],
        .flags = (uint16_t)mscope_get16(bytes + AT_FLAGS),
        .session = mscope_get64(bytes + AT_SESSION),
        .seq = mscope_get64(bytes + AT_SEQ),
        .step = mscope_get64(bytes + AT_STEP),
        .a = double_of(mscope_get64(bytes + AT_A)),
        .b = double_of(mscope_get64(bytes + AT_B)),
        .table = (uint32_t)mscope_get32(bytes + AT_TABLE),
        .count = (uint32_t)mscope_get32(bytes + AT_COUNT),
        .extra = (uint32_t)mscope_get32(bytes + AT_EXTRA),
        .index_type = bytes[AT_INDEX],
        .value_type = value_on_wire(bytes[AT_VALUE]),
    };
    return 0;
}

int mscope_header_decode(const uint8_t *bytes, size_t len, mscope_header *h, mscope_refusal *why)
{
    mscope_header v;
    int bad = mscope_header_read(bytes, len, &v, why);

    if (!bad)
        bad = mscope_header_check(&v, why);
    if (!bad)
        *h = v;
    return bad;
}

/* -- arrays ----------------------------------------------------------------------------------- */

size_t mscope_value_size(unsigned value_type)
{
    switch (value_type) {
    case MSCOPE_F32:
        return 4;
    case MSCOPE_F16:
    case MSCOPE_BF16:
        return 2;
    case MSCOPE_F64:
        return 8;
    default:
        return 0;
    }
}

/* float16 to float32 is exact: normals shift the exponent by 127 - 15, subnormals are m 2^-24. */
static float half_to_float(uint32_t h)
{
    uint32_t sign = (h & 0x8000u) << 16, e = h >> 10 & 31, m = h & 0x3ffu;

    if (e == 31)
        return float_of(sign | 0x7f800000u | m << 13);
    if (e == 0) {
        float x = (float)m * 0x1p-24f;
        return sign ? -x : x;
    }
    return float_of(sign | (e + 112) << 23 | m << 13);
}

static void to_f32(const uint8_t *in, unsigned type, size_t n, float *out)
{
    switch (type) {
    case MSCOPE_F32:
        for (size_t i = 0; i < n; i++)
            out[i] = float_of(mscope_get32(in + 4 * i));
        return;
    case MSCOPE_F16:
        for (size_t i = 0; i < n; i++)
            out[i] = half_to_float(mscope_get16(in + 2 * i));
        return;
    case MSCOPE_BF16:
        for (size_t i = 0; i < n; i++)
            out[i] = float_of(mscope_get16(in + 2 * i) << 16);
        return;
    default:
        for (size_t i = 0; i < n; i++)
            out[i] = (float)double_of(mscope_get64(in + 8 * i));
    }
}

static void to_f64(const uint8_t *in, unsigned type, size_t n, double *out)
{
    for (size_t i = 0; i < n; i++) {
        float x;
        if (type == MSCOPE_F64) {
            out[i] = double_of(mscope_get64(in + 8 * i));
            continue;
        }
        to_f32(in + mscope_value_size(type) * i, type, 1, &x);
        out[i] = (double)x;
    }
}

void mscope_values_decode(const uint8_t *in, unsigned value_type, size_t n, void *out, int as_f64)
{
    if (as_f64)
        to_f64(in, value_type, n, out);
    else
        to_f32(in, value_type, n, out);
}

size_t mscope_indices_decode(const uint8_t *in, unsigned index_type, size_t n, uint32_t rows, uint32_t *out)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t v = index_type == MSCOPE_U64 ? mscope_get64(in + 8 * i) : mscope_get32(in + 4 * i);
        if (v >= rows)
            return i;
        out[i] = (uint32_t)v;
    }
    return n;
}

/* -- bodies ----------------------------------------------------------------------------------- */

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
        return refuse_u64(why, "dim", v->dim, "2", text);
    if (v->width == 0)
        return refuse_u64(why, "width", 0, "1..65536", text);
    if (v->state != MSCOPE_STATE_F64)
        return mscope_refusal_set(why, MSCOPE_EINVAL, "state", "f64", text, "%s", state_words[v->state]);
    if (v->acf_rows != 0)
        return refuse_u64(why, "acf_rows", v->acf_rows, "0", text);
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
        bad = check_real(why, of[i].name, x[i], x[i] >= of[i].low && x[i] <= of[i].high, of[i].range,
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
