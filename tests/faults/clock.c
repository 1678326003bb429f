/* clock.c - to be preloaded: a process whose clock of the day jumps, and nothing else
 *
 * The file that FAULTS_CLOCK names holds a double, seconds to add to CLOCK_REALTIME and its kin; whoever writes it lets
 * the clock jump. CLOCK_MONOTONIC stays. Rejected: libfaketime (a package more, and it moves the sleeps too), a time
 * namespace (it has the monotonic clocks alone), setting the clock (it is everybody's). */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile double *offset;

__attribute__((constructor)) static void map_offset(void)
{
    const char *path = getenv("FAULTS_CLOCK");
    const int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd >= 0 ? mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (at != MAP_FAILED)
        offset = at;
    if (fd >= 0)
        (void)close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
    const long err = syscall(SYS_clock_gettime, clock, ts);
    double s;

    if (err != 0 || offset == NULL || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return (int)err;
    s = (double)ts->tv_sec + *offset;
    ts->tv_sec = s > 0 ? (time_t)s : 0;
    return 0;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec ts;

    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
        return -1;
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec ts = { 0 };

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    if (out != NULL)
        *out = ts.tv_sec;
    return ts.tv_sec;
}
