/* log.h - one line for each event: time, level, area, sentence
 *
 * Threads  any. A line is one write, which may wait for its reader. A thread that must not wait hands its lines
 *          over to another thread: no lock, and no system call but to wake that thread; a full queue loses lines
 *          and counts them */
#ifndef MSCOPE_DAEMON_LOG_H
#define MSCOPE_DAEMON_LOG_H

#include <time.h>

#include "ring.h"

enum mscope_level { MSCOPE_LOG_ERROR, MSCOPE_LOG_WARN, MSCOPE_LOG_INFO, MSCOPE_LOG_DEBUG };

/* mscope_log_open - lines of `level` and more important ones go to `path` (NULL: stderr) from now on; 0 or
 * MSCOPE_EIO */
int mscope_log_open(const char *path, enum mscope_level level);

void mscope_log(enum mscope_level level, const char *area, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* mscope_log_reopen - after a log rotation: open path (NULL: stderr) again, level unchanged
 * Owns     path must outlive the call: a thread that hands its lines over hands this over too     */
void mscope_log_reopen(const char *path);

#define MSCOPE_LOG_SLOTS 256

typedef struct mscope_log_entry {
    int level;                           /* -1: open the path `area` again                       */
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

/* mscope_log_hand_over - from now on this thread's lines go into q; NULL: the thread writes them itself again */
void mscope_log_hand_over(mscope_log_queue *q);
/* mscope_log_drain - write the lines in q; for the consumer's thread only                       */
void mscope_log_drain(mscope_log_queue *q);

#endif
