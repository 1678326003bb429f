/* worst.c - the worst verdict of a judged set */
#include "worst.h"

static const int badness[MSCOPE_REGIMES] = {
    [MSCOPE_REGIME_RESONANT] = 1, [MSCOPE_REGIME_SGD] = 2,  [MSCOPE_REGIME_HEAVY_BALL] = 3,
    [MSCOPE_REGIME_UNKNOWN] = 4,  [MSCOPE_REGIME_NEAR] = 5, [MSCOPE_REGIME_UNSTABLE] = 6,
};

static void take(mscope_worst *w, const int *counts, size_t table, int band, enum mscope_regime r)
{
    if ((counts != NULL && !counts[r]) || (w->found && badness[r] <= badness[w->regime]))
        return;
    w->table = table;
    w->band = band;
    w->regime = r;
    w->found = 1;
}

/* Do the unknown bands of table i have so few of its row updates that they do not count? */
static int unknown_is_small(const mscope_judged *j, size_t i)
{
    double unknown = 0, all = 0;

    for (int b = 0; b < MSCOPE_BANDS; b++) {
        if (!j->latest.table[i].have[b])
            continue;
        const double updates = (double)j->latest.table[i].band[b].record.u.band.updates;
        all += updates;
        unknown += j->verdict[i][b].regime == MSCOPE_REGIME_UNKNOWN ? updates : 0;
    }
    return all > 0 && unknown <= MSCOPE_UNKNOWN_SHARE * all;
}

static void judge_table(mscope_worst *w, const mscope_judged *j, size_t i, const int *counts)
{
    const int small = unknown_is_small(j, i);

    for (int b = 0; b < MSCOPE_BANDS; b++) {
        const enum mscope_regime r = j->verdict[i][b].regime;
        if (!j->latest.table[i].have[b])
            continue;
        w->bands++;
        if (small && r == MSCOPE_REGIME_UNKNOWN)
            w->passed_over++;
        else
            take(w, counts, i, b, r);
    }
}

/* Where no band holds the limit, parameters outside the tables do, and the run is as near to it. */
static void judge_margin(mscope_worst *w, const mscope_judged *j, size_t i, const int *counts)
{
    const enum mscope_standing s = j->latest.table[i].have_stability ? j->margin[i].standing : MSCOPE_STANDING_UNKNOWN;

    if (s == MSCOPE_STANDING_NEAR || s == MSCOPE_STANDING_UNSTABLE)
        take(w, counts, i, -1, s == MSCOPE_STANDING_UNSTABLE ? MSCOPE_REGIME_UNSTABLE : MSCOPE_REGIME_NEAR);
}

void mscope_worst_of(const mscope_judged *j, const int counts[MSCOPE_REGIMES], mscope_worst *w)
{
    *w = (mscope_worst){ .regime = MSCOPE_REGIME_UNKNOWN };
    for (size_t i = 0; i < j->latest.tables; i++)
        judge_table(w, j, i, counts);
    for (size_t i = 0; i < j->latest.tables; i++)
        judge_margin(w, j, i, counts);
}
