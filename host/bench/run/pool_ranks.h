/* pool_ranks.h - one pool over several ranks: rank 0 hands out and writes, the others compute
 *
 *     rank k -> 0   H MEANING JOBS      hello; room for JOBS pieces
 *     0 -> rank k   P INDEX             compute this piece
 *     rank k -> 0   R INDEX\nTEXT       its text              F INDEX   it failed
 *     0 -> rank k   Q                   quit: stop what runs
 *     rank k -> 0   B                   bye: nothing follows
 *
 * A rank never has more pieces than it has room for, and gets the next one when it sends a result, so fast machines do
 * more of them. A piece that is lost with a rank is in no file yet, so the same command computes it again. */
#ifndef MSCOPE_BENCH_POOL_RANKS_H
#define MSCOPE_BENCH_POOL_RANKS_H

#include "crew.h"
#include "ranks.h"

/* Both return as mscope_pool_run does. They have left the ranks then, unless they were interrupted and others did not
 * answer. */
int mscope_pool_lead(const mscope_pool *p, const mscope_ranks *r);
int mscope_pool_serve(const mscope_pool *p, const mscope_ranks *r, mscope_crew *crew);

#endif
