/* replay.h - the newest telemetry records in a block of fixed size, and the ROUTER that sends them again
 *
 * Records lie one after the other in the block, those of a topic chained in both directions; a new one overwrites the
 * oldest. Requests become jobs that are served a few records at a time: a slow peer costs one of a few places and
 * nothing else, and a job costs no more than the records of its topic, whatever else is in the block. */
#ifndef MSCOPE_DAEMON_REPLAY_H
#define MSCOPE_DAEMON_REPLAY_H

#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "topics.h"

#define MSCOPE_REPLAY_JOBS 32
#define MSCOPE_PEER_MAX 255              /* bytes of a ZeroMQ routing id */

typedef struct mscope_replay_job {
    int busy, envelope;                  /* envelope: the request had an empty first part       */
    uint8_t peer[MSCOPE_PEER_MAX];
    size_t peer_len;
    char topic[MSCOPE_TOPIC_MAX];
    uint32_t slot;                       /* of the topic, and which of its topics it was         */
    uint64_t generation;
    uint64_t next;                       /* first sequence number still owed                     */
    uint64_t at;                         /* place in the block of that record; 0: to be looked for */
} mscope_replay_job;

typedef struct mscope_replay {
    uint8_t *mem;
    size_t cap;
    uint64_t first, end;                 /* absolute offsets of the oldest record and of the end */
    void *socket;
    mscope_replay_job jobs[MSCOPE_REPLAY_JOBS];
} mscope_replay;

/* mscope_replay_init - mem[cap] is the caller's, cap >= 65536; the socket may be set later */
void mscope_replay_init(mscope_replay *r, uint8_t *mem, size_t cap, void *socket);
/* mscope_replay_store - the record that topic t, one of `topics`, publishes next */
void mscope_replay_store(mscope_replay *r, const mscope_topics *topics, mscope_topic *t, const uint8_t *body,
                         size_t len);
int mscope_replay_busy(const mscope_replay *r);

/* mscope_replay_serve - take requests and serve jobs, without waiting */
void mscope_replay_serve(mscope_replay *r, const mscope_topics *topics, mscope_outside *outside);

#endif
