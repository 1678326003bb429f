/* workers.c - a pool of threads that share out the pieces of one call
 *
 * Calls are numbered. A worker wakes when the number changes and takes pieces until none is left. One word holds the
 * number of the call and of its next piece, so a worker that is late from the last call cannot take a piece of this
 * one. */
#include "mscope/workers.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SPINS 4000                   /* checks before sleeping or yielding, some 20 us */

/* The ticket: call << 32 | pieces << 16 | next piece. */
#define CALL(t) ((uint32_t)((t) >> 32))
#define PIECE(t) ((t) & 0xffffu)
#define LEFT(t) (PIECE(t) < ((t) >> 16 & 0xffffu))

struct mscope_workers {
    _Atomic uint64_t ticket;
    _Atomic uint64_t ended;          /* pieces done in this call */
    _Atomic unsigned asleep;
    _Atomic int stop;
    void (*work)(void *arg, size_t i);       /* read only by a thread that holds a piece of their call */
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    unsigned threads;                /* beside the caller's */
    pthread_t thread[];
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* Take pieces of a call until none is left or another call has begun. */
static void take(mscope_workers *w, uint32_t call)
{
    uint64_t t = atomic_load(&w->ticket);

    while (CALL(t) == call && LEFT(t)) {
        if (!atomic_compare_exchange_weak(&w->ticket, &t, t + 1))
            continue;
        w->work(w->arg, (size_t)PIECE(t));
        atomic_fetch_add(&w->ended, 1);
        t = atomic_load(&w->ticket);
    }
}

static uint32_t next_call(mscope_workers *w, uint32_t seen)
{
    uint32_t call = seen;

    for (unsigned i = 0; i < SPINS; i++) {
        call = CALL(atomic_load(&w->ticket));
        if (call != seen || atomic_load(&w->stop))
            return call;
        relax();
    }
    pthread_mutex_lock(&w->lock);
    atomic_fetch_add(&w->asleep, 1);
    while ((call = CALL(atomic_load(&w->ticket))) == seen && !atomic_load(&w->stop))
        pthread_cond_wait(&w->wake, &w->lock);
    atomic_fetch_sub(&w->asleep, 1);
    pthread_mutex_unlock(&w->lock);
    return call;
}

static void *worker(void *arg)
{
    mscope_workers *w = arg;
    uint32_t seen = 0;

    while (!atomic_load(&w->stop)) {
        seen = next_call(w, seen);
        take(w, seen);
    }
    return NULL;
}

static void rouse(mscope_workers *w)
{
    if (atomic_load(&w->asleep) == 0)
        return;
    pthread_mutex_lock(&w->lock);
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

/* Up to 65,535 pieces of one call. */
static void announce(mscope_workers *w, void (*work)(void *arg, size_t i), void *arg, size_t n)
{
    uint64_t call = (uint64_t)CALL(atomic_load(&w->ticket)) + 1;

    w->work = work;                              /* the last call has ended, so no thread reads these */
    w->arg = arg;
    atomic_store(&w->ended, 0);
    atomic_store(&w->ticket, call << 32 | (uint64_t)n << 16);
    rouse(w);
    take(w, (uint32_t)call);
    for (unsigned i = 0; atomic_load(&w->ended) < n; i++)
        if (i < SPINS)
            relax();
        else
            sched_yield();                       /* a worker that holds a piece may wait for this processor */
}

static void run(void *ctx, void (*work)(void *arg, size_t i), void *arg, size_t n)
{
    if (n > 0xffffu)
        for (size_t i = 0; i < n; i++)
            work(arg, i);
    else
        announce(ctx, work, arg, n);
}

int mscope_workers_start(mscope_workers **out, unsigned threads)
{
    mscope_workers *w;

    if (out == NULL || threads < 1 || threads > 64)
        return MSCOPE_EINVAL;
    w = calloc(1, sizeof *w + (threads - 1) * sizeof w->thread[0]);
    if (w == NULL)
        return MSCOPE_ENOMEM;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    for (; w->threads + 1 < threads; w->threads++)
        if (pthread_create(&w->thread[w->threads], NULL, worker, w) != 0) {
            mscope_workers_stop(w);
            return MSCOPE_ENOMEM;
        }
    *out = w;
    return MSCOPE_OK;
}

mscope_parallel mscope_workers_parallel(mscope_workers *w)
{
    return (mscope_parallel){ run, w };
}

void mscope_workers_stop(mscope_workers *w)
{
    if (w == NULL)
        return;
    atomic_store(&w->stop, 1);
    pthread_mutex_lock(&w->lock);
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->threads; i++)
        pthread_join(w->thread[i], NULL);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
