/* story.c - see story.h */
#include "story.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/listen.h"

static const double SILENT_S = 2, SILENT_INTERVALS = 3, REST_MOST_S = 5;

static void tell(const mscope_story *s, const mscope_happening *h)
{
    if (s->tell != NULL)
        s->tell(s->context, h);
}

static int make_room(mscope_story *s)
{
    const size_t tables = s->judged.latest.tables;
    mscope_told *grown;

    if (tables <= s->tables)
        return 0;
    grown = realloc(s->table, tables * sizeof *grown);
    if (grown == NULL)
        return MSCOPE_ENOMEM;
    memset(grown + s->tables, 0, (tables - s->tables) * sizeof *grown);
    s->table = grown;
    s->tables = tables;
    return 0;
}

/* Samples at which noise of the mean gradient equals it. */
static double noise_scale(const mscope_rec_band *b)
{
    return b->U_run > 2 * b->U_run_se && b->p > 0 ? b->g2_run / (b->p * b->U_run) : NAN;
}

static int add_band(mscope_story *s, const mscope_news *news, double at)
{
    const mscope_rec_band *b = &s->judged.latest.table[news->table].band[news->band].record.u.band;
    const mscope_verdict *v = &s->judged.verdict[news->table][news->band];
    s->table[news->table].stale = 1;
    const double value[] = { b->p, b->eta * b->H1, b->R, b->V, v->H, v->zeta, noise_scale(b), (double)v->regime, b->P };

    return mscope_series_add(&s->table[news->table].band[news->band], (double)b->step, s->past ? 0 : at, value,
                             sizeof value / sizeof *value);
}

/* A table's record closes what its bands said at this step: what is the word now? */
static void weigh_word(mscope_story *s, size_t i, double at)
{
    const mscope_rec_table *r = &s->judged.latest.table[i].table.record.u.table;
    mscope_told *t = &s->table[i];
    const enum mscope_concern before = t->word.level;
    const int any = t->any;

    mscope_word_of(&s->judged, i, &t->word);
    t->any = 1;
    t->stale = 0;
    if (any && t->word.level == before)
        return;
    t->since_step = (double)r->step;
    t->since_at = s->past ? 0 : at;
    if (s->untold || (!any && t->word.level < MSCOPE_LEVEL_GROWING))
        return;
    mscope_happening h = { .at = s->past ? 0 : at, .step = (double)r->step, .level = t->word.level };
    snprintf(h.table, sizeof h.table, "%s", r->table);
    snprintf(h.code, sizeof h.code, "%s", mscope_concern_name(t->word.level));
    snprintf(h.text, sizeof h.text, "%s%s%s", t->word.sentence, t->word.why[0] != '\0' ? "; " : "", t->word.why);
    tell(s, &h);
}

static int add_table(mscope_story *s, const mscope_rec_table *r, double at)
{
    size_t i = 0;

    while (i < s->tables && strcmp(s->judged.latest.table[i].name, r->table) != 0)
        i++;
    if (i == s->tables)
        return 0;
    const mscope_series *whole = &s->table[i].whole;
    weigh_word(s, i, at);
    if (whole->points > 0 && whole->step[whole->points - 1] > (double)r->step)
        for (int b = 0; b < MSCOPE_BANDS; b++)   /* another run of this name: some bands have no row in it */
            mscope_series_cut(&s->table[i].band[b], (double)r->step + 1);
    const mscope_margin *m = mscope_judged_margin(&s->judged, i);
    const double value[] = { r->eta, r->eps, r->R, r->V, r->climb, m != NULL ? m->H : NAN, m != NULL ? m->H_se : NAN,
                             (double)s->table[i].word.level };
    return mscope_series_add(&s->table[i].whole, (double)r->step, s->past ? 0 : at, value,
                             sizeof value / sizeof *value);
}

static enum mscope_concern level_of_code(const char *code)
{
    static const struct {
        const char *code;
        enum mscope_concern level;
    } known[] = { { "growing", MSCOPE_LEVEL_GROWING }, { "climbing", MSCOPE_LEVEL_GROWING },
                  { "overflow", MSCOPE_LEVEL_UNSTABLE }, { "inexact", MSCOPE_LEVEL_INEXACT },
                  { "refused", MSCOPE_LEVEL_INEXACT }, { "gone", MSCOPE_LEVEL_INEXACT },
                  { "save-failed", MSCOPE_LEVEL_INEXACT },
                  { "near-instability", MSCOPE_LEVEL_NEAR }, { "unstable", MSCOPE_LEVEL_UNSTABLE } };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(code, known[i].code) == 0)
            return known[i].level;
    return MSCOPE_LEVEL_FINE;
}

/* A daemon repeats its last alert for whoever comes late: the key tells that it is the same. */
static void pass_on(const mscope_story *s, const mscope_telemetry *m, double at)
{
    const mscope_rec_alert *a = &m->record.u.alert;
    mscope_happening h = { .at = at, .step = (double)a->step, .level = level_of_code(a->code) };

    snprintf(h.table, sizeof h.table, "%s", a->table);
    snprintf(h.code, sizeof h.code, "%s", a->code);
    snprintf(h.text, sizeof h.text, "%s", a->text);
    snprintf(h.key, sizeof h.key, "%" PRIu64 "/%" PRIu64, a->epoch, m->seq);
    tell(s, &h);
}

static void of_daemon(const mscope_story *s, double at, const char *code, const char *text, enum mscope_concern level)
{
    mscope_happening h = { .at = at, .level = level };

    snprintf(h.code, sizeof h.code, "%s", code);
    snprintf(h.text, sizeof h.text, "%s", text);
    tell(s, &h);
}

/* Another epoch is another daemon; repeats of the old one do not count. */
static void hear(mscope_story *s, uint64_t epoch, double at)
{
    if (s->silent && epoch == s->epoch)
        of_daemon(s, at, "heard", "the daemon is heard again", MSCOPE_LEVEL_FINE);
    if (epoch != s->epoch) {
        if (s->epoch != 0)
            of_daemon(s, at, "restarted", "another daemon answers: what it has counted began anew",
                      MSCOPE_LEVEL_INEXACT);
        s->epoch = epoch;
        s->epoch_at = at;
    }
    s->silent = 0;
    s->heard_at = at;
    s->records++;
}

static int take_now(mscope_story *s, const mscope_telemetry *m, double at)
{
    mscope_news news;
    int rc = mscope_judged_take(&s->judged, m, &news, NULL);

    if (rc == 0)
        rc = make_room(s);
    if (rc != 0)
        return rc;
    if (news.band >= 0)
        return add_band(s, &news, at);
    if (m->record.kind == MSCOPE_REC_TABLE)
        return add_table(s, &m->record.u.table, at);
    if (m->record.kind == MSCOPE_REC_ALERT)
        pass_on(s, m, at);
    return 0;
}

/* -- records that wait ------------------------------------------------------------------------------------- */

/* Where a record of a known table waits; NULL: it does not. */
static mscope_telemetry **place_of(mscope_story *s, const mscope_telemetry *m, mscope_held **held, uint64_t *epoch)
{
    const mscope_record *r = &m->record;
    const char *name = r->kind == MSCOPE_REC_BAND        ? r->u.band.table
                       : r->kind == MSCOPE_REC_TABLE     ? r->u.table.table
                       : r->kind == MSCOPE_REC_STABILITY ? r->u.stability.table : "";
    size_t i = 0;

    while (i < s->tables && strcmp(s->judged.latest.table[i].name, name) != 0)
        i++;
    if (i == s->tables || !s->table[i].any)
        return NULL;
    *held = &s->table[i].held;
    *epoch = r->kind == MSCOPE_REC_BAND    ? r->u.band.epoch
             : r->kind == MSCOPE_REC_TABLE ? r->u.table.epoch : r->u.stability.epoch;
    if (r->kind == MSCOPE_REC_BAND)
        return r->u.band.band < MSCOPE_BANDS ? &(*held)->band[r->u.band.band] : NULL;
    return r->kind == MSCOPE_REC_TABLE ? &(*held)->table : &(*held)->stability;
}

static void forget(mscope_held *h)
{
    for (int b = 0; b < MSCOPE_BANDS; b++) {
        free(h->band[b]);
        h->band[b] = NULL;
    }
    free(h->stability);
    free(h->table);
    h->stability = h->table = NULL;
    h->any = 0;
}

/* What waits is taken in the order in which a daemon says it. */
static int release(mscope_story *s, size_t i, double at)
{
    mscope_held h = s->table[i].held;
    int rc = 0;

    s->table[i].held = (mscope_held){ .given_at = at, .epoch = h.epoch };
    for (int b = 0; b < MSCOPE_BANDS && rc == 0; b++)
        if (h.band[b] != NULL)
            rc = take_now(s, h.band[b], at);
    if (rc == 0 && h.stability != NULL)
        rc = take_now(s, h.stability, at);
    if (rc == 0 && h.table != NULL)
        rc = take_now(s, h.table, at);
    forget(&h);
    return rc;
}

/* Judging a band takes tens of microseconds, and nobody looks ten times a second. The newest record of each topic waits
 * for its table's record, and with it for its turn. Returns 1 when it waits. */
static int hold(mscope_story *s, const mscope_telemetry *m, double at, int *rc)
{
    mscope_held *h = NULL;
    uint64_t epoch = 0;
    mscope_telemetry **at_place = s->rest > 0 ? place_of(s, m, &h, &epoch) : NULL;

    *rc = 0;
    if (at_place == NULL)
        return 0;
    if (h->epoch != epoch) {
        forget(h);
        h->epoch = epoch;
        h->given_at = 0;
    }
    if (*at_place == NULL && (*at_place = malloc(sizeof **at_place)) == NULL)
        return 0;
    **at_place = *m;
    h->any = 1;
    if (m->record.kind == MSCOPE_REC_TABLE && at - h->given_at >= s->rest)
        for (size_t i = 0; i < s->tables; i++)
            if (&s->table[i].held == h) {
                *rc = release(s, i, at);
                break;
            }
    return 1;
}

int mscope_story_take(mscope_story *s, const mscope_telemetry *m, double at)
{
    int rc;

    if (!mscope_listen_wants(s->only, m))
        return 0;
    /* the daemon's own record decides: shards have an epoch each, and of a table the sum of those that hold it */
    hear(s, m->record.kind == MSCOPE_REC_DAEMON ? m->record.u.daemon.epoch : s->epoch, at);
    return hold(s, m, at, &rc) ? rc : take_now(s, m, at);
}

static int bands_of(const mscope_story *s)
{
    int n = 0;

    for (size_t i = 0; i < s->tables; i++)
        for (int b = 0; b < MSCOPE_BANDS; b++)
            n += s->judged.latest.table[i].have[b];
    return n;
}

void mscope_story_clock(mscope_story *s, double at)
{
    const mscope_latest *l = &s->judged.latest;
    const double interval = l->have_daemon ? l->daemon.record.u.daemon.interval : 1;

    s->rest = s->band_s > 0 ? fmin(s->band_s * bands_of(s), REST_MOST_S) : 0;
    for (size_t i = 0; i < s->tables; i++) {
        if (s->table[i].held.any && at - s->table[i].held.given_at >= s->rest)
            (void)!release(s, i, at);
        if (s->table[i].stale && s->table[i].any)
            weigh_word(s, i, at);
    }
    if (s->records == 0 || s->silent || at - s->heard_at <= SILENT_S + SILENT_INTERVALS * interval)
        return;
    s->silent = 1;
    of_daemon(s, at, "silent", "the daemon is not heard any more: it was stopped, or is stuck", MSCOPE_LEVEL_GROWING);
}

void mscope_story_thin(mscope_story *s)
{
    for (size_t i = 0; i < s->tables; i++) {
        mscope_series_thin(&s->table[i].whole);
        for (int b = 0; b < MSCOPE_BANDS; b++)
            mscope_series_thin(&s->table[i].band[b]);
    }
}

void mscope_story_fini(mscope_story *s)
{
    for (size_t i = 0; i < s->tables; i++) {
        forget(&s->table[i].held);
        mscope_series_fini(&s->table[i].whole);
        for (int b = 0; b < MSCOPE_BANDS; b++)
            mscope_series_fini(&s->table[i].band[b]);
    }
    free(s->table);
    mscope_judged_fini(&s->judged);
    memset(s, 0, sizeof *s);
}
