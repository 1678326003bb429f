/* clock.h - the monotonic clock, for intervals; its zero is arbitrary and its time never jumps */
#ifndef MSCOPE_COMMON_CLOCK_H
#define MSCOPE_COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t mscope_monotonic_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline double mscope_monotonic_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
