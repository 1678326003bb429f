/* fake_zmq.h - libzmq as the client calls it, with the fuzzer at the other end, and a clock that the fuzzer moves
 *
 * Only what the client calls on contexts and sockets is here; its messages (zmq_msg_*) are libzmq's own. What a socket
 * receives was put there by fake_put, what is sent on it goes to fake_sent. To be included by one file of a program. */
#ifndef MSCOPE_FUZZ_FAKE_ZMQ_H
#define MSCOPE_FUZZ_FAKE_ZMQ_H

#include <errno.h>

#include <sys/syscall.h>
#include <time.h>

#include <zmq.h>

#include "client/room.h"
#include "fuzz.h"

enum { FAKE_SOCKETS = 8, FAKE_PARTS = 64, FAKE_LONGEST = 2048 };

typedef struct fake_socket {
    struct fake_socket *monitor;
    unsigned first, parts;                       /* parts that wait, in a ring */
    struct {
        size_t len;
        int more;
        uint8_t bytes[FAKE_LONGEST];
    } part[FAKE_PARTS];
} fake_socket;

static struct {
    fake_socket socket[FAKE_SOCKETS], *watched;  /* watched: whose monitor connects next */
    unsigned sockets;
    int more, on;                                /* more: of the last part received */
    uint64_t now_ns, tick_ns;                    /* tick: what a look at the clock takes */
} fake;

static void fake_sent(void *socket, const void *bytes, size_t len, int more);

/* Before each input: no sockets, and the clock stands. */
static inline void fake_begin(void)
{
    fake.sockets = 0;
    fake.tick_ns = 0;
    fake.now_ns = 1000000000000;
    fake.on = 1;
}

static inline void fake_put(fake_socket *s, const void *bytes, size_t len, int more)
{
    if (s->parts == FAKE_PARTS || len > FAKE_LONGEST)
        return;
    const unsigned at = (s->first + s->parts++) % FAKE_PARTS;
    memcpy(s->part[at].bytes, bytes, len);
    s->part[at].len = len;
    s->part[at].more = more;
}

/* A message of up to four parts of the input's own bytes. */
static inline void fake_put_anything(fuzz_input *in, fake_socket *s)
{
    for (unsigned parts = (unsigned)fuzz_take(in, 1) % 4 + 1; parts > 0; parts--) {
        const size_t want = (size_t)fuzz_take(in, 1), n = want < in->left ? want : in->left;
        fake_put(s, in->at, n, parts > 1);
        in->at += n;
        in->left -= n;
    }
}

static inline void fake_event(fake_socket *s, uint16_t what, uint32_t value)
{
    uint8_t event[6];

    memcpy(event, &what, sizeof what);
    memcpy(event + 2, &value, sizeof value);
    if (s->monitor == NULL || s->monitor->parts + 2 > FAKE_PARTS)
        return;
    fake_put(s->monitor, event, sizeof event, 1);
    fake_put(s->monitor, "tcp", 3, 0);
}

/* -- the clock -------------------------------------------------------------------------------------- */

int clock_gettime(clockid_t clock, struct timespec *t)
{
    if (!fake.on || clock != CLOCK_MONOTONIC)
        return (int)syscall(SYS_clock_gettime, clock, t);
    fake.now_ns += fake.tick_ns;
    t->tv_sec = (time_t)(fake.now_ns / 1000000000u);
    t->tv_nsec = (long)(fake.now_ns % 1000000000u);
    return 0;
}

/* -- contexts and sockets --------------------------------------------------------------------------- */

void *zmq_ctx_new(void)
{
    return &fake;
}

int zmq_ctx_set(void *context, int option, int value)
{
    return (void)context, (void)option, (void)value, 0;
}

int zmq_ctx_term(void *context)
{
    return (void)context, 0;
}

void *zmq_socket(void *context, int type)
{
    (void)context, (void)type;
    if (fake.sockets == FAKE_SOCKETS)
        return NULL;
    fake_socket *s = &fake.socket[fake.sockets++];
    s->monitor = NULL;
    s->first = s->parts = 0;
    return s;
}

int zmq_close(void *socket)
{
    ((fake_socket *)socket)->parts = 0;
    return 0;
}

int zmq_setsockopt(void *socket, int option, const void *value, size_t len)
{
    return (void)socket, (void)option, (void)value, (void)len, 0;
}

int zmq_socket_monitor(void *socket, const char *address, int events)
{
    (void)address, (void)events;
    fake.watched = socket;
    return 0;
}

int zmq_connect(void *socket, const char *address)
{
    if (strncmp(address, "inproc:", 7) == 0)
        fake.watched->monitor = socket;
    return 0;
}

int zmq_disconnect(void *socket, const char *address)
{
    return (void)socket, (void)address, 0;
}

/* Nothing happens while one waits, but time passes. */
int zmq_poll(zmq_pollitem_t *items, int n, long ms)
{
    (void)items, (void)n;
    fake.now_ns += (uint64_t)(ms > 0 ? ms : 1) * 1000000u;
    return 0;
}

/* -- parts ------------------------------------------------------------------------------------------ */

static int fake_none(void)
{
    errno = EAGAIN;
    return -1;
}

static void fake_taken(fake_socket *s)
{
    fake.more = s->part[s->first].more;
    s->first = (s->first + 1) % FAKE_PARTS;
    s->parts--;
}

int zmq_recv(void *socket, void *to, size_t cap, int flags)
{
    fake_socket *const s = socket;
    const size_t len = s->parts > 0 ? s->part[s->first].len : 0;

    (void)flags;
    if (s->parts == 0)
        return fake_none();
    memcpy(to, s->part[s->first].bytes, len < cap ? len : cap);
    fake_taken(s);
    return (int)len;
}

int zmq_msg_recv(zmq_msg_t *m, void *socket, int flags)
{
    fake_socket *const s = socket;

    (void)flags;
    if (s->parts == 0)
        return fake_none();
    const size_t len = s->part[s->first].len;
    FUZZ_HOLDS(zmq_msg_close(m) == 0 && zmq_msg_init_size(m, len) == 0);
    if (len > 0)
        memcpy(zmq_msg_data(m), s->part[s->first].bytes, len);
    fake_taken(s);
    return (int)len;
}

int zmq_msg_more(const zmq_msg_t *m)
{
    return (void)m, fake.more;
}

int zmq_send(void *socket, const void *bytes, size_t len, int flags)
{
    fake_sent(socket, bytes, len, (flags & ZMQ_SNDMORE) != 0);
    return (int)len;
}

int zmq_msg_send(zmq_msg_t *m, void *socket, int flags)
{
    const size_t len = zmq_msg_size(m);

    fake_sent(socket, zmq_msg_data(m), len, (flags & ZMQ_SNDMORE) != 0);
    FUZZ_HOLDS(zmq_msg_close(m) == 0);
    return (int)len;
}

/* -- what costs descriptors and threads ------------------------------------------------------------- */

int mscope_room_check(unsigned sockets)
{
    return (void)sockets, 0;
}

#endif
