/* watch_view.c - the latest records of every table, as an aligned table and as sentences */
#include "watch_view.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "record_json.h"

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

int mscope_view_take(mscope_view *v, const mscope_message *m)
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

/* -- printing --------------------------------------------------------------------------------------- */

static void cell(FILE *to, int width, double x)
{
    char text[32];

    if (isnan(x))
        snprintf(text, sizeof text, "-");
    else
        snprintf(text, sizeof text, "%.3g", x);
    fprintf(to, " %*s", width, text);
}

static void row(FILE *to, const mscope_rec_band *b, const mscope_verdict *v)
{
    fprintf(to, "%4" PRIu64, b->band);
    cell(to, 8, b->p);
    fprintf(to, " %8" PRIu64, b->rows);
    cell(to, 8, b->P);
    fprintf(to, " %10" PRIu64, b->updates);
    const double rest[] = { b->R, b->V, b->C, b->H1, b->retention, b->learning, b->delta, v->H, v->zeta };
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
        cell(to, 9, rest[i]);
    fprintf(to, "  %s\n", v->regime);
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
    if (t->lost_frames > 0)
        fprintf(to, "note: %" PRIu64 " steps never arrived\n", t->lost_frames);
    if (t->refused_frames > 0)
        fprintf(to, "note: %" PRIu64 " frames were refused; the daemon's log says why\n", t->refused_frames);
    if (strncmp(t->r_source, "none", 4) == 0)
        fprintf(to, "note: R and C need a reference (%s)\n", t->r_source);
    if (t->silent > 0)
        fprintf(to, "note: %" PRIu64 " of %" PRIu64 " rows were never active\n", t->silent, t->rows);
}

static void print_table(const mscope_watched *w, FILE *to)
{
    const mscope_rec_table *t = &w->table.record.u.table;

    fprintf(to, "table %s: step %" PRIu64 ", %" PRIu64 " rows x %" PRIu64 ", %s form; in EMA form eta %.4g, eps %.4g, batch %.4g\n",
            t->table, t->step, t->rows, t->d, t->form, t->eta, t->eps, t->batch);
    fprintf(to, "%4s %8s %8s %8s %10s %9s %9s %9s %9s %9s %9s %9s %9s %9s  %s\n", "band", "p", "rows", "P", "updates",
            "R", "V", "C", "H1", "retention", "learning", "delta", "H", "zeta", "regime");
    for (int b = 0; b < MSCOPE_BANDS; b++) {
        if (!w->have[b])
            continue;
        row(to, &w->band[b].record.u.band, &w->verdict[b]);
    }
    for (int b = 0; b < MSCOPE_BANDS; b++)
        if (w->have[b])
            sentence(to, w, b);
    notes(to, w);
}

void mscope_view_print(const mscope_view *v, const mscope_subscriber_stats *stats, FILE *to)
{
    if (v->have_daemon) {
        const mscope_rec_daemon *d = &v->daemon.record.u.daemon;
        fprintf(to, "momentscoped %s, up %.0f s, %" PRIu64 " steps applied, %" PRIu64 " lost", d->version, d->uptime,
                d->steps_applied, d->lost_frames);
        fprintf(to, "; here %" PRIu64 " records, %" PRIu64 " lost\n", stats->received, stats->lost);
    }
    if (v->alert[0] != '\0')
        fprintf(to, "latest: %s\n", v->alert);
    for (size_t i = 0; i < v->tables; i++) {
        if (!v->table[i].have_table)
            continue;
        fputc('\n', to);
        print_table(&v->table[i], to);
    }
}

void mscope_view_json(const mscope_view *v, FILE *to)
{
    if (v->have_daemon)
        mscope_json_record(to, &v->daemon);
    for (size_t i = 0; i < v->tables; i++) {
        if (v->table[i].have_table)
            mscope_json_record(to, &v->table[i].table);
        for (int b = 0; b < MSCOPE_BANDS; b++)
            if (v->table[i].have[b])
                mscope_json_record(to, &v->table[i].band[b]);
    }
}
