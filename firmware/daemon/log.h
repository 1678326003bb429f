/* log.h - one line an event: time, level, area, sentence
 *
 * Threads  any; a line goes out in one write                                                    */
#ifndef MSCOPE_DAEMON_LOG_H
#define MSCOPE_DAEMON_LOG_H

enum mscope_level { MSCOPE_LOG_ERROR, MSCOPE_LOG_WARN, MSCOPE_LOG_INFO, MSCOPE_LOG_DEBUG };

/* mscope_log_open - lines of `level` and worse go to `path` (NULL: stderr); returns 0 or MSCOPE_EIO.
 * Called again (SIGHUP after a log rotation) it opens the path anew.                            */
int mscope_log_open(const char *path, enum mscope_level level);

void mscope_log(enum mscope_level level, const char *area, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
