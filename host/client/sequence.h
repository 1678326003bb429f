/* sequence.h - records of many topics in order, each once, without holes as far as replay still has them */
#ifndef MSCOPE_CLIENT_SEQUENCE_H
#define MSCOPE_CLIENT_SEQUENCE_H

#include "mscope/client.h"

typedef struct mscope_heard_topic mscope_heard_topic;

typedef struct mscope_node {             /* a record that waits for its turn, or to be taken    */
    struct mscope_node *next;
    mscope_telemetry msg;
} mscope_node;

typedef struct mscope_nodes {
    mscope_node *first, *last;
} mscope_nodes;

typedef struct mscope_holes {
    mscope_heard_topic *first, *last;
    size_t n;
} mscope_holes;

/* Asks the replay endpoint for records from `first` on.  Returns  1, or 0: it cannot be asked */
typedef int mscope_sequence_ask(void *to, const char *topic, uint64_t first);

/* All zero is empty. `ask` is NULL without a replay endpoint: then a hole is a loss at once. */
typedef struct mscope_sequence {
    mscope_sequence_ask *ask;
    void *to;
    int past;                            /* a topic begins with all that replay still has       */
    mscope_subscriber_stats stats;       /* `malformed` is the caller's to count                */
    /* private */
    mscope_heard_topic **slot;                 /* open addressing by name, at most half full          */
    size_t slots, topics;
    mscope_holes waiting, asked;        /* with holes; asked: in the order of asked_at         */
    uint64_t not_before;                 /* ns: the daemon has no place for a request until then */
    uint64_t answered_at;                /* ns: the last answer of replay                       */
    uint64_t looked_at, back_at;         /* ns: the last look at replay, and the first one after a pause */
    mscope_nodes ready;
    uint64_t epoch;                      /* the last one seen                                   */
} mscope_sequence;

uint64_t mscope_record_epoch(const mscope_record *r);    /* of the daemon that published it */
/* mscope_sequence_put - one record, as it was published or as replay sends it again
 * Owns     n is the sequence's, whatever it returns.  Errors  MSCOPE_ENOMEM no room for a topic          */
MSCOPE_MUST_CHECK int mscope_sequence_put(mscope_sequence *s, mscope_node *n, int replayed);
/* mscope_sequence_unread - number seq of this topic came and could not be read: it is used up */
void mscope_sequence_unread(mscope_sequence *s, const char *topic, uint64_t seq);
/* mscope_sequence_end - replay has no more of this topic; busy: it had no place for the request */
void mscope_sequence_end(mscope_sequence *s, const char *topic, int busy);
/* mscope_sequence_look - nothing of replay is there: ask, or give up. To be called now and then */
void mscope_sequence_look(mscope_sequence *s);
int mscope_sequence_waits(const mscope_sequence *s);     /* for replay, so that a look is due soon */
/* mscope_sequence_take - the next record in order, or NULL.  Owns  it is the caller's, to be freed */
mscope_node *mscope_sequence_take(mscope_sequence *s);
void mscope_sequence_fini(mscope_sequence *s);

#endif
