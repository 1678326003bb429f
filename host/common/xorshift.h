/* xorshift.h - xorshift64*, the small generator of the next-word model and of whoever draws its batches
 *
 * One 64-bit state, never 0; the same numbers on every machine. Statistics of the bench use mscope_bench_rng instead.
 */
#ifndef MSCOPE_COMMON_XORSHIFT_H
#define MSCOPE_COMMON_XORSHIFT_H

#include <stdint.h>

static inline uint64_t mscope_xorshift(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717u;
}

/* mscope_xorshift_uniform - a multiple of 2^-53 in [0, 1) */
static inline double mscope_xorshift_uniform(uint64_t *state)
{
    return (double)(mscope_xorshift(state) >> 11) * 0x1p-53;
}

#endif
