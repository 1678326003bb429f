/* publish.h - the publisher thread: owns the XPUB and replay sockets, numbers records, remembers the latest
 *
 * It takes records from the ring and never waits for a subscriber. New subscribers and replay requests are
 * answered from memory that was mapped at start. */
#ifndef MSCOPE_DAEMON_PUBLISH_H
#define MSCOPE_DAEMON_PUBLISH_H

#include <stdatomic.h>

#include "answers.h"
#include "engine.h"
#include "replay.h"
#include "sockets.h"
#include "topics.h"

typedef struct mscope_publisher {
    mscope_ring *ring;
    mscope_outside *outside;
    mscope_topics topics;
    mscope_answers answers;              /* owed to new subscriptions                              */
    mscope_replay replay;
    mscope_sockets *sockets;             /* whose files are looked after; NULL: nobody's           */
    void *xpub;                          /* bound by main, used by this thread alone once it runs */
    int wake_fd;                         /* eventfd: records wait, or stop is set               */
    _Atomic int stop;
} mscope_publisher;

/* mscope_publisher_run - thread body; returns after stop is set and the ring is empty         */
void *mscope_publisher_run(void *publisher);

#endif
