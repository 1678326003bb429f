/* bytes.h - little-endian numbers into and out of memory, for the files of the daemon */
#ifndef MSCOPE_DAEMON_BYTES_H
#define MSCOPE_DAEMON_BYTES_H

#include <stdint.h>
#include <string.h>

#include "mscope/err.h"

static inline uint32_t crc32_of(const uint8_t *p, size_t n)
{
    static const uint32_t nibble[16] = { 0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                         0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                         0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c };
    uint32_t crc = ~0u;

    for (size_t i = 0; i < n; i++) {
        crc = nibble[(crc ^ p[i]) & 15] ^ crc >> 4;
        crc = nibble[(crc ^ (uint32_t)p[i] >> 4) & 15] ^ crc >> 4;
    }
    return ~crc;
}

typedef struct writer {
    uint8_t *at;                         /* NULL: only count */
    size_t len;
} writer;

static inline int put_bytes(void *ctx, const void *bytes, size_t len)
{
    writer *w = ctx;

    if (w->at != NULL)
        memcpy(w->at + w->len, bytes, len);
    w->len += len;
    return 0;
}

static inline void put(writer *w, uint64_t v, int bytes)
{
    uint8_t le[8];

    for (int i = 0; i < bytes; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    (void)put_bytes(w, le, (size_t)bytes);
}

static inline void put_f64(writer *w, double x)
{
    uint64_t u;

    memcpy(&u, &x, sizeof u);
    put(w, u, 8);
}

typedef struct source {
    const uint8_t *at;
    size_t left;
    int cut;                             /* something was read past the end */
} source;

static inline int get_bytes(void *ctx, void *bytes, size_t len)
{
    source *s = ctx;

    if (len > s->left) {
        s->cut = 1;
        memset(bytes, 0, len);
        return MSCOPE_EPROTO;
    }
    memcpy(bytes, s->at, len);
    s->at += len;
    s->left -= len;
    return 0;
}

static inline uint64_t get(source *s, int bytes)
{
    uint8_t le[8] = { 0 };
    uint64_t v = 0;

    (void)get_bytes(s, le, (size_t)bytes);
    for (int i = 0; i < bytes; i++)
        v |= (uint64_t)le[i] << (8 * i);
    return v;
}

static inline double get_f64(source *s)
{
    uint64_t u = get(s, 8);
    double x;

    memcpy(&x, &u, sizeof x);
    return x;
}

#endif
