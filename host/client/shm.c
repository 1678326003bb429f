/* shm.c - shared memory to a daemon on the same machine: the ring's size, and the handshake that hands it over
 *
 * The client connects to a socket beside the ingest endpoint and offers the file descriptor of its ring. The daemon
 * accepts or refuses in one packet, and keeps the ring for as long as that connection lives. */
#include "shm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "protocol/refusal.h"
#include "protocol/meet/endpoint.h"
#include "protocol/shm.h"
#include "state.h"

enum { STEPS = 8, RETRY_MS = 1000, REFUSED_MS = 30000, TRIES = 3, WARM_NS = 150000 };
#define RING_MIN ((uint64_t)1 << 20)
#define RING_MAX ((uint64_t)64 << 20)

static uint64_t round_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

static uint64_t wanted(const mscope_client *c)
{
    uint64_t most = 0, bytes;

    for (size_t i = 0; i < c->tables; i++) {
        const mscope_attach_info *in = &c->table[i].info;
        const uint64_t row_bytes = in->dim * (in->state == MSCOPE_STATE_F64 ? 8ull : 4ull);
        bytes = in->capacity * (8 + row_bytes) + 4 * MSCOPE_SHM_ALIGN;
        most = bytes > most ? bytes : most;
    }
    bytes = most > RING_MAX / STEPS ? RING_MAX : STEPS * most;
    bytes = bytes < RING_MIN ? RING_MIN : bytes;
    return round_up(bytes < c->queue.limit ? bytes : c->queue.limit, 4096);
}

/* -- handshake -------------------------------------------------------------------------------------- */

void mscope_shm_init(mscope_shm_link *l, int mode)
{
    *l = (mscope_shm_link){ .mode = mode, .socket = -1 };
    mscope_shm_ring_init(&l->ring);
}

void mscope_shm_down(mscope_shm_link *l, uint64_t retry_at)
{
    if (l->socket >= 0)
        (void)close(l->socket);
    l->socket = -1;
    l->state = MSCOPE_SHM_DOWN;
    l->retry_at = retry_at;
}

void mscope_shm_fini(mscope_shm_link *l)
{
    mscope_shm_down(l, 0);
    mscope_shm_ring_fini(&l->ring);
}

/* Why a trainer that insists on shared memory has none: told once for each connection. A reason that the next try may
 * end (a daemon that is just dying) is told when it has lasted for TRIES tries. */
static void tell(mscope_client *c, mscope_shm_link *l, const mscope_refusal *why, int lasting)
{
    if (l->mode != MSCOPE_TRANSPORT_SHM || l->told || (!lasting && ++l->tries < TRIES))
        return;
    l->told = 1;
    mscope_refusal_note(c, "no shared memory with the daemon:", why);
}

#define ELSE "steps are dropped meanwhile; set transport or MOMENTSCOPE_TRANSPORT to auto to send them through ZeroMQ"

/* lasting: the daemon is another user's, so another try will not help. */
static int connect_to(const char *path, mscope_refusal *why, int *lasting)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    struct ucred who;
    socklen_t len = sizeof who;
    char range[sizeof why->range], text[sizeof why->text];
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    memcpy(a.sun_path, path, strlen(path) + 1);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof a) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0) {
        *lasting = errno == EACCES || errno == EPERM;
        (void)snprintf(text, sizeof text, "%s; " ELSE, strerror(errno));
        (void)mscope_refusal_set(why, MSCOPE_EIO, "transport",
                                 *lasting ? "a daemon of this user" : "a socket that answers", text, "shm");
    } else if (who.uid != geteuid()) {
        *lasting = 1;
        (void)snprintf(range, sizeof range, "a daemon of this user, uid %u", (unsigned)geteuid());
        (void)snprintf(text, sizeof text, "it is of uid %u; " ELSE, (unsigned)who.uid);
        (void)mscope_refusal_set(why, MSCOPE_EINVAL, "transport", range, text, "shm");
    } else {
        return fd;
    }
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

static int send_offer(const mscope_client *c, const mscope_shm_link *l)
{
    const mscope_shm_offer o = { c->queue.session, c->stats.epoch, l->id, l->ring.len };
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    uint8_t packet[MSCOPE_SHM_OFFER_LEN];
    struct iovec io = { packet, sizeof packet };
    struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    struct cmsghdr *file;

    memset(&control, 0, sizeof control);
    mscope_shm_offer_encode(&o, packet);
    file = CMSG_FIRSTHDR(&m);
    file->cmsg_level = SOL_SOCKET;
    file->cmsg_type = SCM_RIGHTS;
    file->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(file), &l->ring.memory, sizeof(int));
    return sendmsg(l->socket, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof packet;
}

int mscope_shm_choose(int *mode, enum mscope_transport given, const char *endpoint)
{
    static const char *const names[] = { "auto", "zmq", "shm" };
    const char *said = given == MSCOPE_TRANSPORT_AUTO ? getenv("MOMENTSCOPE_TRANSPORT") : NULL;
    char path[108];

    *mode = (int)given;
    for (int i = 0; i < 3 && said != NULL && said[0] != '\0'; i++)
        if (strcmp(said, names[i]) == 0) {
            *mode = i;
            said = NULL;
        }
    if ((said != NULL && said[0] != '\0') || *mode < MSCOPE_TRANSPORT_AUTO || *mode > MSCOPE_TRANSPORT_SHM)
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, said != NULL ? "MOMENTSCOPE_TRANSPORT" : "transport",
                                  "auto, zmq or shm", "how gradients travel", said != NULL ? "%s" : "%.0s%d",
                                  said != NULL ? said : "", *mode);
    if (*mode == MSCOPE_TRANSPORT_SHM && mscope_shm_path(endpoint, path, sizeof path) != 0)
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "transport", "auto or zmq with this endpoint",
                                  "shared memory needs an endpoint ipc:// with a path", "%s", "shm");
    return 0;
}

void mscope_shm_fit(mscope_client *c)
{
    mscope_shm_link *l = &c->shm;
    uint64_t bytes = wanted(c);

    if (bytes <= l->ring.len || l->ring.head != l->ring.tail || c->slot != NULL)
        return;
    mscope_shm_down(l, 0);
    mscope_shm_ring_fini(&l->ring);
    mscope_shm_ring_make(&l->ring, bytes);
}

static void take_answer(mscope_client *c, mscope_shm_link *l, uint64_t now)
{
    uint8_t packet[MSCOPE_HELLO_MAX];
    mscope_refusal why = { 0 };
    ssize_t n = recv(l->socket, packet, sizeof packet, MSG_DONTWAIT);
    int err;

    if (n < 0 && errno == ECONNRESET)        /* the daemon closed without reading the offer: its answer follows */
        n = recv(l->socket, packet, sizeof packet, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    err = n > 0 ? mscope_shm_answer_decode(packet, (size_t)n, &why) : MSCOPE_EIO;
    if (err == 0) {
        l->state = MSCOPE_SHM_UP;
        l->told = l->tries = 0;
        return;
    }
    if (n > 0) {
        mscope_refusal_note(c, "the daemon refused shared memory:", &why);
    } else {
        (void)mscope_refusal_set(&why, MSCOPE_EIO, "transport", "an answer",
                                 "the daemon closed the connection; " ELSE, "shm");
        tell(c, l, &why, 0);
    }
    mscope_shm_down(l, now + (n > 0 ? REFUSED_MS : RETRY_MS) * MSCOPE_CLIENT_MS);
}

static void ask(mscope_client *c, mscope_shm_link *l, uint64_t now)
{
    mscope_refusal why = { 0 };
    char path[108];
    int lasting = 0;

    l->retry_at = now + RETRY_MS * MSCOPE_CLIENT_MS;
    if (l->ring.at == NULL || mscope_shm_path(c->endpoint.address, path, sizeof path) != 0)
        return;
    l->id++;
    l->socket = connect_to(path, &why, &lasting);
    if (l->socket < 0) {
        tell(c, l, &why, lasting);
        mscope_shm_down(l, now + (lasting ? REFUSED_MS : RETRY_MS) * MSCOPE_CLIENT_MS);
        return;
    }
    const int sent = send_offer(c, l);
    l->state = MSCOPE_SHM_ASKED;
    if (sent)
        return;
    take_answer(c, l, now);                  /* the daemon may have closed at once, and given its reason */
    if (l->state == MSCOPE_SHM_ASKED)
        mscope_shm_down(l, l->retry_at);
}

/* All pages at once would be a third of a millisecond to a whole one, of one step. */
static int warmed(mscope_shm_ring *r, uint64_t since)
{
    while (!mscope_shm_ring_warm(r))
        if (mscope_client_now_ns() - since > WARM_NS)
            return 0;
    return 1;
}

void mscope_shm_pump(mscope_client *c)
{
    mscope_shm_link *l = &c->shm;
    uint64_t now;

    l->warming = 0;
    if (l->state == MSCOPE_SHM_UP && l->fitted == c->tables)
        return;
    if (l->mode == MSCOPE_TRANSPORT_ZMQ || !c->established)
        return;
    if (l->offered < 0) {
        mscope_refusal why;
        (void)mscope_refusal_set(&why, MSCOPE_ENOTSUP, "transport", "a daemon that offers shared memory",
                                 "it offers none, or a recorder stands between; " ELSE, "shm");
        tell(c, l, &why, 1);
    }
    if (l->offered <= 0)
        return;
    now = mscope_client_now_ns();
    if (l->state != MSCOPE_SHM_ASKED) {
        mscope_shm_fit(c);
        l->fitted = wanted(c) <= l->ring.len ? c->tables : 0;
    }
    const int due = l->state == MSCOPE_SHM_DOWN && now >= l->retry_at;
    l->warming = due && !warmed(&l->ring, now);
    if (due && !l->warming)
        ask(c, l, now);
    if (l->state == MSCOPE_SHM_ASKED)
        take_answer(c, l, now);
}
