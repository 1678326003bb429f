/* realtime.c - see realtime.h
 *
 * Only the engine's thread gets priority. Publisher, saver and libzmq's thread stay as they were: they delay telemetry,
 * not training, and a busy engine leaves them the other processors (and, by the kernel's limit on real-time threads, a
 * twentieth of its own).                                                                                     */
#include "realtime.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"

#define PRIORITY 10                  /* above all that is not real time, below what systems use for themselves      */
#define STACK (256 * 1024)           /* of the engine's thread, touched once                                        */

typedef struct saying {
    char *text;
    size_t len;
} saying;

/* Report one step: done, or refused and why. */
static void say(saying *s, int err, const char *hint, const char *format, ...) __attribute__((format(printf, 4, 5)));

static void say(saying *s, int err, const char *hint, const char *format, ...)
{
    char what[64];
    va_list ap;
    int n;

    va_start(ap, format);
    (void)vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    if (err)
        mscope_log(MSCOPE_LOG_WARN, "main", "real time: %s refused: %s (%s)", what, strerror(err), hint);
    else
        mscope_log(MSCOPE_LOG_INFO, "main", "real time: %s", what);
    n = snprintf(s->text + s->len, 192 - s->len, "%s%s%s%s", s->len > 0 ? ", " : "", what, err ? " refused: " : "",
                 err ? strerror(err) : "");
    s->len += n > 0 ? (size_t)n : 0;
    if (s->len > 191)
        s->len = 191;
}

void mscope_realtime_heap(void)
{
    (void)mallopt(M_MMAP_MAX, 0);
    (void)mallopt(M_TRIM_THRESHOLD, INT_MAX);
}

/* Can any amount of memory be locked? */
static int unlimited(void)
{
    const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct has[2] = { { 0, 0, 0 }, { 0, 0, 0 } };

    return (syscall(SYS_capget, &head, has) == 0 && (has[0].effective & (1u << CAP_IPC_LOCK)) != 0) ||
           setrlimit(RLIMIT_MEMLOCK, &none) == 0;
}

/* Under a limit, memory mapped later is not locked: a mapping beyond the limit would fail, and a table be refused. */
static void lock_memory(saying *s)
{
    if (mlockall(MCL_CURRENT) != 0) {
        say(s, errno, "raise ulimit -l, or give CAP_IPC_LOCK", "locking memory");
        return;
    }
    if (unlimited() && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0)
        say(s, 0, "", "memory locked, tables too");
    else
        say(s, 0, "", "memory locked, but not that of tables");
}

static void touch_stack(void)
{
    volatile char stack[STACK];

    for (size_t i = 0; i < sizeof stack; i += 4096)
        stack[i] = 0;
}

static void stay_on(saying *s, uint64_t cpu)
{
    cpu_set_t one;
    int err;

    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    err = pthread_setaffinity_np(pthread_self(), sizeof one, &one);
    say(s, err, "taskset -p shows the processors that this process may use", "cpu %u", (unsigned)cpu);
}

void mscope_realtime_engine(const mscope_options *o, char said[192])
{
    const struct sched_param first = { .sched_priority = PRIORITY };
    saying s = { said, 0 };

    (void)snprintf(said, 192, "off");
    if (o->realtime) {
        touch_stack();
        lock_memory(&s);
        say(&s, 0, "", "memory faulted in");
        say(&s, pthread_setschedparam(pthread_self(), SCHED_FIFO, &first), "raise ulimit -r, or give CAP_SYS_NICE",
            "SCHED_FIFO %d", PRIORITY);
        say(&s, prctl(PR_SET_TIMERSLACK, 1ul) != 0 ? errno : 0, "", "timers without slack");
    }
    if (o->cpu != MSCOPE_ANY_CPU)
        stay_on(&s, o->cpu);
}
