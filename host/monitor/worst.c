/* worst.c - the worst verdict of a judged set */
#include "worst.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

int mscope_regime_code(enum mscope_regime r)
{
    static const int code[MSCOPE_REGIMES] = {
        [MSCOPE_REGIME_RESONANT] = 3, [MSCOPE_REGIME_SGD] = 4,  [MSCOPE_REGIME_HEAVY_BALL] = 5,
        [MSCOPE_REGIME_UNKNOWN] = 6,  [MSCOPE_REGIME_NEAR] = 7, [MSCOPE_REGIME_UNSTABLE] = 8,
    };

    return code[r];
}

static void take(mscope_worst *w, const int *counts, size_t table, int band, enum mscope_regime r)
{
    if ((counts != NULL && !counts[r]) || (w->found && mscope_regime_code(r) <= mscope_regime_code(w->regime)))
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

/* Of the stability record that is said in the name of table i. */
static const mscope_margin *own_margin(const mscope_judged *j, size_t i)
{
    return j->latest.table[i].have_stability ? &j->margin[i] : NULL;
}

/* Where no band holds the limit, parameters outside the tables do, and the run is as near to it. */
static void judge_margin(mscope_worst *w, const mscope_margin *m, size_t i, const int *counts)
{
    const enum mscope_standing s = m != NULL ? m->standing : MSCOPE_STANDING_UNKNOWN;

    if (s == MSCOPE_STANDING_NEAR || s == MSCOPE_STANDING_UNSTABLE)
        take(w, counts, i, -1, s == MSCOPE_STANDING_UNSTABLE ? MSCOPE_REGIME_UNSTABLE : MSCOPE_REGIME_NEAR);
}

/* What bands say of a table whose numbers are not finite is of before. */
static void judge_overflow(mscope_worst *w, const mscope_judged *j, size_t i, const int *counts)
{
    const mscope_latest_table *t = &j->latest.table[i];

    if (w->overflowed || !t->have_table || !t->table.record.u.table.overflowed ||
        (counts != NULL && !counts[MSCOPE_REGIME_UNSTABLE]))
        return;
    w->table = i;
    w->band = -1;
    w->regime = MSCOPE_REGIME_UNSTABLE;
    w->found = w->overflowed = 1;
}

void mscope_worst_of(const mscope_judged *j, const int counts[MSCOPE_REGIMES], mscope_worst *w)
{
    *w = (mscope_worst){ .regime = MSCOPE_REGIME_UNKNOWN };
    for (size_t i = 0; i < j->latest.tables; i++)
        judge_table(w, j, i, counts);
    for (size_t i = 0; i < j->latest.tables; i++)
        judge_margin(w, own_margin(j, i), i, counts);
    for (size_t i = 0; i < j->latest.tables; i++)
        judge_overflow(w, j, i, counts);
}

void mscope_worst_of_table(const mscope_judged *j, size_t i, mscope_worst *w)
{
    *w = (mscope_worst){ .regime = MSCOPE_REGIME_UNKNOWN };
    judge_table(w, j, i, NULL);
    judge_margin(w, mscope_judged_margin(j, i), i, NULL);
    judge_overflow(w, j, i, NULL);
}

/* "heavy-ball in 2 bands, resonant in 6 bands" */
static void count_regimes(const mscope_judged *j, char *words, size_t cap)
{
    static const enum mscope_regime order[] = { MSCOPE_REGIME_HEAVY_BALL, MSCOPE_REGIME_RESONANT, MSCOPE_REGIME_SGD,
                                                MSCOPE_REGIME_UNKNOWN };
    int n[MSCOPE_REGIMES] = { 0 };

    for (size_t i = 0; i < j->latest.tables; i++)
        for (int b = 0; b < MSCOPE_BANDS; b++)
            if (j->latest.table[i].have[b])
                n[j->verdict[i][b].regime]++;
    for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
        const size_t at = strlen(words);
        if (n[order[k]] > 0)
            snprintf(words + at, cap - at, "%s%s in %d band%s", words[0] != '\0' ? ", " : "",
                     mscope_regime_name(order[k]), n[order[k]], n[order[k]] == 1 ? "" : "s");
    }
}

static void say_unknown(const mscope_judged *j, const mscope_worst *w, const char *counted, char *words)
{
    const char *const why = j->verdict[w->table][w->band].why;
    int known = 0;

    for (size_t i = 0; i < j->latest.tables; i++)
        for (int b = 0; b < MSCOPE_BANDS; b++)
            known += j->latest.table[i].have[b] && j->verdict[i][b].regime != MSCOPE_REGIME_UNKNOWN;
    if (known == 0)
        snprintf(words, MSCOPE_WORST_TEXT, "nothing is known yet of %d band%s: %s", w->bands, w->bands == 1 ? "" : "s",
                 why);
    else
        snprintf(words, MSCOPE_WORST_TEXT, "no band is known to be near instability; %s. Unknown: %s", counted, why);
}

int mscope_limit_known(const mscope_judged *j, size_t i)
{
    const mscope_margin *m = mscope_judged_margin(j, i);

    if (m != NULL && !isnan(m->H))
        return 1;
    for (int b = 0; b < MSCOPE_BANDS; b++)
        if (j->latest.table[i].have[b] && !isnan(j->verdict[i][b].H))
            return 1;
    return 0;
}

static int any_limit(const mscope_judged *j)
{
    for (size_t i = 0; i < j->latest.tables; i++)
        if (mscope_limit_known(j, i))
            return 1;
    return 0;
}

/* A stability record that does not say yet how near all that moves together is. */
static const mscope_margin *doubtful(const mscope_judged *j)
{
    for (size_t i = 0; i < j->latest.tables; i++)
        if (own_margin(j, i) != NULL && j->margin[i].standing == MSCOPE_STANDING_UNKNOWN)
            return &j->margin[i];
    return NULL;
}

void mscope_overflow_say(const mscope_latest_table *t, char *words, size_t cap)
{
    snprintf(words, cap, "rows of table %s, or the gradients that came after its step %" PRIu64 ", are not finite: the "
             "run has diverged, and all else said of the table is of before", t->name, t->table.record.u.table.step);
}

void mscope_worst_say(const mscope_judged *j, const mscope_worst *w, char words[MSCOPE_WORST_TEXT])
{
    const char *const table = w->found ? j->latest.table[w->table].name : "";
    const mscope_margin *m;
    char counted[128] = "";

    if (w->overflowed) {
        const int n = snprintf(words, MSCOPE_WORST_TEXT, "unstable: ");
        mscope_overflow_say(&j->latest.table[w->table], words + n, MSCOPE_WORST_TEXT - (size_t)n);
        return;
    }
    if (w->found && (w->regime == MSCOPE_REGIME_NEAR || w->regime == MSCOPE_REGIME_UNSTABLE)) {
        const char *const regime = mscope_regime_name(w->regime);
        if (w->band >= 0)
            snprintf(words, MSCOPE_WORST_TEXT, "%s: band %d of table %s: %s", regime, w->band, table,
                     j->verdict[w->table][w->band].why);
        else
            snprintf(words, MSCOPE_WORST_TEXT, "%s: all that moves together with table %s: %s", regime, table,
                     j->margin[w->table].why);
        return;
    }
    if (w->bands == 0) {
        snprintf(words, MSCOPE_WORST_TEXT, "nothing is known yet: no record of a band has come");
        return;
    }
    count_regimes(j, counted, sizeof counted);
    if (w->found && w->regime == MSCOPE_REGIME_UNKNOWN)
        say_unknown(j, w, counted, words);
    else if (!any_limit(j))
        snprintf(words, MSCOPE_WORST_TEXT, MSCOPE_LIMIT_UNKNOWN "; %s", counted);
    else if ((m = doubtful(j)) != NULL)
        snprintf(words, MSCOPE_WORST_TEXT, "no band is near instability by itself: %s. All that moves together: %s",
                 counted, m->why);
    else
        snprintf(words, MSCOPE_WORST_TEXT, "no band is near instability: %s", counted);
}
