/* pool_ranks.h - one pool over several ranks: rank 0 hands out and writes, the others compute
 *
 *     rank k -> 0   H MEANING JOBS      here I am, with room for JOBS pieces
 *     0 -> rank k   P INDEX             compute this one
 *     rank k -> 0   R INDEX\nTEXT       what it gave          F INDEX   it failed
 *     0 -> rank k   Q                   nothing more: stop what runs
 *     rank k -> 0   B                   stopped: nothing will follow
 *
 * A rank never has more pieces than it has room for, and gets the next one when it sends a result: slow and fast machines
 * share as they can. Whatever is lost with a rank was in no file yet, so the same command computes it again.             */
#ifndef MSCOPE_BENCH_POOL_RANKS_H
#define MSCOPE_BENCH_POOL_RANKS_H

#include "crew.h"
#include "ranks.h"

/* Both return as mscope_pool_run does and have left the ranks, unless they were interrupted and others did not answer. */
int mscope_pool_lead(const mscope_pool *p, const mscope_ranks *r);
int mscope_pool_serve(const mscope_pool *p, const mscope_ranks *r, mscope_crew *crew);

#endif
