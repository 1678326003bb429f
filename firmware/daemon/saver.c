/* saver.c - see saver.h */
#include "saver.h"

#include <errno.h>
#include <string.h>

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store.h"

void *mscope_saver_run(void *saver)
{
    mscope_saver *s = saver;
    const uint64_t one = 1;

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
        if (atomic_load_explicit(&s->state, memory_order_acquire) == MSCOPE_SAVER_WORK) {
            int err = mscope_store_write(s->path, s->image, s->len);
            (void)munmap(s->image, s->len);
            atomic_store_explicit(&s->state, err ? MSCOPE_SAVER_FAILED : MSCOPE_SAVER_DONE, memory_order_release);
            if (write(s->done_fd, &one, sizeof one) < 0)
                mscope_log(MSCOPE_LOG_WARN, "store", "cannot wake the engine: %s", strerror(errno));
        }
        if (stop)
            return NULL;
    }
}
