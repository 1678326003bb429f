/* feed.h - where records come from: one daemon, or the daemons of several shards heard as one (sharded.h)
 *
 * Threads  one for each object                                                                                 */
#ifndef MSCOPE_MONITOR_FEED_H
#define MSCOPE_MONITOR_FEED_H

#include "common/options.h"
#include "latest.h"
#include "mscope/client.h"

typedef struct mscope_feed_options {
    const char *telemetry, *replay;  /* addresses of one daemon; NULL: the defaults, replay "": no replay           */
    mscope_texts shard;              /* telemetry addresses of shards; none: one daemon                             */
    int past;                        /* of one daemon: begin with all that it still has for replay, topic by topic  */
} mscope_feed_options;

typedef struct mscope_feed mscope_feed;

/* How much of a table is heard. One daemon: zeros and "". */
typedef struct mscope_coverage {
    size_t shards;                   /* 0: one daemon                                                               */
    char missing[400];               /* which shard is missing, in a sentence; "": none, the table is whole         */
    uint64_t step, skew;             /* of the last shard; how many steps the first is ahead of it                  */
} mscope_coverage;

/* mscope_feed_open - subscribe
 *
 * Owns     the strings of o must outlive the feed; *out is the caller's
 * Errors   MSCOPE_EINVAL: o cannot be; else nothing could be opened. why says which address, and why           */
MSCOPE_MUST_CHECK int mscope_feed_open(mscope_feed **out, const mscope_feed_options *o, char *why, size_t cap);
void mscope_feed_close(mscope_feed *f);

/* mscope_feed_next - the next record; as mscope_subscriber_next, and MSCOPE_ENOMEM. MSCOPE_EIO: the feed has a new
 * trouble; it goes on, and tries again
 * mscope_feed_trouble - why nothing comes from the daemon or a shard, such as keys that do not fit; "": not known  */
MSCOPE_MUST_CHECK int mscope_feed_next(mscope_feed *f, mscope_telemetry *out, int wait_ms);
const char *mscope_feed_trouble(const mscope_feed *f);

void mscope_feed_stats(const mscope_feed *f, mscope_subscriber_stats *out);

/* mscope_feed_coverage - how much of this table is heard at this moment; NULL: of the least heard one (missing alone is
 * told) */
void mscope_feed_coverage(const mscope_feed *f, const char *table, mscope_coverage *out);

/* mscope_feed_coverages - the same for every table of a set
 *
 * Returns  an array of l->tables, to be freed; NULL with one daemon, or when memory is out                          */
mscope_coverage *mscope_feed_coverages(const mscope_feed *f, const mscope_latest *l);

/* mscope_feed_where - the addresses in words, for messages: "ipc:///..", "each of the 4 shards" */
void mscope_feed_where(const mscope_feed *f, char *where, size_t cap);

#endif
