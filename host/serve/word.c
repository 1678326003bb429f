/* word.c - see word.h */
#include "word.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "monitor/worst.h"

static const mscope_rec_band *band_of(const mscope_latest_table *t, int b)
{
    return t->have[b] ? &t->band[b].record.u.band : NULL;
}

static uint32_t in_regime(const mscope_judged *j, size_t i, enum mscope_regime regime)
{
    uint32_t bands = 0;

    for (int b = 0; b < MSCOPE_BANDS; b++)
        if (j->latest.table[i].have[b] && j->verdict[i][b].regime == regime)
            bands |= 1u << b;
    return bands;
}

static uint32_t that_grow(const mscope_latest_table *t)
{
    uint32_t bands = 0;

    for (int b = 0; b < MSCOPE_BANDS; b++)
        if (t->have[b] && (band_of(t, b)->growing || band_of(t, b)->top_growing))
            bands |= 1u << b;
    return bands;
}

static void weigh(const mscope_latest_table *t, mscope_word *w)
{
    double all = 0;

    w->rows = w->share = 0;
    for (int b = 0; b < MSCOPE_BANDS; b++) {
        const mscope_rec_band *r = band_of(t, b);
        if (r == NULL)
            continue;
        all += (double)r->updates;
        if (w->bands >> b & 1) {
            w->rows += (double)r->rows;
            w->share += (double)r->updates;
        }
    }
    w->share = all > 0 ? w->share / all : 0;
}

/* "band 3", "bands 3-5, 7" */
static void name_bands(uint32_t bands, char *to, size_t cap)
{
    const int several = (bands & (bands - 1)) != 0;
    int from = -1;
    size_t at = (size_t)snprintf(to, cap, several ? "bands " : "band "), begin = at;

    for (int b = 0; b <= MSCOPE_BANDS; b++) {
        const int in = b < MSCOPE_BANDS && (bands >> b & 1);
        if (in && from < 0)
            from = b;
        if (in || from < 0 || at >= cap)
            continue;
        at += (size_t)snprintf(to + at, cap - at, "%s%d", at > begin ? ", " : "", from);
        if (b - 1 > from && at < cap)
            at += (size_t)snprintf(to + at, cap - at, "-%d", b - 1);
        from = -1;
    }
}

/* The words of the verdict whose band has the most updates. */
static void take_why(const mscope_judged *j, size_t i, mscope_word *w)
{
    double most = -1;

    for (int b = 0; b < MSCOPE_BANDS; b++) {
        const double updates = w->bands >> b & 1 ? (double)band_of(&j->latest.table[i], b)->updates : -1;
        if (updates > most) {
            most = updates;
            snprintf(w->why, sizeof w->why, "%s", j->verdict[i][b].why);
        }
    }
}

static void say_bands(const mscope_judged *j, size_t i, const char *what, mscope_word *w)
{
    char names[160];

    weigh(&j->latest.table[i], w);
    name_bands(w->bands, names, sizeof names);
    snprintf(w->sentence, sizeof w->sentence, "%s: %s, %.0f row%s with %.3g %% of all updates", what, names, w->rows,
             w->rows == 1 ? "" : "s", 100 * w->share);
    take_why(j, i, w);
}

/* Instability, of bands or of parameters outside the tables. */
static int heard_limit(const mscope_judged *j, size_t i, const mscope_worst *worst, mscope_word *w)
{
    const int bad = worst->regime == MSCOPE_REGIME_UNSTABLE;
    const char *const what = bad ? "unstable" : "near instability";

    if (worst->overflowed) {
        w->level = MSCOPE_LEVEL_UNSTABLE;
        mscope_overflow_say(&j->latest.table[i], w->sentence, sizeof w->sentence);
        snprintf(w->why, sizeof w->why, "go back to a checkpoint from before, with a lower learning rate");
        return 1;
    }
    if (!worst->found || (!bad && worst->regime != MSCOPE_REGIME_NEAR))
        return 0;
    w->level = bad ? MSCOPE_LEVEL_UNSTABLE : MSCOPE_LEVEL_NEAR;
    if (worst->band >= 0) {
        w->bands = in_regime(j, i, worst->regime);
        say_bands(j, i, what, w);
    } else {
        snprintf(w->sentence, sizeof w->sentence, "%s: all that moves together, and no band of this table holds it",
                 what);
        snprintf(w->why, sizeof w->why, "%s", mscope_judged_margin(j, i)->why);
    }
    return 1;
}

static int heard_growth(const mscope_judged *j, size_t i, mscope_word *w)
{
    const mscope_latest_table *t = &j->latest.table[i];
    const mscope_rec_table *r = &t->table.record.u.table;

    w->level = MSCOPE_LEVEL_GROWING;
    if (r->climbing) {
        w->bands = r->climb_band < MSCOPE_BANDS ? 1u << r->climb_band & ~(t->have[r->climb_band] ? 0u : ~0u) : 0;
        weigh(t, w);
        snprintf(w->sentence, sizeof w->sentence,
                 "it climbs: |theta|^2 grew by %.2g of itself against the gradients, most in band %" PRIu64, r->climb,
                 r->climb_band);
        snprintf(w->why, sizeof w->why, "the rate is too high for this place; growth of |theta|^2 over 4/eps steps");
        return 1;
    }
    w->bands = that_grow(t);
    if (w->bands == 0)
        return 0;
    say_bands(j, i, "momentum grows beyond what it has been", w);
    return 1;
}

/* Mixed state never is, nor rows of AdamW, which decay: that is no fault. */
static int not_exact(const mscope_latest_table *t, mscope_word *w)
{
    const mscope_rec_table *r = &t->table.record.u.table;

    if (r->exact || strncmp(r->state, "mixed", 5) == 0 || r->optimizer[0] != '\0')
        return 0;
    w->level = MSCOPE_LEVEL_INEXACT;
    w->bands = 0;
    if (r->lost_steps > 0)
        snprintf(w->sentence, sizeof w->sentence, "the daemon's rows are not the trainer's: %" PRIu64
                 " steps never arrived", r->lost_steps);
    else
        snprintf(w->sentence, sizeof w->sentence, "the daemon's rows are not the trainer's: they were not yet seen, or "
                 "the trainer rounds them to half or bfloat16");
    snprintf(w->why, sizeof w->why, "V, R and C are right again after the trainer's SYNC, but where it rounds never");
    return 1;
}

static int not_known(const mscope_judged *j, size_t i, const mscope_worst *worst, mscope_word *w)
{
    const mscope_margin *m = mscope_judged_margin(j, i);

    if (m != NULL && m->standing == MSCOPE_STANDING_UNKNOWN) {
        w->level = MSCOPE_LEVEL_UNKNOWN;
        snprintf(w->sentence, sizeof w->sentence, "not known yet: how near eta is to its limit");
        snprintf(w->why, sizeof w->why, "%s", m->why);
        return 1;
    }
    if (!mscope_limit_known(j, i)) {
        w->level = MSCOPE_LEVEL_UNKNOWN;
        snprintf(w->sentence, sizeof w->sentence, MSCOPE_LIMIT_UNKNOWN);
        snprintf(w->why, sizeof w->why, "give attach a probe (probe_every=, closure=), or see host/README.md");
        return 1;
    }
    if (!worst->found || worst->regime != MSCOPE_REGIME_UNKNOWN)
        return 0;
    w->bands = in_regime(j, i, MSCOPE_REGIME_UNKNOWN);
    w->level = MSCOPE_LEVEL_UNKNOWN;
    say_bands(j, i, "not known", w);
    return 1;
}

static void fine(const mscope_judged *j, size_t i, mscope_word *w)
{
    const mscope_margin *m = mscope_judged_margin(j, i);
    int bands = 0;

    w->level = MSCOPE_LEVEL_FINE;
    w->bands = 0;
    for (int b = 0; b < MSCOPE_BANDS; b++)
        bands += j->latest.table[i].have[b];
    if (m != NULL && m->H == m->H)
        snprintf(w->sentence, sizeof w->sentence, "nothing is wrong: %d bands, eta at %.2g of its limit", bands, m->H);
    else
        snprintf(w->sentence, sizeof w->sentence, "nothing is wrong: %d bands", bands);
    snprintf(w->why, sizeof w->why, "%s", m != NULL ? m->why : "");
}

/* The trainer ended, or was killed: what is said is of its last step. */
static void add_left(const mscope_rec_table *r, mscope_word *out)
{
    const size_t at = strlen(out->sentence);

    if (!r->attached)
        (void)snprintf(out->sentence + at, sizeof out->sentence - at, "; no trainer is there since step %" PRIu64,
                       r->step);
}

static void judge(const mscope_judged *j, size_t i, mscope_word *out)
{
    mscope_worst worst;

    mscope_worst_of_table(j, i, &worst);
    memset(out, 0, sizeof *out);
    out->level = MSCOPE_LEVEL_UNKNOWN;
    snprintf(out->sentence, sizeof out->sentence, "no record of the table has come yet");
    if (!j->latest.table[i].have_table || heard_limit(j, i, &worst, out) || heard_growth(j, i, out) ||
        not_exact(&j->latest.table[i], out) || not_known(j, i, &worst, out))
        return;
    fine(j, i, out);
}

void mscope_word_of(const mscope_judged *j, size_t i, mscope_word *out)
{
    judge(j, i, out);
    if (j->latest.table[i].have_table)
        add_left(&j->latest.table[i].table.record.u.table, out);
}

const char *mscope_concern_name(enum mscope_concern level)
{
    static const char *const names[] = { "fine", "unknown", "inexact", "growing", "near-instability", "unstable" };

    return names[level];
}
