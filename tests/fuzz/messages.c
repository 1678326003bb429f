/* messages.c - headers and bodies of ingest, labels, and the handshake of shared memory: what is taken is written again
 * as the same bytes mean */
#include "fuzz.h"
#include "mscope/wire.h"
#include "protocol/shm.h"

/* A body that is taken is a fixed point: encode, decode, encode gives the same bytes. */
#define BODY(what, type)                                                                                      \
    static void body_##what(const uint8_t *at, size_t len)                                                    \
    {                                                                                                         \
        static type v, w;                                                                                     \
        static uint8_t once[1 << 16], twice[1 << 16];                                                         \
        mscope_refusal why;                                                                                   \
        if (mscope_##what##_decode(at, len, &v, &why) != 0)                                                   \
            return;                                                                                           \
        const int n = mscope_##what##_encode(&v, once, sizeof once);                                          \
        FUZZ_HOLDS(n > 0 && mscope_##what##_decode(once, (size_t)n, &w, &why) == 0);                          \
        FUZZ_HOLDS(mscope_##what##_encode(&w, twice, sizeof twice) == n && memcmp(once, twice, (size_t)n) == 0); \
    }

BODY(hello, mscope_hello)
BODY(welcome, mscope_welcome)
BODY(direction, mscope_direction)
BODY(note, mscope_note)

static void values(const uint8_t *at, size_t len)
{
    static const unsigned types[] = { MSCOPE_F32, MSCOPE_F16, MSCOPE_BF16, MSCOPE_F64 };
    static double out[4096];
    static uint32_t rows[4096];

    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        const size_t size = mscope_value_size(types[k]), n = len / size < 4096 ? len / size : 4096;
        mscope_values_decode(at, types[k], n, out, 1);
        if (types[k] != MSCOPE_F64)
            mscope_values_decode(at, types[k], n, out, 0);
    }
    for (unsigned type = MSCOPE_U32; type <= MSCOPE_U64; type += 4) {
        const size_t n = len / type < 4096 ? len / type : 4096, bad = mscope_indices_decode(at, type, n, 1000, rows);
        FUZZ_HOLDS(bad <= n);
        for (size_t i = 0; i < bad; i++)
            FUZZ_HOLDS(rows[i] < 1000);
    }
}

/* Labels that are taken have no control characters, and as many ends as they are. */
static void labels(const uint8_t *at, size_t len)
{
    mscope_refusal why;
    size_t ends = 0;

    if (len == 0 || mscope_labels_check((const char *)at + 1, len - 1, at[0], &why) != 0)
        return;
    for (size_t i = 1; i < len; i++) {
        FUZZ_HOLDS(at[i] == 0 || (at[i] >= 0x20 && at[i] != 0x7f));
        ends += at[i] == 0;
    }
    FUZZ_HOLDS(ends == at[0]);
}

static void shm_offer(const uint8_t *at, size_t len)
{
    uint8_t again[MSCOPE_SHM_OFFER_LEN];
    mscope_shm_offer o;
    mscope_refusal why;

    if (mscope_shm_offer_decode(at, len, &o, &why) != 0)
        return;
    FUZZ_HOLDS(o.bytes >= MSCOPE_SHM_MIN && o.bytes <= MSCOPE_SHM_MAX && o.shm != 0);
    mscope_shm_offer_encode(&o, again);
    FUZZ_HOLDS(memcmp(again, at, sizeof again) == 0);
}

/* Every body of a descriptor that is taken lies in the ring. */
static void shm_descriptor(const uint8_t *at, size_t len)
{
    uint8_t again[MSCOPE_SHM_DESCRIPTOR_MAX];
    mscope_shm_descriptor w;
    mscope_refusal why;
    const uint64_t ring = len > 0 ? (uint64_t)MSCOPE_SHM_MIN << at[0] % 19 : 0;

    if (len == 0 || mscope_shm_descriptor_decode(at + 1, len - 1, &w, &why) != 0)
        return;
    FUZZ_HOLDS(w.parts <= MSCOPE_SHM_PARTS && mscope_shm_descriptor_encode(&w, again) == len - 1);
    FUZZ_HOLDS(memcmp(again, at + 1, len - 1) == 0);
    if (mscope_shm_descriptor_check(&w, ring, &why) == 0)
        for (unsigned i = 0; i < w.parts; i++)
            FUZZ_HOLDS(w.part[i].offset <= ring && w.part[i].len <= ring - w.part[i].offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    uint8_t again[MSCOPE_HEADER_LEN];
    mscope_refusal why;
    mscope_header h;

    if (len == 0)
        return 0;
    switch (bytes[0] % 11) {
    case 0:
        if (mscope_header_decode(bytes + 1, len - 1, &h, &why) == 0) {
            mscope_header_encode(&h, again);
            FUZZ_HOLDS(memcmp(again, bytes + 1, sizeof again) == 0);
        }
        break;
    case 1: body_hello(bytes + 1, len - 1); break;
    case 2: body_welcome(bytes + 1, len - 1); break;
    case 3: body_direction(bytes + 1, len - 1); break;
    case 5: body_note(bytes + 1, len - 1); break;
    case 4: (void)mscope_refusal_decode(bytes + 1, len - 1, &why); break;
    case 6: labels(bytes + 1, len - 1); break;
    case 7: shm_offer(bytes + 1, len - 1); break;
    case 8: (void)mscope_shm_answer_decode(bytes + 1, len - 1, &why); break;
    case 9: shm_descriptor(bytes + 1, len - 1); break;
    default: values(bytes + 1, len - 1); break;
    }
    return 0;
}
