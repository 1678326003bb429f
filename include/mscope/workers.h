/* workers.h - threads to lend to a table (mscope_table_parallel)
 *
 * A small pool of POSIX threads that share out the pieces of one call at a time; the calling thread takes pieces too.
 * Workers spin for some tens of microseconds after a call, because the next one often follows soon, and then sleep. */
#ifndef MSCOPE_WORKERS_H
#define MSCOPE_WORKERS_H

#include "core.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mscope_workers mscope_workers;

/* mscope_workers_start - a pool of `threads` threads in all, the caller's included: 1 .. 64
 *
 * Owns     the caller owns the pool; before mscope_workers_stop every table must have been given another one or NULL
 * Errors   MSCOPE_EINVAL  threads out of range;  MSCOPE_ENOMEM  no memory or no thread; *out untouched
 * Threads  one call of run at a time: tables driven from different threads need a pool each             */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_workers_start(mscope_workers **out, unsigned threads);
MSCOPE_API mscope_parallel mscope_workers_parallel(mscope_workers *w);      /* valid until stop */
MSCOPE_API void mscope_workers_stop(mscope_workers *w);                     /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
