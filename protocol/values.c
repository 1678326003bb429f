/* values.c - arrays of values and of row numbers in a message; protocol/README.md, section 1 */
#include "mscope/wire.h"

#include "bytes.h"

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
        return mscope_bits_f32(sign | 0x7f800000u | m << 13);
    if (e == 0) {
        float x = (float)m * 0x1p-24f;
        return sign ? -x : x;
    }
    return mscope_bits_f32(sign | (e + 112) << 23 | m << 13);
}

static void to_f32(const uint8_t *in, unsigned type, size_t n, float *out)
{
    switch (type) {
    case MSCOPE_F32:
        for (size_t i = 0; i < n; i++)
            out[i] = mscope_bits_f32(mscope_get32(in + 4 * i));
        return;
    case MSCOPE_F16:
        for (size_t i = 0; i < n; i++)
            out[i] = half_to_float(mscope_get16(in + 2 * i));
        return;
    case MSCOPE_BF16:
        for (size_t i = 0; i < n; i++)
            out[i] = mscope_bits_f32(mscope_get16(in + 2 * i) << 16);
        return;
    default:
        for (size_t i = 0; i < n; i++)
            out[i] = (float)mscope_bits_f64(mscope_get64(in + 8 * i));
    }
}

static void to_f64(const uint8_t *in, unsigned type, size_t n, double *out)
{
    for (size_t i = 0; i < n; i++) {
        float x;
        if (type == MSCOPE_F64) {
            out[i] = mscope_bits_f64(mscope_get64(in + 8 * i));
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
