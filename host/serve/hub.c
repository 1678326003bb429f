/* hub.c - see hub.h */
#include "hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "past.h"

enum { WAIT_MS = 200, AT_ONCE = 1024, NAP_MOST_NS = 50000000 };

static const double BAND_S = 0.0009; /* 1000 bands are judged once a second, 16 every 14 ms             */
static const double PAST_S = 3;      /* at most so long is waited for what was published before */

double mscope_hub_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int mscope_hub_init(mscope_hub *h, mscope_ledger *ledger)
{
    memset(h, 0, sizeof *h);
    h->ledger = ledger;
    atomic_init(&h->version, 1);
    atomic_init(&h->stop, 0);
    return pthread_mutex_init(&h->lock, NULL) == 0 ? 0 : MSCOPE_EIO;
}

/* Called by a story, under the lock. */
static void happened(void *context, const mscope_happening *what)
{
    mscope_heard *s = context;
    const long long id = mscope_ledger_add(s->hub->ledger, what, s->name);

    if (s->hub->tell != NULL && id > 0)
        s->hub->tell(s->hub->context, what, s->name, id);
    atomic_fetch_add(&s->hub->version, 1);
}

int mscope_hub_add(mscope_hub *h, const char *name, mscope_feed *feed)
{
    mscope_heard *s = &h->source[h->sources];
    int bad = h->sources == MSCOPE_SOURCES_MAX;

    for (size_t i = 0; i < h->sources; i++)
        bad |= strcmp(h->source[i].name, name) == 0;
    if (bad) {
        mscope_feed_close(feed);
        return MSCOPE_EINVAL;
    }
    s->hub = h;
    s->feed = feed;
    snprintf(s->name, sizeof s->name, "%s", name);
    mscope_feed_where(feed, s->where, sizeof s->where);
    s->story.tell = happened;
    s->story.context = s;
    h->sources++;
    return 0;
}

/* How much of each table is heard; under the lock. */
static void take_coverage(mscope_heard *s)
{
    free(s->coverage);
    s->coverage = mscope_feed_coverages(s->feed, &s->story.judged.latest);
    s->covered = s->story.judged.latest.tables;
}

/* What keeps records away, such as keys that do not fit, for the page and once for stderr; under the lock. */
static void take_trouble(mscope_heard *s)
{
    const char *now = mscope_feed_trouble(s->feed);

    if (strcmp(now, s->trouble) == 0)
        return;
    snprintf(s->trouble, sizeof s->trouble, "%s", now);
    if (now[0] != '\0')
        fprintf(stderr, "momentscope serve: nothing is heard of %s at %s: %s\n", s->name, s->where, now);
    atomic_fetch_add(&s->hub->version, 1);
}

/* What has come by now, at most AT_ONCE records, so that readers get their turn. Returns how many. */
static int take_some(mscope_heard *s)
{
    mscope_telemetry m;
    int n = 0, rc = mscope_feed_next(s->feed, &m, WAIT_MS);

    if (rc != 0)
        return 0;
    (void)pthread_mutex_lock(&s->hub->lock);
    do {
        s->unkept += mscope_story_take(&s->story, &m, mscope_hub_now()) != 0;
        rc = ++n < AT_ONCE ? mscope_feed_next(s->feed, &m, 0) : MSCOPE_EAGAIN;
    } while (rc == 0);
    mscope_feed_stats(s->feed, &s->stats);
    if (s->covered != s->story.judged.latest.tables)
        take_coverage(s);
    (void)pthread_mutex_unlock(&s->hub->lock);
    return n;
}

/* Where records wait for their turn anyway, they are collected: a wake-up costs more than a record. */
static void nap(double rest)
{
    const struct timespec t = { .tv_nsec = rest > 1 ? NAP_MOST_NS : (long)(rest * NAP_MOST_NS) };

    if (t.tv_nsec > 1000000)
        (void)nanosleep(&t, NULL);
}

static void *follow(void *context)
{
    mscope_heard *s = context;
    double looked = 0;

    s->story.untold = 1;
    s->unkept += mscope_past_take(s->feed, &s->story, &s->hub->lock, PAST_S, mscope_hub_now()) != 0;
    s->story.untold = 0;
    s->story.band_s = BAND_S;
    atomic_fetch_add(&s->hub->version, 1);
    while (!atomic_load(&s->hub->stop)) {
        if (take_some(s) > 0) {
            atomic_fetch_add(&s->hub->version, 1);
            nap(s->story.rest);
        }
        if (mscope_monotonic_s() - looked < 0.5)
            continue;
        looked = mscope_monotonic_s();
        (void)pthread_mutex_lock(&s->hub->lock);
        mscope_story_clock(&s->story, mscope_hub_now());
        mscope_feed_stats(s->feed, &s->stats);
        take_coverage(s);
        take_trouble(s);
        (void)pthread_mutex_unlock(&s->hub->lock);
    }
    return NULL;
}

int mscope_hub_start(mscope_hub *h)
{
    for (size_t i = 0; i < h->sources; i++) {
        if (pthread_create(&h->source[i].thread, NULL, follow, &h->source[i]) != 0)
            return MSCOPE_EIO;
        h->source[i].running = 1;
    }
    return 0;
}

void mscope_hub_end(mscope_hub *h)
{
    atomic_store(&h->stop, 1);
    for (size_t i = 0; i < h->sources; i++) {
        mscope_heard *s = &h->source[i];
        if (s->running)
            (void)pthread_join(s->thread, NULL);
        mscope_feed_close(s->feed);
        mscope_story_fini(&s->story);
        free(s->coverage);
    }
    (void)pthread_mutex_destroy(&h->lock);
}
