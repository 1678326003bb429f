/* listen.h - records from a feed into a judged set, of one table or of all
 *
 * Threads  one for each feed                                                                                   */
#ifndef MSCOPE_MONITOR_LISTEN_H
#define MSCOPE_MONITOR_LISTEN_H

#include <signal.h>

#include "feed.h"
#include "judged.h"

typedef struct mscope_listen {
    mscope_feed *feed;
    const char *table;                       /* only this table's records; NULL: all                         */
    const volatile sig_atomic_t *stop;       /* give up when it becomes nonzero; NULL: never                 */
    const char *command;                     /* tells on stderr why nothing comes, once; NULL: nobody does   */
} mscope_listen;

/* mscope_listen_wants - is the record about this table (NULL: any), about the daemon, or about what moves together? */
int mscope_listen_wants(const char *table, const mscope_telemetry *m);

/* mscope_listen_next - the next record that is wanted: of the table, or of the daemon itself
 *
 * Errors   MSCOPE_EAGAIN: none within wait_ms, or one that is not wanted came; MSCOPE_ENOMEM                   */
MSCOPE_MUST_CHECK int mscope_listen_next(const mscope_listen *l, mscope_telemetry *out, int wait_ms);

/* mscope_listen_full - take records until every band that the tables name is there, of every shard, and a moment of
 * silence after it: a late joiner is given the latest record of every topic at once
 *
 * Returns  0; MSCOPE_EAGAIN: not within wait_s, and why says what is missing (stopped: ""); MSCOPE_ENOMEM           */
MSCOPE_MUST_CHECK int mscope_listen_full(const mscope_listen *l, double wait_s, mscope_judged *j, char *why,
                                         size_t cap);

/* mscope_listen_lacking - what is missing from a full set after waited seconds, in a sentence */
void mscope_listen_lacking(const mscope_listen *l, const mscope_judged *j, double waited, char *why, size_t cap);

#endif
