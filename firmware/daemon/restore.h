/* restore.h - at start: the state file loaded, mapped tables taken over */
#ifndef MSCOPE_DAEMON_RESTORE_H
#define MSCOPE_DAEMON_RESTORE_H

#include "engine.h"

/* mscope_restore_state - fill an engine that holds nothing yet from the state file; 1: there is no file
 * Errors   MSCOPE_EIO, MSCOPE_EPROTO, MSCOPE_EVERSION, MSCOPE_ENOMEM ..., logged with the reason; the engine must
 *          then be set up again                                                                                */
MSCOPE_MUST_CHECK int mscope_restore_state(mscope_engine *e, const char *path, uint64_t now_ns);
/* mscope_restore_bytes - the same of a state file that lies in memory; path only names it in the log           */
MSCOPE_MUST_CHECK int mscope_restore_bytes(mscope_engine *e, const uint8_t *p, size_t len, const char *path,
                                           uint64_t now_ns);

/* mscope_restore_tables - take over every table of --map-dir that was left clean, and the sessions that hold them.
 * Those that were not left clean are removed, after an alert: their trainers send them again, as after a lost state
 * file.
 *
 * discard  remove a file that cannot be taken over, instead of refusing to start
 * Errors   MSCOPE_EBUSY another daemon has the directory;  MSCOPE_EPROTO, MSCOPE_EVERSION a damaged file, or of another
 *          build;  MSCOPE_ENOMEM;  MSCOPE_EIO;  logged.  *lock: as mscope_mapped_lock                          */
MSCOPE_MUST_CHECK int mscope_restore_tables(mscope_engine *e, int discard, uint64_t now_ns, int *lock);

#endif
