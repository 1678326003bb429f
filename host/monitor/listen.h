/* listen.h - what watch, check and advise share: which records to take, when a set is full, what to say when none came */
#ifndef MSCOPE_LISTEN_H
#define MSCOPE_LISTEN_H

#include <signal.h>

#include "feed.h"
#include "cli/watch_view.h"

typedef struct mscope_listen {
    const char *command;                     /* for messages: watch, check, advise                      */
    const char *table;                       /* only this table's records; NULL: all                    */
    const char *telemetry;                   /* the address as given, NULL: the default; for messages   */
    const volatile sig_atomic_t *stop;       /* not NULL: give up when it becomes nonzero               */
} mscope_listen;

double mscope_listen_now_s(void);            /* monotonic */

/* mscope_listen_wants - is this record of the table listened to? Records of the daemon itself always are. */
int mscope_listen_wants(const mscope_listen *l, const mscope_telemetry *m);

/* mscope_listen_full - take records until every band that the tables name is there, of every shard, and a moment of
 * silence after it
 * Returns  an exit code of cli.h; on failure after wait_s the reason is on stderr                            */
int mscope_listen_full(const mscope_listen *l, mscope_feed *s, double wait_s, mscope_view *v);

/* mscope_listen_nothing - say on stderr what is missing after waited seconds; returns MSCOPE_EXIT_FAILED */
int mscope_listen_nothing(const mscope_listen *l, const mscope_view *v, double waited);

#endif
