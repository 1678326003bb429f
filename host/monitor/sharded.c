/* sharded.c - see sharded.h */
#include "sharded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "diagnose/shards.h"
#include "latest.h"

#define QUIET_S 0.02                 /* the set of a shard has come when nothing followed for so long ... */
#define LONGEST_S 0.2                /* ... or this long after its first record                        */
#define SILENT_S 2.0                 /* beyond three intervals                                         */

typedef struct shard {
    mscope_subscriber *sub;
    mscope_latest latest;            /* its own records */
    double heard_s;                  /* 0: never */
    char trouble[200];               /* why it is not heard; "": not known */
} shard;

struct mscope_sharded {
    const mscope_texts *address;
    shard shard[MSCOPE_TEXTS_MAX];
    size_t turn;                     /* the shard whose socket is waited on next */
    double dirty_s, last_s;          /* first and last record since the last flush; 0: none */
    mscope_telemetry *out;           /* merged records; given of made are handed out */
    size_t given, made, cap;
    uint64_t seq;
};

int mscope_sharded_open(mscope_sharded **out, const mscope_texts *address, char *why, size_t cap)
{
    mscope_sharded *s = calloc(1, sizeof *s);
    mscope_refusal r;
    int rc = 0;

    *out = NULL;
    (void)snprintf(why, cap, "out of memory");
    if (s == NULL)
        return MSCOPE_ENOMEM;
    s->address = address;
    for (size_t i = 0; i < address->n && rc == 0; i++)
        for (size_t k = 0; k < i && rc == 0; k++)
            if (strcmp(address->at[k], address->at[i]) == 0) {
                (void)snprintf(why, cap, "--shard '%s' is given twice: its rows would count twice", address->at[i]);
                rc = MSCOPE_EINVAL;
            }
    for (size_t i = 0; i < address->n && rc == 0; i++) {
        rc = mscope_subscribe(&s->shard[i].sub, address->at[i], "", "");
        if (rc != 0) {                       /* its field is telemetry, which was not given */
            mscope_client_fault(&r);
            (void)snprintf(why, cap, "--shard is '%s', expected %s: %s", r.value, r.range, r.text);
        }
    }
    if (rc != 0) {
        mscope_sharded_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void mscope_sharded_close(mscope_sharded *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->address->n; i++) {
        mscope_subscriber_close(s->shard[i].sub);
        mscope_latest_fini(&s->shard[i].latest);
    }
    free(s->out);
    free(s);
}

size_t mscope_sharded_count(const mscope_sharded *s)
{
    return s->address->n;
}

void mscope_sharded_stats(const mscope_sharded *s, mscope_subscriber_stats *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < s->address->n; i++) {
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
    double interval = h->latest.have_daemon ? h->latest.daemon.record.u.daemon.interval : 0;

    return h->heard_s == 0 || mscope_monotonic_s() - h->heard_s > SILENT_S + 3 * (interval > 1 ? interval : 1);
}

/* Is shard i missing from this table? why gets its number, its address and the reason. */
static int lack(const mscope_sharded *s, const char *table, size_t i, char *why, size_t cap)
{
    const shard *h = &s->shard[i];

    if (silent(h))
        (void)snprintf(why, cap, "shard %zu, %s, %s%s%s", i + 1, s->address->at[i],
                       h->heard_s == 0 ? "was not heard" : "fell silent", h->trouble[0] != '\0' ? ": " : "",
                       h->trouble);
    else if (table != NULL && mscope_latest_find(&h->latest, table) == NULL)
        (void)snprintf(why, cap, "shard %zu, %s, has no table %s", i + 1, s->address->at[i], table);
    else
        return 0;
    return 1;
}

static int lacks_table(const mscope_sharded *s, const char *table, char *why, size_t cap)
{
    size_t missing = 0;
    char one[512], first[512] = "";

    for (size_t i = 0; i < s->address->n; i++)
        if (lack(s, table, i, one, sizeof one) && missing++ == 0)
            memcpy(first, one, sizeof first);
    why[0] = '\0';
    if (missing == 0)
        return 0;
    (void)snprintf(why, cap, "%zu of %zu shards missing: %s%s", missing, s->address->n, first,
                   missing > 1 ? ", ..." : "");
    return 1;
}

int mscope_sharded_lacks(const mscope_sharded *s, const char *table, char *why, size_t cap)
{
    why[0] = '\0';
    if (table != NULL || lacks_table(s, NULL, why, cap))
        return table == NULL ? 1 : lacks_table(s, table, why, cap);
    for (size_t i = 0; i < s->address->n; i++)
        for (size_t k = 0; k < s->shard[i].latest.tables; k++)
            if (s->shard[i].latest.table[k].have_table &&
                lacks_table(s, s->shard[i].latest.table[k].name, why, cap))
                return 1;
    return 0;
}

/* -- one set out of many ------------------------------------------------------------------------ */

static mscope_telemetry *make(mscope_sharded *s, enum mscope_record_kind kind)
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

static int gather_tables(const mscope_sharded *s, const char *name, const mscope_rec_table *part[MSCOPE_TEXTS_MAX],
                         const mscope_latest_table *from[MSCOPE_TEXTS_MAX])
{
    int n = 0;

    for (size_t i = 0; i < s->address->n; i++) {
        const mscope_latest_table *w = silent(&s->shard[i]) ? NULL : mscope_latest_find(&s->shard[i].latest, name);
        if (w == NULL)
            continue;
        from[n] = w;
        part[n++] = &w->table.record.u.table;
    }
    return n;
}

uint64_t mscope_sharded_skew(const mscope_sharded *s, const char *table, uint64_t *last_step)
{
    const mscope_rec_table *part[MSCOPE_TEXTS_MAX];
    const mscope_latest_table *from[MSCOPE_TEXTS_MAX];
    int n = gather_tables(s, table, part, from);
    mscope_rec_table whole;
    uint64_t skew = 0;

    *last_step = 0;
    if (n == 0)
        return 0;
    mscope_shards_table(part, (size_t)n, 1, &whole, &skew);
    *last_step = whole.step;
    return skew;
}

/* A band that lost its rows in one shard keeps the probe samples and gaps of these rows: its last record, with all else
 * zeroed.
 */
static int memory_left(const mscope_latest_table *w, int b, mscope_rec_band *out)
{
    const mscope_rec_band *last = &w->band[b].record.u.band;

    if (w->have[b] || last->table[0] == '\0' || !(last->h_samples > 0 || last->gaps > 0))
        return 0;
    *out = *last;
    out->step = w->table.record.u.table.step;
    out->rows = out->updates = out->lost_steps = 0;
    out->R = out->V = out->C = out->r_bound = out->p = out->P = out->idle_share = 0;
    out->window_updates = out->g2_occurrences = out->U_updates = out->h_updates = 0;
    out->U_run_updates = out->g2_run_occurrences = 0;
    out->exact = 1;
    return 1;
}

static void make_band(mscope_sharded *s, const mscope_latest_table *const *from, int n, int b, int whole,
                      uint64_t epoch)
{
    const mscope_rec_band *band[MSCOPE_TEXTS_MAX];
    const mscope_rec_acf *acf[MSCOPE_TEXTS_MAX];
    mscope_rec_band left[MSCOPE_TEXTS_MAX];
    size_t bands = 0, acfs = 0;
    mscope_telemetry *m;

    for (int i = 0; i < n; i++) {
        if (from[i]->have[b])
            band[bands++] = &from[i]->band[b].record.u.band;
        if (from[i]->have[b] && from[i]->have_acf[b])
            acf[acfs++] = &from[i]->acf[b].record.u.acf;
    }
    for (int i = 0; i < n && bands > 0; i++)
        if (memory_left(from[i], b, &left[i]))
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

static void make_stability(mscope_sharded *s, const mscope_latest_table *const *from, int n, uint64_t epoch)
{
    const mscope_rec_stability *part[MSCOPE_TEXTS_MAX];
    size_t parts = 0;
    mscope_telemetry *m;

    for (int i = 0; i < n; i++)
        if (from[i]->have_stability)
            part[parts++] = &from[i]->stability.record.u.stability;
    if (parts == 0 || (m = make(s, MSCOPE_REC_STABILITY)) == NULL)
        return;
    mscope_shards_stability(part, parts, &m->record.u.stability);
    m->record.u.stability.epoch = epoch;
    (void)mscope_record_topic(&m->record, m->topic);
}

static void make_table(mscope_sharded *s, const char *name)
{
    const mscope_rec_table *part[MSCOPE_TEXTS_MAX];
    const mscope_latest_table *from[MSCOPE_TEXTS_MAX];
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
    make_stability(s, from, n, all.epoch);
    if ((m = make(s, MSCOPE_REC_TABLE)) == NULL)
        return;
    m->record.u.table = all;
    (void)mscope_record_topic(&m->record, m->topic);
}

static void make_daemon(mscope_sharded *s)
{
    const mscope_rec_daemon *part[MSCOPE_TEXTS_MAX];
    size_t n = 0;
    mscope_telemetry *m;

    for (size_t i = 0; i < s->address->n; i++)
        if (s->shard[i].latest.have_daemon && !silent(&s->shard[i]))
            part[n++] = &s->shard[i].latest.daemon.record.u.daemon;
    if (n == 0 || (m = make(s, MSCOPE_REC_DAEMON)) == NULL)
        return;
    mscope_shards_daemon(part, n, &m->record.u.daemon);
    (void)mscope_record_topic(&m->record, m->topic);
}

/* Every table of any shard once, in the order of the shards. */
static void flush(mscope_sharded *s)
{
    s->dirty_s = 0;
    if (s->given == s->made)
        s->made = s->given = 0;
    make_daemon(s);
    for (size_t i = 0; i < s->address->n; i++)
        for (size_t k = 0; k < s->shard[i].latest.tables; k++) {
            const mscope_latest_table *w = &s->shard[i].latest.table[k];
            int before = 0;
            if (!w->have_table)
                continue;
            for (size_t j = 0; j < i; j++)
                before |= mscope_latest_find(&s->shard[j].latest, w->table.record.u.table.table) != NULL;
            if (!before)
                make_table(s, w->table.record.u.table.table);
        }
}

static int take(mscope_sharded *s, size_t i, const mscope_telemetry *m)
{
    mscope_telemetry *alert;
    mscope_news news;

    s->last_s = s->shard[i].heard_s = mscope_monotonic_s();
    s->shard[i].trouble[0] = '\0';
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
    return mscope_latest_take(&s->shard[i].latest, m, &news);
}

/* Returns 1, 0 or MSCOPE_ENOMEM. A shard that lets nobody in is missing, with the reason; the others are heard. */
static int poll_one(mscope_sharded *s, size_t i, int wait_ms)
{
    mscope_telemetry m;
    mscope_refusal r;
    int rc = mscope_subscriber_next(s->shard[i].sub, &m, wait_ms);

    if (rc == MSCOPE_EIO) {
        mscope_client_fault(&r);
        (void)snprintf(s->shard[i].trouble, sizeof s->shard[i].trouble, "%s", r.text);
    }
    if (rc != 0)
        return 0;
    return take(s, i, &m) == 0 ? 1 : MSCOPE_ENOMEM;
}

int mscope_sharded_next(mscope_sharded *s, mscope_telemetry *out, int wait_ms)
{
    double until = mscope_monotonic_s() + 1e-3 * wait_ms;

    for (;;) {
        double now;
        int got = 0, rc;
        if (s->given < s->made) {
            *out = s->out[s->given++];
            return 0;
        }
        for (size_t i = 0; i < s->address->n; i++)
            if ((rc = poll_one(s, i, 0)) != 0) {
                if (rc < 0)
                    return rc;
                got = 1;
            }
        now = mscope_monotonic_s();
        if (s->dirty_s != 0 && ((!got && now - s->last_s > QUIET_S) || now - s->dirty_s > LONGEST_S))
            flush(s);
        else if (!got && now >= until)
            return MSCOPE_EAGAIN;
        else if (!got) {
            s->turn = (s->turn + 1) % s->address->n;    // NOLINT(clang-analyzer-core.DivideZero): there is a shard
            if ((rc = poll_one(s, s->turn, 2)) < 0)
                return rc;
        }
    }
}
