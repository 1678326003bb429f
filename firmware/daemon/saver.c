/* saver.c - see saver.h */
#include "saver.h"

#include <errno.h>
#include <string.h>

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pages.h"

#define LARGE ((size_t)8 << 20)      /* bytes of a table; below, a fork is short anyway */

int mscope_saver_init(mscope_saver *s, const char *path)
{
    s->path = path;
    if (path == NULL)
        return 0;
    s->saved = mmap(NULL, sizeof *s->saved, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return s->saved == MAP_FAILED ? MSCOPE_ENOMEM : 0;
}

/* The child holds copies of all descriptors: of locks and sockets, which must not outlive the daemon, and of
 * connections, which would not end while it has them. It is not real-time, and ends with the daemon. */
static void leave_daemon(pid_t daemon)
{
    const struct sched_param none = { 0 };

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != daemon)
        _exit(1);
    (void)sched_setscheduler(0, SCHED_OTHER, &none);
#ifdef SYS_close_range
    if (syscall(SYS_close_range, 3u, ~0u, 0u) == 0)
        return;
#endif
    for (int fd = 3; fd < 65536; fd++)
        (void)syscall(SYS_close, fd);
}

static void note_tables(mscope_saver_large *l, const mscope_engine *e)
{
    l->n = 0;
    for (uint32_t i = 0; i < e->cfg.max_tables && l->n < sizeof l->table / sizeof l->table[0]; i++) {
        const mscope_shadow *t = &e->shadows[i];
        if (!t->used || t->map.fd > 0 || t->mem_len < LARGE)
            continue;
        l->table[l->n].at = t->mem;
        l->table[l->n++].len = t->mem_len;
    }
}

int mscope_saver_fork(mscope_saver *s, mscope_engine *e)
{
    const pid_t daemon = getpid();
    const uint64_t one = 1;
    pid_t child;

    *s->saved = (mscope_saved){ .done = 0 };
    child = fork();
    if (child == 0) {
        leave_daemon(daemon);
        _exit(mscope_store_save(e, s->path, s->saved) != 0);
    }
    if (child < 0)
        return MSCOPE_EIO;
    s->child = child;
    note_tables(&s->large, e);
    atomic_store_explicit(&s->state, MSCOPE_SAVER_WORK, memory_order_release);
    if (write(s->work_fd, &one, sizeof one) < 0)
        mscope_log(MSCOPE_LOG_WARN, "store", "cannot wake the saver: %s", strerror(errno));
    return 0;
}

/* Its temporary file is replaced by that of the next save. */
void mscope_saver_end(mscope_saver *s)
{
    atomic_store_explicit(&s->ended, 1, memory_order_release);
    if (atomic_load_explicit(&s->state, memory_order_acquire) == MSCOPE_SAVER_WORK)
        (void)kill(s->child, SIGKILL);
}

static void wait_for_child(mscope_saver *s)
{
    const uint64_t one = 1;
    mscope_saver_large large;

    while (waitpid(s->child, NULL, 0) < 0 && errno == EINTR) {
        /* a signal ended the wait */
    }
    if (s->saved->done || !atomic_load_explicit(&s->ended, memory_order_acquire))
        mscope_store_tell(s->path, s->saved, s->quiet);
    large = s->large;                        /* the engine may fork again as soon as it is told */
    atomic_store_explicit(&s->state, s->saved->done ? MSCOPE_SAVER_DONE : MSCOPE_SAVER_FAILED, memory_order_release);
    if (write(s->done_fd, &one, sizeof one) < 0)
        mscope_log(MSCOPE_LOG_WARN, "store", "cannot wake the engine: %s", strerror(errno));
    for (unsigned i = 0; i < large.n; i++)
        mscope_pages_join(large.table[i].at, large.table[i].len, &s->ended);
}

void *mscope_saver_run(void *saver)
{
    mscope_saver *s = saver;

    for (;;) {
        struct pollfd work = { .fd = s->work_fd, .events = POLLIN };
        uint64_t n;
        int stop;
        if (poll(&work, 1, -1) < 0 && errno != EINTR)
            return NULL;
        if (read(s->work_fd, &n, sizeof n) < 0) {
            /* a signal ended the poll */
        }
        /* after the read, which may have taken the wake-up that belongs to it; before the last look at the work */
        stop = atomic_load_explicit(&s->stop, memory_order_acquire);
        if (s->log != NULL)
            mscope_log_drain(s->log);
        if (atomic_load_explicit(&s->state, memory_order_acquire) == MSCOPE_SAVER_WORK)
            wait_for_child(s);
        if (stop)
            return NULL;
    }
}
