/* directions.h - DIRECTION applied: products along one direction into the stability of its tables, and their records
 *
 * The message names any table of its session; that table's shadow keeps the means. Every table with rows in the message
 * keeps the shares of its bands. */
#ifndef MSCOPE_DAEMON_DIRECTIONS_H
#define MSCOPE_DAEMON_DIRECTIONS_H

#include "engine.h"

/* mscope_direction_apply - f[n]: the parts after the header
 * Errors   a negative code with *why filled; nothing has changed.    Cost O(entries), no allocation           */
MSCOPE_MUST_CHECK int mscope_direction_apply(mscope_engine *e, mscope_shadow *s, const mscope_header *h,
                                             const mscope_part *f, size_t n, mscope_refusal *why);

/* mscope_direction_forget - another trainer holds the table from now on */
void mscope_direction_forget(mscope_shadow *s);

#endif
