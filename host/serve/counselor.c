/* counselor.c - see counselor.h */
#include "counselor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "diagnose/counsel.h"

enum { TABLES = 32 };                /* tables that are looked at, at the same time */

static const char PENDING[] = "{\"pending\":true}\n";
static const double FRACTION = 0.1, INTEREST_S = 60, REST = 20, REST_LEAST_S = 2;

typedef struct interest {
    size_t source;
    char table[MSCOPE_NAME_MAX + 1];
    double asked;                    /* when last, monotonic; 0: a free place */
    uint64_t step;                   /* of the result                         */
    char *result;                    /* NULL: none yet                        */
} interest;

struct mscope_counselor {
    mscope_hub *hub;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int stop;
    interest at[TABLES];
};

/* The records of one table by themselves, so that nobody waits for the search. */
typedef struct records {
    mscope_rec_band band[MSCOPE_BANDS];
    const mscope_rec_band *at[MSCOPE_BANDS];
    size_t n;
    mscope_margin margin;
    int have_margin;
    uint64_t step;
} records;

static void copy_records(const mscope_judged *j, size_t i, records *r)
{
    const mscope_margin *m = mscope_judged_margin(j, i);
    const mscope_rec_band *rec[MSCOPE_BANDS];

    r->n = mscope_judged_bands(j, i, rec);
    for (size_t k = 0; k < r->n; k++) {
        r->band[k] = *rec[k];
        r->at[k] = &r->band[k];
    }
    r->have_margin = m != NULL;
    if (m != NULL)
        r->margin = *m;
    r->step = j->latest.table[i].table.record.u.table.step;
}

static void put_counsel(const records *r, const char *table, FILE *to)
{
    const mscope_measured_options o = { .spread = 1, .margin = r->have_margin ? &r->margin : NULL };
    mscope_counsel *c = calloc(1, sizeof *c);
    char *said = NULL;
    size_t len = 0;
    FILE *words = open_memstream(&said, &len);

    if (c == NULL || words == NULL || r->n == 0) {
        fputs(PENDING, to);
    } else {
        (void)mscope_counsel_of(r->at, r->n, &o, FRACTION, c);
        mscope_counsel_say(c, words);
        (void)fflush(words);
        fprintf(to, "{\"step\":%" PRIu64 ",\"said\":", r->step);
        mscope_json_string(to, said != NULL ? said : "");
        fputs(",\"counsel\":", to);
        mscope_counsel_json(c, table, to);
        fputs("}\n", to);
    }
    if (words != NULL)
        (void)fclose(words);
    free(said);
    free(c);
}

void mscope_counsel_json_now(const mscope_judged *j, size_t i, FILE *to)
{
    records *r = calloc(1, sizeof *r);

    if (r != NULL) {
        copy_records(j, i, r);
        put_counsel(r, j->latest.table[i].name, to);
    } else {
        fputs("null", to);
    }
    free(r);
}

/* -- the thread ------------------------------------------------------------------------------------------ */

/* Copies the records of an interest; 0: nothing new since its result. */
static int fetch(mscope_counselor *c, const interest *one, records *r)
{
    mscope_story *s = &c->hub->source[one->source].story;
    int found = 0;

    (void)pthread_mutex_lock(&c->hub->lock);
    for (size_t i = 0; i < s->tables && !found; i++)
        if (strcmp(s->judged.latest.table[i].name, one->table) == 0) {
            copy_records(&s->judged, i, r);
            found = r->n > 0 && (one->result == NULL || r->step != one->step);
        }
    (void)pthread_mutex_unlock(&c->hub->lock);
    return found;
}

/* One table that is still looked at and has moved, beginning after *turn; under the lock, given up while computing. */
static int work(mscope_counselor *c, records *r, size_t *turn)
{
    for (size_t k = 0; k < TABLES; k++) {
        interest *one = &c->at[*turn = (*turn + 1) % TABLES], copy = *one;
        char *result = NULL;
        size_t len = 0;
        FILE *to;

        if (one->asked == 0 || mscope_monotonic_s() - one->asked > INTEREST_S)
            continue;
        if (!fetch(c, one, r)) {
            if (one->result == NULL)
                one->result = strdup(PENDING);           /* without bands there is nothing to wait for */
            continue;
        }
        if ((to = open_memstream(&result, &len)) == NULL)
            return 0;
        (void)pthread_mutex_unlock(&c->lock);
        put_counsel(r, copy.table, to);
        (void)fclose(to);
        (void)pthread_mutex_lock(&c->lock);
        if (one->source == copy.source && strcmp(one->table, copy.table) == 0) {
            free(one->result);
            one->result = result;
            one->step = r->step;
        } else {
            free(result);
        }
        return 1;
    }
    return 0;
}

/* Whoever looks at a table for the first time does not wait for the rest after another one. */
static int someone_waits(const mscope_counselor *c)
{
    for (size_t i = 0; i < TABLES; i++)
        if (c->at[i].asked > 0 && c->at[i].result == NULL)
            return 1;
    return 0;
}

static void rest(mscope_counselor *c, double seconds)
{
    const double until = mscope_monotonic_s() + seconds;
    struct timespec t;

    while (!c->stop && !someone_waits(c) && mscope_monotonic_s() < until) {
        (void)clock_gettime(CLOCK_REALTIME, &t);
        t.tv_sec += 1;
        (void)pthread_cond_timedwait(&c->wake, &c->lock, &t);
    }
}

static void *run(void *context)
{
    mscope_counselor *c = context;
    records *r = calloc(1, sizeof *r);
    size_t turn = 0;

    (void)pthread_mutex_lock(&c->lock);
    while (!c->stop && r != NULL) {
        const double began = mscope_monotonic_s();
        struct timespec t;

        if (work(c, r, &turn)) {
            const double took = mscope_monotonic_s() - began;
            rest(c, took * REST > REST_LEAST_S ? took * REST : REST_LEAST_S);
            continue;
        }
        (void)clock_gettime(CLOCK_REALTIME, &t);
        t.tv_sec += 1;
        (void)pthread_cond_timedwait(&c->wake, &c->lock, &t);
    }
    (void)pthread_mutex_unlock(&c->lock);
    free(r);
    return NULL;
}

int mscope_counselor_open(mscope_counselor **out, mscope_hub *h)
{
    mscope_counselor *c = calloc(1, sizeof *c);

    *out = NULL;
    if (c == NULL)
        return MSCOPE_ENOMEM;
    c->hub = h;
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_cond_init(&c->wake, NULL);
    if (pthread_create(&c->thread, NULL, run, c) != 0) {
        free(c);
        return MSCOPE_EIO;
    }
    *out = c;
    return 0;
}

void mscope_counselor_close(mscope_counselor *c)
{
    if (c == NULL)
        return;
    (void)pthread_mutex_lock(&c->lock);
    c->stop = 1;
    (void)pthread_cond_broadcast(&c->wake);
    (void)pthread_mutex_unlock(&c->lock);
    (void)pthread_join(c->thread, NULL);
    for (size_t i = 0; i < TABLES; i++)
        free(c->at[i].result);
    (void)pthread_mutex_destroy(&c->lock);
    (void)pthread_cond_destroy(&c->wake);
    free(c);
}

/* The place of this table: its own, a free one, or that of whoever asked longest ago. */
static interest *place(mscope_counselor *c, size_t source, const char *table)
{
    interest *oldest = &c->at[0];

    for (size_t i = 0; i < TABLES; i++) {
        if (c->at[i].asked > 0 && c->at[i].source == source && strcmp(c->at[i].table, table) == 0)
            return &c->at[i];
        if (c->at[i].asked < oldest->asked)
            oldest = &c->at[i];
    }
    free(oldest->result);
    *oldest = (interest){ .source = source };
    snprintf(oldest->table, sizeof oldest->table, "%s", table);
    return oldest;
}

void mscope_counselor_give(mscope_counselor *c, size_t source, const char *table, FILE *to)
{
    (void)pthread_mutex_lock(&c->lock);
    interest *one = place(c, source, table);
    one->asked = mscope_monotonic_s();
    fputs(one->result != NULL ? one->result : PENDING, to);
    if (one->result == NULL)
        (void)pthread_cond_broadcast(&c->wake);
    (void)pthread_mutex_unlock(&c->lock);
}
