/* shadow.h - the daemon's copy of one trainer's table: its memory, its owner, and whether it is exact */
#ifndef MSCOPE_DAEMON_SHADOW_H
#define MSCOPE_DAEMON_SHADOW_H

#include "engine.h"

/* mscope_shadow_open - map and initialise a table of this shape into a free *s, at step hello->step
 *
 * history  steps kept to catch up from, as in mscope_table_config
 * credit   bytes that the table whose place it takes will give back
 * Errors   MSCOPE_EINVAL, MSCOPE_ENOMEM, MSCOPE_ENOTSUP with *why filled; *s untouched
 * Cost     one mapping; O(bytes) with --realtime, which writes every page                                    */
MSCOPE_MUST_CHECK int mscope_shadow_open(mscope_engine *e, mscope_shadow *s, const mscope_hello *hello,
                                         uint32_t history, uint64_t credit, mscope_refusal *why);
/* mscope_shadow_adopt - like open, but the table lies in a block that an earlier daemon left (mapped.h); O(1)
 * Errors   MSCOPE_EPROTO the block has another length;  others as open;  *s untouched                         */
MSCOPE_MUST_CHECK int mscope_shadow_adopt(mscope_engine *e, mscope_shadow *s, const mscope_hello *hello,
                                          uint32_t history, void *mem, size_t mem_len);
/* mscope_shadow_close - give the memory back, and remove the file of a mapped table */
void mscope_shadow_close(mscope_engine *e, mscope_shadow *s);

/* mscope_shadow_find - the table that a session attached under this handle, or NULL */
mscope_shadow *mscope_shadow_find(mscope_engine *e, uint64_t session, uint32_t handle);

/* mscope_shadow_detach - its trainer left: alert, and no owner until the next HELLO */
void mscope_shadow_detach(mscope_engine *e, mscope_shadow *s);
/* mscope_shadow_exact - do the daemon's rows equal the trainer's, as far as it knows?
 *
 * A trainer whose last steps were refused has made them all the same: the copy is behind until a later step or SYNC is
 * accepted. */
static inline int mscope_shadow_exact(const mscope_shadow *s)
{
    return s->exact && !s->hello.narrow && s->refused_step <= mscope_table_steps(s->core);
}
/* mscope_shadow_stepped - note whether a STEP was refused; err: 0, or why */
void mscope_shadow_stepped(mscope_shadow *s, uint64_t step, int err);
/* mscope_shadow_inexact - count lost steps (0: none, its owner changed); inexact until SYNC has covered every row */
void mscope_shadow_inexact(mscope_engine *e, mscope_shadow *s, uint64_t lost);

#endif
