/* crew.h - the forked children of one process, each at one piece of a pool */
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

/* What becomes of a piece: its text, borrowed until return, or NULL when it failed. */
typedef void mscope_crew_ended(size_t i, const char *text, void *ctx);

/* mscope_crew_open, _close - take over SIGINT and SIGTERM for mscope_crew_stopped, give them back */
void mscope_crew_open(mscope_crew *c, const mscope_pool *p);
void mscope_crew_close(mscope_crew *c);

/* Nonzero once SIGINT or SIGTERM came to this process or ended one of its children. */
int mscope_crew_stopped(void);

/* mscope_pool_stopped - that, or *p->stop */
int mscope_pool_stopped(const mscope_pool *p);

/* mscope_crew_start - piece i in a child of its own
 * Returns  0, or -1: no slot is free or no process can be made                                         */
int mscope_crew_start(mscope_crew *c, size_t i);

/* mscope_crew_wait - reads what children have to say for at most timeout_ms, tells the pieces that have ended */
void mscope_crew_wait(mscope_crew *c, int timeout_ms, mscope_crew_ended *ended, void *ctx);

/* mscope_crew_kill - ends all children; tells the pieces that were done all the same */
void mscope_crew_kill(mscope_crew *c, mscope_crew_ended *ended, void *ctx);

#endif
