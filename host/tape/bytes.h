/* bytes.h - little-endian numbers in a tape (private to host/record) */
#ifndef MSCOPE_RECORD_BYTES_H
#define MSCOPE_RECORD_BYTES_H

#include <stdint.h>

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

static const char mscope_tape_magic[8] = { 'M', 'S', 'C', 'P', 'T', 'A', 'P', 'E' };

#endif
