/* publish.h - the publisher thread: owns the XPUB and replay sockets, numbers records, remembers the latest
 *
 * It takes records from the ring and never waits for a subscriber. What it has to say at once goes out in portions,
 * with pauses in which subscribers read: the queue of each is bounded, and what does not fit in is lost to it. New
 * subscribers and replay requests are answered from memory that was mapped at start. */
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
    uint64_t spread_ns;                  /* time over which the records of one publication may go out */
    uint64_t pause_ns;                   /* after a portion, until the ring was empty              */
    uint64_t records_ns, answers_ns, sweep_ns;   /* when the next portion may go, or the next sweep begin */
    mscope_sockets *sockets;             /* whose files are looked after; NULL: nobody's           */
    void *xpub;                          /* bound by main, used by this thread alone once it runs */
    int wake_fd;                         /* eventfd: records wait, or stop is set               */
    _Atomic int stop;
} mscope_publisher;

/* mscope_publisher_run - thread body; returns after stop is set and the ring is empty         */
void *mscope_publisher_run(void *publisher);

#endif
