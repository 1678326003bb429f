/* saver.h - the saver thread: writes the state file and the engine's log lines, so that the engine never waits for a
 * disk or a terminal */
#ifndef MSCOPE_DAEMON_SAVER_H
#define MSCOPE_DAEMON_SAVER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"

enum mscope_saver_state { MSCOPE_SAVER_IDLE, MSCOPE_SAVER_WORK, MSCOPE_SAVER_DONE, MSCOPE_SAVER_FAILED };

typedef struct mscope_saver {
    const char *path;                    /* NULL: no state file                                  */
    uint8_t *image;                      /* mapped for one save                                  */
    size_t len;
    _Atomic int state;                   /* owner of image and len: the saver while WORK, else the engine */
    int work_fd, done_fd;                /* eventfds, non-blocking                               */
    mscope_log_queue *log;               /* the engine's lines, written here; NULL: none         */
    _Atomic int stop;
} mscope_saver;

/* mscope_saver_run - thread body; returns once stop is set and work_fd was written                         */
void *mscope_saver_run(void *saver);

#endif
