/* sockets.h - the daemon's sockets, bound to their endpoints and closed again */
#ifndef MSCOPE_DAEMON_SOCKETS_H
#define MSCOPE_DAEMON_SOCKETS_H

#include "protocol/meet/bind.h"
#include "mscope/err.h"
#include "doorman.h"
#include "options.h"

typedef struct mscope_sockets {
    void *context, *ingest, *telemetry, *replay;
    int shm;                           /* listening socket for shared memory, beside an ipc ingest path; or -1 */
    char shm_path[112];
    mscope_bound bound[4];
    mscope_doorman doorman;            /* with --keys                                                          */
} mscope_sockets;

/* mscope_sockets_open - bind ingest (ROUTER), telemetry (XPUB), replay (ROUTER) and the socket for shared memory
 *
 * A missing socket for shared memory is logged and no error: trainers then send everything through ZeroMQ.
 * Owns     o must outlive s
 * Errors   MSCOPE_EBUSY another process listens there;  MSCOPE_EINVAL something other than a socket is there;
 *          MSCOPE_EIO anything else;  logged with the endpoint                                         */
MSCOPE_MUST_CHECK int mscope_sockets_open(mscope_sockets *s, const mscope_options *o);
/* mscope_sockets_close - close, and remove those socket files that are still the ones bound here */
void mscope_sockets_close(mscope_sockets *s);

#endif
