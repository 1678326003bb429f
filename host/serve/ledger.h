/* ledger.h - what happened, kept in a file (SQLite) so that it outlives whoever watched
 *
 * At most MSCOPE_LEDGER_MOST entries are kept, the newest ones. Numbers rise by one and are never used again.
 *
 * Threads  one at a time for each object; several processes may read while one writes                         */
#ifndef MSCOPE_SERVE_LEDGER_H
#define MSCOPE_SERVE_LEDGER_H

#include <stdio.h>

#include "story.h"

enum { MSCOPE_LEDGER_MOST = 10000 };

typedef struct mscope_ledger mscope_ledger;

/* mscope_ledger_path - the usual place: $MOMENTSCOPE_ALERTS, else momentscope/alerts.db in $XDG_STATE_HOME or
 * ~/.local/state.  Returns 0, or -1: too long, or no home */
int mscope_ledger_path(char *out, size_t cap);

/* mscope_ledger_open - open or make it, with the folders above it; path NULL: in memory, gone at the end
 *
 * Shape    write: 0 opens what is there for reading
 * Owns     *out is the caller's
 * Returns  0, or MSCOPE_EIO with a sentence in why                                                             */
MSCOPE_MUST_CHECK int mscope_ledger_open(mscope_ledger **out, const char *path, int write, char *why, size_t cap);
void mscope_ledger_close(mscope_ledger *l);

/* mscope_ledger_add - one more entry; its number; 0 when it is there already, could not be written (counted), or l is
 * NULL */
long long mscope_ledger_add(mscope_ledger *l, const mscope_happening *h, const char *source);

/* Which entries: all limits hold together; 0 and NULL: no limit. */
typedef struct mscope_ledger_query {
    long long since;                         /* only numbers above it                              */
    double from;                             /* only from this Unix time on                        */
    const char *table;
    int alarms;                              /* only alarms (word.h)                               */
    int most;                                /* the newest so many, but oldest first; 0: all       */
} mscope_ledger_query;

/* mscope_ledger_each - call take for each entry, oldest first, until it returns nonzero
 *
 * Returns  how many were given, -1: the file cannot be read                                                     */
int mscope_ledger_each(mscope_ledger *l, const mscope_ledger_query *q,
                       int (*take)(void *context, const mscope_happening *h, const char *source, long long id),
                       void *context);

/* mscope_ledger_last - the highest number so far, 0: none.  Threads any */
long long mscope_ledger_last(mscope_ledger *l);

/* mscope_ledger_failed - how many entries could not be written */
unsigned long long mscope_ledger_failed(const mscope_ledger *l);

#endif
