/* measure.h - what the compiled benches share: memory as the daemon maps it, clocks, quantiles, JSON rows for
 * tests/speed/run */
#ifndef TESTS_BENCH_MEASURE_H
#define TESTS_BENCH_MEASURE_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define MOST_REPEATS 512

/* Zero bytes on huge pages where the system has them, as the daemon asks for them. Ends the program when there are
 * none. */
static inline void *huge(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    (void)madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

static inline double clock_ns(clockid_t which)
{
    struct timespec t;

    clock_gettime(which, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* Of this thread: not the time of whoever else runs here. */
static inline double cpu_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static inline double wall_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* Time that this process's threads were ready to run and had to wait for a processor; -1: this system does not say. */
static inline double waited_ns(void)
{
    DIR *tasks = opendir("/proc/self/task");
    double sum = tasks ? 0.0 : -1.0;

    for (struct dirent *d; tasks && (d = readdir(tasks)) != NULL;) {
        char path[320];
        double ran, waited;
        FILE *f;

        if (d->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", d->d_name);
        f = fopen(path, "r");
        if (f == NULL || fscanf(f, "%lf %lf", &ran, &waited) != 2)
            sum = -1.0;
        else if (sum >= 0.0)
            sum += waited;
        if (f)
            fclose(f);
    }
    if (tasks)
        closedir(tasks);
    return sum;
}

/* How often another program took this thread's processor so far: a repeat during which this moves measures that
 * program too. */
static inline long preemptions(void)
{
    struct rusage u;

    return getrusage(RUSAGE_THREAD, &u) == 0 ? u.ru_nivcsw : 0;
}

static inline int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static inline double quantile(const double *x, size_t n, double q)
{
    double sorted[MOST_REPEATS];

    memcpy(sorted, x, n * sizeof *x);
    qsort(sorted, n, sizeof *sorted, by_value);
    return sorted[(size_t)(q * (double)(n - 1) + 0.5)];
}

/* Ours against a peer, repeat by repeat. */
typedef struct versus {
    size_t n;
    double ours[MOST_REPEATS], peer[MOST_REPEATS], ratio[MOST_REPEATS];
} versus;

static inline void versus_add(versus *v, double ours, double peer)
{
    v->ours[v->n] = ours;
    v->peer[v->n] = peer;
    v->ratio[v->n++] = ours / peer;
}

static inline const char *target_text(double target, char out[32])
{
    snprintf(out, 32, target > 0.0 ? "%.4g" : "null", target);
    return out;
}

/* target 0: none stated. higher: whether more is better. extra: further members of the object, or "". */
static inline void print_versus(const char *bench, const char *row, const char *unit, const char *peer_name,
                                const versus *v, double target, int higher, int checked, const char *extra)
{
    char stated[32];

    printf("{\"bench\":\"%s\",\"row\":\"%s\",\"ours\":%.5g,\"peer\":%.5g,\"unit\":\"%s\",\"peer_name\":\"%s\","
           "\"ratio\":%.4g,\"q25\":%.4g,\"q75\":%.4g,\"repeats\":%zu,\"target\":%s,\"better\":\"%s\"%s,"
           "\"checked\":%s}\n", bench, row,
           quantile(v->ours, v->n, 0.5), quantile(v->peer, v->n, 0.5), unit, peer_name, quantile(v->ratio, v->n, 0.5),
           quantile(v->ratio, v->n, 0.25), quantile(v->ratio, v->n, 0.75), v->n, target_text(target, stated),
           higher ? "higher" : "lower", extra, checked ? "true" : "false");
    fflush(stdout);
}

/* A figure without a peer: then ratio, its quartiles and the target are in `unit`. */
static inline void print_value(const char *bench, const char *row, const char *unit, const double *x, size_t n,
                               double target, int checked, const char *extra)
{
    double median = quantile(x, n, 0.5);
    char stated[32];

    printf("{\"bench\":\"%s\",\"row\":\"%s\",\"ours\":%.5g,\"peer\":null,\"unit\":\"%s\",\"peer_name\":null,"
           "\"ratio\":%.5g,\"q25\":%.5g,\"q75\":%.5g,\"repeats\":%zu,\"target\":%s,\"better\":\"lower\"%s,"
           "\"checked\":%s}\n", bench,
           row, median, unit, median, quantile(x, n, 0.25), quantile(x, n, 0.75), n, target_text(target, stated), extra,
           checked ? "true" : "false");
    fflush(stdout);
}

#endif
