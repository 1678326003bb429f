/* guard.c - see guard.h */
#include "guard.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <zmq.h>

#include "keys.h"

enum {
    EVENTS = ZMQ_EVENT_CONNECTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
             ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
             ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    SILENT = 5                           /* handshakes in a row that end without a word before it counts as a refusal:
                                            a daemon that stops ends them as well */
};

#define AWAY_NS 30000000000u             /* a refusal holds until somebody changes keys or files */
#define SLOW_NS 1000000000u              /* a daemon that ends each handshake may have a place soon */

static uint64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int mscope_guard_open(mscope_guard *g, void *context, void *socket, const char *endpoint)
{
    const int none = 0;
    char name[64];

    *g = (mscope_guard){ .sock = socket, .endpoint = endpoint, .fd = -1 };
    g->keyed = mscope_keys_use(socket, g->why);
    if (g->keyed < 0)
        return g->keyed;
    (void)snprintf(name, sizeof name, "inproc://momentscope-guard-%p", socket);
    g->mon = zmq_socket(context, ZMQ_PAIR);
    if (g->mon != NULL) {
        /* no high-water mark: an unread monitor must never hold up the I/O thread */
        (void)zmq_setsockopt(g->mon, ZMQ_RCVHWM, &none, sizeof none);
        (void)zmq_setsockopt(g->mon, ZMQ_LINGER, &none, sizeof none);
        if (zmq_socket_monitor(socket, name, EVENTS) == 0 && zmq_connect(g->mon, name) == 0)
            return 0;
    }
    (void)snprintf(g->why, sizeof g->why, "ZeroMQ: %s", zmq_strerror(errno));
    return MSCOPE_EIO;
}

void mscope_guard_close(mscope_guard *g)
{
    if (g->mon != NULL)
        (void)zmq_close(g->mon);
    g->mon = NULL;
}

/* ZeroMQ begins again with its shortest interval after each handshake, so the pause is made here. */
static void go_away(mscope_guard *g, uint64_t ns)
{
    (void)zmq_disconnect(g->sock, g->endpoint);
    g->again_ns = now_ns() + ns;
    g->failed = 0;
}

/* CONNECTED comes with the descriptor. If that is gone again, so is the connection, and a later event says so. */
static enum mscope_guard_event connected(mscope_guard *g, int fd)
{
    const int peer = g->keyed ? 0 : mscope_owner_place(g->endpoint, g->why) != 0 ? MSCOPE_EIO
                                  : mscope_owner_peer(fd, g->endpoint, g->why);

    g->known = peer == 0;
    if (peer >= 0)
        return MSCOPE_GUARD_NONE;
    go_away(g, AWAY_NS);
    return MSCOPE_GUARD_STRANGER;
}

static enum mscope_guard_event refused(mscope_guard *g, const char *why)
{
    (void)snprintf(g->why, sizeof g->why, "%s", why);
    go_away(g, AWAY_NS);
    return MSCOPE_GUARD_KEY;
}

/* A handshake ended without a word. */
static enum mscope_guard_event ended(mscope_guard *g)
{
    const int told = g->failed == SILENT;

    if (!told && ++g->failed < SILENT)
        return MSCOPE_GUARD_NONE;
    if (g->keyed)
        return refused(g, "the daemon has no keys, or another public key than MOMENTSCOPE_KEYS has of it");
    go_away(g, SLOW_NS);
    g->failed = SILENT;
    if (told)
        return MSCOPE_GUARD_NONE;
    (void)snprintf(g->why, sizeof g->why, "it ends every handshake: the daemon wants keys (MOMENTSCOPE_KEYS), or "
                   "has no place for one more, or does not let this user in; its log says which");
    return MSCOPE_GUARD_SILENT;
}

static enum mscope_guard_event judge(mscope_guard *g, uint16_t what, uint32_t value)
{
    switch (what) {
    case ZMQ_EVENT_CONNECTED:
        g->fd = (int)value;
        return connected(g, (int)value);
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        g->failed = 0;
        return g->known ? MSCOPE_GUARD_UP : MSCOPE_GUARD_NONE;
    case ZMQ_EVENT_DISCONNECTED:
        g->known = 0;
        g->fd = -1;
        return MSCOPE_GUARD_DOWN;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        return refused(g, "the daemon does not know this public key: momentscope keys allow, on its side");
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        return refused(g, g->keyed ? "the daemon has no keys, or it is none: start it with --keys"
                                   : "the daemon wants keys: set MOMENTSCOPE_KEYS (momentscope keys new)");
    default:
        return ended(g);
    }
}

enum mscope_guard_event mscope_guard_take(mscope_guard *g)
{
    enum mscope_guard_event e = MSCOPE_GUARD_NONE;
    uint8_t event[6], address[256];

    while (e == MSCOPE_GUARD_NONE && zmq_recv(g->mon, event, sizeof event, ZMQ_DONTWAIT) == (int)sizeof event) {
        uint16_t what;
        uint32_t value;
        memcpy(&what, event, sizeof what);   /* the monitor speaks host order */
        memcpy(&value, event + 2, sizeof value);
        (void)zmq_recv(g->mon, address, sizeof address, ZMQ_DONTWAIT);
        e = judge(g, what, value);
    }
    if (e == MSCOPE_GUARD_NONE && g->again_ns != 0 && now_ns() >= g->again_ns) {
        g->again_ns = 0;
        (void)zmq_connect(g->sock, g->endpoint);
    }
    return e;
}
