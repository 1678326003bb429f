/* shm.h - shared memory of trainers on this machine: offers accepted, rings mapped, connections watched
 *
 * A ring stays mapped as long as the connection that offered it. Nothing here waits; memory is mapped only when an
 * offer is accepted. One thread, the engine's. protocol/README.md 1.11 has the bytes. */
#ifndef MSCOPE_DAEMON_SHM_H
#define MSCOPE_DAEMON_SHM_H

#include "engine.h"

typedef struct mscope_shm_server {
    mscope_engine *engine;
    int listener;                    /* -1: shared memory is not offered                         */
    int epoll;                       /* readable when mscope_shm_server_serve has something to do, or -1 */
} mscope_shm_server;

/* mscope_shm_server_init - take offers from a listening, non-blocking SOCK_SEQPACKET socket; -1: there is none
 * Owns     the socket stays the caller's
 * Errors   MSCOPE_EIO; then WELCOME offers no shared memory                                                    */
MSCOPE_MUST_CHECK int mscope_shm_server_init(mscope_shm_server *l, mscope_engine *engine, int listener);
/* mscope_shm_server_serve - accept connections and offers, notice departures; it never waits */
void mscope_shm_server_serve(mscope_shm_server *l, uint64_t now_ns);
/* mscope_shm_server_sweep - unmap rings whose session has left or is gone: a forked child may still hold the connection
 * of the ring open */
void mscope_shm_server_sweep(mscope_shm_server *l);
/* mscope_shm_server_fini - unmap all and close the connections */
void mscope_shm_server_fini(mscope_shm_server *l);

#endif
