/* topics.h - every topic published since start, with its numbers and its latest record
 *
 * A hash table with a fixed number of slots. A topic keeps its slot as long as it is there: the replay block names
 * slots. One thread, the publisher's. */
#ifndef MSCOPE_DAEMON_TOPICS_H
#define MSCOPE_DAEMON_TOPICS_H

#include <stddef.h>
#include <stdint.h>

#include "mscope/wire.h"

typedef struct mscope_topic {
    char name[MSCOPE_TOPIC_MAX];         /* "": free                                             */
    uint64_t first, next;                /* sequence numbers of its first (of this run) and next record */
    uint64_t generation;                 /* different for every topic that ever had this slot    */
    uint64_t newest;                     /* place of its last record in the replay block, as in replay.c; 0: none */
    uint64_t gone;                       /* ordinal of the drop of its table; 0: not dropped     */
    int left;                            /* free, but a search for another topic must go past it */
    uint16_t len;                        /* bytes of the latest record; 0: none of this run      */
    uint8_t latest[MSCOPE_RECORD_MAX];
} mscope_topic;

typedef struct mscope_topics {
    mscope_topic *at;                    /* the caller's, zeroed; a power of two of them         */
    size_t slots, count;
    uint64_t tables_gone;                /* tables dropped so far                                */
    uint64_t floor;                      /* above every number of a topic that was let go        */
    uint64_t made, let_go;               /* topics made and let go so far                        */
} mscope_topics;

/* mscope_topic_find - the topic of this name, or NULL */
mscope_topic *mscope_topic_find(const mscope_topics *t, const char *name);

/* mscope_topic_make - the topic of this name, a new one if there is none yet
 *
 * When three quarters of the slots are taken, topics of the tables dropped longest ago are let go. A topic that comes
 * back starts above all its old numbers.
 * Returns  NULL: no room                                                                                       */
mscope_topic *mscope_topic_make(mscope_topics *t, const char *name);

/* mscope_topics_drop - a table was dropped: its topics may be let go when room is needed, unless a new record
 * of theirs comes first (the publisher then clears `gone`)
 *
 * Shape    anew: another table has its name. Then what was said of the old one answers nobody any more: a late joiner
 *          would mix two runs. Numbers go on.                                                                  */
void mscope_topics_drop(mscope_topics *t, const char table[MSCOPE_NAME_MAX + 1], int anew);

#endif
