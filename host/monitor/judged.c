/* judged.c - see judged.h */
#include "judged.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Room for the verdicts of one more table than there are: a record brings at most one. */
static int make_room(mscope_judged *j)
{
    mscope_verdict(*grown)[MSCOPE_BANDS];
    unsigned char *covered;
    mscope_margin *margin;

    if (j->latest.tables < j->rooms)
        return 0;
    grown = realloc(j->verdict, (j->latest.tables + 1) * sizeof *grown);
    if (grown == NULL)
        return MSCOPE_ENOMEM;
    j->verdict = grown;
    margin = realloc(j->margin, (j->latest.tables + 1) * sizeof *margin);
    if (margin == NULL)
        return MSCOPE_ENOMEM;
    j->margin = margin;
    memset(&margin[j->latest.tables], 0, sizeof *margin);
    covered = realloc(j->covered, j->latest.tables + 1);
    if (covered == NULL)
        return MSCOPE_ENOMEM;
    j->covered = covered;
    covered[j->latest.tables] = 0;
    j->rooms = j->latest.tables + 1;
    return 0;
}

const mscope_margin *mscope_judged_margin(const mscope_judged *j, size_t i)
{
    const mscope_latest *l = &j->latest;
    const char *keeper = l->table[i].have_table ? l->table[i].table.record.u.table.stability : "";

    for (size_t k = 0; keeper[0] != '\0' && k < l->tables; k++)
        if (l->table[k].have_stability && strcmp(l->table[k].name, keeper) == 0)
            return &j->margin[k];
    return NULL;
}

/* The bands of all tables that the record of table k covers. */
static int judge_margin(mscope_judged *j, size_t k)
{
    const mscope_latest *l = &j->latest;
    const mscope_rec_band **band = calloc(l->tables * MSCOPE_BANDS, sizeof *band);
    size_t n = 0;

    if (band == NULL)
        return MSCOPE_ENOMEM;
    for (size_t i = 0; i < l->tables; i++)
        for (int b = 0; b < MSCOPE_BANDS; b++)
            if (l->table[i].have[b] && mscope_judged_margin(j, i) == &j->margin[k])
                band[n++] = &l->table[i].band[b].record.u.band;
    mscope_margin_of(&l->table[k].stability.record.u.stability, band, n, &j->margin[k], &j->margin[k]);
    free(band);
    return 0;
}

static int take_margin(mscope_judged *j, const char *name)
{
    for (size_t k = 0; k < j->latest.tables; k++)
        if (strcmp(j->latest.table[k].name, name) == 0)
            return judge_margin(j, k);
    return 0;
}

/* Records of one moment come in any order: bands that were judged before their table was covered are judged again. */
static void take_cover(mscope_judged *j)
{
    for (size_t i = 0; i < j->latest.tables; i++) {
        const mscope_margin *margin = mscope_judged_margin(j, i);
        const int before = j->covered[i];

        j->covered[i] = margin != NULL;
        for (int b = 0; margin != NULL && !before && b < MSCOPE_BANDS; b++)
            if (j->latest.table[i].have[b])
                mscope_verdict_after(&j->latest.table[i].band[b].record.u.band, margin, NULL, &j->verdict[i][b]);
    }
}

int mscope_judged_modes(const mscope_judged *j, size_t i, int b, mscope_modes *modes, enum mscope_agreement *agrees,
                        char *say, size_t cap)
{
    const mscope_latest_table *t = &j->latest.table[i];

    memset(modes, 0, sizeof *modes);
    modes->omega = modes->zeta = modes->peak = NAN;
    *agrees = MSCOPE_NO_WORD;
    say[0] = '\0';
    if (!t->have_acf[b] || mscope_modes_of(&t->acf[b].record.u.acf, modes) != 0)
        return 0;
    *agrees = mscope_modes_against(modes, &j->verdict[i][b], say, cap);
    return 1;
}

/* The autocorrelation decides nothing alone, but a verdict that it contradicts is sure at most by half. */
static void hear(mscope_judged *j, size_t i, int b)
{
    char said[MSCOPE_TEXT_MAX + 1];
    enum mscope_agreement agrees;
    mscope_modes modes;

    if (mscope_judged_modes(j, i, b, &modes, &agrees, said, sizeof said) && agrees == MSCOPE_CONTRADICTS &&
        j->verdict[i][b].confidence > 0.5)
        j->verdict[i][b].confidence = 0.5;
}

int mscope_judged_take(mscope_judged *j, const mscope_telemetry *m, mscope_news *news, enum mscope_regime *before)
{
    mscope_news own;
    int rc = make_room(j);

    if (news == NULL)
        news = &own;
    if (rc == 0)
        rc = mscope_latest_take(&j->latest, m, news);
    if (rc == 0 && m->record.kind == MSCOPE_REC_STABILITY)
        rc = take_margin(j, m->record.u.stability.table);
    if (rc == 0 && (m->record.kind == MSCOPE_REC_STABILITY || m->record.kind == MSCOPE_REC_TABLE))
        take_cover(j);
    if (rc != 0 || news->band < 0)
        return rc;
    mscope_verdict *v = &j->verdict[news->table][news->band];
    if (before != NULL)
        *before = news->first ? MSCOPE_REGIME_UNKNOWN : v->regime;
    mscope_verdict_after(&m->record.u.band, mscope_judged_margin(j, news->table), news->first ? NULL : v, v);
    hear(j, news->table, news->band);
    return 0;
}

size_t mscope_judged_bands(const mscope_judged *j, size_t i, const mscope_rec_band **rec)
{
    const mscope_latest_table *t = &j->latest.table[i];
    size_t n = 0;

    for (int b = 0; b < MSCOPE_BANDS; b++)
        if (t->have[b])
            rec[n++] = &t->band[b].record.u.band;
    return n;
}

void mscope_judged_fini(mscope_judged *j)
{
    mscope_latest_fini(&j->latest);
    free(j->verdict);
    free(j->margin);
    free(j->covered);
    memset(j, 0, sizeof *j);
}
