/* mapped.h - tables whose memory is a file: larger than memory, and there again after a restart without being read
 *
 * DIR/NAME.table: a head of 4096 bytes (mapped.c), then the table's block as it lies in memory: of this machine and this
 * build. Marked dirty as long as a daemon has it open, so that rows torn by a crash are never taken for whole. */
#ifndef MSCOPE_DAEMON_MAPPED_H
#define MSCOPE_DAEMON_MAPPED_H

#include "engine.h"

/* mscope_mapped_open - a new, empty file of len bytes, every block of it allocated, mapped; zeros
 * Errors   MSCOPE_ENOMEM no room on the disk; MSCOPE_EIO; *why filled, nothing left behind            */
MSCOPE_MUST_CHECK int mscope_mapped_open(const mscope_engine *e, const mscope_hello *hello, size_t len, mscope_map_file *out,
                                         mscope_refusal *why);

/* mscope_mapped_drop - unmap; the file goes too, unless another table has taken its name meanwhile */
void mscope_mapped_drop(const mscope_engine *e, const mscope_shadow *s);

/* mscope_mapped_leave - the end: rows to the disk, then the head, marked clean; unmap. MSCOPE_EIO, logged */
MSCOPE_MUST_CHECK int mscope_mapped_leave(mscope_engine *e, mscope_shadow *s);

/* mscope_mapped_load - take over every table that was left clean, and the sessions that hold them; remove those that were
 * not, after an alert: their trainers send them again, as after a lost state file
 * Errors   MSCOPE_EBUSY another daemon has the directory; MSCOPE_EPROTO a file of another build or damaged, MSCOPE_ENOMEM,
 *          MSCOPE_EIO; logged. lock: as mscope_store_lock                                             */
MSCOPE_MUST_CHECK int mscope_mapped_load(mscope_engine *e, int discard, uint64_t now_ns, int *lock);


#endif
