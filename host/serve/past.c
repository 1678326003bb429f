/* past.c - see past.h */
#include "past.h"

#include <stdlib.h>

#include "common/clock.h"

enum { WAIT_MS = 50 };

static const double QUIET_S = 0.35;

typedef struct pile {
    mscope_telemetry *at;
    size_t *order;
    size_t n, room;
} pile;

static uint64_t step_of(const mscope_record *r)
{
    switch (r->kind) {
    case MSCOPE_REC_BAND: return r->u.band.step;
    case MSCOPE_REC_TABLE: return r->u.table.step;
    case MSCOPE_REC_ACF: return r->u.acf.step;
    case MSCOPE_REC_STABILITY: return r->u.stability.step;
    case MSCOPE_REC_ALERT: return r->u.alert.step;
    case MSCOPE_REC_DAEMON: break;
    }
    return UINT64_MAX;               /* the daemon's own: only the last one counts */
}

/* Of one step: bands, autocorrelations, stability, then the table that sums them up, then alerts. */
static int rank_of(enum mscope_record_kind kind)
{
    static const int rank[] = { [MSCOPE_REC_BAND] = 0, [MSCOPE_REC_ACF] = 1, [MSCOPE_REC_STABILITY] = 2,
                                [MSCOPE_REC_TABLE] = 3, [MSCOPE_REC_ALERT] = 4, [MSCOPE_REC_DAEMON] = 5 };
    return rank[kind];
}

static int earlier(const void *a, const void *b, void *context)
{
    const pile *sorted = context;
    const size_t i = *(const size_t *)a, j = *(const size_t *)b;
    const mscope_record *x = &sorted->at[i].record, *y = &sorted->at[j].record;
    const uint64_t p = step_of(x), q = step_of(y);

    if (p != q)
        return p < q ? -1 : 1;
    if (x->kind != y->kind)
        return rank_of(x->kind) - rank_of(y->kind);
    return i < j ? -1 : 1;           /* as they came */
}

static int push(pile *p, const mscope_telemetry *m)
{
    if (p->n == p->room) {
        const size_t room = p->room > 0 ? 2 * p->room : 1024;
        mscope_telemetry *grown = realloc(p->at, room * sizeof *grown);
        if (grown == NULL)
            return MSCOPE_ENOMEM;
        p->at = grown;
        p->room = room;
    }
    p->at[p->n++] = *m;
    return 0;
}

/* What a daemon publishes in the meantime is gathered too, and keeps nobody waiting. */
static int gather(mscope_feed *feed, pile *p, double for_s)
{
    const double start = mscope_monotonic_s();
    double last = start, now = start;
    mscope_subscriber_stats stats;
    uint64_t replayed = 0;
    mscope_telemetry m;

    while (p->n < MSCOPE_PAST_MOST && now - start < for_s && (p->n == 0 || now - last < QUIET_S)) {
        const int rc = mscope_feed_next(feed, &m, WAIT_MS);
        if (rc == MSCOPE_ENOMEM || (rc == 0 && push(p, &m) != 0))
            return MSCOPE_ENOMEM;
        now = mscope_monotonic_s();
        mscope_feed_stats(feed, &stats);
        if (stats.replayed != replayed || p->n <= 1)
            last = now;
        replayed = stats.replayed;
    }
    return 0;
}

static int fold(mscope_story *s, const pile *p, double now)
{
    int rc = 0;

    s->past = 1;
    for (size_t i = 0; i < p->n && rc == 0; i++)
        rc = mscope_story_take(s, &p->at[p->order[i]], now);
    s->past = 0;
    return rc;
}

int mscope_past_take(mscope_feed *feed, mscope_story *s, pthread_mutex_t *lock, double for_s, double now)
{
    pile p = { .at = NULL };
    int rc = gather(feed, &p, for_s);

    if (rc == 0 && p.n > 0 && (p.order = malloc(p.n * sizeof *p.order)) == NULL)
        rc = MSCOPE_ENOMEM;
    for (size_t i = 0; rc == 0 && i < p.n; i++)
        p.order[i] = i;
    if (rc == 0 && p.n > 0)
        qsort_r(p.order, p.n, sizeof *p.order, earlier, &p);
    if (lock != NULL)
        (void)pthread_mutex_lock(lock);
    if (rc == 0)
        rc = fold(s, &p, now);
    if (lock != NULL)
        (void)pthread_mutex_unlock(lock);
    free(p.order);
    free(p.at);
    return rc;
}
