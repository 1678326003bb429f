/* worst.h - the worst verdict of a judged set: what a first sentence, an exit code or a health check tells of it
 *
 * A regime is worse in the order resonant, sgd-like, heavy-ball, unknown, near-instability, unstable. A table whose
 * numbers are not finite is unstable. Unknown bands do
 * not count while together they have at most MSCOPE_UNKNOWN_SHARE of their table's row updates: a probe that visits
 * every 25th step misses the rarest rows for long, and they move the least.                                       */
#ifndef MSCOPE_MONITOR_WORST_H
#define MSCOPE_MONITOR_WORST_H

#include "judged.h"

enum { MSCOPE_REGIMES = MSCOPE_REGIME_UNKNOWN + 1 };

#define MSCOPE_UNKNOWN_SHARE 0.05

/* mscope_regime_code - 3 resonant, 4 sgd-like, 5 heavy-ball, 6 unknown, 7 near-instability, 8 unstable: the exit codes
 * of `check`, and a metric of `serve`; a larger one is worse */
int mscope_regime_code(enum mscope_regime r);

typedef struct mscope_worst {
    size_t table;
    enum mscope_regime regime;
    int found;                       /* 0: no counted band is in a counted regime; the other three mean nothing then */
    int band;                        /* -1: all that moves together, where no band is as bad                         */
    int overflowed;                  /* the table's numbers are not finite: unstable, whatever its bands say         */
    int bands, passed_over;          /* how many bands the set has; of them unknown and too small to count           */
} mscope_worst;

/* mscope_worst_of - the worst of the regimes that counts[] names; NULL: of all.  Cost: one pass over the bands */
void mscope_worst_of(const mscope_judged *j, const int counts[MSCOPE_REGIMES], mscope_worst *w);

/* mscope_worst_of_table - the same of table i by itself, with the stability record that covers it, whoever sends it */
void mscope_worst_of_table(const mscope_judged *j, size_t i, mscope_worst *w);

/* mscope_limit_known - is H known of a band of table i, or of all that moves with it? */
int mscope_limit_known(const mscope_judged *j, size_t i);
#define MSCOPE_LIMIT_UNKNOWN "how near instability is, is not known yet, for no curvature was measured"

/* mscope_overflow_say - what is wrong with a table whose numbers are not finite, in a sentence */
void mscope_overflow_say(const mscope_latest_table *t, char *words, size_t cap);

/* mscope_worst_say - is anything wrong? A sentence or two, from the worst of all regimes
 *
 * Shape    w: of counts NULL. Words: room for MSCOPE_WORST_TEXT bytes */
enum { MSCOPE_WORST_TEXT = MSCOPE_TEXT_MAX + 256 };
void mscope_worst_say(const mscope_judged *j, const mscope_worst *w, char words[MSCOPE_WORST_TEXT]);

#endif
