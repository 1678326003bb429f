/* shm.c - shared memory to a daemon on the same machine: a ring of bodies, and the handshake that hands it over
 *
 * The ring is a memfd of ours, sealed so that it cannot shrink under its reader. Frames are acknowledged in the order
 * they were made, so the ring is freed in that order too; an empty ring begins anew at its start, which keeps a trainer
 * whose daemon keeps up in the same few, warm pages. */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol/fields.h"

#define MS ((uint64_t)1000000)

enum { FRAMES = 8, RETRY_MS = 1000, REFUSED_MS = 30000, TRIES = 3 };
#define RING_MIN ((uint64_t)1 << 20)
#define RING_MAX ((uint64_t)64 << 20)
#define WARM ((size_t)4 << 20)       /* of the ring, present from the start */

static uint64_t round_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

/* -- ring ------------------------------------------------------------------------------------------- */

static int find(const mscope_shm_ring *l, uint64_t bytes, uint64_t *pos)
{
    uint64_t n = round_up(bytes, MSCOPE_SHM_ALIGN);

    *pos = l->head;
    if (n > l->len)
        return 1;
    if (*pos % l->len + n > l->len)              /* bodies of one message lie in one piece */
        *pos += l->len - *pos % l->len;
    return *pos + n - l->tail > l->len;
}

int mscope_shm_room(const mscope_shm_ring *l, uint64_t bytes)
{
    uint64_t pos;

    return bytes > l->len || l->head == l->tail || find(l, bytes, &pos) == 0;
}

int mscope_shm_reserve(mscope_shm_ring *l, uint64_t bytes, uint64_t *begin, uint64_t *end)
{
    uint64_t pos;

    if (l->head == l->tail)
        l->head = l->tail = 0;
    if (l->len == 0 || find(l, bytes, &pos) != 0)
        return 1;
    *begin = l->head;
    *end = l->head = pos + round_up(bytes, MSCOPE_SHM_ALIGN);
    return 0;
}

void mscope_shm_release(mscope_shm_ring *l, uint64_t begin, uint64_t end)
{
    if (begin == l->tail)
        l->tail = end;                           /* the oldest: acknowledged                       */
    else
        l->head = begin;                         /* the newest: given up before it was sent        */
}

static uint64_t wanted(const mscope_client *c)
{
    uint64_t most = 0, bytes;

    for (size_t i = 0; i < c->tables; i++) {
        const mscope_attach_info *in = &c->table[i].info;
        bytes = (uint64_t)in->capacity * (8 + in->dim * (in->state == MSCOPE_STATE_F64 ? 8ull : 4ull)) + 4 * MSCOPE_SHM_ALIGN;
        most = bytes > most ? bytes : most;
    }
    bytes = most > RING_MAX / FRAMES ? RING_MAX : FRAMES * most;
    bytes = bytes < RING_MIN ? RING_MIN : bytes;
    return round_up(bytes < c->buffer_bytes ? bytes : c->buffer_bytes, 4096);
}

static void drop_ring(mscope_shm_ring *l)
{
    if (l->at != NULL)
        (void)munmap(l->at, l->len);
    if (l->memory >= 0)
        (void)close(l->memory);
    l->at = NULL;
    l->memory = -1;
    l->len = l->head = l->tail = 0;
}

static int make_ring(mscope_shm_ring *l, uint64_t bytes)
{
    void *at = MAP_FAILED;

    l->memory = memfd_create("momentscope", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (l->memory >= 0 && ftruncate(l->memory, (off_t)bytes) == 0 &&
        fcntl(l->memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
        at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, l->memory, 0);
    if (at == MAP_FAILED) {
        drop_ring(l);
        return MSCOPE_ENOMEM;
    }
#ifdef F_SEAL_FUTURE_WRITE
    (void)fcntl(l->memory, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);    /* nobody else will map it for writing; since 5.1 */
#endif
    (void)madvise(at, bytes, MADV_DONTFORK);
#ifdef MADV_POPULATE_WRITE
    /* the first steps need not fault their pages in one by one; since 5.14 */
    (void)madvise(at, bytes < WARM ? bytes : WARM, MADV_POPULATE_WRITE);
#endif
    l->at = at;
    l->len = bytes;
    return 0;
}

/* -- handshake -------------------------------------------------------------------------------------- */

void mscope_shm_init(mscope_shm_ring *l, int mode)
{
    memset(l, 0, sizeof *l);
    l->mode = mode;
    l->memory = l->socket = -1;
}

void mscope_shm_down(mscope_shm_ring *l, uint64_t retry_at)
{
    if (l->socket >= 0)
        (void)close(l->socket);
    l->socket = -1;
    l->state = MSCOPE_SHM_DOWN;
    l->retry_at = retry_at;
}

void mscope_shm_fini(mscope_shm_ring *l)
{
    mscope_shm_down(l, 0);
    drop_ring(l);
}

/* What a trainer that insists on shared memory would otherwise only see in its counters. Once for each connection; what may
 * be over with the next try (a daemon that is just dying) when it has lasted. */
static void tell(mscope_client *c, mscope_shm_ring *l, const mscope_refusal *why, int lasting)
{
    if (l->mode != MSCOPE_TRANSPORT_SHM || l->told || (!lasting && ++l->tries < TRIES))
        return;
    l->told = 1;
    mscope_link_note(c, "no shared memory with the daemon:", why);
}

#define ELSE "steps are dropped meanwhile; transport (MOMENTSCOPE_TRANSPORT) auto sends them through ZeroMQ"

/* lasting: another try will not help, because the daemon is another user's. */
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
        (void)mscope_refusal_set(why, MSCOPE_EIO, "transport", *lasting ? "a daemon of this user" : "a socket that answers", text,
                                 "shm");
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

static int send_offer(const mscope_client *c, const mscope_shm_ring *l)
{
    const mscope_shm_offer o = { c->session, c->stats.epoch, l->id, l->len };
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
    memcpy(CMSG_DATA(file), &l->memory, sizeof(int));
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
                                  "shared memory needs an endpoint of ipc:// with a path", "%s", "shm");
    return 0;
}

void mscope_shm_fit(mscope_client *c)
{
    mscope_shm_ring *l = &c->shm;
    uint64_t bytes = wanted(c);

    if (bytes <= l->len || l->head != l->tail || c->slot != NULL)
        return;
    mscope_shm_down(l, 0);
    drop_ring(l);
    (void)make_ring(l, bytes);
}

static void take_answer(mscope_client *c, mscope_shm_ring *l, uint64_t now)
{
    uint8_t packet[MSCOPE_HELLO_MAX];
    mscope_refusal why = { 0 };
    ssize_t n = recv(l->socket, packet, sizeof packet, MSG_DONTWAIT);
    int err;

    if (n < 0 && errno == ECONNRESET)        /* closed before it read the offer: its answer is behind that */
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
        mscope_link_note(c, "shared memory: daemon refused", &why);
    } else {
        (void)mscope_refusal_set(&why, MSCOPE_EIO, "transport", "an answer", "the daemon closed the connection; " ELSE, "shm");
        tell(c, l, &why, 0);
    }
    mscope_shm_down(l, now + (n > 0 ? REFUSED_MS : RETRY_MS) * MS);
}

static void ask(mscope_client *c, mscope_shm_ring *l, uint64_t now)
{
    mscope_refusal why = { 0 };
    char path[108];
    int lasting = 0;

    l->retry_at = now + RETRY_MS * MS;
    if (l->at == NULL || mscope_shm_path(c->endpoint.address, path, sizeof path) != 0)
        return;
    l->id++;
    l->socket = connect_to(path, &why, &lasting);
    if (l->socket < 0) {
        tell(c, l, &why, lasting);
        mscope_shm_down(l, now + (lasting ? REFUSED_MS : RETRY_MS) * MS);
        return;
    }
    const int sent = send_offer(c, l);
    l->state = MSCOPE_SHM_ASKED;
    if (sent)
        return;
    take_answer(c, l, now);                  /* it may have closed at once, and said why */
    if (l->state == MSCOPE_SHM_ASKED)
        mscope_shm_down(l, l->retry_at);
}

void mscope_shm_pump(mscope_client *c)
{
    mscope_shm_ring *l = &c->shm;
    uint64_t now;

    if (l->state == MSCOPE_SHM_UP && l->fitted == c->tables)
        return;
    if (l->mode == MSCOPE_TRANSPORT_ZMQ || !c->established)
        return;
    if (l->offered < 0) {
        mscope_refusal why;
        (void)mscope_refusal_set(&why, MSCOPE_ENOTSUP, "transport", "a daemon that offers shared memory",
                                 "it offers none, or a recorder stands before it; " ELSE, "shm");
        tell(c, l, &why, 1);
    }
    if (l->offered <= 0)
        return;
    now = mscope_now_ns();
    if (l->state != MSCOPE_SHM_ASKED) {
        mscope_shm_fit(c);
        l->fitted = wanted(c) <= l->len ? c->tables : 0;
    }
    if (l->state == MSCOPE_SHM_DOWN && now >= l->retry_at)
        ask(c, l, now);
    if (l->state == MSCOPE_SHM_ASKED)
        take_answer(c, l, now);
}
