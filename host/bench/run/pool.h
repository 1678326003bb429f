/* pool.h - many independent pieces of work in a few processes, on one machine or under mpirun on many
 *
 * This is the only seam between the work and the place where it is done: a piece is known by its index alone and
 * gives one line of text. */
#ifndef MSCOPE_BENCH_POOL_H
#define MSCOPE_BENCH_POOL_H

#include <stddef.h>
#include <stdint.h>

enum { MSCOPE_POOL_JOBS = 256 };

typedef struct mscope_pool {
    size_t n;
    const size_t *which;                                         /* index of each piece; NULL: 0 .. n - 1    */
    uint64_t meaning;                                 /* fingerprint of what the indices mean; ranks must agree on it */
    int jobs;                                                 /* processes at a time, >= 1; under mpirun on each rank */
    const int *stop;                            /* set by done: start no more pieces, end those that run; NULL: never */
    void *ctx;
    char *(*work)(size_t i, void *ctx);                          /* in the child; malloc'd, NULL: failed     */
    void (*done)(size_t i, const char *text, void *ctx);         /* in the parent as pieces end; NULL: failed */
} mscope_pool;

enum mscope_pool_end {
    MSCOPE_POOL_DONE = 0,
    MSCOPE_POOL_INTERRUPTED = 1,
    MSCOPE_POOL_SERVED = 2,          /* this process computed for rank 0, and rank 0 reports: print nothing */
};

/* mscope_pool_run - all pieces, in order of start; every piece is a process of its own, so neither jobs nor ranks can
 * change its result
 *
 * Under mpirun rank 0 hands out pieces and alone calls done; the others compute. Every rank must call this with the
 * same work; only rank 0 reads n and which. Under mpirun: at most once in the life of a program.
 * Children die with the parent. SIGINT, SIGTERM and *stop end the children and return MSCOPE_POOL_INTERRUPTED.
 * Returns  enum mscope_pool_end; negative, with a message on stderr, when processes cannot be made or ranks disagree */
int mscope_pool_run(const mscope_pool *p);

#endif
