/* doors.h - who may hold a connection to the daemon, and what each one may make libzmq hold for it
 *
 * libzmq reads what comes, keeps the parts of a message until its last one is there, and aborts the process when it has
 * no descriptor left. It has no hook for any of that. So this file defines accept4, recv, listen and close for the
 * whole program: libzmq calls them as it would the C library's. They count connections, parts, bytes and
 * subscriptions, and end a connection that exceeds a limit, as if its peer had done it.
 *
 * One daemon in a process. libzmq's one I/O thread accepts, receives and closes; other threads call mscope_doors_taken
 * and mscope_doors_next. A descriptor of another origin passes through untouched.                                 */
#ifndef MSCOPE_DAEMON_DOORS_H
#define MSCOPE_DAEMON_DOORS_H

#include <stddef.h>
#include <stdint.h>

#include "mscope/err.h"

enum mscope_door { MSCOPE_DOOR_NONE, MSCOPE_DOOR_INGEST, MSCOPE_DOOR_TELEMETRY, MSCOPE_DOOR_REPLAY, MSCOPE_DOORS };

typedef struct mscope_doors_limits {
    uint32_t connections;                /* through all doors; through one of them, half                         */
    uint32_t subscriptions;              /* of one connection, and 64 bytes of prefixes for each                 */
    uint64_t flight;                     /* bytes of all peers that came in and were not taken                   */
    uint64_t message;                    /* of one peer that was welcomed                                        */
    int keyed;                           /* every peer needs keys                                                */
    int anybody;                         /* processes of other users may connect                                 */
} mscope_doors_limits;

typedef struct mscope_turned {           /* a connection that was refused or ended                               */
    enum mscope_door door;
    const char *why;                     /* what its peer did, in words                                          */
    char who[64];                        /* "pid 4711 of user 1000", or an address                               */
} mscope_turned;

/* mscope_doors_open - raise the limit of descriptors to what the system allows, and count from now on
 * Errors   MSCOPE_ENOMEM                                                                                      */
MSCOPE_MUST_CHECK int mscope_doors_open(const mscope_doors_limits *limits);

/* mscope_doors_listen - the sockets on which this thread listens from now on belong to this door */
void mscope_doors_listen(enum mscope_door door);

/* mscope_doors_taken - a message of this connection (ZMQ_SRCFD) was taken out of libzmq
 * welcomed: its peer may from now on have as much under way as a trainer needs; before, 1 MiB                  */
void mscope_doors_taken(int fd, size_t parts, size_t bytes, int welcomed);
/* mscope_doors_heard - the publisher has seen n subscriptions; none_waits: all there were. libzmq queues them without a
 * limit */
void mscope_doors_heard(uint64_t n, int none_waits);

/* mscope_doors_refused - a connection that another thread, the doorman, has refused: to be told like all others */
void mscope_doors_refused(enum mscope_door door, const char *who, const char *why);

/* mscope_doors_next - the oldest connection turned away that was not told of yet; 0: there is none. One thread.
 * mscope_doors_count - how many there were since mscope_doors_open, and connections there are now */
int mscope_doors_next(mscope_turned *out);
void mscope_doors_count(uint64_t *turned, uint64_t *now);
const char *mscope_doors_name(enum mscope_door door);

#endif
