/* sharded.h - the daemons of several shards, heard as one
 *
 * Records come out as one daemon over all rows would have published them (diagnose/shards.h), made anew whenever a
 * shard has spoken. Alerts pass through with the number of their shard before the text. A shard that was never heard,
 * or not for three of its intervals and 2 s, is missing: every table is incomplete then, its sums are unknown.
 *
 * Threads  one for each object                                                                                 */
#ifndef MSCOPE_MONITOR_SHARDED_H
#define MSCOPE_MONITOR_SHARDED_H

#include "common/options.h"
#include "mscope/client.h"

typedef struct mscope_sharded mscope_sharded;

/* mscope_sharded_open - subscribe to the telemetry address of each shard
 *
 * Owns     the strings of address must outlive it; *out is the caller's
 * Errors   MSCOPE_EINVAL (an address that cannot be, or given twice), MSCOPE_ENOMEM or the system's; why says it  */
MSCOPE_MUST_CHECK int mscope_sharded_open(mscope_sharded **out, const mscope_texts *address, char *why, size_t cap);
void mscope_sharded_close(mscope_sharded *s);

/* mscope_sharded_next - the next record of the whole; as mscope_subscriber_next, and MSCOPE_ENOMEM */
MSCOPE_MUST_CHECK int mscope_sharded_next(mscope_sharded *s, mscope_telemetry *out, int wait_ms);

/* mscope_sharded_stats - sums over the shards */
void mscope_sharded_stats(const mscope_sharded *s, mscope_subscriber_stats *out);

size_t mscope_sharded_count(const mscope_sharded *s);

/* mscope_sharded_lacks - is a shard missing from this table (NULL: from any)? why gets a sentence, "" when none is */
int mscope_sharded_lacks(const mscope_sharded *s, const char *table, char *why, size_t cap);

/* mscope_sharded_skew - steps from the last to the first shard of this table; last_step: of the last one */
uint64_t mscope_sharded_skew(const mscope_sharded *s, const char *table, uint64_t *last_step);

#endif
