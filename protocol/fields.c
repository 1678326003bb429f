/* fields.c - MessagePack maps driven by a table of fields; see fields.h
 *
 * Decoding uses the parser template of msgpack-c, the one its own unpacker is built from, with callbacks that
 * keep values on the stack instead of in a zone: a record is read without one allocation.                 */
#include "fields.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <msgpack.h>
#include <msgpack/unpack_define.h>

/* -- writing ---------------------------------------------------------------------------------- */

typedef struct sink {
    uint8_t *out;
    size_t cap, len;
} sink;

static int sink_write(void *data, const char *buf, size_t len)
{
    sink *s = data;

    if (len > s->cap - s->len)
        return -1;
    memcpy(s->out + s->len, buf, len);
    s->len += len;
    return 0;
}

static int pack_text(msgpack_packer *pk, const char *s, size_t cap)
{
    size_t len = strnlen(s, cap);

    return msgpack_pack_str(pk, len) != 0 || msgpack_pack_str_body(pk, s, len) != 0;
}

static int pack_real(msgpack_packer *pk, double x)
{
    return isfinite(x) ? msgpack_pack_double(pk, x) : msgpack_pack_nil(pk);
}

static int pack_value(msgpack_packer *pk, const mscope_field *f, const char *at)
{
    int bad;

    switch (f->type) {
    case MSCOPE_FIELD_u64:
        return msgpack_pack_uint64(pk, *(const uint64_t *)(const void *)at);
    case MSCOPE_FIELD_u32:
    case MSCOPE_FIELD_option_u32:
        return msgpack_pack_uint32(pk, *(const uint32_t *)(const void *)at);
    case MSCOPE_FIELD_int:
        return msgpack_pack_int(pk, *(const int *)(const void *)at);
    case MSCOPE_FIELD_bool:
    case MSCOPE_FIELD_flag:
        return *(const int *)(const void *)at ? msgpack_pack_true(pk) : msgpack_pack_false(pk);
    case MSCOPE_FIELD_f64:
        return pack_real(pk, *(const double *)(const void *)at);
    case MSCOPE_FIELD_name:
    case MSCOPE_FIELD_option_name:
    case MSCOPE_FIELD_text:
        return pack_text(pk, at, f->size - 1);
    case MSCOPE_FIELD_list: {
        const mscope_list *l = (const void *)at;
        uint32_t n = l->n < MSCOPE_ACF_LAGS ? l->n : MSCOPE_ACF_LAGS;
        bad = msgpack_pack_array(pk, n);
        for (uint32_t i = 0; i < n && !bad; i++)
            bad = pack_real(pk, l->at[i]);
        return bad;
    }
    case MSCOPE_FIELD_word: {
        const char *w = f->words[*(const int *)(const void *)at];
        return pack_text(pk, w, strlen(w));
    }
    }
    return -1;
}

int mscope_fields_encode(const mscope_field *f, size_t n, const void *from, uint8_t *out, size_t cap)
{
    sink s = { out, cap, 0 };
    msgpack_packer pk;
    int bad;

    msgpack_packer_init(&pk, &s, sink_write);
    bad = msgpack_pack_map(&pk, n);
    for (size_t i = 0; i < n && !bad; i++)
        bad = pack_text(&pk, f[i].name, strlen(f[i].name)) ||
              pack_value(&pk, &f[i], (const char *)from + f[i].at);
    return bad ? MSCOPE_ENOMEM : (int)s.len;
}

/* -- reading ---------------------------------------------------------------------------------- */

enum item_type { ITEM_NIL, ITEM_BOOL, ITEM_UINT, ITEM_NEGATIVE, ITEM_REAL, ITEM_STR, ITEM_LIST, ITEM_MAP, ITEM_BIN,
                 ITEM_OTHER };

static const char *const item_names[] = { "nil", "a bool", "an integer", "a negative integer", "a float",
                                          "a string", "a list", "a map", "binary data",
                                          "an extension type" };

typedef struct item {
    enum item_type type;
    uint64_t u;                  /* UINT, BOOL; MAP: its serial number, 0 the outermost */
    int64_t i;
    double f;
    const char *s;
    uint32_t len;                /* STR: bytes; LIST: items                             */
} item;

typedef struct reader {
    const mscope_field *f;
    size_t n;
    char *into;
    mscope_refusal *why;
    uint64_t seen[2], maps;       /* seen: one bit a field                               */
    mscope_list list;            /* the list being read; only one may be open           */
    int list_bad;
    size_t next;                 /* the field after the last one: keys mostly come in order */
} reader;

static int on_map_item(reader *r, const item *map, const item *key, const item *v);

#define msgpack_unpack_struct(name) struct mscope_unpack##name
#define msgpack_unpack_func(ret, name) static inline ret mscope_unpack##name
#define msgpack_unpack_callback(name) on##name
#define msgpack_unpack_object item
#define msgpack_unpack_user reader *

static inline item on_root(reader **r)
{
    (void)r;
    return (item){ .type = ITEM_OTHER };
}

static inline int on_uint64(reader **r, uint64_t v, item *o)
{
    (void)r;
    *o = (item){ .type = ITEM_UINT, .u = v };
    return 0;
}

static inline int on_int64(reader **r, int64_t v, item *o)
{
    (void)r;
    *o = v >= 0 ? (item){ .type = ITEM_UINT, .u = (uint64_t)v } : (item){ .type = ITEM_NEGATIVE, .i = v };
    return 0;
}

#define on_uint8 on_uint64
#define on_uint16 on_uint64
#define on_uint32 on_uint64
#define on_int8 on_int64
#define on_int16 on_int64
#define on_int32 on_int64

static inline int on_double(reader **r, double v, item *o)
{
    (void)r;
    *o = (item){ .type = ITEM_REAL, .f = v };
    return 0;
}

#define on_float on_double

static inline int on_nil(reader **r, item *o)
{
    (void)r;
    *o = (item){ .type = ITEM_NIL };
    return 0;
}

static inline int on_true(reader **r, item *o)
{
    (void)r;
    *o = (item){ .type = ITEM_BOOL, .u = 1 };
    return 0;
}

static inline int on_false(reader **r, item *o)
{
    (void)r;
    *o = (item){ .type = ITEM_BOOL, .u = 0 };
    return 0;
}

static inline int on_str(reader **r, const char *base, const char *p, unsigned len, item *o)
{
    (void)r;
    (void)base;
    *o = (item){ .type = ITEM_STR, .s = len != 0 ? p : "", .len = len };
    return 0;
}

static inline int on_bin(reader **r, const char *base, const char *p, unsigned len, item *o)
{
    (void)r;
    (void)base;
    (void)p;
    (void)len;
    *o = (item){ .type = ITEM_BIN };
    return 0;
}

static inline int on_ext(reader **r, const char *base, const char *p, unsigned len, item *o)
{
    (void)r;
    (void)base;
    (void)p;
    (void)len;
    *o = (item){ .type = ITEM_OTHER };
    return 0;
}

static inline int on_array(reader **r, unsigned n, item *o)
{
    (*r)->list.n = 0;
    (*r)->list_bad = n > MSCOPE_ACF_LAGS;
    *o = (item){ .type = ITEM_LIST, .len = n };
    return 0;
}

static inline int on_array_item(reader **r, item *a, item v)
{
    mscope_list *l = &(*r)->list;

    (void)a;
    if (v.type == ITEM_UINT)
        v.f = (double)v.u;
    else if (v.type == ITEM_NIL)
        v.f = NAN;
    else if (v.type != ITEM_REAL)
        (*r)->list_bad = 1;
    if (l->n < MSCOPE_ACF_LAGS)
        l->at[l->n++] = v.f;
    return 0;
}

static inline int on_map(reader **r, unsigned n, item *o)
{
    (void)n;
    *o = (item){ .type = ITEM_MAP, .u = (*r)->maps++ };
    return 0;
}

static inline int on_map_item_cb(reader **r, item *map, item key, item v)
{
    return on_map_item(*r, map, &key, &v);
}

#define on_map_item on_map_item_cb
#include <msgpack/unpack_template.h>
#undef on_map_item

/* What a terminal or a page would obey instead of show: controls of C0 and C1, and those that turn lines around. */
static int obeyed(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

int mscope_utf8_ok(const unsigned char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned c = s[i++], more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : (c & 0xf0) == 0xe0 ? 2 : 3;
        uint32_t code = more == 0 ? c : c & (0x3fu >> more);

        if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || more > n - i)
            return 0;
        for (unsigned k = 0; k < more; k++, i++) {
            if ((s[i] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | (s[i] & 0x3fu);
        }
        if ((more == 2 && code < 0x800) || (more == 3 && (code < 0x10000 || code > 0x10ffff)) ||
            (code >= 0xd800 && code < 0xe000) || obeyed(code))
            return 0;
    }
    return 1;
}

static int wrong_type(reader *r, const mscope_field *f, const item *v, const char *want)
{
    return mscope_refusal_set(r->why, MSCOPE_EPROTO, f->name, want, "a field of the wrong type", "%s",
                         item_names[v->type]);
}

static int out_of_range(reader *r, const mscope_field *f, const item *v, uint64_t high)
{
    char range[64];

    (void)snprintf(range, sizeof range, "%llu..%llu", (unsigned long long)f->low, (unsigned long long)high);
    if (v->type == ITEM_NEGATIVE)
        return mscope_refusal_set(r->why, MSCOPE_EINVAL, f->name, range, "a number too small", "%lld",
                                  (long long)v->i);
    return mscope_refusal_set(r->why, MSCOPE_EINVAL, f->name, range,
                              v->u < f->low ? "a number too small" : "a number too large", "%llu",
                              (unsigned long long)v->u);
}

static int read_uint(reader *r, const mscope_field *f, const item *v, char *at)
{
    const uint64_t high = f->high != 0 ? f->high : f->type == MSCOPE_FIELD_u64 ? UINT64_MAX : UINT32_MAX;

    if (v->type == ITEM_NEGATIVE)
        return out_of_range(r, f, v, high);
    if (v->type != ITEM_UINT)
        return wrong_type(r, f, v, "an unsigned integer");
    if (v->u < f->low || v->u > high)
        return out_of_range(r, f, v, high);
    if (f->type != MSCOPE_FIELD_u64)
        *(uint32_t *)(void *)at = (uint32_t)v->u;
    else
        *(uint64_t *)(void *)at = v->u;
    return 0;
}

static int read_text(reader *r, const mscope_field *f, const item *v, char *at)
{
    char range[64];

    if (v->type != ITEM_STR)
        return wrong_type(r, f, v, "a string");
    if (v->len >= f->size) {
        (void)snprintf(range, sizeof range, "at most %zu bytes", f->size - 1);
        return mscope_refusal_set(r->why, MSCOPE_EINVAL, f->name, range, "a string too long", "%u bytes", v->len);
    }
    if (!mscope_utf8_ok((const unsigned char *)v->s, v->len))
        return mscope_refusal_set(r->why, MSCOPE_EINVAL, f->name, "UTF-8 without control characters",
                             "a string that cannot be published", "%.*s", (int)v->len, v->s);
    memset(at, 0, f->size);
    memcpy(at, v->s, v->len);
    return 0;
}

static int read_word(reader *r, const mscope_field *f, const item *v, char *at)
{
    char range[64] = "";

    if (v->type != ITEM_STR)
        return wrong_type(r, f, v, "a string");
    for (int i = 0; f->words[i] != NULL; i++) {
        size_t used = strlen(range);
        if (strlen(f->words[i]) == v->len && memcmp(f->words[i], v->s, v->len) == 0) {
            *(int *)(void *)at = i;
            return 0;
        }
        (void)snprintf(range + used, sizeof range - used, "%s%s", i > 0 ? " | " : "", f->words[i]);
    }
    return mscope_refusal_set(r->why, MSCOPE_EINVAL, f->name, range, "not one of the known words", "%.*s",
                         (int)(v->len < 40 ? v->len : 40), v->s);
}

static int read_value(reader *r, const mscope_field *f, const item *v)
{
    char *at = r->into + f->at;

    switch (f->type) {
    case MSCOPE_FIELD_u64:
    case MSCOPE_FIELD_u32:
    case MSCOPE_FIELD_option_u32:
        return read_uint(r, f, v, at);
    case MSCOPE_FIELD_int: {
        int64_t i = v->type == ITEM_NEGATIVE ? v->i : (int64_t)(v->u & INT64_MAX);
        if (v->type != ITEM_UINT && v->type != ITEM_NEGATIVE)
            return wrong_type(r, f, v, "an integer");
        if (i < INT32_MIN || i > INT32_MAX)
            return mscope_refusal_set(r->why, MSCOPE_EINVAL, f->name, "32 bits", "a number too large", "%lld",
                                      (long long)i);
        *(int *)(void *)at = (int)i;
        return 0;
    }
    case MSCOPE_FIELD_bool:
    case MSCOPE_FIELD_flag:
        if (v->type != ITEM_BOOL)
            return wrong_type(r, f, v, "a bool");
        *(int *)(void *)at = (int)v->u;
        return 0;
    case MSCOPE_FIELD_f64:
        if (v->type != ITEM_REAL && v->type != ITEM_NIL && v->type != ITEM_UINT)
            return wrong_type(r, f, v, "a float or nil");
        *(double *)(void *)at = v->type == ITEM_REAL ? v->f : v->type == ITEM_UINT ? (double)v->u : NAN;
        return 0;
    case MSCOPE_FIELD_name:
    case MSCOPE_FIELD_option_name:
    case MSCOPE_FIELD_text:
        return read_text(r, f, v, at);
    case MSCOPE_FIELD_list:
        if (v->type != ITEM_LIST || r->list_bad)
            return wrong_type(r, f, v, "a list of at most 48 floats");
        memcpy(at, &r->list, sizeof r->list);
        return 0;
    case MSCOPE_FIELD_word:
        return read_word(r, f, v, at);
    }
    return MSCOPE_EPROTO;
}

static int on_map_item(reader *r, const item *map, const item *key, const item *v)
{
    if (map->u != 0 || key->type != ITEM_STR)
        return 0;
    for (size_t k = 0; k < r->n; k++) {
        const size_t i = r->next + k < r->n ? r->next + k : r->next + k - r->n;
        if (strlen(r->f[i].name) != key->len || memcmp(r->f[i].name, key->s, key->len) != 0)
            continue;
        if (r->seen[i / 64] >> i % 64 & 1)
            return mscope_refusal_set(r->why, MSCOPE_EPROTO, r->f[i].name, "once", "a field given twice", "twice");
        r->seen[i / 64] |= (uint64_t)1 << i % 64;
        r->next = i + 1 < r->n ? i + 1 : 0;
        return read_value(r, &r->f[i], v);
    }
    return 0;
}

int mscope_fields_decode(const mscope_field *f, size_t n, const uint8_t *in, size_t len, void *into,
                         mscope_refusal *why)
{
    reader r = { .f = f, .n = n, .into = into, .why = why };
    struct mscope_unpack_context ctx;
    mscope_refusal unread;
    size_t off = 0;
    int got = 0;

    if (why == NULL)
        r.why = why = &unread;
    memset(why, 0, sizeof *why);
    ctx.user = &r;
    mscope_unpack_init(&ctx);
    if (len > 0)
        got = mscope_unpack_execute(&ctx, (const char *)in, len, &off);
    if (got < 0 && why->code != 0)
        return why->code;
    if (got < 0)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "body", "a MessagePack map", "not MessagePack", "byte %zu", off);
    if (got == 0)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "body", "a whole MessagePack map", "the map is cut short",
                             "%zu bytes", len);
    if (off != len || mscope_unpack_data(&ctx).type != ITEM_MAP)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "body", "one MessagePack map and nothing after it",
                             "not one map", "%zu bytes, %zu used", len, off);
    for (size_t i = 0; i < n; i++) {
        if (r.seen[i / 64] >> i % 64 & 1)
            continue;
        if (f[i].type != MSCOPE_FIELD_flag && f[i].type != MSCOPE_FIELD_option_u32 &&
            f[i].type != MSCOPE_FIELD_option_name)
            return mscope_refusal_set(why, MSCOPE_EPROTO, f[i].name, "present", "a required field is missing",
                                      "missing");
        memset(r.into + f[i].at, 0, f[i].size);
    }
    return 0;
}
