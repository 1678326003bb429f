/* watch_view.c - the latest records of every table, as an aligned table and as sentences */
#include "watch_view.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "common/json.h"
#include "monitor/record_json.h"
#include "monitor/feed.h"

/* -- folding records in ----------------------------------------------------------------------------- */

static mscope_watched *watched(mscope_view *v, const char *name, uint64_t epoch)
{
    mscope_watched *w = NULL;

    for (size_t i = 0; i < v->tables && w == NULL; i++) {
        const mscope_watched *t = &v->table[i];
        for (int b = 0; b < MSCOPE_BANDS; b++)
            if ((t->have[b] && strcmp(t->band[b].record.u.band.table, name) == 0) ||
                (t->have_acf[b] && strcmp(t->acf[b].record.u.acf.table, name) == 0))
                w = &v->table[i];
        if (t->have_table && strcmp(t->table.record.u.table.table, name) == 0)
            w = &v->table[i];
    }
    if (w == NULL) {
        mscope_watched *grown = realloc(v->table, (v->tables + 1) * sizeof *grown);
        if (grown == NULL)
            return NULL;
        v->table = grown;
        w = &grown[v->tables++];
        memset(w, 0, sizeof *w);
        w->epoch = epoch;
    }
    if (w->epoch != epoch) {                 /* a new daemon: what the old one said is history */
        memset(w, 0, sizeof *w);
        w->epoch = epoch;
    }
    return w;
}

/* Bands come and go; the table's record names those that hold rows now. The last record of a band that emptied
 * stays the latest of its topic, so a late joiner is given it with the others, in any order. */
static void forget_left_bands(mscope_watched *w)
{
    const mscope_rec_table *t = &w->table.record.u.table;

    for (int b = 0; b < MSCOPE_BANDS; b++) {
        int named = 0;
        for (uint32_t i = 0; i < t->bands.n; i++)
            named |= t->bands.at[i] == b;
        if (!named && w->have_table && w->have[b] && w->band[b].record.u.band.step <= t->step)
            w->have[b] = 0;
    }
}

int mscope_view_take(mscope_view *v, const mscope_telemetry *m)
{
    mscope_watched *w;

    switch (m->record.kind) {
    case MSCOPE_REC_BAND: {
        const mscope_rec_band *b = &m->record.u.band;
        if (b->band >= MSCOPE_BANDS)
            return 0;
        if ((w = watched(v, b->table, b->epoch)) == NULL)
            return MSCOPE_ENOMEM;
        mscope_verdict_after(b, w->have[b->band] ? &w->verdict[b->band] : NULL, &w->verdict[b->band]);
        w->band[b->band] = *m;
        w->have[b->band] = 1;
        forget_left_bands(w);
        break;
    }
    case MSCOPE_REC_TABLE:
        if ((w = watched(v, m->record.u.table.table, m->record.u.table.epoch)) == NULL)
            return MSCOPE_ENOMEM;
        w->table = *m;
        w->have_table = 1;
        forget_left_bands(w);
        break;
    case MSCOPE_REC_DAEMON:
        v->daemon = *m;
        v->have_daemon = 1;
        break;
    case MSCOPE_REC_ALERT:
        memcpy(v->alert, m->record.u.alert.text, sizeof v->alert);
        v->alert[sizeof v->alert - 1] = '\0';
        break;
    case MSCOPE_REC_ACF:
        if (m->record.u.acf.band >= MSCOPE_BANDS)
            return 0;
        if ((w = watched(v, m->record.u.acf.table, m->record.u.acf.epoch)) == NULL)
            return MSCOPE_ENOMEM;
        w->acf[m->record.u.acf.band] = *m;
        w->have_acf[m->record.u.acf.band] = 1;
        break;
    }
    return 0;
}

int mscope_view_modes(const mscope_watched *w, int band, mscope_modes *modes, enum mscope_agreement *agrees, char *say,
                      size_t cap)
{
    memset(modes, 0, sizeof *modes);
    modes->omega = modes->zeta = modes->peak = NAN;
    *agrees = MSCOPE_NO_WORD;
    say[0] = '\0';
    if (!w->have_acf[band] || mscope_modes_of(&w->acf[band].record.u.acf, modes) != 0)
        return 0;
    *agrees = mscope_modes_against(modes, &w->verdict[band], say, cap);
    return 1;
}

int mscope_view_complete(const mscope_view *v)
{
    int any = 0;

    for (size_t i = 0; i < v->tables; i++) {
        const mscope_watched *w = &v->table[i];
        if (!w->have_table)
            return 0;
        const mscope_list *named = &w->table.record.u.table.bands;
        for (uint32_t k = 0; k < named->n; k++) {
            if (named->at[k] >= 0 && named->at[k] < MSCOPE_BANDS && !w->have[(int)named->at[k]])
                return 0;
            any = 1;
        }
    }
    return any;
}

void mscope_view_fini(mscope_view *v)
{
    free(v->table);
    memset(v, 0, sizeof *v);
}

int mscope_view_refused(const char *command, int rc)
{
    mscope_refusal why;

    mscope_client_fault(&why);               /* the field is an option's name, or that of a variable */
    fprintf(stderr, "momentscope %s: %s%s = %s (%s): %s\n", command, why.field[0] >= 'a' && why.field[0] <= 'z' ? "--" : "",
            why.field, why.value, why.range, why.text);
    return rc == MSCOPE_EINVAL ? MSCOPE_EXIT_USAGE : MSCOPE_EXIT_FAILED;
}

/* -- printing --------------------------------------------------------------------------------------- */

/* A narrow window loses whole columns, in the order of `leaves`; 0 stays whatever happens. */
static const struct column {
    const char *name;
    int width, leaves;
} columns[] = {
    { "band", 4, 0 },      { "p", 8, 6 },         { "rows", 8, 7 },  { "P", 8, 4 },     { "updates", 10, 3 },
    { "R", 9, 1 },         { "V", 9, 1 },         { "C", 9, 1 },     { "H1", 9, 5 },    { "retention", 9, 2 },
    { "learning", 9, 2 },  { "delta", 9, 2 },     { "H", 9, 0 },     { "zeta", 9, 0 },
};

enum { COLUMNS = sizeof columns / sizeof columns[0], LAST_TO_LEAVE = 7, REGIME_WIDTH = 2 + 16 };

/* How many kinds of columns have to leave so that a row fits; width 0: a page without an edge. */
static int leaving(int width)
{
    for (int gone = 0; gone < LAST_TO_LEAVE; gone++) {
        int sum = REGIME_WIDTH - 1;
        for (int i = 0; i < COLUMNS; i++)
            if (columns[i].leaves == 0 || columns[i].leaves > gone)
                sum += columns[i].width + 1;
        if (width == 0 || sum <= width)
            return gone;
    }
    return LAST_TO_LEAVE;
}

static void line(FILE *to, int gone, const char *const cells[COLUMNS], const char *regime)
{
    for (int i = 0; i < COLUMNS; i++)
        if (columns[i].leaves == 0 || columns[i].leaves > gone)
            fprintf(to, "%s%*s", i > 0 ? " " : "", columns[i].width, cells[i]);
    fprintf(to, "  %s\n", regime);
}

static void head(FILE *to, int gone)
{
    const char *names[COLUMNS];

    for (int i = 0; i < COLUMNS; i++)
        names[i] = columns[i].name;
    line(to, gone, names, "regime");
}

static void row(FILE *to, int gone, const mscope_rec_band *b, const mscope_verdict *v)
{
    const double known[COLUMNS] = { (double)b->band, b->p,  (double)b->rows, b->P,        (double)b->updates, b->R, b->V, b->C,
                                    b->H1, b->retention, b->learning, b->delta, v->H, v->zeta };
    char text[COLUMNS][32];
    const char *cells[COLUMNS];

    for (int i = 0; i < COLUMNS; i++) {
        int whole = i == 0 || i == 2 || i == 4;
        if (isnan(known[i]))
            snprintf(text[i], sizeof text[i], "-");
        else
            snprintf(text[i], sizeof text[i], whole ? "%.0f" : "%.3g", known[i]);
        cells[i] = text[i];
    }
    line(to, gone, cells, mscope_regime_name(v->regime));
}

static void sentence(FILE *to, const mscope_watched *w, int band)
{
    const mscope_rec_band *b = &w->band[band].record.u.band;
    const mscope_verdict *v = &w->verdict[band];
    char said[MSCOPE_TEXT_MAX + 1];
    enum mscope_agreement agrees;
    mscope_modes modes;

    fprintf(to, "band %" PRIu64 ": p %.2g", b->band, b->p);
    if (!isnan(v->H))
        fprintf(to, ", H %.2g", v->H);
    if (!isnan(v->zeta))
        fprintf(to, ", zeta %.2g", v->zeta);
    fprintf(to, ": %s", v->why);
    if (v->confidence > 0 && v->confidence < 0.9)
        fprintf(to, " (confidence %.0f %%: %.0f row samples)", 100 * v->confidence, b->h_samples);
    if (mscope_view_modes(w, band, &modes, &agrees, said, sizeof said) && modes.kind != MSCOPE_MODES_UNKNOWN)
        fprintf(to, "; %s", said);
    fputc('\n', to);
}

static void notes(FILE *to, const mscope_watched *w)
{
    const mscope_rec_table *t = &w->table.record.u.table;

    if (!t->attached)
        fprintf(to, "note: no trainer holds this table now\n");
    if (!t->exact)
        fprintf(to, "note: not exact: steps were lost or rows not yet seen; V, R and C settle when the trainer's SYNC is through\n");
    if (t->lost_steps > 0)
        fprintf(to, "note: %" PRIu64 " steps never arrived\n", t->lost_steps);
    if (t->refused_messages > 0)
        fprintf(to, "note: %" PRIu64 " messages were refused; the daemon's log says why\n", t->refused_messages);
    if (strncmp(t->r_source, "none", 4) == 0)
        fprintf(to, "note: R and C need a reference (%s)\n", t->r_source);
    if (t->silent > 0)
        fprintf(to, "note: %" PRIu64 " of %" PRIu64 " rows were never active\n", t->silent, t->rows);
}

/* Of a table in shards: who is missing, and how far apart they are. */
static void shards(FILE *to, const mscope_feed *s, const char *table, int named)
{
    const char *name = named ? table : "", *gap = named ? " " : "";
    uint64_t first, skew;
    char why[400];

    if (s == NULL || mscope_feed_shards(s) == 0)
        return;
    skew = mscope_feed_skew(s, table, &first);
    if (mscope_feed_lacks(s, table, why, sizeof why))
        fprintf(to, "%s%sINCOMPLETE: %s; sums are unknown, counts and means are of the others\n", name, gap, why);
    fprintf(to, "%s%sshards: %zu, the last at step %" PRIu64 ", the first %" PRIu64 " steps ahead of it\n", name, gap,
            mscope_feed_shards(s), first, skew);
}

static void print_table(const mscope_watched *w, const mscope_feed *source, int width, FILE *to)
{
    const int gone = leaving(width);
    const mscope_rec_table *t = &w->table.record.u.table;

    fprintf(to, "table %s: step %" PRIu64 ", %" PRIu64 " rows x %" PRIu64 ", %s form; in EMA form eta %.4g, eps %.4g, batch %.4g\n",
            t->table, t->step, t->rows, t->d, t->form, t->eta, t->eps, t->batch);
    shards(to, source, t->table, 0);
    head(to, gone);
    for (int b = 0; b < MSCOPE_BANDS; b++) {
        if (!w->have[b])
            continue;
        row(to, gone, &w->band[b].record.u.band, &w->verdict[b]);
    }
    for (int b = 0; b < MSCOPE_BANDS; b++)
        if (w->have[b])
            sentence(to, w, b);
    notes(to, w);
}

/* Seconds as a person reads them. */
static const char *span(double s, char out[16])
{
    snprintf(out, 16, s >= 1 ? "%.3g s" : s >= 1e-3 ? "%.3g ms" : "%.3g us", s >= 1 ? s : s >= 1e-3 ? 1e3 * s : 1e6 * s);
    return out;
}

void mscope_view_timing(const mscope_rec_daemon *d, FILE *to)
{
    char a[6][16];

    fprintf(to, "now (worst since start): records %s (%s) late, sockets unwatched for %s (%s), a message took %s (%s)%s%s\n",
            span(d->late_max, a[0]), span(d->late_worst, a[1]), span(d->pause_max, a[2]), span(d->pause_worst, a[3]),
            span(d->message_max, a[4]), span(d->message_worst, a[5]), strcmp(d->realtime, "off") != 0 ? "; real time: " : "",
            strcmp(d->realtime, "off") != 0 ? d->realtime : "");
}

void mscope_view_print(const mscope_view *v, const mscope_subscriber_stats *stats, int width, FILE *to)
{
    if (v->have_daemon) {
        const mscope_rec_daemon *d = &v->daemon.record.u.daemon;
        fprintf(to, "momentscoped %s, up %.0f s, %" PRIu64 " steps applied, %" PRIu64 " lost", d->version, d->uptime,
                d->steps_applied, d->lost_steps);
        fprintf(to, "; here %" PRIu64 " records, %" PRIu64 " lost\n", stats->received, stats->lost);
        mscope_view_timing(d, to);
    }
    if (v->alert[0] != '\0')
        fprintf(to, "latest: %s\n", v->alert);
    for (size_t i = 0; i < v->tables; i++) {
        if (!v->table[i].have_table)
            continue;
        fputc('\n', to);
        print_table(&v->table[i], v->feed, width, to);
    }
}

static void json_shards(FILE *to, const mscope_feed *s, const char *table)
{
    uint64_t first, skew = mscope_feed_skew(s, table, &first);
    char why[400];
    int lacks = mscope_feed_lacks(s, table, why, sizeof why);

    fprintf(to, "{\"topic\":\"shards/%s\",\"shards\":%zu,\"complete\":%s,\"step\":%" PRIu64 ",\"skew\":%" PRIu64 ",\"missing\":",
            table, mscope_feed_shards(s), lacks ? "false" : "true", first, skew);
    mscope_json_string(to, why);
    fputs("}\n", to);
}

/* Their lines name the table, as the lines of check and advise do. */
void mscope_view_shards(const mscope_view *v, int json, FILE *to)
{
    for (size_t i = 0; i < v->tables && v->feed != NULL && mscope_feed_shards(v->feed) > 0; i++) {
        const mscope_watched *w = &v->table[i];
        if (!w->have_table)
            continue;
        if (json)
            json_shards(to, v->feed, w->table.record.u.table.table);
        else
            shards(to, v->feed, w->table.record.u.table.table, 1);
    }
}

void mscope_view_json(const mscope_view *v, FILE *to)
{
    if (v->have_daemon)
        mscope_json_record(to, &v->daemon);
    for (size_t i = 0; i < v->tables; i++) {
        if (v->table[i].have_table)
            mscope_json_record(to, &v->table[i].table);
        if (v->table[i].have_table && v->feed != NULL && mscope_feed_shards(v->feed) > 0)
            json_shards(to, v->feed, v->table[i].table.record.u.table.table);
        for (int b = 0; b < MSCOPE_BANDS; b++)
            if (v->table[i].have[b])
                mscope_json_record(to, &v->table[i].band[b]);
    }
}
