/* clock.h - monotonic time */
#ifndef MSCOPE_DAEMON_CLOCK_H
#define MSCOPE_DAEMON_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t mscope_clock_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

#endif
