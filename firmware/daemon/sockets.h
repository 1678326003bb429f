/* sockets.h - the daemon's sockets, bound to their endpoints and closed again */
#ifndef MSCOPE_DAEMON_SOCKETS_H
#define MSCOPE_DAEMON_SOCKETS_H

#include <stdatomic.h>
#include <stdint.h>

#include "protocol/meet/bind.h"
#include "protocol/meet/doorman.h"
#include "mscope/err.h"
#include "doors.h"
#include "options.h"

typedef struct mscope_sockets {
    void *context, *ingest, *telemetry, *replay;
    int shm;                           /* listening socket for shared memory, beside an ipc ingest path; or -1 */
    char shm_path[112];
    mscope_bound bound[4];
    uint64_t looked_ns;
    int told[3];                       /* that a lost one cannot be bound again                                */
    const mscope_options *options;
    _Atomic int lost[3];               /* the socket file of ingest, telemetry, replay is gone                 */
    mscope_doorman doorman;            /* with --keys                                                          */
    uint64_t unlisted_ns;              /* when the log last had a line about a key that is not listed          */
} mscope_sockets;

/* mscope_sockets_open - bind ingest (ROUTER), telemetry (XPUB), replay (ROUTER) and the socket for shared memory
 *
 * A missing socket for shared memory is logged and no error: trainers then send everything through ZeroMQ.
 * Owns     o must outlive s
 * Errors   MSCOPE_EBUSY another process listens there;  MSCOPE_EINVAL something other than a socket is there;
 *          MSCOPE_EIO anything else;  logged with the endpoint                                         */
MSCOPE_MUST_CHECK int mscope_sockets_open(mscope_sockets *s, const mscope_options *o);
/* mscope_sockets_look - once a second: are the socket files there? A cleaner or a logout takes them away
 * mscope_sockets_again - bind a lost one again; on the thread of its socket
 * Returns of it    1: it was lost, and is there again, or why not is logged;  0: it was not lost              */
void mscope_sockets_look(mscope_sockets *s, uint64_t now_ns);
int mscope_sockets_again(mscope_sockets *s, enum mscope_door door);

/* mscope_sockets_close - close, and remove those socket files that are still the ones bound here */
void mscope_sockets_close(mscope_sockets *s);

#endif
