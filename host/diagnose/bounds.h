/* bounds.h - what no setting can do, before one is advised
 *
 * Hn = eta excess/2 is the noise part of a row's H; it also sets the floor that label noise leaves. `momentum` is the
 * rate of the best beta over that of SGD at the same eta, which is the same floor, by the exact map of one step. Where
 * eta h1 is small it is at most 2, and 1 once Hn >= 1/3. Where it is not, SGD is slowed by its curvature as well and
 * momentum can win more: at eta h1 = .48 and Hn = .56 it is 1.1 times as fast.
 *
 * Below the critical batch of a table, B_x = (d + 2)/(p_max - p_min), noise and not the spread of frequencies limits
 * one eta for all rows, and rates for each row do not lower the steps that its slowest row takes. With measured
 * curvature (d + 2)/p is B excess/h1.
 *
 * A row's own critical batch, B excess/h1, is the batch at which noise that goes with its error is as large as its
 * curvature. The noise scale g2/(p U) is the batch at which all of the noise, label noise too, is as large as the
 * gradient: more samples a step beyond it win little.                                                          */
#ifndef MSCOPE_BOUNDS_H
#define MSCOPE_BOUNDS_H

#include <stdio.h>

#include "measured.h"

typedef struct mscope_bounds {
    double noise[MSCOPE_SEARCH_BANDS];       /* Hn                                          */
    double momentum[MSCOPE_SEARCH_BANDS];    /* at most so many times faster than SGD, >= 1; NaN: SGD is unstable */
    double batch[MSCOPE_SEARCH_BANDS];       /* critical batch of the band                  */
    double batch_table;                      /* B_x; NaN: the bands do not differ           */
} mscope_bounds;

/* mscope_bounds_of - bounds of a table at its present eta.  Threads any.  Cost 100 rates a band */
void mscope_bounds_of(const mscope_measured *m, mscope_bounds *out);

/* mscope_bounds_say - sentences, each line indented by two spaces */
void mscope_bounds_say(const mscope_bounds *b, const mscope_measured *m, FILE *to);

/* mscope_bounds_json - one object, without a line break */
void mscope_bounds_json(const mscope_bounds *b, const mscope_measured *m, FILE *to);

#endif
