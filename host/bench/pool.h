/* pool.h - many independent pieces of work in a few processes
 *
 * The one seam between what is computed and where: a piece is known by its index alone and gives one line of text.      */
#ifndef MSCOPE_BENCH_POOL_H
#define MSCOPE_BENCH_POOL_H

#include <stddef.h>

typedef struct mscope_pool {
    size_t n;
    int jobs;                                                    /* processes at a time, >= 1              */
    void *ctx;
    char *(*work)(size_t i, void *ctx);                          /* in the child; malloc'd, NULL: failed     */
    void (*done)(size_t i, const char *text, void *ctx);         /* in the parent as pieces end; NULL: failed */
} mscope_pool;

/* mscope_pool_run - all pieces, in order of start; every piece is a process of its own, so jobs cannot change its result
 *
 * Children die with the parent. SIGINT and SIGTERM stop what runs and return.
 * Returns  0, 1 when interrupted, negative when processes cannot be made                                            */
int mscope_pool_run(const mscope_pool *p);

#endif
