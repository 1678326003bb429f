/* messages.c - headers and bodies of ingest: what is taken is written again as the same bytes mean */
#include "fuzz.h"
#include "mscope/wire.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    uint8_t again[MSCOPE_HEADER_LEN];
    mscope_refusal why;
    mscope_header h;

    if (len == 0)
        return 0;
    switch (bytes[0] % 7) {
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
    default: values(bytes + 1, len - 1); break;
    }
    return 0;
}
