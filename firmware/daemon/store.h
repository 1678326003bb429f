/* store.h - the state file: everything a new daemon needs to continue bit for bit
 *
 * File: "MSCPSTAT", u32 version, u32 sessions, u32 tables; sessions {u64 id, u64 next, u32 left}; each table as image.h
 * has it, followed by its core snapshot; a CRC-32 of all of it. Little-endian. It is written to FILE.new, synced, and
 * renamed over FILE. restore.c reads it.                                                                       */
#ifndef MSCOPE_DAEMON_STORE_H
#define MSCOPE_DAEMON_STORE_H

#include "engine.h"

#define MSCOPE_STORE_VERSION 7
static const char mscope_store_magic[8] = { 'M', 'S', 'C', 'P', 'S', 'T', 'A', 'T' };

/* mscope_store_image - the whole state in freshly mapped memory
 * Owns     *image is the caller's, to be given to munmap
 * Errors   MSCOPE_ENOMEM, or what the core's snapshot returned                                                */
MSCOPE_MUST_CHECK int mscope_store_image(mscope_engine *e, uint8_t **image, size_t *len);

/* mscope_store_write - image to path through a temporary file; MSCOPE_EIO, logged                              */
MSCOPE_MUST_CHECK int mscope_store_write(const char *path, const uint8_t *image, size_t len);

/* mscope_store_check - can path, which is locked, be written when the time comes? 0 or MSCOPE_EIO, logged      */
MSCOPE_MUST_CHECK int mscope_store_check(const char *path);

#endif
