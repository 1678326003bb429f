/* bytes.h - numbers as bytes, CRC-32 and a hash, for wire and files (private: protocol, daemon, client, tape) */
#ifndef MSCOPE_PROTOCOL_BYTES_H
#define MSCOPE_PROTOCOL_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void mscope_put_le(uint8_t *p, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint64_t mscope_get_le(const uint8_t *p, int bytes)
{
    uint64_t v = 0;

    for (int i = bytes; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

/* For arrays. Spelled out, because compilers turn this shape, and not a loop, into one load on little-endian
 * machines. */
static inline uint32_t mscope_get16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static inline uint32_t mscope_get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t mscope_get64(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 |
           (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

/* Floats and the integers of the same bits, as wire and files have them. */
static inline uint64_t mscope_f64_bits(double x)
{
    uint64_t u;

    memcpy(&u, &x, sizeof u);
    return u;
}

static inline double mscope_bits_f64(uint64_t u)
{
    double x;

    memcpy(&x, &u, sizeof x);
    return x;
}

static inline float mscope_bits_f32(uint32_t u)
{
    float x;

    memcpy(&x, &u, sizeof x);
    return x;
}

/* mscope_crc32 - IEEE 802.3 (reflected 0xedb88320), continued from crc (0 at the start)
 * Threads  any.  Cost about 1 ns a byte                                                           */
uint32_t mscope_crc32(uint32_t crc, const void *bytes, size_t len);

/* mscope_fnv1a - FNV-1a of 64 bits over a string, for hash tables in memory */
static inline uint64_t mscope_fnv1a(const char *s)
{
    uint64_t h = 14695981039346656037u;

    while (*s != '\0')
        h = (h ^ (unsigned char)*s++) * 1099511628211u;
    return h;
}

#endif
