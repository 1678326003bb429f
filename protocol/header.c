/* header.c - the 64 bytes before every message of ingest; protocol/README.md, section 1.2
 *
 * Numbers are written byte by byte, little-endian, so no struct layout or byte order of the host reaches the wire. */
#include "header.h"

#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "refusal.h"

enum { AT_VERSION = 4, AT_KIND = 5, AT_FLAGS = 6, AT_SESSION = 8, AT_SEQ = 16, AT_STEP = 24, AT_A = 32, AT_B = 40,
       AT_TABLE = 48, AT_COUNT = 52, AT_EXTRA = 56, AT_INDEX = 60, AT_VALUE = 61, AT_CRC = 62 };

static const uint8_t magic[4] = { 'M', 'S', 'C', 'P' };

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
    mscope_put_le(out + AT_A, mscope_f64_bits(h->a), 8);
    mscope_put_le(out + AT_B, mscope_f64_bits(h->b), 8);
    mscope_put_le(out + AT_TABLE, h->table, 4);
    mscope_put_le(out + AT_COUNT, h->count, 4);
    mscope_put_le(out + AT_EXTRA, h->extra, 4);
    out[AT_INDEX] = h->index_type;
    out[AT_VALUE] = value_on_wire(h->value_type);
    mscope_put_le(out + AT_CRC, crc16(out, AT_CRC), 2);
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
        return mscope_refuse_u64(why, "flags", h->flags, "SHM only with count > 0",
                                 "a message without entries has no bodies");
    if (rows && h->count > 0) {
        if (h->index_type != MSCOPE_U32 && h->index_type != MSCOPE_U64)
            return mscope_refuse_u64(why, "index_type", h->index_type, "4 (u32) or 8 (u64)", "unknown index type");
    } else if (h->index_type != 0)
        return mscope_refuse_u64(why, "index_type", h->index_type, "0", "no indices follow this message");
    if (values && h->count > 0) {
        if (direction && h->value_type != MSCOPE_F32)
            return mscope_refuse_u64(why, "value_type", wire, "1 f32", "shares are float32");
        if (h->value_type < MSCOPE_F32 || h->value_type > MSCOPE_F64)
            return mscope_refuse_u64(why, "value_type", wire, "1 f32, 2 f16, 3 bf16, 4 f64", "unknown value type");
    } else if (h->value_type != 0)
        return mscope_refuse_u64(why, "value_type", wire, "0", "no values follow this message");
    return 0;
}

static int check_scalars(const mscope_header *h, mscope_refusal *why)
{
    int bad = 0;

    switch (h->kind) {
    case MSCOPE_STEP:
        bad = mscope_check_real(why, "a (eta)", h->a, h->a >= 0, "0..1e150", "a step size is not negative");
        if (!bad)
            bad = mscope_check_real(why, "b (eps)", h->b, h->b >= 0 && h->b <= 1, "0..1", "b is eps = 1 - beta");
        if (!bad && h->extra == 0)
            bad = mscope_refuse_u64(why, "extra (batch)", 0, "1..4294967295", "a step has at least one sample");
        if (!bad && (h->flags & MSCOPE_FLAG_COUNTS) && h->count == 0)
            bad = mscope_refuse_u64(why, "flags", h->flags, "COUNTS only with count > 0", "counts of no entries");
        return bad;
    case MSCOPE_PROBE:
        bad = mscope_check_real(why, "a (delta)", h->a, h->a > 0, "finite, > 0", "a probe is taken at some distance");
        break;
    case MSCOPE_DIRECTION:
        bad = mscope_check_real(why, "a", h->a, h->a == 0, "0", "unused in this message");
        break;
    case MSCOPE_SYNC:
    case MSCOPE_REFERENCE:
    case MSCOPE_LABELS:
        if (h->count == 0)
            return mscope_refuse_u64(why, "count", 0, "1..4294967295", "a chunk has at least one row");
        bad = mscope_check_real(why, "a", h->a, h->a == 0, "0", "unused in this message");
        break;
    default:
        if (h->kind < MSCOPE_WELCOME && h->count != 0)
            return mscope_refuse_u64(why, "count", h->count, "0", "nothing is counted in this message");
        bad = mscope_check_real(why, "a", h->a, h->a == 0, "0", "unused in this message");
    }
    if (!bad)
        bad = mscope_check_real(why, "b", h->b, h->b == 0, "0", "unused in this message");
    if (!bad && h->extra != 0 && h->kind != MSCOPE_SYNC && h->kind != MSCOPE_REFERENCE &&
        h->kind != MSCOPE_LABELS)
        bad = mscope_refuse_u64(why, "extra", h->extra, "0", "unused in this message");
    return bad;
}

int mscope_header_check(const mscope_header *h, mscope_refusal *why)
{
    int bad;

    if (!kind_known(h->kind))
        return mscope_refuse_u64(why, "kind", h->kind, "1..10 to the daemon, 64..66 from it",
                                 "unknown kind of message");
    if (h->flags & ~flags_of(h->kind))
        return mscope_refusal_set(why, MSCOPE_EINVAL, "flags", flag_names(h->kind),
                                  "a flag that this kind of message does not have", "0x%x", h->flags);
    if (h->session == 0 && h->kind != MSCOPE_ERROR)
        return mscope_refuse_u64(why, "session", 0, "1..2^64-1", "a session number is drawn at random and never 0");
    if (h->seq == 0 && h->kind < MSCOPE_WELCOME)
        return mscope_refuse_u64(why, "seq", 0, "1..2^64-1", "sequence numbers start at 1");
    if (h->step > MSCOPE_STEP_MAX && h->kind >= MSCOPE_STEP && h->kind <= MSCOPE_LABELS)
        return mscope_refuse_u64(why, "step", h->step, "0..9007199254740991",
                                 "a step number that no double can hold exactly");
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
        .a = mscope_bits_f64(mscope_get64(bytes + AT_A)),
        .b = mscope_bits_f64(mscope_get64(bytes + AT_B)),
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
    mscope_header v = { .kind = 0 };
    int bad = mscope_header_read(bytes, len, &v, why);

    if (!bad)
        bad = mscope_header_check(&v, why);
    if (!bad)
        *h = v;
    return bad;
}
