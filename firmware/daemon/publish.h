/* publish.h - the publisher thread: owns the XPUB and replay sockets, numbers records, remembers the latest
 *
 * It takes records from the ring, never waits for a subscriber, and answers late joiners and replay requests from
 * memory set aside at start.                                                                                  */
#ifndef MSCOPE_DAEMON_PUBLISH_H
#define MSCOPE_DAEMON_PUBLISH_H

#include <stdatomic.h>

#include "engine.h"
#include "replay.h"

typedef struct mscope_topic {
    char name[MSCOPE_TOPIC_MAX];         /* "": free                                            */
    uint64_t first, next;                /* sequence numbers of its first and of its next record */
    uint64_t gone;                       /* its table was dropped, the how manieth of all; 0: it is there */
    int left;                            /* free, but the search for another one leads past here */
    uint16_t len;                        /* bytes of the latest record                          */
    uint8_t latest[MSCOPE_RECORD_MAX];
} mscope_topic;

typedef struct mscope_publisher {
    mscope_ring *ring;
    mscope_outside *outside;
    mscope_topic *topics;                /* a hash table of `topic_slots`, a power of two       */
    size_t topic_slots, topic_count;
    uint64_t tables_gone, floor;         /* tables dropped; above every number of topics let go */
    mscope_replay replay;
    void *xpub;                          /* bound by main, used by this thread alone once it runs */
    int wake_fd;                         /* eventfd: records wait, or stop is set               */
    _Atomic int stop;
} mscope_publisher;

/* mscope_topic_find - the slot of a topic; with `make`, a new one, for which those of the tables dropped longest ago
 * are let go when three quarters of the slots are taken. NULL: unknown, or no room                */
mscope_topic *mscope_topic_find(mscope_publisher *p, const char *name, int make);

/* mscope_publisher_run - thread body; returns after stop is set and the ring is empty         */
void *mscope_publisher_run(void *publisher);

#endif
