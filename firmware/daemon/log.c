/* log.c - see log.h */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <unistd.h>

#include "mscope/err.h"

static _Atomic int log_fd = STDERR_FILENO;
static _Atomic int log_level = MSCOPE_LOG_INFO;

int mscope_log_open(const char *path, enum mscope_level level)
{
    int fd = STDERR_FILENO, old = atomic_load(&log_fd);

    atomic_store(&log_level, (int)level);
    if (path != NULL) {
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0) {
            mscope_log(MSCOPE_LOG_ERROR, "main", "cannot open log file %s: %s", path, strerror(errno));
            return MSCOPE_EIO;
        }
    }
    if (old != STDERR_FILENO && fd != STDERR_FILENO) {
        (void)dup3(fd, old, O_CLOEXEC);      /* the number stays, so a line under way in another thread is safe */
        (void)close(fd);
        return 0;
    }
    atomic_store(&log_fd, fd);
    return 0;
}

void mscope_log(enum mscope_level level, const char *area, const char *format, ...)
{
    static const char *const names[] = { "error", "warn ", "info ", "debug" };
    char line[1024];
    struct timespec ts;
    struct tm tm;
    size_t used;
    va_list ap;
    int n;

    if ((int)level > atomic_load(&log_level))
        return;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    (void)gmtime_r(&ts.tv_sec, &tm);
    used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    n = snprintf(line + used, sizeof line - used, ".%03ldZ %s %-7s ", ts.tv_nsec / 1000000, names[level], area);
    used += n > 0 ? (size_t)n : 0;
    va_start(ap, format);
    n = vsnprintf(line + used, sizeof line - used - 1, format, ap);
    va_end(ap);
    used += n > 0 ? (size_t)n : 0;
    if (used > sizeof line - 2)
        used = sizeof line - 2;
    line[used++] = '\n';
    if (write(atomic_load(&log_fd), line, used) < 0) {
        /* nowhere left to say so */
    }
}
