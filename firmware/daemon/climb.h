/* climb.h - do the rows of a table move outward against their gradients? A warning before the loss
 *
 * A reading is taken every quarter of a lifetime 1/eps of the momentum. With sums over the row updates since the last
 * one, averaged over about four readings,
 *
 *   uphill w = -2 beta <G, m>/(eps |G|^2)          from |m'|^2 = beta^2 |m|^2 + 2 beta eps <G, m> + eps^2 |G|^2:
 *                                                  the share of what noise feeds into |m|^2 that <G, m> takes out
 *
 * G is the gradient where m has carried the row. w < 0: m moves downhill, and the loss falls. w near 0: m is noise of
 * gradients. w > 0: the gradient has turned against m, so m carries the row uphill. With R the sum of |theta|^2 over
 * the table and A its part in rows that are active at least once in a lifetime,
 *
 *   climb = sum over the last 16 readings of (change of R)/A min(max(w/0.3, 0), 1)
 *
 * is the growth of the rows that happened uphill. A run that learns grows its rows downhill; one at its noise floor
 * moves uphill as often as not, but its rows stay. The rows of a run that is being ruined do both. The alert comes at
 * climb > 0.25 and ends below half of that.
 *
 * Tried on 200 runs of tests/accuracy/ruin.py, of which half were ruined, before it was built in. Growth of |m|^2 alone
 * (V up e^3 in four lifetimes) told 14 % of the ruined before their loss stood above its start, at 9 % false alarms;
 * growth of |G|^2 alone 8 %; w alone 8 %; growth of R alone 76 %, at 56 % false alarms; climb 78 %, at 12 %. The seeds
 * that were never used for this are in tests/accuracy/README.md.                                                */
#ifndef MSCOPE_DAEMON_CLIMB_H
#define MSCOPE_DAEMON_CLIMB_H

#include <stdint.h>

#include "mscope/core.h"

#define MSCOPE_CLIMB_KEPT 16                 /* readings that a climb is summed over                     */

typedef struct mscope_climb {                /* all bytes 0: nothing read yet                            */
    uint64_t next;                           /* step of the next reading                                 */
    uint64_t readings;
    int placed;                              /* R is that of the last reading; 0: rows were put elsewhere since */
    int climbing;
    uint32_t band;                           /* that had the most negative <G, m> when the alert came    */
    double R;
    double gm[MSCOPE_BANDS], g2[MSCOPE_BANDS];       /* running means of <G, m> and |G|^2 a reading      */
    double part[MSCOPE_CLIMB_KEPT];          /* terms of the climb, by reading % KEPT                    */
} mscope_climb;

/* mscope_climb_every - steps from one reading to the next: a quarter of 1/eps, at least 1, at most 1e9 */
uint64_t mscope_climb_every(double eps);

/* mscope_climb_pulse - take in what one band did since the last reading; gm, g2: see mscope_pulse */
void mscope_climb_pulse(mscope_climb *c, unsigned band, double gm, double g2);

/* mscope_climb_uphill - w of one band; 0 while nothing is known */
double mscope_climb_uphill(const mscope_climb *c, unsigned band, double eps);

/* mscope_climb_read - a reading, after the pulse of every band
 *
 * R, A   sums of |theta - reference|^2 over the table, and over its rows that are active once in 1/eps steps
 * from   readings that only settle: rows grow from 0 when the reference is where they began
 * Returns  whether the table has just begun to climb; c->band is then the band that does most of it */
int mscope_climb_read(mscope_climb *c, double R, double A, double eps, uint64_t from);

/* mscope_climb_sum - the climb now; NaN before there are enough readings */
double mscope_climb_sum(const mscope_climb *c);

#endif
