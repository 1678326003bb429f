/* clock.h - the clock of the client: monotonic nanoseconds */
#ifndef MSCOPE_CLIENT_CLOCK_H
#define MSCOPE_CLIENT_CLOCK_H

#include <stdint.h>
#include <time.h>

#define MSCOPE_CLIENT_MS ((uint64_t)1000000)     /* nanoseconds in a millisecond */

static inline uint64_t mscope_client_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The moment wait_ms from now; a negative wait is none. */
static inline uint64_t mscope_client_until_ns(int wait_ms)
{
    return mscope_client_now_ns() + (uint64_t)(wait_ms > 0 ? wait_ms : 0) * MSCOPE_CLIENT_MS;
}

#endif
