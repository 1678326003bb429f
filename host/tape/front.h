/* front.h - the socket of the recorder that trainers connect to, as the daemon's ingest (private to host/tape) */
#ifndef MSCOPE_TAPE_FRONT_H
#define MSCOPE_TAPE_FRONT_H

#include "protocol/meet/bind.h"
#include "protocol/meet/doorman.h"
#include "relay.h"

typedef struct mscope_front {
    void *ctx, *sock;                /* a ROUTER; ctx also serves the lines to the daemon          */
    mscope_bound bound;
    mscope_doorman doorman;          /* with keys                                                  */
} mscope_front;

/* mscope_front_open - bind cfg->ingest; f is to be closed after an error as well
 * Errors   those of mscope_relay_run, with *why                                                      */
MSCOPE_MUST_CHECK int mscope_front_open(mscope_front *f, const mscope_relay_config *cfg, mscope_refusal *why);

/* mscope_front_close - after every other socket of ctx was closed */
void mscope_front_close(mscope_front *f);

#endif
