/* latest.h - the latest record of every table, band, autocorrelation and stability, and of the daemon
 *
 * A set is complete when every band that its tables name is there. Records of a daemon that was started anew (another
 * epoch) take the place of all that the old one said about a table.                                          */
#ifndef MSCOPE_MONITOR_LATEST_H
#define MSCOPE_MONITOR_LATEST_H

#include <stddef.h>

#include "mscope/client.h"

typedef struct mscope_latest_table {
    char name[MSCOPE_NAME_MAX + 1];
    uint64_t epoch;                      /* of the daemon that said all of it                      */
    mscope_telemetry table, band[MSCOPE_BANDS], acf[MSCOPE_BANDS], stability;
    int have_stability, have_table, have[MSCOPE_BANDS], have_acf[MSCOPE_BANDS];
} mscope_latest_table;

typedef struct mscope_latest {
    mscope_latest_table *table;          /* in the order in which they were first heard of         */
    size_t tables;
    mscope_telemetry daemon;
    int have_daemon;
    mscope_rec_alert alert;              /* the latest; its text is "" where there was none        */
} mscope_latest;

/* What a band's record changed. */
typedef struct mscope_news {
    int band;                            /* -1: no band's record, or one that no longer holds rows  */
    size_t table;                        /* index of its table                                     */
    int first;                           /* the set had no record of the band before               */
} mscope_news;

/* mscope_latest_take - fold one record in
 *
 * Owns     the record is copied
 * Errors   MSCOPE_ENOMEM; the set is as it was                                                        */
MSCOPE_MUST_CHECK int mscope_latest_take(mscope_latest *l, const mscope_telemetry *m, mscope_news *news);

/* mscope_latest_find - the table of this name with its table record, or NULL */
const mscope_latest_table *mscope_latest_find(const mscope_latest *l, const char *name);

/* mscope_latest_complete - is every band that every table names there, and at least one? */
int mscope_latest_complete(const mscope_latest *l);

/* mscope_latest_alert - "latest, 5960 steps ago: TEXT", or "" where there was no alert
 *
 * The age is that of the alert's table; an alert about the daemon, or about a table that is not here, has none. */
enum { MSCOPE_ALERT_TEXT = MSCOPE_TEXT_MAX + 64 };
void mscope_latest_alert(const mscope_latest *l, char words[MSCOPE_ALERT_TEXT]);

/* mscope_latest_fini - give the memory back; the set is empty then */
void mscope_latest_fini(mscope_latest *l);

#endif
