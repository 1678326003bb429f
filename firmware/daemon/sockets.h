/* sockets.h - endpoints made ready: private directory, no stale file, no second daemon */
#ifndef MSCOPE_DAEMON_SOCKETS_H
#define MSCOPE_DAEMON_SOCKETS_H

#include "mscope/err.h"
#include "options.h"

typedef struct mscope_sockets {
    void *context, *ingest, *telemetry, *replay;
} mscope_sockets;

/* mscope_sockets_open - bind ingest (ROUTER), telemetry (XPUB) and replay (ROUTER)
 * Errors   MSCOPE_EBUSY somebody listens there already;  MSCOPE_EIO anything else; logged with the endpoint */
MSCOPE_MUST_CHECK int mscope_sockets_open(mscope_sockets *s, const mscope_options *o);
void mscope_sockets_close(mscope_sockets *s);

#endif
