/* feed.c - see feed.h */
#include "feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "diagnose/shards.h"
#include "listen.h"
#include "cli/watch_view.h"

#define QUIET_S 0.02                 /* a shard's set is through when nothing followed for so long ... */
#define LONGEST_S 0.2                /* ... or this long after its first record                        */
#define SILENT_S 2.0                 /* beyond three intervals                                         */

typedef struct shard {
    mscope_subscriber *sub;
    mscope_view view;                /* its own records, latest of each topic */
    double heard_s;                  /* 0: never */
} shard;

struct mscope_feed {
    const mscope_feed_options *o;
    mscope_subscriber *one;          /* not NULL: one daemon, passed through */
    shard shard[MSCOPE_SHARDS_MAX];
    size_t turn;                     /* whose socket is waited on next */
    double dirty_s, last_s;          /* first and last record since the last flush; 0: none */
    mscope_telemetry *out;             /* made, not yet given */
    size_t given, made, cap;
    uint64_t seq;
};

int mscope_feed_shard(mscope_feed_options *o, const char *address)
{
    if (o->shards == MSCOPE_SHARDS_MAX) {
        fprintf(stderr, "momentscope %s: --shard = %s: at most %d shards\n", o->command, address, MSCOPE_SHARDS_MAX);
        return MSCOPE_EXIT_USAGE;
    }
    for (size_t i = 0; i < o->shards; i++)
        if (strcmp(o->shard[i], address) == 0) {
            fprintf(stderr, "momentscope %s: --shard = %s is given twice: its rows would count twice\n", o->command, address);
            return MSCOPE_EXIT_USAGE;
        }
    o->shard[o->shards++] = address;
    return 0;
}

int mscope_feed_open(mscope_feed **out, const mscope_feed_options *o)
{
    mscope_feed *s;
    int rc = 0;

    if (o->shards > 0 && (o->telemetry != NULL || o->replay != NULL)) {
        fprintf(stderr, "momentscope %s: --shard goes without --telemetry and --replay\n", o->command);
        return MSCOPE_EXIT_USAGE;
    }
    s = calloc(1, sizeof *s);
    if (s == NULL)
        return MSCOPE_EXIT_FAILED;
    s->o = o;
    if (o->shards == 0)
        rc = mscope_subscribe(&s->one, o->telemetry, o->replay, "");
    for (size_t i = 0; i < o->shards && rc == 0; i++)
        rc = mscope_subscribe(&s->shard[i].sub, o->shard[i], "", "");
    if (rc != 0 && o->shards > 0) {
        mscope_refusal why;
        mscope_client_fault(&why);           /* it speaks of --telemetry, which was not given */
        fprintf(stderr, "momentscope %s: --shard = %s (%s): %s\n", o->command, why.value, why.range, why.text);
        mscope_feed_close(s);
        return rc == MSCOPE_EINVAL ? MSCOPE_EXIT_USAGE : MSCOPE_EXIT_FAILED;
    }
    if (rc != 0) {
        rc = mscope_view_refused(o->command, rc);
        mscope_feed_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void mscope_feed_close(mscope_feed *s)
{
    if (s == NULL)
        return;
    mscope_subscriber_close(s->one);
    for (size_t i = 0; i < s->o->shards; i++) {
        mscope_subscriber_close(s->shard[i].sub);
        mscope_view_fini(&s->shard[i].view);
    }
    free(s->out);
    free(s);
}

size_t mscope_feed_shards(const mscope_feed *s)
{
    return s->one != NULL ? 0 : s->o->shards;
}

void mscope_feed_stats(const mscope_feed *s, mscope_subscriber_stats *out)
{
    memset(out, 0, sizeof *out);
    if (s->one != NULL)
        mscope_subscriber_stats_get(s->one, out);
    for (size_t i = 0; i < mscope_feed_shards(s); i++) {
        mscope_subscriber_stats more;
        mscope_subscriber_stats_get(s->shard[i].sub, &more);
        out->received += more.received;
        out->lost += more.lost;
        out->replayed += more.replayed;
        out->malformed += more.malformed;
        out->repeats += more.repeats;
        out->epochs += more.epochs;
    }
}

/* -- who is there ------------------------------------------------------------------------------- */

static int silent(const shard *h)
{
    double interval = h->view.have_daemon ? h->view.daemon.record.u.daemon.interval : 0;

    return h->heard_s == 0 || mscope_listen_now_s() - h->heard_s > SILENT_S + 3 * (interval > 1 ? interval : 1);
}

static const mscope_watched *part_of(const shard *h, const char *table)
{
    for (size_t i = 0; i < h->view.tables; i++)
        if (h->view.table[i].have_table && strcmp(h->view.table[i].table.record.u.table.table, table) == 0)
            return &h->view.table[i];
    return NULL;
}

/* 1: an address, and the words before it, are in why. */
static int lack(const mscope_feed *s, const char *table, size_t i, char *why, size_t cap)
{
    const shard *h = &s->shard[i];

    if (silent(h))
        (void)snprintf(why, cap, h->heard_s == 0 ? "shard %zu, %s, was not heard" : "shard %zu, %s, fell silent", i + 1,
                       s->o->shard[i]);
    else if (table != NULL && part_of(h, table) == NULL)
        (void)snprintf(why, cap, "shard %zu, %s, has no table %s", i + 1, s->o->shard[i], table);
    else
        return 0;
    return 1;
}

static int lacks_table(const mscope_feed *s, const char *table, char *why, size_t cap)
{
    size_t missing = 0;
    char one[320], first[320] = "";

    for (size_t i = 0; i < mscope_feed_shards(s); i++)
        if (lack(s, table, i, one, sizeof one) && missing++ == 0)
            memcpy(first, one, sizeof first);
    why[0] = '\0';
    if (missing == 0)
        return 0;
    (void)snprintf(why, cap, "%zu of %zu shards missing: %s%s", missing, mscope_feed_shards(s), first,
                   missing > 1 ? ", ..." : "");
    return 1;
}

int mscope_feed_lacks(const mscope_feed *s, const char *table, char *why, size_t cap)
{
    why[0] = '\0';
    if (s == NULL || mscope_feed_shards(s) == 0)
        return 0;
    if (table != NULL || lacks_table(s, NULL, why, cap))
        return table == NULL ? 1 : lacks_table(s, table, why, cap);
    for (size_t i = 0; i < mscope_feed_shards(s); i++)
        for (size_t k = 0; k < s->shard[i].view.tables; k++)
            if (s->shard[i].view.table[k].have_table &&
                lacks_table(s, s->shard[i].view.table[k].table.record.u.table.table, why, cap))
                return 1;
    return 0;
}

/* -- one set out of many ------------------------------------------------------------------------ */

static mscope_telemetry *make(mscope_feed *s, enum mscope_record_kind kind)
{
    mscope_telemetry *m;

    if (s->made == s->cap) {
        size_t cap = s->cap > 0 ? 2 * s->cap : 128;
        mscope_telemetry *grown = realloc(s->out, cap * sizeof *grown);
        if (grown == NULL)
            return NULL;
        s->out = grown;
        s->cap = cap;
    }
    m = &s->out[s->made++];
    memset(m, 0, sizeof *m);
    m->record.kind = kind;
    m->seq = s->seq++;
    return m;
}

static int gather_tables(const mscope_feed *s, const char *name, const mscope_rec_table *part[MSCOPE_SHARDS_MAX],
                         const mscope_watched *from[MSCOPE_SHARDS_MAX])
{
    int n = 0;

    for (size_t i = 0; i < s->o->shards; i++) {
        const mscope_watched *w = silent(&s->shard[i]) ? NULL : part_of(&s->shard[i], name);
        if (w == NULL)
            continue;
        from[n] = w;
        part[n++] = &w->table.record.u.table;
    }
    return n;
}

uint64_t mscope_feed_skew(const mscope_feed *s, const char *table, uint64_t *first_step)
{
    const mscope_rec_table *part[MSCOPE_SHARDS_MAX];
    const mscope_watched *from[MSCOPE_SHARDS_MAX];
    int n = mscope_feed_shards(s) > 0 ? gather_tables(s, table, part, from) : 0;
    mscope_rec_table whole;
    uint64_t skew = 0;

    *first_step = 0;
    if (n == 0)
        return 0;
    mscope_shards_table(part, (size_t)n, 1, &whole, &skew);
    *first_step = whole.step;
    return skew;
}

/* A band that lost its rows in one shard keeps the probe samples they brought: its last record, but for all else. */
static int curvature_left(const mscope_watched *w, int b, mscope_rec_band *out)
{
    const mscope_rec_band *last = &w->band[b].record.u.band;

    if (w->have[b] || last->table[0] == '\0' || !(last->h_samples > 0))
        return 0;
    *out = *last;
    out->step = w->table.record.u.table.step;
    out->rows = out->updates = out->lost_steps = 0;
    out->R = out->V = out->C = out->r_bound = out->p = out->P = out->idle_share = 0;
    out->window_updates = out->g2_occurrences = out->U_updates = out->h_updates = 0;
    out->exact = 1;
    return 1;
}

static void make_band(mscope_feed *s, const mscope_watched *const *from, int n, int b, int whole, uint64_t epoch)
{
    const mscope_rec_band *band[MSCOPE_SHARDS_MAX];
    const mscope_rec_acf *acf[MSCOPE_SHARDS_MAX];
    mscope_rec_band left[MSCOPE_SHARDS_MAX];
    size_t bands = 0, acfs = 0;
    mscope_telemetry *m;

    for (int i = 0; i < n; i++) {
        if (from[i]->have[b])
            band[bands++] = &from[i]->band[b].record.u.band;
        if (from[i]->have[b] && from[i]->have_acf[b])
            acf[acfs++] = &from[i]->acf[b].record.u.acf;
    }
    for (int i = 0; i < n && bands > 0; i++)
        if (curvature_left(from[i], b, &left[i]))
            band[bands++] = &left[i];
    if (bands > 0 && (m = make(s, MSCOPE_REC_BAND)) != NULL) {
        mscope_shards_band(band, bands, whole, &m->record.u.band);
        m->record.u.band.epoch = epoch;
        (void)mscope_record_topic(&m->record, m->topic);
    }
    if (acfs > 0 && (m = make(s, MSCOPE_REC_ACF)) != NULL) {
        mscope_shards_acf(acf, acfs, &m->record.u.acf);
        m->record.u.acf.epoch = epoch;
        (void)mscope_record_topic(&m->record, m->topic);
    }
}

static void make_table(mscope_feed *s, const char *name)
{
    const mscope_rec_table *part[MSCOPE_SHARDS_MAX];
    const mscope_watched *from[MSCOPE_SHARDS_MAX];
    int n = gather_tables(s, name, part, from), whole;
    char why[400];
    mscope_rec_table all;
    uint64_t skew;
    mscope_telemetry *m;

    if (n == 0)
        return;
    whole = !lacks_table(s, name, why, sizeof why);
    mscope_shards_table(part, (size_t)n, whole, &all, &skew);
    for (int b = 0; b < MSCOPE_BANDS; b++)
        make_band(s, from, n, b, whole, all.epoch);
    if ((m = make(s, MSCOPE_REC_TABLE)) == NULL)
        return;
    m->record.u.table = all;
    (void)mscope_record_topic(&m->record, m->topic);
}

static void make_daemon(mscope_feed *s)
{
    const mscope_rec_daemon *part[MSCOPE_SHARDS_MAX];
    size_t n = 0;
    mscope_telemetry *m;

    for (size_t i = 0; i < s->o->shards; i++)
        if (s->shard[i].view.have_daemon && !silent(&s->shard[i]))
            part[n++] = &s->shard[i].view.daemon.record.u.daemon;
    if (n == 0 || (m = make(s, MSCOPE_REC_DAEMON)) == NULL)
        return;
    mscope_shards_daemon(part, n, &m->record.u.daemon);
    (void)mscope_record_topic(&m->record, m->topic);
}

/* Every table that any shard has, once, in the order of the first shard that has it. */
static void flush(mscope_feed *s)
{
    s->dirty_s = 0;
    if (s->given == s->made)
        s->made = s->given = 0;
    make_daemon(s);
    for (size_t i = 0; i < s->o->shards; i++)
        for (size_t k = 0; k < s->shard[i].view.tables; k++) {
            const mscope_watched *w = &s->shard[i].view.table[k];
            int before = 0;
            if (!w->have_table)
                continue;
            for (size_t j = 0; j < i; j++)
                before |= part_of(&s->shard[j], w->table.record.u.table.table) != NULL;
            if (!before)
                make_table(s, w->table.record.u.table.table);
        }
}

static int take(mscope_feed *s, size_t i, const mscope_telemetry *m)
{
    mscope_telemetry *alert;

    s->last_s = s->shard[i].heard_s = mscope_listen_now_s();
    if (m->record.kind == MSCOPE_REC_ALERT) {
        if ((alert = make(s, MSCOPE_REC_ALERT)) == NULL)
            return MSCOPE_ENOMEM;
        *alert = *m;
        (void)snprintf(alert->record.u.alert.text, sizeof alert->record.u.alert.text, "shard %zu: %.170s", i + 1,
                       m->record.u.alert.text);
        return 0;
    }
    if (s->dirty_s == 0)
        s->dirty_s = s->last_s;
    return mscope_view_take(&s->shard[i].view, m);
}

int mscope_feed_next(mscope_feed *s, mscope_telemetry *out, int wait_ms)
{
    double until = mscope_listen_now_s() + 1e-3 * wait_ms;
    mscope_telemetry m;

    if (s->one != NULL)
        return mscope_subscriber_next(s->one, out, wait_ms);
    for (;;) {
        double now;
        int got = 0;
        if (s->given < s->made) {
            *out = s->out[s->given++];
            return 0;
        }
        for (size_t i = 0; i < s->o->shards; i++)
            if (mscope_subscriber_next(s->shard[i].sub, &m, 0) == 0) {
                got = 1;
                if (take(s, i, &m) != 0)
                    return MSCOPE_ENOMEM;
            }
        now = mscope_listen_now_s();
        if (s->dirty_s != 0 && ((!got && now - s->last_s > QUIET_S) || now - s->dirty_s > LONGEST_S))
            flush(s);
        else if (!got && now >= until)
            return MSCOPE_EAGAIN;
        else if (!got) {
            s->turn = (s->turn + 1) % s->o->shards;
            if (mscope_subscriber_next(s->shard[s->turn].sub, &m, 2) == 0 && take(s, s->turn, &m) != 0)
                return MSCOPE_ENOMEM;
        }
    }
}
