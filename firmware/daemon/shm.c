/* shm.c - see shm.h; protocol/README.md 1.11 has the bytes
 *
 * Whatever a trainer does, its mapping must never raise SIGBUS here: only a memfd of tmpfs, sealed against
 * shrinking, is accepted. It is mapped for reading. Processes of other users are turned away. */
#include "shm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "protocol/refusal.h"
#include "protocol/shm.h"
#include "log.h"
#include "sessions.h"

#define TMPFS 0x01021994             /* statfs: memfd without huge pages of its own            */
enum { LISTENER = MSCOPE_SHM_PLACES, EVENTS = 16, FILES = 4 };

int mscope_shm_server_init(mscope_shm_server *l, mscope_engine *engine, int listener)
{
    struct epoll_event e = { .events = EPOLLIN, .data.u32 = LISTENER };

    *l = (mscope_shm_server){ engine, listener, -1 };
    engine->cfg.shm = 0;
    if (listener < 0)
        return 0;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, listener, &e) != 0) {
        mscope_shm_server_fini(l);
        return MSCOPE_EIO;
    }
    engine->cfg.shm = 1;
    return 0;
}

static void let_go(mscope_shm_map *x)
{
    if (x->at != NULL)
        (void)munmap((void *)(uintptr_t)x->at, x->len);
    if (x->used)
        (void)close(x->fd);
    memset(x, 0, sizeof *x);
}

void mscope_shm_server_fini(mscope_shm_server *l)
{
    for (unsigned i = 0; i < MSCOPE_SHM_PLACES; i++)
        let_go(&l->engine->shm[i]);
    if (l->epoll >= 0)
        (void)close(l->epoll);
    l->epoll = -1;
}

void mscope_shm_server_sweep(mscope_shm_server *l)
{
    for (unsigned i = 0; i < MSCOPE_SHM_PLACES; i++) {
        mscope_shm_map *x = &l->engine->shm[i];
        const mscope_session *ses = x->at != NULL ? mscope_session_find(l->engine, x->session) : NULL;
        if (x->at != NULL && (ses == NULL || ses->left || ses->gone))
            let_go(x);
    }
}

/* -- connections ------------------------------------------------------------------------------ */

static int same_user(int fd, unsigned *uid)
{
    struct ucred who = { .uid = (uid_t)-1 };
    socklen_t len = sizeof who;
    const int known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0;

    *uid = (unsigned)who.uid;
    return known && who.uid == geteuid();
}

/* A trainer that insists on shared memory learns why it gets none. */
static void turn_away(int fd, const mscope_refusal *why)
{
    uint8_t answer[MSCOPE_HELLO_MAX];

    mscope_log(MSCOPE_LOG_WARN, "shm", "refused a connection: %s is %s, expected %s", why->field, why->value,
               why->range);
    (void)send(fd, answer, mscope_shm_answer_encode(why, answer), MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)close(fd);
}

/* A free place, or the place of the oldest connection that has made no offer yet. */
static mscope_shm_map *place(mscope_engine *e)
{
    mscope_shm_map *oldest = NULL;

    for (unsigned i = 0; i < MSCOPE_SHM_PLACES; i++) {
        mscope_shm_map *x = &e->shm[i];
        if (!x->used)
            return x;
        if (x->at == NULL && (oldest == NULL || x->since_ns < oldest->since_ns))
            oldest = x;
    }
    if (oldest != NULL)
        let_go(oldest);
    return oldest;
}

static void welcome(mscope_shm_server *l, uint64_t now_ns)
{
    int fd = accept4(l->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    mscope_shm_map *x;
    mscope_refusal why;
    char range[sizeof why.range];
    unsigned uid;
    struct epoll_event e = { .events = EPOLLIN };

    if (fd < 0)
        return;
    if (!same_user(fd, &uid)) {
        (void)snprintf(range, sizeof range, "the daemon's own, uid %u", (unsigned)geteuid());
        (void)mscope_refusal_set(&why, MSCOPE_ENOTSUP, "user", range,
                                 "shared memory is for trainers of the daemon's user", "uid %u", uid);
        turn_away(fd, &why);
        return;
    }
    if ((x = place(l->engine)) == NULL) {
        (void)snprintf(range, sizeof range, "at most %d at once", MSCOPE_SHM_PLACES);
        (void)mscope_refusal_set(&why, MSCOPE_EBUSY, "shm", range, "every place for shared memory is taken",
                                 "one more");
        turn_away(fd, &why);
        return;
    }
    e.data.u32 = (uint32_t)(x - l->engine->shm);
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
        (void)close(fd);
        return;
    }
    *x = (mscope_shm_map){ .used = 1, .fd = fd, .since_ns = now_ns };
}

/* -- offers ----------------------------------------------------------------------------------- */

/* One packet and the files that came with it; files after the first are closed. Returns its bytes; <= 0: the peer
 * left. */
static ssize_t receive(int from, uint8_t *packet, size_t cap, int *file, unsigned *files)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(FILES * sizeof(int))];
    } control;
    struct iovec io = { packet, cap };
    struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    ssize_t n = recvmsg(from, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);

    *file = -1;
    *files = 0;
    for (struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&m) : NULL; c != NULL; c = CMSG_NXTHDR(&m, c)) {
        size_t bytes = c->cmsg_len - CMSG_LEN(0);
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < bytes / sizeof(int); i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if ((*files)++ == 0)
                *file = fd;
            else
                (void)close(fd);
        }
    }
    return n;
}

static int check_file(int file, unsigned files, const mscope_shm_offer *o, mscope_refusal *why)
{
    struct stat st;
    struct statfs fs;
    int seals = file >= 0 ? fcntl(file, F_GET_SEALS) : -1;

    if (files != 1)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "files", "1", "the file of the ring comes with the offer", "%u",
                                  files);
    if (fstat(file, &st) != 0 || !S_ISREG(st.st_mode) || fstatfs(file, &fs) != 0 || fs.f_type != TMPFS || seals < 0)
        return mscope_refusal_set(why, MSCOPE_EINVAL, "file", "a memfd on ordinary pages", "the ring must be a memfd",
                                  "%s", "another file");
    if (!(seals & F_SEAL_SHRINK))
        return mscope_refusal_set(why, MSCOPE_EINVAL, "seals", "F_SEAL_SHRINK among them",
                                  "a file that can shrink could kill its readers", "0x%x", (unsigned)seals);
    if ((uint64_t)st.st_size != o->bytes)
        return mscope_refusal_set(why, MSCOPE_EINVAL, "bytes", "the size of the file", "the offer says another size",
                                  "%llu, the file has %llu", (unsigned long long)o->bytes,
                                  (unsigned long long)st.st_size);
    return 0;
}

static int check_session(mscope_engine *e, const mscope_shm_offer *o, mscope_refusal *why)
{
    const mscope_session *ses = o->session != 0 ? mscope_session_find(e, o->session) : NULL;

    if (o->epoch != e->epoch)
        return mscope_refusal_set(why, MSCOPE_ESTATE, "epoch", "that of this daemon's WELCOME",
                                  "the offer is for another daemon", "%llu", (unsigned long long)o->epoch);
    if (ses == NULL || ses->left)
        return mscope_refusal_set(why, MSCOPE_ESTATE, "session", "a session that said HELLO",
                                  "this daemon does not know the session: say HELLO first", "%llu",
                                  (unsigned long long)o->session);
    return 0;
}

static int accept_offer(mscope_engine *e, mscope_shm_map *x, const uint8_t *packet, size_t len, int file,
                        unsigned files, mscope_refusal *why)
{
    mscope_shm_offer o;
    void *at;
    int err = mscope_shm_offer_decode(packet, len, &o, why);

    if (!err)
        err = check_session(e, &o, why);
    if (!err)
        err = check_file(file, files, &o, why);
    if (err)
        return err;
    at = mmap(NULL, (size_t)o.bytes, PROT_READ, MAP_SHARED, file, 0);
    if (at == MAP_FAILED)
        return mscope_refusal_set(why, MSCOPE_ENOMEM, "bytes", "memory that the system can map", strerror(errno),
                                  "%llu", (unsigned long long)o.bytes);
    for (unsigned i = 0; i < MSCOPE_SHM_PLACES; i++)      /* a session has one ring: its last */
        if (e->shm[i].at != NULL && e->shm[i].session == o.session)
            let_go(&e->shm[i]);
    x->session = o.session;
    x->id = o.shm;
    x->at = at;
    x->len = (size_t)o.bytes;
    return 0;
}

static void on_packet(mscope_shm_server *l, mscope_shm_map *x)
{
    uint8_t packet[MSCOPE_SHM_OFFER_LEN + 8], answer[MSCOPE_HELLO_MAX];
    mscope_refusal why = { 0 };
    unsigned files;
    int file, open = x->at != NULL;
    ssize_t n = receive(x->fd, packet, sizeof packet, &file, &files);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || open) {                            /* it left; after an accepted offer nothing more may come */
        if (file >= 0)
            (void)close(file);
        let_go(x);
        return;
    }
    (void)accept_offer(l->engine, x, packet, (size_t)n, file, files, &why);
    if (file >= 0)
        (void)close(file);
    mscope_log(MSCOPE_LOG_DEBUG, "shm", "offer of %zd bytes %s%s %s", n, why.code ? "refused: " : "accepted", why.field,
               why.value);
    if (send(x->fd, answer, mscope_shm_answer_encode(&why, answer), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 || why.code != 0)
        let_go(x);
}

void mscope_shm_server_serve(mscope_shm_server *l, uint64_t now_ns)
{
    struct epoll_event e[EVENTS];
    int n = l->epoll >= 0 ? epoll_wait(l->epoll, e, EVENTS, 0) : 0;

    for (int i = 0; i < n; i++) {
        if (e[i].data.u32 == LISTENER)
            welcome(l, now_ns);
        else if (l->engine->shm[e[i].data.u32].used)
            on_packet(l, &l->engine->shm[e[i].data.u32]);
    }
}
