/* link.h - one socket to the daemon, and the order in which it is served */
#ifndef MSCOPE_CLIENT_LINK_H
#define MSCOPE_CLIENT_LINK_H

#include "state.h"

/* mscope_link_open - make the socket and connect in the background.  Errors  MSCOPE_EINVAL endpoint;  MSCOPE_EIO */
MSCOPE_MUST_CHECK int mscope_link_open(mscope_client *c);
void mscope_link_close(mscope_client *c);
/* mscope_link_pump - take in answers, say HELLO, send what credit allows; never waits */
void mscope_link_pump(mscope_client *c);
/* The two halves of pump, for a step: answers taken in first empty the ring before the step is laid into it. take looks
 * for answers only when they may matter: at the latest when a few messages are unanswered or a second has passed. */
void mscope_link_take(mscope_client *c);
void mscope_link_send(mscope_client *c);
/* mscope_link_wait - sleep until something can be done, at most wait_ms */
void mscope_link_wait(mscope_client *c, int wait_ms);

#endif
