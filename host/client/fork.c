/* fork.c - see fork.h
 *
 * The lock is held while the process forks, so the child finds the list whole. In the child only calls are made that
 * a signal handler may make: other threads of the parent may have held any lock. */
#include "fork.h"

#include <pthread.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static mscope_client *first;

static void before(void)
{
    (void)pthread_mutex_lock(&lock);
}

static void after(void)
{
    (void)pthread_mutex_unlock(&lock);
}

/* libzmq owns the descriptor and may have closed it already; another file may have got its number. So it is closed only
 * where it is what it was: a connection to the socket of this endpoint. */
static void close_connection(int fd, const char *endpoint)
{
    struct sockaddr_un a;
    socklen_t len = sizeof a;

    memset(&a, 0, sizeof a);
    if (fd >= 0 && strncmp(endpoint, "ipc://", 6) == 0 && getpeername(fd, (struct sockaddr *)&a, &len) == 0 &&
        a.sun_family == AF_UNIX && len < sizeof a && strcmp(a.sun_path, endpoint + 6) == 0)
        (void)close(fd);
}

static void in_child(void)
{
    for (mscope_client *c = first; c != NULL; c = c->next) {
        if (c->shm.socket >= 0)
            (void)close(c->shm.socket);
        if (c->shm.ring.memory >= 0)
            (void)close(c->shm.ring.memory);
        close_connection(c->guard.fd, c->endpoint.address);
        c->shm.socket = c->shm.ring.memory = c->guard.fd = -1;
    }
    first = NULL;                            /* the child's children have nothing of it */
    after();
}

static void install(void)
{
    (void)pthread_atfork(before, after, in_child);
}

void mscope_fork_watch(mscope_client *c)
{
    (void)pthread_once(&once, install);
    before();
    c->next = first;
    first = c;
    after();
}

void mscope_fork_forget(const mscope_client *c)
{
    before();
    for (mscope_client **at = &first; *at != NULL; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    after();
}
