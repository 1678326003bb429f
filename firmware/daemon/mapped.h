/* mapped.h - tables whose memory is a file: larger than memory, and there again after a restart without being read
 *
 * DIR/NAME.table: a head of 16384 bytes (mapped.c), then the table's block as it lies in memory, so the file is
 * valid for this build on this kind of machine only. The head says "dirty" as long as a daemon has the file open:
 * rows torn by a crash are never taken for whole. */
#ifndef MSCOPE_DAEMON_MAPPED_H
#define MSCOPE_DAEMON_MAPPED_H

#include "stream.h"
#include "engine.h"

#define MSCOPE_MAPPED_HEAD 32768
#define MSCOPE_MAPPED_SUFFIX ".table"

/* mscope_mapped_lock - keep other daemons away from a --map-dir; errors and lock as mscope_lock_take */
MSCOPE_MUST_CHECK int mscope_mapped_lock(const char *dir, int *lock);
void mscope_mapped_unlock(const char *dir, int lock);        /* lock < 0: nothing                */

/* mscope_mapped_open - a new file of len bytes behind its head, every block of it allocated, mapped; zeros
 * Errors   MSCOPE_ENOMEM no room on the disk;  MSCOPE_EIO;  *why filled, nothing left behind                   */
MSCOPE_MUST_CHECK int mscope_mapped_open(const mscope_engine *e, const mscope_hello *hello, size_t len,
                                         mscope_map_file *out, mscope_refusal *why);

/* mscope_mapped_drop - unmap; the file goes too, unless another table has taken its name meanwhile */
void mscope_mapped_drop(const mscope_engine *e, const mscope_shadow *s);

/* mscope_mapped_leave - the end: rows to the disk, then the head marked clean; unmap. MSCOPE_EIO, logged */
MSCOPE_MUST_CHECK int mscope_mapped_leave(mscope_engine *e, mscope_shadow *s);

/* -- taking a file over, in this order (restore.c) -------------------------------------------------------------- */

/* mscope_mapped_read_head - check an open file f->fd; fills f->len, and *src with what follows the fixed fields
 * Returns  0;  1: dirty;  MSCOPE_EPROTO, MSCOPE_EVERSION with *why a text                                      */
MSCOPE_MUST_CHECK int mscope_mapped_read_head(mscope_map_file *f, mscope_reader *src, uint8_t head[MSCOPE_MAPPED_HEAD],
                                              const char **why);
/* mscope_mapped_take_head - the same of a head that was read, its checksum right, from a file of `size` bytes */
MSCOPE_MUST_CHECK int mscope_mapped_take_head(const uint8_t head[MSCOPE_MAPPED_HEAD], uint64_t size,
                                              mscope_map_file *f, mscope_reader *src, const char **why);
MSCOPE_MUST_CHECK int mscope_mapped_map(mscope_map_file *f);                     /* fills f->base; MSCOPE_ENOMEM */
MSCOPE_MUST_CHECK int mscope_mapped_mark_dirty(const mscope_map_file *f);        /* MSCOPE_EIO                  */

#endif
