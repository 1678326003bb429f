/* times.c - see times.h */
#include "times.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include <signal.h>
#include <sys/resource.h>
#include <time.h>

static volatile sig_atomic_t stops;

static void went_on(int signal)
{
    (void)signal;
    stops = stops + 1;
}

void faults_times_skip_stops(void)
{
    const struct sigaction act = { .sa_handler = went_on, .sa_flags = SA_RESTART };

    (void)sigaction(SIGCONT, &act, NULL);
}

static double seconds(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

faults_moment faults_now(void)
{
    faults_moment m = { .stops = { stops, 0 } };
    struct rusage u = { 0 };

    (void)getrusage(RUSAGE_THREAD, &u);
    m.gave_up = u.ru_nvcsw;
    m.paged = u.ru_majflt;
    m.faulted = u.ru_minflt;
    m.kernel = (double)u.ru_stime.tv_sec + 1e-6 * (double)u.ru_stime.tv_usec;
    m.wall = seconds(CLOCK_MONOTONIC);
    m.cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
    m.stops[1] = stops;
    return m;
}

int faults_times_note(faults_times *t, faults_moment from, faults_moment to)
{
    const double took = to.wall - from.wall;
    const double at = 16 * (log2(1e6 * took + 1e-9) + 10);

    if (to.stops[1] != from.stops[0])
        return 0;
    t->bucket[at < 0 ? 0 : at < TIMES_BUCKETS - 1 ? (int)at : TIMES_BUCKETS - 1]++;
    t->n++;
    t->most = fmax(t->most, took);
    t->total += took;
    if (took <= 1e-3)
        return 0;
    t->above++;
    if (to.gave_up != from.gave_up && to.paged == from.paged)
        return t->waited++, 1;
    return to.cpu - from.cpu > 1e-3 ? t->worked++, 1 : 0;
}

static double quantile(const faults_times *t, double q)
{
    uint64_t below = 0;
    int i = 0;

    while (i < TIMES_BUCKETS - 1 && (double)(below += t->bucket[i]) < q * (double)t->n)
        i++;
    return 1e-6 * exp2((i + 1) / 16.0 - 10);
}

void faults_times_print(const faults_times *t, const char *name)
{
    static const double q[] = { 0.5, 0.99, 0.999, 0.9999 };

    printf("\"%s\":{\"n\":%" PRIu64 ",\"above\":%" PRIu64 ",\"waited\":%" PRIu64 ",\"worked\":%" PRIu64
           ",\"most\":%.9g,\"total\":%.9g,\"quantiles\":[",
           name, t->n, t->above, t->waited, t->worked, t->most, t->total);
    for (int i = 0; i < 4; i++)
        printf("%s%.4g", i > 0 ? "," : "", quantile(t, q[i]));
    printf("],\"buckets\":{");
    for (int i = 0, any = 0; i < TIMES_BUCKETS; i++)
        if (t->bucket[i] > 0)
            printf("%s\"%d\":%" PRIu64, any++ ? "," : "", i, t->bucket[i]);
    printf("}}");
}
