/* slices.h - publications and resums in pieces, so that messages are taken in between */
#ifndef MSCOPE_DAEMON_SLICES_H
#define MSCOPE_DAEMON_SLICES_H

#include "engine.h"

#define MSCOPE_AT_ONCE 2048          /* a table of at most so many rows is resummed in one go    */
#define MSCOPE_AT_ONCE_YOUNG 65536   /* .. of so many when its steps have grown by a fourth: 2 ms */
#define MSCOPE_SLICE_NS 60000        /* work between two looks at the sockets                    */
#define MSCOPE_RESUM_NS 4000000      /* time for slices of resums after each publication         */

enum mscope_publish { MSCOPE_PUBLISH_CHANGED, MSCOPE_PUBLISH_MOVED, MSCOPE_PUBLISH_ALL };

/* mscope_publish_begin - open a publication, or add to the one under way: the daemon's record and those of
 *   CHANGED  tables whose exactness or owner changed
 *   MOVED    those, and regular records of tables with new steps
 *   ALL      every table (SIGHUP, the end)
 * deadline_ns: when its last record should be out, to measure the lateness; 0: no deadline                     */
void mscope_publish_begin(mscope_engine *e, uint64_t now_ns, uint64_t deadline_ns, enum mscope_publish what);
/* mscope_publish_slice - the records of one due table, or at the end the daemon's; returns whether more is due */
int mscope_publish_slice(mscope_engine *e, uint64_t now_ns);
/* mscope_publish_table - the records of one table now. A table of few rows is resummed first; a larger one goes out as
 * its totals stand, with their bounds, and a resum in slices is asked for                                       */
void mscope_publish_table(mscope_engine *e, mscope_shadow *s, int regular);
/* mscope_engine_publish - a whole publication at once, every table resummed; no message is taken meanwhile */
void mscope_engine_publish(mscope_engine *e, uint64_t now_ns, enum mscope_publish what);

/* mscope_resum_wanted - is there a slice of a resum to do when no message waits? */
int mscope_resum_wanted(const mscope_engine *e);
/* mscope_resum_slice - do one; the caller measures the time it took and reports it with mscope_resum_took       */
void mscope_resum_slice(mscope_engine *e);
void mscope_resum_took(mscope_engine *e, uint64_t ns);

#endif
