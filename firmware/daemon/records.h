/* records.h - telemetry records out of the engine, into its ring */
#ifndef MSCOPE_DAEMON_RECORDS_H
#define MSCOPE_DAEMON_RECORDS_H

#include "engine.h"

/* A control record, between engine and publisher alone: table u.table.table was dropped; `attached` true: and starts
 * over. It is never published. */
enum { MSCOPE_REC_DROPPED = MSCOPE_REC_ALERT + 1 };

/* mscope_shadow_dropped - *fresh takes the place of *s: the publisher will learn that the table s is gone
 *
 * The control record goes ahead of the next record, whenever the ring has room for both, so no full ring loses it.
 * One name for each place is enough: as long as it waits, no record enters the ring, so the tables that follow in
 * this place have left nothing at the publisher. */
void mscope_shadow_dropped(mscope_engine *e, const mscope_shadow *s, mscope_shadow *fresh);

/* mscope_engine_alert - an alert record and a log line; s NULL: about the daemon */
void mscope_engine_alert(mscope_engine *e, const mscope_shadow *s, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* mscope_shadow_publish - the records of one table, of its totals as they stand; regular: its window closes too */
void mscope_shadow_publish(mscope_engine *e, mscope_shadow *s, int regular);
/* mscope_shadow_window - begin a new window, if the last one was published; before a step. So a record that is repeated
 * without a step says the same window again */
void mscope_shadow_window(mscope_shadow *s);
/* mscope_shadow_moved - were there steps since the last regular record? */
int mscope_shadow_moved(const mscope_shadow *s);
/* mscope_shadow_publish_last - resum and publish what is unpublished, before the table goes or starts over */
void mscope_shadow_publish_last(mscope_engine *e, mscope_shadow *s);

/* mscope_daemon_record - the daemon about itself; closes the window of its timing */
void mscope_daemon_record(mscope_engine *e, uint64_t now_ns);

#endif
