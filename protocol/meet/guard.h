/* guard.h - what becomes of a socket's connections: up, down, or not to be trusted (private to host)
 *
 * A monitor on a connecting ZeroMQ socket. The owner of the process at the other end is looked at before the connection
 * counts as up; with keys, they say who it is. */
#ifndef MSCOPE_PROTOCOL_MEET_GUARD_H
#define MSCOPE_PROTOCOL_MEET_GUARD_H

#include "owner.h"

enum mscope_guard_event {
    MSCOPE_GUARD_NONE,                   /* nothing happened                                                   */
    MSCOPE_GUARD_UP,
    MSCOPE_GUARD_DOWN,
    MSCOPE_GUARD_STRANGER,               /* the process there is not to be trusted; the socket was disconnected */
    MSCOPE_GUARD_KEY,                    /* the handshake failed: not the right keys; the socket was disconnected */
    MSCOPE_GUARD_SILENT                  /* every handshake fails without a word; libzmq goes on trying         */
};

typedef struct mscope_guard {
    void *mon, *sock;
    const char *endpoint;                /* the caller's, as given to zmq_connect                              */
    int known;                           /* the connection that is being made was looked at                    */
    int keyed, failed;                   /* the socket speaks CURVE; handshakes in a row that ended without a word */
    char why[MSCOPE_OWNER_WHY];          /* of STRANGER, KEY and SILENT, in words                              */
} mscope_guard;

/* mscope_guard_open - watch a socket before it connects, and give it the keys of MOMENTSCOPE_KEYS
 * Errors   MSCOPE_EIO, or those of keys.h, with g->why in words                                                */
MSCOPE_MUST_CHECK int mscope_guard_open(mscope_guard *g, void *context, void *socket, const char *endpoint);
void mscope_guard_close(mscope_guard *g);

/* mscope_guard_take - the next thing that happened */
enum mscope_guard_event mscope_guard_take(mscope_guard *g);

#endif
