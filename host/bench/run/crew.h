/* crew.h - forked children of one process; each computes one piece of a pool */
#ifndef MSCOPE_BENCH_CREW_H
#define MSCOPE_BENCH_CREW_H

#include <signal.h>
#include <sys/types.h>

#include "pool.h"

typedef struct mscope_crew {
    const mscope_pool *pool;
    size_t jobs, live;
    struct mscope_crew_child {
        pid_t pid;                                 /* 0: free                                          */
        int fd;
        size_t index, len, cap;
        char *text;
    } child[MSCOPE_POOL_JOBS];
    struct sigaction old_int, old_term;
} mscope_crew;

/* Called when a piece has ended. text: its line, borrowed until return; NULL: it failed. */
typedef void mscope_crew_ended(size_t i, const char *text, void *ctx);

/* mscope_crew_open, _close - take over SIGINT and SIGTERM for mscope_crew_stopped; restore their old handlers */
void mscope_crew_open(mscope_crew *c, const mscope_pool *p);
void mscope_crew_close(mscope_crew *c);

/* mscope_crew_stopped - nonzero once this process got SIGINT or SIGTERM, or one of them ended a child */
int mscope_crew_stopped(void);

/* mscope_pool_stopped - mscope_crew_stopped, or *p->stop is set */
int mscope_pool_stopped(const mscope_pool *p);

/* mscope_crew_start - computes piece i in a new child
 * Returns  0, or -1: no slot is free, or fork failed                                                   */
int mscope_crew_start(mscope_crew *c, size_t i);

/* mscope_crew_wait - reads the children's output for at most timeout_ms; calls ended for each piece that ends */
void mscope_crew_wait(mscope_crew *c, int timeout_ms, mscope_crew_ended *ended, void *ctx);

/* mscope_crew_kill - kills all children; calls ended for pieces that were complete already */
void mscope_crew_kill(mscope_crew *c, mscope_crew_ended *ended, void *ctx);

#endif
