/* saver.h - saves the state beside the engine, and the thread that waits for that and writes the engine's log lines:
 * the engine never waits for a disk or a terminal
 *
 * A save is a child process, forked by the engine's thread. It sees the state of that moment, whatever the engine does
 * next: the system copies a page when one of them writes to it. So the engine stands still for the fork alone. */
#ifndef MSCOPE_DAEMON_SAVER_H
#define MSCOPE_DAEMON_SAVER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

#include "log.h"
#include "store.h"

enum mscope_saver_state { MSCOPE_SAVER_IDLE, MSCOPE_SAVER_WORK, MSCOPE_SAVER_DONE, MSCOPE_SAVER_FAILED };

typedef struct mscope_saver_large {      /* memory of large tables at the fork, of which the child has a copy */
    struct {
        void *at;
        size_t len;
    } table[64];
    unsigned n;
} mscope_saver_large;

typedef struct mscope_saver {
    const char *path;                    /* NULL: no state file                                  */
    mscope_saved *saved;                 /* memory shared with the child                         */
    pid_t child;
    mscope_saver_large large;
    int done_before;                     /* the last save was done                               */
    int quiet;                           /* this one is no news if it is done                    */
    _Atomic int state;                   /* owner of all: the saver while WORK, else the engine  */
    int work_fd, done_fd;                /* eventfds, non-blocking                               */
    mscope_log_queue *log;               /* the engine's lines, written here; NULL: none         */
    _Atomic int stop, ended;             /* ended: the save under way is not wanted any more      */
} mscope_saver;

/* mscope_saver_init - Errors MSCOPE_ENOMEM
 * mscope_saver_fork - begin a save of the state as it is now; the thread tells when it is done
 * Errors of it     MSCOPE_EIO, with errno
 * mscope_saver_end - end a save under way: the state is about to be saved again                                 */
MSCOPE_MUST_CHECK int mscope_saver_init(mscope_saver *s, const char *path);
MSCOPE_MUST_CHECK int mscope_saver_fork(mscope_saver *s, mscope_engine *e);
void mscope_saver_end(mscope_saver *s);

/* mscope_saver_run - thread body; returns once stop is set and work_fd was written                         */
void *mscope_saver_run(void *saver);

#endif
