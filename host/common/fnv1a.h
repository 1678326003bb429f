/* fnv1a.h - FNV-1a, a 64-bit hash of a text; not for secrets */
#ifndef MSCOPE_COMMON_FNV1A_H
#define MSCOPE_COMMON_FNV1A_H

#include <stdint.h>

/* mscope_fnv1a - hash of text under a seed; the hash of one text as the seed of the next hashes a sequence of texts */
static inline uint64_t mscope_fnv1a(uint64_t seed, const char *text)
{
    uint64_t h = 14695981039346656037u ^ seed;

    for (; *text != '\0'; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    return h;
}

#endif
