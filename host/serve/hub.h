/* hub.h - several daemons followed at once: a story of each, under one lock
 *
 * Data flow: a thread for each source waits for records and folds them into its story; whoever reads a story holds the
 * lock. What happened is kept in a ledger (ledger.h) and told to a listener.                                  */
#ifndef MSCOPE_SERVE_HUB_H
#define MSCOPE_SERVE_HUB_H

#include <pthread.h>
#include <stdatomic.h>

#include "ledger.h"
#include "monitor/feed.h"
#include "story.h"

enum { MSCOPE_SOURCES_MAX = 16, MSCOPE_SOURCE_NAME = 64 };

struct mscope_hub;

typedef struct mscope_heard {
    char name[MSCOPE_SOURCE_NAME], where[256];
    struct mscope_hub *hub;
    mscope_feed *feed;                       /* its thread's alone                                              */
    pthread_t thread;
    int running;
    /* under the lock: */
    mscope_story story;
    mscope_subscriber_stats stats;
    uint64_t unkept;                         /* records for which there was no memory                           */
    mscope_coverage *coverage;               /* of story.tables tables; NULL with one daemon                    */
    size_t covered;
    char trouble[MSCOPE_WHY_MAX];            /* why nothing comes; "": not known                                */
} mscope_heard;

typedef struct mscope_hub {
    pthread_mutex_t lock;
    mscope_heard source[MSCOPE_SOURCES_MAX];
    size_t sources;
    mscope_ledger *ledger;
    void (*tell)(void *context, const mscope_happening *h, const char *source, long long id);
    void *context;
    atomic_ullong version;                   /* rises whenever there is something new to show                   */
    atomic_int stop;
} mscope_hub;

/* mscope_hub_init - a hub without sources; ledger stays the caller's.  Returns 0, or MSCOPE_EIO */
MSCOPE_MUST_CHECK int mscope_hub_init(mscope_hub *h, mscope_ledger *ledger);

/* mscope_hub_add - follow one more feed; it is the hub's from now on
 *
 * Errors   MSCOPE_EINVAL: too many, or a name given twice; then the feed is closed                              */
MSCOPE_MUST_CHECK int mscope_hub_add(mscope_hub *h, const char *name, mscope_feed *feed);

/* mscope_hub_start - begin to listen.  Returns 0, or MSCOPE_EIO: no thread */
MSCOPE_MUST_CHECK int mscope_hub_start(mscope_hub *h);

/* mscope_hub_end - stop, join, free */
void mscope_hub_end(mscope_hub *h);

/* Unix time in s. */
double mscope_hub_now(void);

#endif
