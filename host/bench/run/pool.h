/* pool.h - many independent pieces of work in a few processes, on one machine or under mpirun on many
 *
 * The one seam between what is computed and where: a piece is known by its index alone and gives one line of text.      */
#ifndef MSCOPE_BENCH_POOL_H
#define MSCOPE_BENCH_POOL_H

#include <stddef.h>
#include <stdint.h>

enum { MSCOPE_POOL_JOBS = 256 };

typedef struct mscope_pool {
    size_t n;
    const size_t *which;                                         /* index of each piece; NULL: 0 .. n - 1    */
    uint64_t meaning;                                            /* of the indices: a fingerprint, ranks that differ are refused */
    int jobs;                                                    /* processes at a time, >= 1; under mpirun of each rank */
    const int *stop;                                             /* done may set it: start no more, end what runs; NULL: never */
    void *ctx;
    char *(*work)(size_t i, void *ctx);                          /* in the child; malloc'd, NULL: failed     */
    void (*done)(size_t i, const char *text, void *ctx);         /* in the parent as pieces end; NULL: failed */
} mscope_pool;

enum mscope_pool_end {
    MSCOPE_POOL_DONE = 0,
    MSCOPE_POOL_INTERRUPTED = 1,
    MSCOPE_POOL_SERVED = 2,          /* this process computed for rank 0, which tells how it all went: say nothing */
};

/* mscope_pool_run - all pieces, in order of start; every piece is a process of its own, so neither jobs nor ranks can
 * change its result
 *
 * Under mpirun rank 0 hands out pieces and alone calls done; the others compute. Every rank must call this with the same
 * work, whatever it knows of n and which: only rank 0 reads those. At most once in a program's life under mpirun.
 * Children die with the parent. SIGINT, SIGTERM and *stop stop what runs and return MSCOPE_POOL_INTERRUPTED.
 * Returns  enum mscope_pool_end; negative when processes cannot be made or do not belong together, told on stderr       */
int mscope_pool_run(const mscope_pool *p);

#endif
