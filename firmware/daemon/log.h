/* log.h - one line an event: time, level, area, sentence
 *
 * Threads  any; a line goes out in one write, which waits for whoever reads it. A thread that may not wait hands its
 * lines over to another one: no lock, no system call but the waking of the writer; a full queue loses lines, counted. */
#ifndef MSCOPE_DAEMON_LOG_H
#define MSCOPE_DAEMON_LOG_H

#include <time.h>

#include "ring.h"

enum mscope_level { MSCOPE_LOG_ERROR, MSCOPE_LOG_WARN, MSCOPE_LOG_INFO, MSCOPE_LOG_DEBUG };

/* mscope_log_open - lines of `level` and worse go to `path` (NULL: stderr); returns 0 or MSCOPE_EIO.
 * Called again (SIGHUP after a log rotation) it opens the path anew.                            */
int mscope_log_open(const char *path, enum mscope_level level);

void mscope_log(enum mscope_level level, const char *area, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* mscope_log_reopen - SIGHUP: open path (NULL: stderr) anew, at the present level; path must stay   */
void mscope_log_reopen(const char *path);

#define MSCOPE_LOG_SLOTS 256

typedef struct mscope_log_entry {
    int level;                           /* -1: open the path `area` anew                        */
    const char *area;
    struct timespec at;
    char text[960];
} mscope_log_entry;

typedef struct mscope_log_queue {
    int wake_fd;                         /* eventfd of the consumer, non-blocking                */
    mscope_ring ring;                    /* of mscope_log_entry; `dropped`: lines lost and not reported yet */
    mscope_log_entry at[MSCOPE_LOG_SLOTS];
} mscope_log_queue;

/* mscope_log_queue_init - before the first line; wake_fd is set by the caller                   */
MSCOPE_MUST_CHECK int mscope_log_queue_init(mscope_log_queue *q);

/* mscope_log_hand_over - from now on this thread's lines go into q; NULL: written by itself again */
void mscope_log_hand_over(mscope_log_queue *q);
/* mscope_log_drain - write what is in q; its consumer's thread only                             */
void mscope_log_drain(mscope_log_queue *q);

#endif
