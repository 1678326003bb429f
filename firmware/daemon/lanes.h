/* lanes.h - shared memory of trainers on this machine: offers taken over a socket, rings mapped, connections watched
 *
 * A lane lives as long as the connection that offered it. Nothing here waits; memory is mapped only when an offer is
 * accepted. One thread, the engine's.                                                                          */
#ifndef MSCOPE_DAEMON_LANES_H
#define MSCOPE_DAEMON_LANES_H

#include "engine.h"

typedef struct mscope_lanes {
    mscope_engine *engine;
    int listener;                    /* -1: no lanes are offered                                  */
    int epoll;                       /* readable when mscope_lanes_serve has something to do, or -1 */
} mscope_lanes;

/* mscope_lanes_init - listener: a listening SOCK_SEQPACKET socket, non-blocking, the caller's, or -1. Returns 0 or EIO,
 * and no lanes then */
MSCOPE_MUST_CHECK int mscope_lanes_init(mscope_lanes *l, mscope_engine *engine, int listener);
/* mscope_lanes_serve - new connections, offers, departures; without an allocation or a wait */
void mscope_lanes_serve(mscope_lanes *l, uint64_t now_ns);
/* mscope_lanes_sweep - let go of lanes whose session has left: a forked child may hold its connection open */
void mscope_lanes_sweep(mscope_lanes *l);
void mscope_lanes_fini(mscope_lanes *l);

#endif
