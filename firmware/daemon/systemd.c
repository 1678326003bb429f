/* systemd.c - see systemd.h
 *
 * Rejected: libsystemd. Its share here would be one send, and the daemon would bring liblz4, liblzma and libgcrypt. */
#include "systemd.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Half of the time after which systemd would take us for dead; 0 if it does not wait for this process. */
static uint64_t half_of_watchdog(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    char *end;
    unsigned long long n;

    if (usec == NULL || usec[0] < '0' || usec[0] > '9' ||
        (pid != NULL && strtoll(pid, NULL, 10) != (long long)getpid()))
        return 0;
    errno = 0;
    n = strtoull(usec, &end, 10);
    return *end == '\0' && errno == 0 && n < UINT64_MAX / 1000 ? n * 500 : 0;
}

/* The socket, connected: a path, or a name of the abstract space after '@'. */
static int connected(const char *where)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    const size_t len = where != NULL ? strlen(where) : 0;
    const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    int fd;

    if (len < 2 || len >= sizeof a.sun_path || (where[0] != '/' && where[0] != '@'))
        return -1;
    memcpy(a.sun_path, where, len);
    if (where[0] == '@')
        a.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&a, size) == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

void mscope_systemd_open(mscope_systemd *n)
{
    n->fd = connected(getenv("NOTIFY_SOCKET"));
    n->every_ns = n->fd >= 0 ? half_of_watchdog() : 0;
    n->next_ns = 0;
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

void mscope_systemd_say(const mscope_systemd *n, const char *message)
{
    if (n != NULL && n->fd >= 0 && send(n->fd, message, strlen(message), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        /* systemd is slow or gone: neither is a reason to stop */
    }
}

void mscope_systemd_alive(mscope_systemd *n, uint64_t now_ns)
{
    if (n == NULL || n->every_ns == 0 || now_ns < n->next_ns)
        return;
    n->next_ns = now_ns + n->every_ns;
    mscope_systemd_say(n, "WATCHDOG=1");
}

void mscope_systemd_close(mscope_systemd *n)
{
    if (n->fd >= 0)
        (void)close(n->fd);
    n->fd = -1;
}
