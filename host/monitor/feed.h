/* feed.h - where watch, check and advise take records from: one daemon, or the daemons of several shards as one
 *
 * With shards, what comes out are the records one daemon over all rows would have published (diagnose/shards.h), made
 * anew whenever a shard has spoken; alerts pass through with the shard's number before them. A shard that was never
 * heard, or not for three of its intervals and 2 s, makes every table incomplete: sums become unknown, and a note says
 * which one is missing.                                                                                        */
#ifndef MSCOPE_FEED_H
#define MSCOPE_FEED_H

#include "mscope/client.h"

#define MSCOPE_SHARDS_MAX 64

typedef struct mscope_feed_options {
    const char *command;                     /* for messages: watch, check, advise                      */
    const char *telemetry, *replay;          /* of one daemon, NULL: the defaults                       */
    const char *shard[MSCOPE_SHARDS_MAX];    /* telemetry addresses of shards                           */
    size_t shards;                           /* 0: one daemon                                           */
} mscope_feed_options;

typedef struct mscope_feed mscope_feed;

/* mscope_feed_shard - note one --shard; 0, or 2 after a line on stderr */
int mscope_feed_shard(mscope_feed_options *o, const char *address);

/* mscope_feed_open - 0, or an exit code of cli.h after a line on stderr; o and its strings must outlive it */
MSCOPE_MUST_CHECK int mscope_feed_open(mscope_feed **out, const mscope_feed_options *o);
void mscope_feed_close(mscope_feed *s);

/* mscope_feed_next - as mscope_subscriber_next */
MSCOPE_MUST_CHECK int mscope_feed_next(mscope_feed *s, mscope_telemetry *out, int wait_ms);
void mscope_feed_stats(const mscope_feed *s, mscope_subscriber_stats *out);

/* mscope_feed_shards - how many shards, 0: one daemon */
size_t mscope_feed_shards(const mscope_feed *s);

/* mscope_feed_lacks - is a shard missing from this table (NULL: from any)? why gets a sentence, "" when whole.
 * s NULL or one daemon: never                                                                          */
int mscope_feed_lacks(const mscope_feed *s, const char *table, char *why, size_t cap);

/* mscope_feed_skew - steps between the first and the last shard of this table; first_step: of the last one */
uint64_t mscope_feed_skew(const mscope_feed *s, const char *table, uint64_t *first_step);

#endif
