/* send.h - messages of the queue to the socket */
#ifndef MSCOPE_CLIENT_SEND_H
#define MSCOPE_CLIENT_SEND_H

#include "state.h"

/* mscope_send_queue - send unsent messages in order, as far as the daemon's credit and the socket allow; never waits
 * One always goes, and others for 0.2 ms; where the time ended it, c->more_to_send is 1. */
void mscope_send_queue(mscope_client *c);

#endif
