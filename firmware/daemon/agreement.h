/* agreement.h - U and |g|^2 of a band over many windows
 *
 * One window of a band of rare rows holds a few row updates with two occurrences: U does not stand out of its standard
 * error there, and says nothing of how far the rows are from their optimum. So the windows' sums are kept and fade
 * with a half-life in steps. The error of a row falls by e^-2 in its learning time. A half-life of a tenth of that
 * makes the mean at most 1.4 times the present value while the rows learn.
 *
 * Another batch scales the gradients as sent: it begins the sums anew.                                         */
#ifndef MSCOPE_DAEMON_AGREEMENT_H
#define MSCOPE_DAEMON_AGREEMENT_H

#include <stdint.h>

#include "mscope/core.h"

#define MSCOPE_AGREEMENT_SHORTEST 32.0       /* steps, half-life                                     */
#define MSCOPE_AGREEMENT_LONGEST 131072.0
#define MSCOPE_AGREEMENT_LEARNING 0.1        /* of a row's learning time in steps                    */

typedef struct mscope_agree_sums {            /* all bytes 0: nothing yet                             */
    uint64_t step;                           /* of the last window                                   */
    double batch, half_life;
    double w, w2, u, u2;                     /* sums over row updates: weight, its square, U, U^2    */
    double occurrences, s2;
} mscope_agree_sums;

/* mscope_agreement_take - add a closed window that ends at this step; learning: of a row, in steps, NaN: not known */
void mscope_agreement_take(mscope_agree_sums *a, uint64_t step, const mscope_window *w, double batch, double learning);

/* mscope_agreement_mean - mean of U and its standard error, NaN: fewer than two row updates. Returns the weight */
double mscope_agreement_mean(const mscope_agree_sums *a, double *mean, double *se);

#endif
