/* sockets.h - endpoints made ready: private directory, no stale file, no second daemon */
#ifndef MSCOPE_DAEMON_SOCKETS_H
#define MSCOPE_DAEMON_SOCKETS_H

#include "protocol/meet/bind.h"
#include "mscope/err.h"
#include "options.h"

typedef struct mscope_sockets {
    void *context, *ingest, *telemetry, *replay;
    int shm;                           /* listening for shared memory beside an ipc ingest path, or -1 */
    char shm_path[112];
    mscope_bound bound[4];
} mscope_sockets;

/* mscope_sockets_open - bind ingest (ROUTER), telemetry (XPUB), replay (ROUTER) and the shm's socket; without the last,
 * which is logged, trainers send everything through ZeroMQ
 * Owns     o must outlive it
 * Errors   MSCOPE_EBUSY somebody listens there already;  MSCOPE_EINVAL something else than a socket is there;
 *          MSCOPE_EIO anything else; logged with the endpoint                                          */
MSCOPE_MUST_CHECK int mscope_sockets_open(mscope_sockets *s, const mscope_options *o);
/* mscope_sockets_close - close, and remove the socket files that are still the ones bound here */
void mscope_sockets_close(mscope_sockets *s);

#endif
