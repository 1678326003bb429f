/* store.h - the state file: everything a new daemon needs to continue bit for bit
 *
 * File: "MSCPSTAT", u32 version, then sessions and tables little-endian (store.c), each table's core snapshot
 * inside, and a CRC-32 of all of it. Written to FILE.new, synced, renamed over FILE.                         */
#ifndef MSCOPE_DAEMON_STORE_H
#define MSCOPE_DAEMON_STORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine.h"
#include "log.h"

enum mscope_saver_state { MSCOPE_SAVER_IDLE, MSCOPE_SAVER_WORK, MSCOPE_SAVER_DONE, MSCOPE_SAVER_FAILED };

typedef struct mscope_saver {
    const char *path;
    uint8_t *image;                      /* mapped for one save                                  */
    size_t len;
    _Atomic int state;                   /* who may touch image and len: WORK the saver thread, else the engine */
    int work_fd, done_fd;                /* eventfds, non-blocking                               */
    mscope_log_queue *log;               /* the engine's lines, written here; NULL: none         */
    _Atomic int stop;
} mscope_saver;

/* mscope_store_image - the whole state in freshly mapped memory (munmap by the caller)
 * Errors   MSCOPE_ENOMEM, or what the core's snapshot returned                                  */
MSCOPE_MUST_CHECK int mscope_store_image(mscope_engine *e, uint8_t **image, size_t *len);

/* mscope_store_write - image to path through a temporary file; MSCOPE_EIO, logged               */
MSCOPE_MUST_CHECK int mscope_store_write(const char *path, const uint8_t *image, size_t len);

/* mscope_store_check - can path, locked, be written when the time comes? 0 or MSCOPE_EIO, logged */
MSCOPE_MUST_CHECK int mscope_store_check(const char *path);

/* mscope_store_lock - keep other daemons from path through PATH.lock; option and its value are for messages; *lock until mscope_store_unlock or the end
 * Errors   MSCOPE_EINVAL something else than a regular file is there;  MSCOPE_EBUSY;  MSCOPE_EIO; logged */
MSCOPE_MUST_CHECK int mscope_store_lock(const char *option, const char *value, const char *path, int *lock);
void mscope_store_unlock(const char *path, int lock);        /* lock < 0: nothing                */

/* mscope_store_load - fill an engine that holds nothing yet; 1 when there is no file
 * Errors   MSCOPE_EIO, MSCOPE_EPROTO, MSCOPE_EVERSION, MSCOPE_ENOMEM, ..., logged with the reason; the engine must
 *          then be set up again                                                                 */
MSCOPE_MUST_CHECK int mscope_store_load(mscope_engine *e, const char *path, uint64_t now_ns);

/* One table without its rows, into and out of bytes.h's memory; also the head of a mapped table's file (mapped.c). */
struct writer;
struct source;
MSCOPE_MUST_CHECK int mscope_store_put_shadow(const mscope_engine *e, const mscope_shadow *s, struct writer *w);
MSCOPE_MUST_CHECK int mscope_store_get_hello(struct source *src, mscope_hello *hello, uint32_t *history);
void mscope_store_get_shadow(struct source *src, mscope_shadow *s, uint64_t now_ns);

/* mscope_saver_run - thread body: writes what the engine hands over, state and log lines, so that the engine never
 * waits for a disk or a terminal                                                                */
void *mscope_saver_run(void *saver);

#endif
