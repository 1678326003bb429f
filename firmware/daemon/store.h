/* store.h - the state file: everything a new daemon needs to continue bit for bit
 *
 * File: "MSCPSTAT", u32 version, u32 sessions, u32 tables; sessions {u64 id, u64 next, u32 left}; each table as image.h
 * has it, followed by its core snapshot; a CRC-32 of all of it. Little-endian. It is written to FILE.new, synced, and
 * renamed over FILE, which is FILE.previous from then on. restore.c reads it. */
#ifndef MSCOPE_DAEMON_STORE_H
#define MSCOPE_DAEMON_STORE_H

#include "engine.h"

#define MSCOPE_STORE_VERSION 8
static const char mscope_store_magic[8] = { 'M', 'S', 'C', 'P', 'S', 'T', 'A', 'T' };

/* mscope_store_image - the whole state in freshly mapped memory
 * Owns     *image is the caller's, to be given to munmap
 * Errors   MSCOPE_ENOMEM, or what the core's snapshot returned                                                */
MSCOPE_MUST_CHECK int mscope_store_image(mscope_engine *e, uint8_t **image, size_t *len);

enum mscope_save_stage { MSCOPE_SAVE_OPEN, MSCOPE_SAVE_WRITE, MSCOPE_SAVE_SYNC, MSCOPE_SAVE_RENAME };

typedef struct mscope_saved {            /* what became of a save                                              */
    int done;
    int did, err;                        /* enum mscope_save_stage, and the errno that ended it                */
    uint64_t len;
} mscope_saved;

/* mscope_store_save - the whole state to FILE, through FILE.new; the file before it is kept as FILE.previous
 *
 * Threads  none beside it may change the engine. It logs, locks and allocates nothing, so a child that was forked can
 *          call it (saver.h)
 * Returns  0 or an errno, as in *r
 * mscope_store_tell - log what became of it; quiet: success at level debug                                 */
MSCOPE_MUST_CHECK int mscope_store_save(mscope_engine *e, const char *path, mscope_saved *r);
void mscope_store_tell(const char *path, const mscope_saved *r, int quiet);

/* mscope_store_check - can path, which is locked, be written when the time comes? 0 or MSCOPE_EIO, logged      */
MSCOPE_MUST_CHECK int mscope_store_check(const char *path);

#endif
