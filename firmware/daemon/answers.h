/* answers.h - what new subscriptions are owed: the latest record of every topic under their prefix
 *
 * Any number of peers may subscribe at any time, and XPUB sends to all of them what one has asked for. So prefixes are
 * intervals of the sorted topics, and a sweep sends each topic that lies in one once. A subscription costs two
 * searches, whatever there is, and a sweep as many records as there are topics. One thread, the publisher's. */
#ifndef MSCOPE_DAEMON_ANSWERS_H
#define MSCOPE_DAEMON_ANSWERS_H

#include "topics.h"

typedef struct mscope_answers {
    const mscope_topics *topics;
    uint32_t *slot;                      /* of topics by name; behind `sorted` of them new ones in any order          */
    int32_t *now, *next;                 /* intervals that begin less intervals that end at a place: of the sweep
                                            under way, and of the next one                                            */
    size_t n, sorted, at;                /* at: place of the sweep                                                    */
    int32_t owed;                        /* intervals around it                                                       */
    int sweeping, waiting;               /* a sweep is under way; the next one has something to do                    */
    uint64_t let_go;                     /* topics let go when the order was made                                     */
} mscope_answers;

/* mscope_answers_mem - bytes for this many slots of topics
 * mscope_answers_init - mem is the caller's, zeroed, aligned to 4 bytes */
size_t mscope_answers_mem(size_t slots);
void mscope_answers_init(mscope_answers *a, const mscope_topics *topics, void *mem);

/* mscope_answers_add - a topic was made */
void mscope_answers_add(mscope_answers *a, const mscope_topic *t);

/* mscope_answers_ask - somebody subscribed to this prefix
 * mscope_answers_next - the next topic whose latest record is owed, or NULL: none is */
void mscope_answers_ask(mscope_answers *a, const uint8_t *prefix, size_t len);
const mscope_topic *mscope_answers_next(mscope_answers *a);
static inline int mscope_answers_owed(const mscope_answers *a) { return a->sweeping || a->waiting; }

#endif
