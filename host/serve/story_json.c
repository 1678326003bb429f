/* story_json.c - see story_json.h */
#include "story_json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/json.h"
#include "diagnose/spectrum.h"
#include "monitor/plane.h"
#include "monitor/record_json.h"

enum { ACROSS = 48 };                /* points of a border */

static void number(FILE *to, const char *name, double x)
{
    fprintf(to, ",\"%s\":", name);
    mscope_json_f64(to, x);
}

static void text(FILE *to, const char *name, const char *s)
{
    fprintf(to, ",\"%s\":", name);
    mscope_json_string(to, s);
}

/* -- in brief ---------------------------------------------------------------------------------------- */

static void put_word(FILE *to, const mscope_told *t)
{
    const mscope_word *w = &t->word;
    int any = 0;

    fprintf(to, "{\"level\":\"%s\"", t->any ? mscope_concern_name(w->level) : "unknown");
    text(to, "sentence", t->any ? w->sentence : "no record of the table has come yet");
    text(to, "why", w->why);
    number(to, "since_step", t->since_step);
    number(to, "since", t->since_at);
    number(to, "rows", w->rows);
    number(to, "share", w->share);
    fputs(",\"bands\":[", to);
    for (int b = 0; b < MSCOPE_BANDS; b++)
        if (w->bands >> b & 1)
            fprintf(to, "%s%d", any++ ? "," : "", b);
    fputs("]}", to);
}

static void brief_table(FILE *to, const mscope_story *s, size_t i, const mscope_coverage *c)
{
    const mscope_latest_table *t = &s->judged.latest.table[i];
    const mscope_rec_table *r = &t->table.record.u.table;
    int bands = 0;

    for (int b = 0; b < MSCOPE_BANDS; b++)
        bands += t->have[b];
    fputs("{\"name\":", to);
    mscope_json_string(to, t->name);
    fprintf(to,
            ",\"step\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"bands\":%d,\"attached\":%s,\"exact\":%s,\"lost\":%" PRIu64,
            r->step, r->rows, bands, r->attached ? "true" : "false", r->exact ? "true" : "false", r->lost_steps);
    if (c != NULL && c->shards > 0) {
        fprintf(to, ",\"shards\":%zu,\"skew\":%" PRIu64, c->shards, c->skew);
        text(to, "missing", c->missing);
    }
    fputs(",\"word\":", to);
    put_word(to, &s->table[i]);
    fputc('}', to);
}

void mscope_story_json_brief(FILE *to, const mscope_story *s, const char *name, const char *where,
                             const char *trouble, double now, const mscope_subscriber_stats *stats,
                             const mscope_coverage *coverage)
{
    const mscope_latest *l = &s->judged.latest;

    fputs("{\"name\":", to);
    mscope_json_string(to, name);
    text(to, "where", where);
    text(to, "trouble", trouble);
    fprintf(to, ",\"state\":\"%s\"", s->records == 0 ? "waiting" : s->silent ? "silent" : "live");
    number(to, "age", s->records > 0 ? now - s->heard_at : NAN);
    number(to, "since", s->records > 0 ? s->epoch_at : NAN);
    fprintf(to, ",\"received\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"replayed\":%" PRIu64 ",\"malformed\":%" PRIu64,
            stats->received, stats->lost, stats->replayed, stats->malformed);
    fputs(",\"daemon\":", to);
    if (l->have_daemon)
        mscope_json_record(to, &l->daemon, NULL, NULL);
    else
        fputs("null", to);
    fputs(",\"tables\":[", to);
    for (size_t i = 0, n = 0; i < s->tables; i++) {
        if (!l->table[i].have_table)
            continue;
        fputs(n++ > 0 ? "," : "", to);
        brief_table(to, s, i, coverage != NULL ? &coverage[i] : NULL);
    }
    fputs("]}", to);
}

/* -- a table ----------------------------------------------------------------------------------------- */

static void put_points(FILE *to, const double *x, size_t from, size_t n, int digits)
{
    fputc('[', to);
    for (size_t i = from; i < n; i++)
        fprintf(to, "%s%.*g", i > from ? "," : "", digits, x[i]);
    fputc(']', to);
}

static void put_column(FILE *to, const mscope_series *s, size_t from, size_t column)
{
    fputc('[', to);
    for (size_t i = from; i < s->points; i++) {
        const double x = (double)s->value[i * s->columns + column];

        fprintf(to, isfinite(x) ? "%s%.6g" : "%snull", i > from ? "," : "", x);
    }
    fputc(']', to);
}

static void put_series(FILE *to, const mscope_series *s, const char *const *names, size_t columns, double after)
{
    const size_t from = mscope_series_after(s, after);

    fputs("{\"step\":", to);
    put_points(to, s->step, from, s->points, 16);
    fputs(",\"at\":", to);
    put_points(to, s->at, from, s->points, 14);
    for (size_t k = 0; k < columns; k++) {
        fprintf(to, ",\"%s\":", names[k]);
        put_column(to, s, from, k);
    }
    fputc('}', to);
}

static void put_all_series(FILE *to, const mscope_told *t, double after)
{
    static const char *const band[] = { MSCOPE_STORY_BAND(MSCOPE_STORY_NAME) };
    static const char *const whole[] = { MSCOPE_STORY_TABLE(MSCOPE_STORY_NAME) };
    int any = 0;

    fputs(",\"series\":{\"whole\":", to);
    put_series(to, &t->whole, whole, sizeof whole / sizeof *whole, after);
    fputs(",\"band\":{", to);
    for (int b = 0; b < MSCOPE_BANDS; b++) {
        if (t->band[b].points == 0)
            continue;
        fprintf(to, "%s\"%d\":", any++ ? "," : "", b);
        put_series(to, &t->band[b], band, sizeof band / sizeof *band, after);
    }
    fputs("}}", to);
}

/* The borders of the regimes over all that the dots and their trails may cover, in equal steps of log p. */
static void put_plane(FILE *to, const mscope_judged *j, size_t i)
{
    double low = 1, high = 0, at[2][ACROSS + 1], p[ACROSS + 1];
    mscope_plane plane;

    mscope_plane_of(&plane, j, i);
    for (size_t k = 0; k < plane.dots; k++) {
        low = fmin(low, plane.dot[k].p);
        high = fmax(high, plane.dot[k].p);
    }
    if (plane.dots == 0 || !(plane.eps > 0) || !(plane.batch > 0)) {
        fputs(",\"plane\":null", to);
        return;
    }
    for (int k = 0; k <= ACROSS; k++) {
        p[k] = low / 10 * pow(100 * high / low, (double)k / ACROSS);
        at[0][k] = mscope_plane_border(&plane, p[k], 2, 1e-12, 1e6);
        at[1][k] = mscope_plane_border(&plane, p[k], 0.5, 1e-12, 1e6);
    }
    fputs(",\"plane\":{\"p\":", to);
    put_points(to, p, 0, ACROSS + 1, 5);
    fputs(",\"zeta2\":", to);
    put_points(to, at[0], 0, ACROSS + 1, 5);
    fputs(",\"zeta_half\":", to);
    put_points(to, at[1], 0, ACROSS + 1, 5);
    fputc('}', to);
}

static void put_bands(FILE *to, const mscope_judged *j, size_t i)
{
    static const char *const words[] = { "none", "agrees", "contradicts" };
    const mscope_latest_table *t = &j->latest.table[i];
    char said[MSCOPE_TEXT_MAX + 1];
    enum mscope_agreement agrees;
    mscope_modes modes;
    int any = 0;

    fputs(",\"bands\":[", to);
    for (int b = 0; b < MSCOPE_BANDS; b++) {
        if (!t->have[b])
            continue;
        fprintf(to, "%s{\"record\":", any++ ? "," : "");
        mscope_json_record(to, &t->band[b], &j->verdict[i][b], NULL);
        (void)mscope_judged_modes(j, i, b, &modes, &agrees, said, sizeof said);
        text(to, "acf", words[agrees]);
        text(to, "acf_why", said);
        fputc('}', to);
    }
    fputc(']', to);
}

void mscope_story_json_table(FILE *to, const mscope_story *s, size_t i, double after)
{
    const mscope_judged *j = &s->judged;
    const mscope_latest_table *t = &j->latest.table[i];
    const mscope_margin *margin = mscope_judged_margin(j, i);

    fputs("{\"name\":", to);
    mscope_json_string(to, t->name);
    fputs(",\"word\":", to);
    put_word(to, &s->table[i]);
    fputs(",\"record\":", to);
    if (t->have_table)
        mscope_json_record(to, &t->table, NULL, NULL);
    else
        fputs("null", to);
    fputs(",\"stability\":", to);
    if (margin != NULL)
        mscope_json_record(to, &j->latest.table[margin - j->margin].stability, NULL, margin);
    else
        fputs("null", to);
    put_bands(to, j, i);
    put_plane(to, j, i);
    fputs(",\"rows\":", to);
    mscope_story_json_rows(to, s, i);
    put_all_series(to, &s->table[i], after);
    fputc('}', to);
}

/* -- rows and happenings ------------------------------------------------------------------------------ */

static void put_row(FILE *to, int *any, double row, int band, const char *as, double value)
{
    fprintf(to, "%s{\"row\":%.0f,\"band\":%d,\"as\":\"%s\"", (*any)++ ? "," : "", row, band, as);
    number(to, "value", value);
    fputc('}', to);
}

void mscope_story_json_rows(FILE *to, const mscope_story *s, size_t i)
{
    const mscope_latest_table *t = &s->judged.latest.table[i];
    const mscope_rec_stability *r = &t->stability.record.u.stability;
    int any = 0;

    fputc('[', to);
    for (int b = 0; b < MSCOPE_BANDS; b++) {
        const mscope_rec_band *band = &t->band[b].record.u.band;
        if (t->have[b] && band->top > 0)
            put_row(to, &any, (double)band->top_row, b, band->top_growing ? "largest momentum, growing"
                                                                          : "largest momentum", band->top);
        if (t->have[b] && isfinite(band->steep_row))
            put_row(to, &any, band->steep_row, b, "steepest", band->steep_H2 / band->steep_H1);
    }
    if (t->have_stability && r->row_share > 0 && strcmp(r->row_table, t->name) == 0)
        put_row(to, &any, (double)r->row, -1, "largest share of the direction nearest its limit", r->row_share);
    fputc(']', to);
}

void mscope_happening_json(FILE *to, const mscope_happening *h, const char *source, long long id)
{
    fprintf(to, "{\"id\":%lld", id);
    number(to, "at", h->at);
    text(to, "source", source);
    text(to, "table", h->table);
    number(to, "step", h->step);
    text(to, "code", h->code);
    text(to, "level", mscope_concern_name(h->level));
    text(to, "text", h->text);
    fputc('}', to);
}

typedef struct listing {
    FILE *to;
    int any;
} listing;

static int list_one(void *context, const mscope_happening *h, const char *source, long long id)
{
    listing *l = context;

    fputs(l->any++ ? ",\n" : "", l->to);
    mscope_happening_json(l->to, h, source, id);
    return 0;
}

void mscope_happenings_json(FILE *to, mscope_ledger *l, const mscope_ledger_query *q)
{
    listing all = { .to = to };

    fputc('[', to);
    (void)mscope_ledger_each(l, q, list_one, &all);
    fputc(']', to);
}
