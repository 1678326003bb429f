/* guard.h - what becomes of a socket's connections: up, down, or not to be trusted (private to host)
 *
 * A monitor on a connecting ZeroMQ socket. The owner of the process at the other end is looked at before the connection
 * counts as up; with keys, they say who it is. */
#ifndef MSCOPE_PROTOCOL_MEET_GUARD_H
#define MSCOPE_PROTOCOL_MEET_GUARD_H

#include <stdint.h>

#include "owner.h"

enum mscope_guard_event {
    MSCOPE_GUARD_NONE,                   /* nothing happened                                                   */
    MSCOPE_GUARD_UP,
    MSCOPE_GUARD_DOWN,
    MSCOPE_GUARD_STRANGER,               /* the process there is not to be trusted; disconnected for 30 s      */
    MSCOPE_GUARD_KEY,                    /* the handshake failed: not the right keys; disconnected for 30 s    */
    MSCOPE_GUARD_SILENT                  /* every handshake fails without a word; tried once a second from then */
};

typedef struct mscope_guard {
    void *mon, *sock;
    const char *endpoint;                /* the caller's, as given to zmq_connect                              */
    int fd;                              /* of the connection, as libzmq said; -1: none. It may be gone by now  */
    int known;                           /* the connection that is being made was looked at                    */
    int keyed, failed;                   /* the socket speaks CURVE; handshakes in a row that ended without a word */
    uint64_t again_ns;                   /* the socket is disconnected until then; 0: it is not                */
    char why[MSCOPE_OWNER_WHY];          /* of STRANGER, KEY and SILENT, in words                              */
} mscope_guard;

/* mscope_guard_open - watch a socket before it connects, and give it the keys of MOMENTSCOPE_KEYS
 * Errors   MSCOPE_EIO, or those of keys.h, with g->why in words                                                */
MSCOPE_MUST_CHECK int mscope_guard_open(mscope_guard *g, void *context, void *socket, const char *endpoint);
void mscope_guard_close(mscope_guard *g);        /* after mscope_monitored_close of the socket (monitor.h) */

/* mscope_guard_take - the next thing that happened; to be called now and then, because it connects again as well.
 * Another daemon may come, or the key be allowed: neither happens by itself, so it is tried seldom.             */
enum mscope_guard_event mscope_guard_take(mscope_guard *g);

#endif
