/* shm.h - shared memory of trainers on this machine: offers taken over a socket, rings mapped, connections watched
 *
 * A shm lives as long as the connection that offered it. Nothing here waits; memory is mapped only when an offer is
 * accepted. One thread, the engine's.                                                                          */
#ifndef MSCOPE_DAEMON_SHM_H
#define MSCOPE_DAEMON_SHM_H

#include "engine.h"

typedef struct mscope_shm_server {
    mscope_engine *engine;
    int listener;                    /* -1: no shm are offered                                  */
    int epoll;                       /* readable when mscope_shm_server_serve has something to do, or -1 */
} mscope_shm_server;

/* mscope_shm_server_init - listener: a listening SOCK_SEQPACKET socket, non-blocking, the caller's, or -1. Returns 0 or EIO,
 * and no shm then */
MSCOPE_MUST_CHECK int mscope_shm_server_init(mscope_shm_server *l, mscope_engine *engine, int listener);
/* mscope_shm_server_serve - new connections, offers, departures; without an allocation or a wait */
void mscope_shm_server_serve(mscope_shm_server *l, uint64_t now_ns);
/* mscope_shm_server_sweep - let go of shm whose session has left: a forked child may hold its connection open */
void mscope_shm_server_sweep(mscope_shm_server *l);
void mscope_shm_server_fini(mscope_shm_server *l);

#endif
