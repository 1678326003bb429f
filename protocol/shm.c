/* shm.c - see shm.h; byte by byte, little-endian, as in header.c */
#include "shm.h"

#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "refusal.h"

static const uint8_t magic[4] = { 'M', 'S', 'H', 'M' };

static void put_start(uint8_t *p)
{
    memcpy(p, magic, sizeof magic);
    p[4] = MSCOPE_WIRE_VERSION;
    p[5] = p[6] = p[7] = 0;
}

static int check_start(const uint8_t *p, mscope_refusal *why)
{
    if (memcmp(p, magic, sizeof magic) != 0)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "magic", "MSHM", "not the handshake of shared memory",
                                  "%02x%02x%02x%02x", p[0], p[1], p[2], p[3]);
    if (p[4] != MSCOPE_WIRE_VERSION)
        return mscope_refusal_set(why, MSCOPE_EVERSION, "version", "1", "another version of the wire", "%u", p[4]);
    if (p[5] != 0 || p[6] != 0 || p[7] != 0)
        return mscope_refusal_set(why, MSCOPE_EINVAL, "reserved", "0", "bytes 5..7 are reserved", "%u %u %u", p[5],
                                  p[6], p[7]);
    return 0;
}

/* -- handshake -------------------------------------------------------------------------------- */

void mscope_shm_offer_encode(const mscope_shm_offer *o, uint8_t out[MSCOPE_SHM_OFFER_LEN])
{
    put_start(out);
    mscope_put_le(out + 8, o->session, 8);
    mscope_put_le(out + 16, o->epoch, 8);
    mscope_put_le(out + 24, o->shm, 8);
    mscope_put_le(out + 32, o->bytes, 8);
}

int mscope_shm_offer_decode(const uint8_t *in, size_t len, mscope_shm_offer *o, mscope_refusal *why)
{
    mscope_shm_offer v;
    int err;

    if (len != MSCOPE_SHM_OFFER_LEN)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "offer", "40 bytes", "not the handshake of shared memory",
                                  "%zu bytes", len);
    if ((err = check_start(in, why)) != 0)
        return err;
    v = (mscope_shm_offer){ mscope_get64(in + 8), mscope_get64(in + 16), mscope_get64(in + 24), mscope_get64(in + 32) };
    if (v.shm == 0)
        return mscope_refusal_set(why, MSCOPE_EINVAL, "shm", "1..2^64-1", "the number of a ring is not 0", "%d", 0);
    if (v.bytes < MSCOPE_SHM_MIN || v.bytes > MSCOPE_SHM_MAX || v.bytes % MSCOPE_SHM_ALIGN != 0)
        return mscope_refusal_set(why, MSCOPE_EINVAL, "bytes", "4096..1073741824, a multiple of 64",
                                  "a ring cannot have this size", "%llu", (unsigned long long)v.bytes);
    *o = v;
    return 0;
}

size_t mscope_shm_answer_encode(const mscope_refusal *why, uint8_t out[MSCOPE_HELLO_MAX])
{
    int len = 0;

    put_start(out);
    mscope_put_le(out + 8, (uint64_t)(int64_t)why->code, 8);
    if (why->code != 0)
        len = mscope_refusal_encode(why, out + MSCOPE_SHM_ANSWER_LEN, MSCOPE_HELLO_MAX - MSCOPE_SHM_ANSWER_LEN);
    return MSCOPE_SHM_ANSWER_LEN + (len > 0 ? (size_t)len : 0);
}

int mscope_shm_answer_decode(const uint8_t *in, size_t len, mscope_refusal *why)
{
    int64_t code;
    int err;

    if (len < MSCOPE_SHM_ANSWER_LEN)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "answer", "16 bytes or more",
                                  "not the handshake of shared memory", "%zu bytes", len);
    if ((err = check_start(in, why)) != 0)
        return err;
    code = (int64_t)mscope_get64(in + 8);
    if (code == 0)
        return 0;
    err = mscope_refusal_decode(in + MSCOPE_SHM_ANSWER_LEN, len - MSCOPE_SHM_ANSWER_LEN, why);
    if (err)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "answer", "a code and a map", "a refusal without a reason",
                                  "%lld", (long long)code);
    return why->code != 0 ? why->code : MSCOPE_EPROTO;
}

/* -- descriptors ------------------------------------------------------------------------------ */

size_t mscope_shm_descriptor_encode(const mscope_shm_descriptor *w, uint8_t out[MSCOPE_SHM_DESCRIPTOR_MAX])
{
    mscope_put_le(out, w->shm, 8);
    for (unsigned i = 0; i < w->parts; i++) {
        mscope_put_le(out + 8 + 16 * i, w->part[i].offset, 8);
        mscope_put_le(out + 16 + 16 * i, w->part[i].len, 8);
    }
    return 8 + 16 * (size_t)w->parts;
}

int mscope_shm_descriptor_decode(const uint8_t *in, size_t len, mscope_shm_descriptor *w, mscope_refusal *why)
{
    if (len < 8 + 16 || len > MSCOPE_SHM_DESCRIPTOR_MAX || (len - 8) % 16 != 0)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "descriptor", "8 + 16 k bytes, k 1..4",
                                  "a descriptor is the number of a ring and the places of 1 to 4 bodies", "%zu bytes",
                                  len);
    w->shm = mscope_get64(in);
    w->parts = (unsigned)(len - 8) / 16;
    for (unsigned i = 0; i < w->parts; i++)
        w->part[i] = (mscope_shm_extent){ mscope_get64(in + 8 + 16 * i), mscope_get64(in + 16 + 16 * i) };
    return 0;
}

int mscope_shm_descriptor_check(const mscope_shm_descriptor *w, uint64_t bytes, mscope_refusal *why)
{
    char range[64];

    for (unsigned i = 0; i < w->parts; i++) {
        const mscope_shm_extent *p = &w->part[i];
        if (p->offset % MSCOPE_SHM_ALIGN != 0 || p->offset > bytes) {
            (void)snprintf(range, sizeof range, "0..%llu, a multiple of 64", (unsigned long long)bytes);
            return mscope_refusal_set(why, MSCOPE_EINVAL, "offset", range, "a body that does not begin in the ring",
                                      "%llu of body %u", (unsigned long long)p->offset, i);
        }
        if (p->len > bytes - p->offset) {
            (void)snprintf(range, sizeof range, "0..%llu", (unsigned long long)(bytes - p->offset));
            return mscope_refusal_set(why, MSCOPE_EINVAL, "length", range, "a body that ends outside the ring",
                                      "%llu of body %u", (unsigned long long)p->len, i);
        }
    }
    return 0;
}
