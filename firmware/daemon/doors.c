/* doors.c - see doors.h
 *
 * A limit that is met ends the connection: the functions below say ECONNRESET, libzmq gives back what it held and
 * closes. Where a door is full, the newcomer takes the place of a connection of the peer (process or address) that
 * has most of them, unless that is the newcomer itself: so no peer shuts others out. */
#include "doors.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ring.h"
#include "zmtp.h"

enum {
    RESERVE = 64,                        /* descriptors that no connection gets: state file, log, shared memory  */
    MOST = 65536,                        /* descriptors that are watched                                         */
    PARTS = 64,                          /* of a message; the engine refuses more than 8 in words                */
    PART_BYTES = 64,                     /* what libzmq needs for a part beside its bytes                        */
    COMMAND_BYTES = 8192,
    CURVE_BYTES = 33,                    /* an encrypted frame is so much longer than its contents               */
    FRAMES = 65536,                      /* of one connection that were not taken                                */
    UNKNOWN_BYTES = 1 << 20,             /* not taken of a peer that was not welcomed                            */
    PREFIX_BYTES = 64,                   /* of a subscription, on average                                        */
    HOLDERS = 8,                         /* subscribers that may have all they are allowed                       */
    EVENTS = 64,
    TALLY = 2 * MOST                     /* places to count connections by peer                                  */
};

typedef struct place {                   /* what a descriptor is                                                 */
    _Atomic int door, listens, welcomed;
    int out;                             /* it was turned away, and is no longer counted                         */
    uint64_t peer;
    char who[64];
    mscope_zmtp wire;
    unsigned parts;                      /* of the message that comes in                                         */
    _Atomic uint64_t frames, bytes;      /* came in and were not taken                                           */
    uint64_t subscriptions, prefixes;
} place;

static struct {
    place *at;
    size_t n, top;                       /* places; above the highest that ever had a connection                 */
    mscope_doors_limits limit;
    int spare;                           /* a descriptor to give up when there is no other                       */
    uint32_t in[MSCOPE_DOORS];           /* connections; [0]: all                                                */
    uint64_t prefixes;                   /* bytes of all subscriptions                                           */
    _Atomic uint64_t flight, turned, connections;
    mscope_ring events, refusals;        /* of libzmq's thread, and of the doorman                               */
    mscope_turned event[EVENTS], refusal[EVENTS];
    uint32_t tally[TALLY];               /* all zero but during a count                                          */
} all;

static _Thread_local enum mscope_door listening;

/* The C library's names. Its headers may declare them with other types (GNU's transparent unions) or as macros. */
int mscope_doors_accept4(int fd, struct sockaddr *from, socklen_t *len, int flags) __asm__("accept4");
ssize_t mscope_doors_recv(int fd, void *to, size_t len, int flags) __asm__("recv");
int mscope_doors_listen_on(int fd, int backlog) __asm__("listen");
int mscope_doors_close_fd(int fd) __asm__("close");

static place *place_of(int fd)
{
    return fd >= 0 && (size_t)fd < all.n ? &all.at[fd] : NULL;
}

/* -- turning away ------------------------------------------------------------------------------ */

static void tell(mscope_ring *events, enum mscope_door door, const char *who, const char *why)
{
    mscope_turned *t = mscope_ring_reserve(events);

    atomic_fetch_add_explicit(&all.turned, 1, memory_order_relaxed);
    if (t == NULL)
        return;
    t->door = door;
    t->why = why;
    (void)snprintf(t->who, sizeof t->who, "%s", who);
    mscope_ring_commit(events);
}

static void note(enum mscope_door door, const char *who, const char *why)
{
    tell(&all.events, door, who, why);
}

void mscope_doors_refused(enum mscope_door door, const char *who, const char *why)
{
    tell(&all.refusals, door, who, why);
}

static uint64_t less(_Atomic uint64_t *of, uint64_t by)
{
    uint64_t was = atomic_load_explicit(of, memory_order_relaxed), take;

    do
        take = by < was ? by : was;
    while (!atomic_compare_exchange_weak_explicit(of, &was, was - take, memory_order_relaxed, memory_order_relaxed));
    return take;
}

/* Its bytes may still be in a queue, but nothing can be added any more. */
static void forget(place *p)
{
    const int door = atomic_load_explicit(&p->door, memory_order_relaxed);

    if (p->out)
        return;
    p->out = 1;
    all.in[door]--;
    all.in[0]--;
    all.prefixes -= p->prefixes;
    p->prefixes = 0;
    (void)less(&all.flight, atomic_exchange_explicit(&p->bytes, 0, memory_order_relaxed));
    atomic_store_explicit(&all.connections, all.in[0], memory_order_relaxed);
}

static void end(int fd, const char *why)
{
    place *p = &all.at[fd];

    note((enum mscope_door)p->door, p->who, why);
    forget(p);
    (void)shutdown(fd, SHUT_RDWR);
}

/* The connection with the most of something that is over its limit for all together. */
static int largest(int by_prefixes)
{
    uint64_t most = 0;
    int fd = -1;

    for (size_t i = 0; i < all.top; i++) {
        const place *p = &all.at[i];
        const uint64_t has = p->door == MSCOPE_DOOR_NONE || p->out ? 0 : by_prefixes ? p->prefixes : p->bytes;
        if (has > most) {
            most = has;
            fd = (int)i;
        }
    }
    return fd;
}

/* -- what comes in ------------------------------------------------------------------------------ */

static const char *subscribe(place *p, const mscope_zmtp_frame *f, uint64_t size)
{
    const int command = (f->flags & MSCOPE_ZMTP_COMMAND) != 0;
    const int cancel = !p->wire.curve && (command ? f->size >= 7 && memcmp(f->begin, "\x06" "CANCEL", 7) == 0
                                                  : f->size > 0 && f->begin[0] == 0);
    const uint64_t head = command ? cancel ? 7 : 10 : 1, prefix = size > head ? size - head : 0;

    if (command && !cancel && (f->size < 10 || memcmp(f->begin, "\x09" "SUBSCRIBE", 10) != 0))
        return NULL;                         /* READY, PING */
    if (cancel) {
        const uint64_t freed = prefix < p->prefixes ? prefix : p->prefixes;
        p->subscriptions -= p->subscriptions > 0;
        p->prefixes -= freed;
        all.prefixes -= freed;
        return NULL;
    }
    p->subscriptions++;
    p->prefixes += prefix;
    all.prefixes += prefix;
    if (p->subscriptions > all.limit.subscriptions)
        return "more subscriptions than --max-subscriptions";
    return p->prefixes > (uint64_t)all.limit.subscriptions * PREFIX_BYTES
               ? "prefixes of more than 64 bytes for each of --max-subscriptions" : NULL;
}

static const char *weigh(place *p, const mscope_zmtp_frame *f, uint64_t size)
{
    const uint64_t most = atomic_load_explicit(&p->welcomed, memory_order_relaxed) ? all.limit.message : UNKNOWN_BYTES;
    const uint64_t costs = size + PART_BYTES;

    if (f->flags & MSCOPE_ZMTP_COMMAND)
        return NULL;
    p->parts++;
    if (p->parts > PARTS)
        return "a message of more than 64 parts";
    if ((f->flags & MSCOPE_ZMTP_MORE) == 0)
        p->parts = 0;
    atomic_fetch_add_explicit(&all.flight, costs, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&p->frames, 1, memory_order_relaxed) >= FRAMES)
        return "more than 65536 parts that were not taken yet";
    if (atomic_fetch_add_explicit(&p->bytes, costs, memory_order_relaxed) + costs > most)
        return most == UNKNOWN_BYTES ? "more than 1 MiB before a HELLO was answered"
                                     : "more unacknowledged than its credit and largest message";
    return NULL;
}

typedef struct coming {
    place *at;
    const char *why;                     /* out: what is wrong with it; NULL: nothing                            */
} coming;

static int on_frame(void *context, const mscope_zmtp_frame *f)
{
    coming *c = context;
    place *p = c->at;
    const uint64_t size = p->wire.curve && f->size >= CURVE_BYTES ? f->size - CURVE_BYTES : f->size;

    if ((f->flags & MSCOPE_ZMTP_COMMAND) && f->size > COMMAND_BYTES)
        c->why = "a command of more than 8192 bytes";
    else if (p->door == MSCOPE_DOOR_TELEMETRY)
        c->why = subscribe(p, f, size);
    else
        c->why = weigh(p, f, size);
    return c->why != NULL;
}

/* What all peers hold together is over its limit: the one who holds most goes. */
static void relieve(void)
{
    int fd;

    if (atomic_load_explicit(&all.flight, memory_order_relaxed) > all.limit.flight && (fd = largest(0)) >= 0)
        end(fd, "the most bytes under way, and all together had more than --max-flight");
    if (all.prefixes > (uint64_t)all.limit.subscriptions * PREFIX_BYTES * HOLDERS && (fd = largest(1)) >= 0)
        end(fd, "the most subscriptions, and all together had more than 8 times --max-subscriptions");
}

/* Not recvfrom: a thread sanitizer would take that for a write of ours, and cannot see how libzmq hands bytes on. */
ssize_t mscope_doors_recv(int fd, void *to, size_t len, int flags)
{
    const ssize_t n = (ssize_t)syscall(SYS_recvfrom, fd, to, len, flags, NULL, NULL);
    place *p = place_of(fd);
    coming c = { p, NULL };
    int bad;

    if (n <= 0 || p == NULL || atomic_load_explicit(&p->door, memory_order_relaxed) == MSCOPE_DOOR_NONE)
        return n;
    bad = p->out;
    if (!bad && (bad = mscope_zmtp_feed(&p->wire, to, (size_t)n, on_frame, &c)) != 0)
        end(fd, c.why != NULL ? c.why : "bytes that are not ZMTP 3");
    if (!bad)
        relieve();
    if (!bad && !p->out)
        return n;
    errno = ECONNRESET;
    return -1;
}

void mscope_doors_taken(int fd, size_t parts, size_t bytes, int welcomed)
{
    place *p = place_of(fd);

    if (p == NULL || atomic_load_explicit(&p->door, memory_order_relaxed) == MSCOPE_DOOR_NONE)
        return;
    (void)less(&p->frames, parts);
    (void)less(&all.flight, less(&p->bytes, bytes + parts * PART_BYTES));
    if (welcomed)
        atomic_store_explicit(&p->welcomed, 1, memory_order_relaxed);
}

/* -- who comes in ------------------------------------------------------------------------------- */

/* Names the peer, and returns a number that is the same for all connections of one peer. A process of another PID
 * namespace, such as a container's, has a user and no pid here: all such of a user are one peer. */
static uint64_t who_is(int fd, char who[64], uid_t *uid)
{
    struct sockaddr_storage a = { 0 };
    struct ucred cred;
    socklen_t len = sizeof cred;
    char text[INET6_ADDRSTRLEN] = "an unknown address";
    uint64_t h = 0xcbf29ce484222325u;

    *uid = geteuid();
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.uid != (uid_t)-1) {    /* -1: not local */
        *uid = cred.uid;
        (void)snprintf(who, 64, "pid %ld of user %lu", (long)cred.pid, (unsigned long)cred.uid);
        return cred.pid > 0 ? (uint64_t)cred.pid << 1 | 1 : (uint64_t)cred.uid << 33 | 1;
    }
    len = sizeof a;
    if (getpeername(fd, (struct sockaddr *)&a, &len) == 0)
        (void)inet_ntop(a.ss_family, a.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)&a)->sin_addr
                                                            : (void *)&((struct sockaddr_in6 *)&a)->sin6_addr,
                        text, sizeof text);
    (void)snprintf(who, 64, "%s", text);
    for (const char *c = text; *c != '\0'; c++)
        h = (h ^ (uint8_t)*c) * 0x100000001b3u;
    return h << 1;
}

static uint32_t *tally_of(uint64_t peer)
{
    return &all.tally[(peer * 0x9E3779B97F4A7C15u >> 32) % TALLY];
}

/* Room for one more connection in this set (MSCOPE_DOOR_NONE: through all doors) of a peer: one of the peer with the
 * most is ended, if that is two more than the newcomer has; best one that was not welcomed. Peers that share a place
 * of the tally count as one. */
static int make_room(enum mscope_door set, uint64_t peer)
{
    uint32_t most = 0;
    int fd = -1, status = -1;

    for (size_t i = 0; i < all.top; i++) {
        const place *p = &all.at[i];
        if (p->door != MSCOPE_DOOR_NONE && !p->out && (set == MSCOPE_DOOR_NONE || p->door == (int)set) &&
            ++*tally_of(p->peer) > most)
            most = *tally_of(p->peer);
    }
    if (most > *tally_of(peer) + 1)
        for (size_t i = 0; i < all.top; i++) {
            const place *p = &all.at[i];
            if (p->door != MSCOPE_DOOR_NONE && !p->out && (set == MSCOPE_DOOR_NONE || p->door == (int)set) &&
                *tally_of(p->peer) == most && (fd < 0 || !p->welcomed))
                fd = (int)i;
        }
    if (fd >= 0) {
        end(fd, "the most connections, and another peer needed a place");
        status = 0;
    }
    for (size_t i = 0; i < all.top; i++)
        *tally_of(all.at[i].peer) = 0;
    return status;
}

static const char *admit(int fd, enum mscope_door door, uint64_t peer, uid_t uid)
{
    if (!all.limit.anybody && uid != geteuid() && uid != 0)
        return "a process of another user, and there is no --allow-users";
    if ((size_t)fd >= all.n)
        return "there were no descriptors left for it (ulimit -n)";
    if (all.in[door] >= (all.limit.connections + 1) / 2 && make_room(door, peer) != 0)
        return "it has most of the connections that one socket may have (half of --max-connections)";
    if (all.in[0] >= all.limit.connections && make_room(MSCOPE_DOOR_NONE, peer) != 0)
        return "it has most of the connections that --max-connections allows";
    return NULL;
}

static void enter(int fd, enum mscope_door door, const char *who, uint64_t peer)
{
    place *p = &all.at[fd];

    p->out = 0;
    p->parts = 0;
    p->subscriptions = p->prefixes = 0;
    p->wire = (mscope_zmtp){ 0 };
    atomic_store_explicit(&p->frames, 0, memory_order_relaxed);
    atomic_store_explicit(&p->bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&p->welcomed, 0, memory_order_relaxed);
    all.top = (size_t)fd + 1 > all.top ? (size_t)fd + 1 : all.top;
    p->peer = peer;
    (void)snprintf(p->who, sizeof p->who, "%s", who);
    all.in[door]++;
    all.in[0]++;
    atomic_store_explicit(&all.connections, all.in[0], memory_order_relaxed);
    atomic_store_explicit(&p->door, door, memory_order_relaxed);
}

/* With no descriptor left, libzmq would be woken for ever by the peer that waits, or abort. */
static int accept_and_drop(int fd)
{
    if (all.spare >= 0)
        (void)syscall(SYS_close, all.spare);
    const int got = (int)syscall(SYS_accept4, fd, NULL, NULL, SOCK_CLOEXEC);
    if (got >= 0)
        (void)syscall(SYS_close, got);
    all.spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    errno = ECONNABORTED;
    return -1;
}

int mscope_doors_accept4(int fd, struct sockaddr *from, socklen_t *len, int flags)
{
    const place *at = place_of(fd);
    const enum mscope_door door = at != NULL ? (enum mscope_door)at->listens : MSCOPE_DOOR_NONE;
    int got = (int)syscall(SYS_accept4, fd, from, len, flags);
    const char *why;
    char who[64];
    uid_t uid;

    if (door == MSCOPE_DOOR_NONE)
        return got;
    if (got < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
        note(door, "a peer", "there were no descriptors left for it");
        return accept_and_drop(fd);
    }
    if (got < 0)
        return got;
    const uint64_t peer = who_is(got, who, &uid);
    why = admit(got, door, peer, uid);
    if (why == NULL) {
        enter(got, door, who, peer);
        return got;
    }
    note(door, who, why);
    (void)syscall(SYS_close, got);
    errno = ECONNABORTED;
    return -1;
}

int mscope_doors_listen_on(int fd, int backlog)
{
    place *p = place_of(fd);

    if (p != NULL)
        p->listens = listening;
    return (int)syscall(SYS_listen, fd, backlog);
}

int mscope_doors_close_fd(int fd)
{
    place *p = place_of(fd);

    if (p != NULL && atomic_load_explicit(&p->door, memory_order_relaxed) != MSCOPE_DOOR_NONE) {
        if (all.limit.keyed && !p->out && mscope_zmtp_greeting(&p->wire))
            note((enum mscope_door)p->door, p->who, "it has no keys (MOMENTSCOPE_KEYS)");
        forget(p);
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
    n = r.rlim_cur > MOST ? MOST : (size_t)r.rlim_cur;
    n = n > 3 * RESERVE ? n - RESERVE : n * 2 / 3;
    void *at = mmap(NULL, n * sizeof(place), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                    0);
    if (at == MAP_FAILED || mscope_ring_init(&all.events, all.event, sizeof all.event[0], EVENTS) != 0 ||
        mscope_ring_init(&all.refusals, all.refusal, sizeof all.refusal[0], EVENTS) != 0)
        return MSCOPE_ENOMEM;
    all.limit = *limits;
    if (limits->connections > n - n / 16)            /* the others are the daemon's own */
        all.limit.connections = (uint32_t)(n - n / 16);
    all.spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    all.at = at;
    all.n = n;
    return 0;
}

void mscope_doors_listen(enum mscope_door door)
{
    listening = door;
}

int mscope_doors_next(mscope_turned *out)
{
    mscope_ring *const from[] = { &all.events, &all.refusals };

    for (int i = 0; i < 2; i++) {
        const mscope_turned *t = from[i]->slots != NULL ? mscope_ring_peek(from[i]) : NULL;
        if (t == NULL)
            continue;
        *out = *t;
        mscope_ring_release(from[i]);
        return 1;
    }
    return 0;
}

void mscope_doors_count(uint64_t *turned, uint64_t *now)
{
    *turned = atomic_load_explicit(&all.turned, memory_order_relaxed);
    *now = atomic_load_explicit(&all.connections, memory_order_relaxed);
}

const char *mscope_doors_name(enum mscope_door door)
{
    static const char *const names[MSCOPE_DOORS] = { "a socket", "ingest", "telemetry", "replay" };

    return names[door];
}
