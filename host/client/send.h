/* send.h - messages of the queue to the socket */
#ifndef MSCOPE_CLIENT_SEND_H
#define MSCOPE_CLIENT_SEND_H

#include "state.h"

/* mscope_send_queue - send unsent messages in order, as far as the daemon's credit and the socket allow; never waits */
void mscope_send_queue(mscope_client *c);

#endif
