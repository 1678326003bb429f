/* room.c - see room.h */
#include "room.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"
#include "protocol/refusal.h"

enum {
    CONTEXT = 8,                         /* descriptors of a context: mailboxes and epolls of two threads, and spares */
    SOCKET = 3,                          /* of a socket: its mailbox, and connection and mailbox while it connects */
    THREADS = 2,                         /* of a context                                                       */
    MOST = 64
};

static int try_descriptors(unsigned n)
{
    int fd[MOST], status = 0;
    unsigned have = 0;

    for (n = n < MOST ? n : MOST; have < n && status == 0; have++)
        if ((fd[have] = eventfd(0, EFD_CLOEXEC)) < 0) {
            status = errno;
            break;
        }
    while (have > 0)
        (void)close(fd[--have]);
    return status;
}

static void *wait_for(void *mutex)
{
    (void)pthread_mutex_lock(mutex);
    (void)pthread_mutex_unlock(mutex);
    return NULL;
}

/* All of them at a time: a limit on threads counts those that live. */
static int try_threads(void)
{
    pthread_mutex_t hold = PTHREAD_MUTEX_INITIALIZER;
    pthread_t thread[THREADS];
    int status = 0, have = 0;

    (void)pthread_mutex_lock(&hold);
    while (have < THREADS && status == 0)
        if ((status = pthread_create(&thread[have], NULL, wait_for, &hold)) == 0)
            have++;
    (void)pthread_mutex_unlock(&hold);
    while (have > 0)
        (void)pthread_join(thread[--have], NULL);
    return status;
}

int mscope_room_check(unsigned sockets)
{
    const unsigned n = CONTEXT + SOCKET * sockets;
    int status = try_descriptors(n);

    if (status != 0)
        return mscope_refusal_set(mscope_why(), MSCOPE_EIO, "descriptors", "a few free (ulimit -n)",
                                  "ZeroMQ would abort this process without them: raise ulimit -n, or close files",
                                  "fewer than %u: %s", n, strerror(status));
    if ((status = try_threads()) != 0)
        return mscope_refusal_set(mscope_why(), MSCOPE_EIO, "threads",
                                  "2 more (ulimit -u, or pids.max of the container)",
                                  "ZeroMQ would abort this process without them", "%s", strerror(status));
    return 0;
}
