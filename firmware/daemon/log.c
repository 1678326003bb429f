/* log.c - see log.h */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <unistd.h>

static _Atomic int log_fd = STDERR_FILENO;
static _Atomic int log_level = MSCOPE_LOG_INFO;
static _Thread_local mscope_log_queue *handed;       /* where this thread's lines go; NULL: it writes them itself */

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
        (void)dup3(fd, old, O_CLOEXEC);      /* the descriptor's number stays, so another thread may be writing */
        (void)close(fd);
        return 0;
    }
    atomic_store(&log_fd, fd);
    return 0;
}

static void write_line(enum mscope_level level, const char *area, struct timespec ts, const char *text)
{
    static const char *const names[] = { "error", "warn ", "info ", "debug" };
    char line[1024];
    struct tm tm;
    size_t used;
    int n;

    (void)gmtime_r(&ts.tv_sec, &tm);
    used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    n = snprintf(line + used, sizeof line - used - 1, ".%03ldZ %s %-7s %s", ts.tv_nsec / 1000000, names[level], area,
                 text);
    used += n > 0 ? (size_t)n : 0;
    if (used > sizeof line - 2)
        used = sizeof line - 2;
    for (size_t i = 0; i < used; i++)        /* whatever a text quotes, it stays one line and moves no cursor */
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[used++] = '\n';
    if (write(atomic_load(&log_fd), line, used) < 0) {
        /* there is no other place to report it */
    }
}

/* -- lines of a thread that must not wait ------------------------------------------------------ */

static void wake_writer(const mscope_log_queue *q)
{
    const uint64_t one = 1;

    if (write(q->wake_fd, &one, sizeof one) < 0) {
        /* the counter is full: the writer is awake already */
    }
}

int mscope_log_queue_init(mscope_log_queue *q)
{
    return mscope_ring_init(&q->ring, q->at, sizeof q->at[0], MSCOPE_LOG_SLOTS);
}

static void commit(mscope_log_queue *q)
{
    mscope_ring_commit(&q->ring);
    wake_writer(q);
}

void mscope_log(enum mscope_level level, const char *area, const char *format, ...)
{
    mscope_log_entry direct = { .level = (int)level, .area = area }, *e = &direct;
    va_list ap;

    if ((int)level > atomic_load(&log_level))
        return;
    if (handed != NULL && (e = mscope_ring_reserve(&handed->ring)) == NULL)
        return;
    if (e != &direct)
        *e = (mscope_log_entry){ .level = (int)level, .area = area };
    (void)clock_gettime(CLOCK_REALTIME, &e->at);
    va_start(ap, format);
    (void)vsnprintf(e->text, sizeof e->text, format, ap);
    va_end(ap);
    if (e == &direct)
        write_line(level, area, e->at, e->text);
    else
        commit(handed);
}

void mscope_log_reopen(const char *path)
{
    mscope_log_entry *e;

    if (handed == NULL) {
        (void)mscope_log_open(path, (enum mscope_level)atomic_load(&log_level));
        return;
    }
    e = mscope_ring_reserve(&handed->ring);
    if (e == NULL)
        return;
    *e = (mscope_log_entry){ .level = -1, .area = path };
    commit(handed);
}

void mscope_log_hand_over(mscope_log_queue *q)
{
    handed = q;
}

void mscope_log_drain(mscope_log_queue *q)
{
    uint64_t lost = atomic_exchange_explicit(&q->ring.dropped, 0, memory_order_relaxed);
    const mscope_log_entry *e;

    for (; (e = mscope_ring_peek(&q->ring)) != NULL; mscope_ring_release(&q->ring))
        if (e->level < 0)
            (void)mscope_log_open(e->area, (enum mscope_level)atomic_load(&log_level));
        else
            write_line((enum mscope_level)e->level, e->area, e->at, e->text);
    if (lost > 0)
        mscope_log(MSCOPE_LOG_WARN, "log", "%llu lines were lost: the log could not be written fast enough",
                   (unsigned long long)lost);
}
