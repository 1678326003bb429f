/* doors_inside.h - connections, as doors.c and its parts see them; nobody else includes this
 *
 * All of it belongs to libzmq's I/O thread, but for what is atomic and mscope_doors_refused, _next and _count.     */
#ifndef MSCOPE_DAEMON_DOORS_INSIDE_H
#define MSCOPE_DAEMON_DOORS_INSIDE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

#include "doors.h"
#include "zmtp.h"

enum { MSCOPE_DOORS_MOST = 65536 };      /* descriptors that are watched                                         */

typedef struct mscope_door_place {       /* what a descriptor is                                                 */
    _Atomic int door, listens, welcomed;
    int out;                             /* it was turned away, and is no longer counted                         */
    uint64_t peer;
    char who[64];
    mscope_zmtp wire;
    unsigned parts;                      /* of the message that comes in                                         */
    _Atomic uint64_t frames, bytes;      /* came in and were not taken                                           */
    uint64_t subscriptions, prefixes, asked;     /* asked: subscriptions so far, also those that were cancelled  */
} mscope_door_place;

typedef struct mscope_doors_peers {
    mscope_door_place *at;
    size_t n, top;                       /* places; above the highest that ever had a connection                 */
    mscope_doors_limits limit;
    uint32_t in[MSCOPE_DOORS];           /* connections; [0]: all                                                */
    uint64_t prefixes;                   /* bytes of all subscriptions                                           */
    _Atomic uint64_t flight, turned, connections, unheard;
} mscope_doors_peers;

extern mscope_doors_peers mscope_peers;

static inline mscope_door_place *mscope_doors_place_of(int fd)
{
    return fd >= 0 && (size_t)fd < mscope_peers.n ? &mscope_peers.at[fd] : NULL;
}

/* mscope_doors_who - names the peer of a connection, and returns a number that is the same for all connections of one
 * mscope_doors_admit - why this peer gets no further connection; NULL: it does, perhaps in another's place
 * mscope_doors_enter - a connection begins                                                                      */
uint64_t mscope_doors_who(int fd, char who[64], uid_t *uid);
const char *mscope_doors_admit(int fd, enum mscope_door door, uint64_t peer, uid_t uid);
void mscope_doors_enter(int fd, enum mscope_door door, const char *who, uint64_t peer);

/* mscope_doors_weigh - n bytes came in. Returns why the connection has to end; NULL: it goes on
 * mscope_doors_relieve - while all peers together hold too much, end the connection that holds most             */
const char *mscope_doors_weigh(mscope_door_place *p, const void *bytes, size_t n);
void mscope_doors_relieve(void);

/* mscope_doors_note - tell of a peer that was turned away
 * mscope_doors_forget - a connection is no longer counted
 * mscope_doors_end - both, and no more comes in or goes out
 * mscope_doors_less - take this much off a counter, but never below 0; returns what was taken
 * mscope_doors_tell_open - before the others.  Errors  MSCOPE_ENOMEM                                            */
void mscope_doors_note(enum mscope_door door, const char *who, const char *why);
void mscope_doors_forget(mscope_door_place *p);
void mscope_doors_end(int fd, const char *why);
uint64_t mscope_doors_less(_Atomic uint64_t *of, uint64_t by);
MSCOPE_MUST_CHECK int mscope_doors_tell_open(void);

#endif
