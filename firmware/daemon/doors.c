/* doors.c - see doors.h
 *
 * The C library's names that libzmq calls. What they decide is in doors_admit.c (who comes in), doors_weigh.c (what
 * comes in) and doors_turn.c (turning away). A limit that is met ends the connection: the functions below say
 * ECONNRESET, libzmq gives back what it held and closes. */
#include "doors_inside.h"

#include <errno.h>
#include <unistd.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { RESERVE = 64 };                   /* descriptors that no connection gets: state file, log, shared memory */

static int spare;                        /* a descriptor to give up when there is no other */
static _Thread_local enum mscope_door listening;

/* The C library's names. Its headers may declare them with other types (GNU's transparent unions) or as macros. */
int mscope_doors_accept4(int fd, struct sockaddr *from, socklen_t *len, int flags) __asm__("accept4");
ssize_t mscope_doors_recv(int fd, void *to, size_t len, int flags) __asm__("recv");
int mscope_doors_listen_on(int fd, int backlog) __asm__("listen");
int mscope_doors_close_fd(int fd) __asm__("close");

/* Not recvfrom: a thread sanitizer would take that for a write of ours, and cannot see how libzmq hands bytes on. */
ssize_t mscope_doors_recv(int fd, void *to, size_t len, int flags)
{
    const ssize_t n = (ssize_t)syscall(SYS_recvfrom, fd, to, len, flags, NULL, NULL);
    mscope_door_place *p = mscope_doors_place_of(fd);
    const char *why = NULL;

    if (n <= 0 || p == NULL || atomic_load_explicit(&p->door, memory_order_relaxed) == MSCOPE_DOOR_NONE)
        return n;
    if (!p->out && (why = mscope_doors_weigh(p, to, (size_t)n)) != NULL)
        mscope_doors_end(fd, why);
    if (!p->out)
        mscope_doors_relieve();
    if (!p->out)
        return n;
    errno = ECONNRESET;
    return -1;
}

/* With no descriptor left, libzmq would be woken for ever by the peer that waits, or abort. */
static int accept_and_drop(int fd)
{
    if (spare >= 0)
        (void)syscall(SYS_close, spare);
    const int got = (int)syscall(SYS_accept4, fd, NULL, NULL, SOCK_CLOEXEC);
    if (got >= 0)
        (void)syscall(SYS_close, got);
    spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    errno = ECONNABORTED;
    return -1;
}

int mscope_doors_accept4(int fd, struct sockaddr *from, socklen_t *len, int flags)
{
    const mscope_door_place *at = mscope_doors_place_of(fd);
    const enum mscope_door door = at != NULL ? (enum mscope_door)at->listens : MSCOPE_DOOR_NONE;
    int got = (int)syscall(SYS_accept4, fd, from, len, flags);
    const char *why;
    char who[64];
    uid_t uid;

    if (door == MSCOPE_DOOR_NONE)
        return got;
    if (got < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
        mscope_doors_note(door, "a peer", "there were no descriptors left for it");
        return accept_and_drop(fd);
    }
    if (got < 0)
        return got;
    const uint64_t peer = mscope_doors_who(got, who, &uid);
    why = mscope_doors_admit(got, door, peer, uid);
    if (why == NULL) {
        mscope_doors_enter(got, door, who, peer);
        return got;
    }
    mscope_doors_note(door, who, why);
    (void)syscall(SYS_close, got);
    errno = ECONNABORTED;
    return -1;
}

int mscope_doors_listen_on(int fd, int backlog)
{
    mscope_door_place *p = mscope_doors_place_of(fd);

    if (p != NULL)
        p->listens = listening;
    return (int)syscall(SYS_listen, fd, backlog);
}

int mscope_doors_close_fd(int fd)
{
    mscope_door_place *p = mscope_doors_place_of(fd);

    if (p != NULL && atomic_load_explicit(&p->door, memory_order_relaxed) != MSCOPE_DOOR_NONE) {
        if (mscope_peers.limit.keyed && !p->out && mscope_zmtp_greeting(&p->wire))
            mscope_doors_note((enum mscope_door)p->door, p->who, "it has no keys (MOMENTSCOPE_KEYS)");
        mscope_doors_forget(p);
        atomic_store_explicit(&p->door, MSCOPE_DOOR_NONE, memory_order_relaxed);
    }
    if (p != NULL)
        p->listens = MSCOPE_DOOR_NONE;
    return (int)syscall(SYS_close, fd);
}

/* -- for the daemon ------------------------------------------------------------------------------ */

int mscope_doors_open(const mscope_doors_limits *limits)
{
    struct rlimit r = { 0, 0 };
    size_t n;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
        (void)getrlimit(RLIMIT_NOFILE, &r);
    }
    n = r.rlim_cur > MSCOPE_DOORS_MOST ? MSCOPE_DOORS_MOST : (size_t)r.rlim_cur;
    n = n > 3 * RESERVE ? n - RESERVE : n * 2 / 3;
    void *at = mmap(NULL, n * sizeof(mscope_door_place), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED || mscope_doors_tell_open() != 0)
        return MSCOPE_ENOMEM;
    mscope_peers.limit = *limits;
    if (limits->connections > n - n / 16)            /* the others are the daemon's own */
        mscope_peers.limit.connections = (uint32_t)(n - n / 16);
    spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    mscope_peers.at = at;
    mscope_peers.n = n;
    return 0;
}

void mscope_doors_listen(enum mscope_door door)
{
    listening = door;
}
