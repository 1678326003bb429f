/* judged.c - see judged.h */
#include "judged.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Room for the verdicts of one more table than there are: a record brings at most one. */
static int make_room(mscope_judged *j)
{
    mscope_verdict(*grown)[MSCOPE_BANDS];

    if (j->latest.tables < j->rooms)
        return 0;
    grown = realloc(j->verdict, (j->latest.tables + 1) * sizeof *grown);
    if (grown == NULL)
        return MSCOPE_ENOMEM;
    j->verdict = grown;
    j->rooms = j->latest.tables + 1;
    return 0;
}

int mscope_judged_take(mscope_judged *j, const mscope_telemetry *m, mscope_news *news, enum mscope_regime *before)
{
    mscope_news own;
    int rc = make_room(j);

    if (news == NULL)
        news = &own;
    if (rc == 0)
        rc = mscope_latest_take(&j->latest, m, news);
    if (rc != 0 || news->band < 0)
        return rc;
    mscope_verdict *v = &j->verdict[news->table][news->band];
    if (before != NULL)
        *before = news->first ? MSCOPE_REGIME_UNKNOWN : v->regime;
    mscope_verdict_after(&m->record.u.band, news->first ? NULL : v, v);
    return 0;
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

void mscope_judged_fini(mscope_judged *j)
{
    mscope_latest_fini(&j->latest);
    free(j->verdict);
    memset(j, 0, sizeof *j);
}
