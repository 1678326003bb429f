/* latest.c - see latest.h */
#include "latest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The table of this name: made if it is new, emptied if the record is of another daemon. */
static mscope_latest_table *place(mscope_latest *l, const char *name, uint64_t epoch)
{
    size_t i = 0;

    while (i < l->tables && strcmp(l->table[i].name, name) != 0)
        i++;
    if (i == l->tables) {
        mscope_latest_table *grown = realloc(l->table, (l->tables + 1) * sizeof *grown);
        if (grown == NULL)
            return NULL;
        l->table = grown;
        l->tables++;
        grown[i].epoch = ~epoch;
    }
    mscope_latest_table *t = &l->table[i];
    if (t->epoch != epoch) {
        memset(t, 0, sizeof *t);
        t->epoch = epoch;
        strncat(t->name, name, MSCOPE_NAME_MAX);
    }
    return t;
}

/* Bands come and go; the table's record names those that hold rows now. The last record of a band that emptied
 * stays the latest of its topic, so a late joiner is given it with the others, in any order. */
static void forget_left_bands(mscope_latest_table *t)
{
    const mscope_rec_table *r = &t->table.record.u.table;

    for (int b = 0; b < MSCOPE_BANDS; b++) {
        int named = 0;
        for (uint32_t i = 0; i < r->bands.n; i++)
            named |= r->bands.at[i] == b;
        if (!named && t->have_table && t->have[b] &&
            (t->band[b].record.u.band.step <= r->step || t->band[b].record.u.band.rows == 0))
            t->have[b] = 0;
    }
}

/* Another run of that name began: what is of a later step than its table belongs to the run before. The new
 * run's bands come ahead of its table's record, and stay. */
static void forget_later(mscope_latest_table *t, uint64_t step)
{
    for (int b = 0; b < MSCOPE_BANDS; b++) {
        t->have[b] &= t->band[b].record.u.band.step <= step;
        t->have_acf[b] &= t->acf[b].record.u.acf.step <= step;
    }
    t->have_stability &= t->stability.record.u.stability.step <= step;
}

static int take_band(mscope_latest *l, const mscope_telemetry *m, mscope_news *news)
{
    const mscope_rec_band *b = &m->record.u.band;
    mscope_latest_table *t;

    if (b->band >= MSCOPE_BANDS)
        return 0;
    if ((t = place(l, b->table, b->epoch)) == NULL)
        return MSCOPE_ENOMEM;
    *news = (mscope_news){ (int)b->band, (size_t)(t - l->table), !t->have[b->band] };
    t->band[b->band] = *m;
    t->have[b->band] = 1;
    forget_left_bands(t);
    if (!t->have[b->band])
        news->band = -1;
    return 0;
}

static int take_table(mscope_latest *l, const mscope_telemetry *m)
{
    mscope_latest_table *t = place(l, m->record.u.table.table, m->record.u.table.epoch);

    if (t == NULL)
        return MSCOPE_ENOMEM;
    if (t->have_table && m->record.u.table.step < t->table.record.u.table.step)
        forget_later(t, m->record.u.table.step);
    t->table = *m;
    t->have_table = 1;
    forget_left_bands(t);
    return 0;
}

static int take_acf(mscope_latest *l, const mscope_telemetry *m)
{
    const mscope_rec_acf *a = &m->record.u.acf;
    mscope_latest_table *t;

    if (a->band >= MSCOPE_BANDS)
        return 0;
    if ((t = place(l, a->table, a->epoch)) == NULL)
        return MSCOPE_ENOMEM;
    t->acf[a->band] = *m;
    t->have_acf[a->band] = 1;
    return 0;
}

static int take_stability(mscope_latest *l, const mscope_telemetry *m)
{
    mscope_latest_table *t = place(l, m->record.u.stability.table, m->record.u.stability.epoch);

    if (t == NULL)
        return MSCOPE_ENOMEM;
    t->stability = *m;
    t->have_stability = 1;
    return 0;
}

int mscope_latest_take(mscope_latest *l, const mscope_telemetry *m, mscope_news *news)
{
    *news = (mscope_news){ .band = -1 };
    switch (m->record.kind) {
    case MSCOPE_REC_BAND:
        return take_band(l, m, news);
    case MSCOPE_REC_TABLE:
        return take_table(l, m);
    case MSCOPE_REC_ACF:
        return take_acf(l, m);
    case MSCOPE_REC_STABILITY:
        return take_stability(l, m);
    case MSCOPE_REC_DAEMON:
        l->daemon = *m;
        l->have_daemon = 1;
        break;
    case MSCOPE_REC_ALERT:
        l->alert = m->record.u.alert;
        l->alert.text[sizeof l->alert.text - 1] = '\0';
        break;
    }
    return 0;
}

const mscope_latest_table *mscope_latest_find(const mscope_latest *l, const char *name)
{
    for (size_t i = 0; i < l->tables; i++)
        if (l->table[i].have_table && strcmp(l->table[i].name, name) == 0)
            return &l->table[i];
    return NULL;
}

void mscope_latest_alert(const mscope_latest *l, char words[MSCOPE_ALERT_TEXT])
{
    const mscope_latest_table *t = mscope_latest_find(l, l->alert.table);
    const uint64_t step = t != NULL ? t->table.record.u.table.step : 0;

    words[0] = '\0';
    if (l->alert.text[0] == '\0')
        return;
    if (step > l->alert.step)
        snprintf(words, MSCOPE_ALERT_TEXT, "latest, %" PRIu64 " step%s ago: %s", step - l->alert.step,
                 step - l->alert.step == 1 ? "" : "s", l->alert.text);
    else
        snprintf(words, MSCOPE_ALERT_TEXT, "latest: %s", l->alert.text);
}

int mscope_latest_complete(const mscope_latest *l)
{
    int any = 0;

    for (size_t i = 0; i < l->tables; i++) {
        const mscope_latest_table *t = &l->table[i];
        if (!t->have_table && t->have_stability)
            continue;                        /* another table's, which may cover those that are wanted */
        if (!t->have_table)
            return 0;
        const mscope_list *named = &t->table.record.u.table.bands;
        for (uint32_t k = 0; k < named->n; k++) {
            if (named->at[k] >= 0 && named->at[k] < MSCOPE_BANDS && !t->have[(int)named->at[k]])
                return 0;
            any = 1;
        }
    }
    return any;
}

void mscope_latest_fini(mscope_latest *l)
{
    free(l->table);
    memset(l, 0, sizeof *l);
}
