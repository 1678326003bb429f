/* path.h - what path.c and path_latency.c share: clock, quantiles, JSON, a daemon in this process */
#ifndef TESTS_BENCH_PATH_H
#define TESTS_BENCH_PATH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NEED(cond)                                                                                               \
    do {                                                                                                         \
        if (!(cond)) {                                                                                           \
            fprintf(stderr, "path: %s:%d: %s does not hold\n", __FILE__, __LINE__, #cond);                       \
            exit(2);                                                                                             \
        }                                                                                                        \
    } while (0)

static inline uint64_t wall_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts x. */
static inline double quantile(double *x, size_t n, double q)
{
    qsort(x, n, sizeof *x, ascending);
    return x[(size_t)(q * (double)(n - 1) + 0.5)];
}

typedef struct path_daemon {
    char dir[64], ingest[96], telemetry[96];
} path_daemon;

/* path_daemon_start - sockets in a directory of its own, engine and publisher on threads; interval 0: publish by steps
 */
void path_daemon_start(path_daemon *d, double interval, uint64_t interval_steps);
/* path_daemon_stop - in order; the directory is gone */
void path_daemon_stop(path_daemon *d);
/* path_latency - the rows about telemetry; returns 0 when every record was seen */
int path_latency(unsigned records);

#endif
