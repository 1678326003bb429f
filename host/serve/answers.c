/* answers.c - see answers.h */
#include "answers.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "exposition.h"
#include "monitor/record_json.h"
#include "monitor/set_json.h"
#include "story_json.h"

typedef struct asked {
    mscope_hub *hub;
    mscope_counselor *counselor;
    const mscope_question *q;
    mscope_heard *source;                   /* of path /api/table and the like                                 */
    size_t table;
    int status;
} asked;

enum { ALERTS_USUAL = 200 };

/* -- everything in brief ----------------------------------------------------------------------------------- */

void mscope_answer_state(FILE *to, mscope_hub *h)
{
    const double now = mscope_hub_now();

    (void)pthread_mutex_lock(&h->lock);
    fprintf(to,
            "{\"program\":\"" MSCOPE_VERSION "\",\"now\":%.3f,\"alerts\":%lld,\"alerts_not_kept\":%llu,\"sources\":[",
            now, mscope_ledger_last(h->ledger), mscope_ledger_failed(h->ledger));
    for (size_t i = 0; i < h->sources; i++) {
        const mscope_heard *s = &h->source[i];
        fputs(i > 0 ? "," : "", to);
        mscope_story_json_brief(to, &s->story, s->name, s->where, s->trouble, now, &s->stats,
                                s->covered >= s->story.tables ? s->coverage : NULL);
    }
    fputs("]}\n", to);
    (void)pthread_mutex_unlock(&h->lock);
}

static void give_state(FILE *to, asked *a)
{
    mscope_answer_state(to, a->hub);
}

/* A monitor wants one word: is anything heard, and how old is it? */
static void give_health(FILE *to, asked *a)
{
    const double now = mscope_hub_now();
    int heard = 0;

    (void)pthread_mutex_lock(&a->hub->lock);
    for (size_t i = 0; i < a->hub->sources; i++)
        heard += a->hub->source[i].story.records > 0 && !a->hub->source[i].story.silent;
    a->status = heard == (int)a->hub->sources ? 200 : 503;
    fprintf(to, "{\"ok\":%s,\"sources\":[", a->status == 200 ? "true" : "false");
    for (size_t i = 0; i < a->hub->sources; i++) {
        const mscope_story *s = &a->hub->source[i].story;
        fprintf(to, "%s{\"name\":", i > 0 ? "," : "");
        mscope_json_string(to, a->hub->source[i].name);
        fprintf(to, ",\"state\":\"%s\",\"record_age\":", s->records == 0 ? "waiting" : s->silent ? "silent" : "live");
        mscope_json_f64(to, s->records > 0 ? now - s->heard_at : NAN);
        fputs(",\"daemon_age\":", to);
        mscope_json_f64(to, s->judged.latest.have_daemon ? s->judged.latest.daemon.record.u.daemon.uptime : NAN);
        fputc('}', to);
    }
    fputs("]}\n", to);
    (void)pthread_mutex_unlock(&a->hub->lock);
}

static void give_metrics(FILE *to, asked *a)
{
    mscope_exposition(to, a->hub);
}

/* -- what happened ------------------------------------------------------------------------------------------ */

static void give_alerts(FILE *to, asked *a)
{
    /* whoever goes on from a number misses none between */
    const mscope_ledger_query q = { .since = a->q->since, .from = a->q->from, .table = a->q->table,
                                    .alarms = a->q->alarms,
                                    .most = a->q->limit > 0 ? a->q->limit : a->q->since > 0 ? 0 : ALERTS_USUAL };

    fputs("{\"alerts\":", to);
    (void)pthread_mutex_lock(&a->hub->lock);
    mscope_happenings_json(to, a->hub->ledger, &q);
    fprintf(to, ",\"last\":%lld}\n", mscope_ledger_last(a->hub->ledger));
    (void)pthread_mutex_unlock(&a->hub->lock);
}

/* -- one table ----------------------------------------------------------------------------------------------- */

/* The table that is asked for; without a name the only one, or the first. Under the lock. */
static int find(asked *a)
{
    for (size_t i = 0; i < a->hub->sources; i++) {
        mscope_heard *s = &a->hub->source[i];
        if (a->q->source != NULL && strcmp(s->name, a->q->source) != 0)
            continue;
        for (size_t k = 0; k < s->story.tables; k++)
            if (a->q->table == NULL || strcmp(s->story.judged.latest.table[k].name, a->q->table) == 0) {
                a->source = s;
                a->table = k;
                return 1;
            }
    }
    a->status = 404;
    return 0;
}

static void refuse(FILE *to, const asked *a, const char *what)
{
    fprintf(to, "{\"error\":\"%s\",\"source\":", what);
    mscope_json_string(to, a->q->source != NULL ? a->q->source : "");
    fputs(",\"table\":", to);
    mscope_json_string(to, a->q->table != NULL ? a->q->table : "");
    fputs("}\n", to);
}

static void give_table(FILE *to, asked *a)
{
    (void)pthread_mutex_lock(&a->hub->lock);
    if (find(a)) {
        mscope_story_json_table(to, &a->source->story, a->table, a->q->after);
        fputc('\n', to);
    } else {
        refuse(to, a, "no such table");
    }
    (void)pthread_mutex_unlock(&a->hub->lock);
}

static void give_rows(FILE *to, asked *a)
{
    (void)pthread_mutex_lock(&a->hub->lock);
    if (find(a)) {
        mscope_story_json_rows(to, &a->source->story, a->table);
        fputc('\n', to);
    } else {
        refuse(to, a, "no such table");
    }
    (void)pthread_mutex_unlock(&a->hub->lock);
}

static void give_counsel(FILE *to, asked *a)
{
    char name[MSCOPE_NAME_MAX + 1];
    size_t source = 0;
    int found;

    (void)pthread_mutex_lock(&a->hub->lock);
    found = find(a);
    if (found) {
        source = (size_t)(a->source - a->hub->source);
        snprintf(name, sizeof name, "%s", a->source->story.judged.latest.table[a->table].name);
    } else {
        refuse(to, a, "no such table");
    }
    (void)pthread_mutex_unlock(&a->hub->lock);
    if (found)
        mscope_counselor_give(a->counselor, source, name, to);
}

/* -- records as JSON lines, as `watch --once --json` prints them ------------------------------------------------ */

static void give_lines(FILE *to, asked *a, int tables, int bands, int stability)
{
    (void)pthread_mutex_lock(&a->hub->lock);
    for (size_t s = 0; s < a->hub->sources; s++) {
        const mscope_judged *j = &a->hub->source[s].story.judged;
        if (a->q->source != NULL && strcmp(a->hub->source[s].name, a->q->source) != 0)
            continue;
        for (size_t i = 0; i < j->latest.tables; i++) {
            const mscope_latest_table *t = &j->latest.table[i];
            if (a->q->table != NULL && strcmp(t->name, a->q->table) != 0)
                continue;
            if (tables && t->have_table)
                mscope_json_record(to, &t->table, NULL, NULL);
            for (int b = 0; bands && b < MSCOPE_BANDS; b++)
                if (t->have[b])
                    mscope_json_record(to, &t->band[b], &j->verdict[i][b], NULL);
            if (stability && t->have_stability)
                mscope_json_record(to, &t->stability, NULL, &j->margin[i]);
        }
    }
    (void)pthread_mutex_unlock(&a->hub->lock);
}

static void give_tables(FILE *to, asked *a)
{
    give_lines(to, a, 1, 0, 0);
}

static void give_bands(FILE *to, asked *a)
{
    give_lines(to, a, 0, 1, 0);
}

static void give_stability(FILE *to, asked *a)
{
    give_lines(to, a, 0, 0, 1);
}

static void give_records(FILE *to, asked *a)
{
    give_lines(to, a, 1, 1, 1);
}

/* -- verdicts in short ------------------------------------------------------------------------------------------ */

static void give_verdicts(FILE *to, asked *a)
{
    (void)pthread_mutex_lock(&a->hub->lock);
    for (size_t s = 0; s < a->hub->sources; s++) {
        const mscope_judged *j = &a->hub->source[s].story.judged;
        if (a->q->source != NULL && strcmp(a->hub->source[s].name, a->q->source) != 0)
            continue;
        for (size_t i = 0; i < j->latest.tables; i++)
            for (int b = 0; b < MSCOPE_BANDS; b++) {
                const mscope_verdict *v = &j->verdict[i][b];
                const mscope_latest_table *t = &j->latest.table[i];
                if (!t->have[b] || (a->q->table != NULL && strcmp(t->name, a->q->table) != 0))
                    continue;
                fputs("{\"source\":", to);
                mscope_json_string(to, a->hub->source[s].name);
                fputs(",\"table\":", to);
                mscope_json_string(to, t->name);
                fprintf(to, ",\"band\":%d,\"step\":%" PRIu64 ",\"regime\":\"%s\",\"confidence\":", b,
                        t->band[b].record.u.band.step, mscope_regime_name(v->regime));
                mscope_json_f64(to, v->confidence);
                fputs(",\"H\":", to);
                mscope_json_f64(to, v->H);
                fputs(",\"zeta\":", to);
                mscope_json_f64(to, v->zeta);
                fputs(",\"why\":", to);
                mscope_json_string(to, v->why);
                fputs("}\n", to);
            }
    }
    (void)pthread_mutex_unlock(&a->hub->lock);
}

/* -- the table of paths ------------------------------------------------------------------------------------------- */

static const char JSON[] = "application/json", LINES[] = "application/x-ndjson",
                  PROMETHEUS[] = "text/plain; version=0.0.4; charset=utf-8";

static const struct {
    const char *path, *type;
    void (*give)(FILE *to, asked *a);
} paths[] = {
    { "/api/state", JSON, give_state },       { "/api/table", JSON, give_table },
    { "/api/counsel", JSON, give_counsel },   { "/api/alerts", JSON, give_alerts },
    { "/api/rows", JSON, give_rows },         { "/api/tables", LINES, give_tables },
    { "/api/bands", LINES, give_bands },      { "/api/stability", LINES, give_stability },
    { "/api/records", LINES, give_records },  { "/api/verdicts", LINES, give_verdicts },
    { "/healthz", JSON, give_health },        { "/metrics", PROMETHEUS, give_metrics },
};

int mscope_answer_to(mscope_hub *h, mscope_counselor *c, const char *path, const mscope_question *q,
                     mscope_answer_body *out)
{
    asked a = { .hub = h, .counselor = c, .q = q, .status = 200 };
    FILE *to;

    *out = (mscope_answer_body){ .status = 404 };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (strcmp(paths[i].path, path) != 0)
            continue;
        if ((to = open_memstream(&out->bytes, &out->len)) == NULL)
            return -1;
        paths[i].give(to, &a);
        if (fclose(to) != 0)
            return -1;
        out->status = a.status;
        out->type = paths[i].type;
        return 1;
    }
    return 0;
}
