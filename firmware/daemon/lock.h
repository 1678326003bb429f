/* lock.h - one daemon for each path: PATH.lock */
#ifndef MSCOPE_DAEMON_LOCK_H
#define MSCOPE_DAEMON_LOCK_H

#include "mscope/err.h"

/* mscope_lock_take - keep other daemons away from path until mscope_lock_release, or the end of the process
 *
 * option and value: the command-line option behind the path, for messages
 * Errors   MSCOPE_EINVAL something other than a regular file is at path;  MSCOPE_EBUSY another daemon has it, and had
 *          it for two seconds;  MSCOPE_EIO;  logged                                                           */
MSCOPE_MUST_CHECK int mscope_lock_take(const char *option, const char *value, const char *path, int *lock);
void mscope_lock_release(const char *path, int lock);        /* lock < 0: nothing                */

#endif
