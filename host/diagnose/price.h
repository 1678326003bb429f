/* price.h - what a beta for each band would win over one beta for all, and the flag that says so
 *
 * gain_own is steps to the target with the best single (eta, beta) over steps with the best eta and a beta for each
 * band, both searched on the bands as measured. More than 1.5 is called a conflict: then the true gain is above 1.25
 * nearly always (make bench-conflict-literal).
 *
 * H2 beyond H1^2 is noise of the batch or spread of curvature within a row, and the two decide differently: noise makes
 * every beta alike, spread does not. Where a stability record tells the noise part of H, noise per unit of error is
 * 2 H_noise/eta in every row (a gated row's hardly depends on p), and what H2 has beyond is spread: four curvatures in
 * equal ratios. Without a record all of it counts as noise, and conflicts of uneven rows stay unseen.            */
#ifndef MSCOPE_PRICE_H
#define MSCOPE_PRICE_H

#include "conflict.h"
#include "measured.h"

#define MSCOPE_PRICE_FLAG 1.5

typedef struct mscope_price {
    double gain_own;                  /* >= 1                                                             */
    double eta_own;                   /* at which bands with a beta each would run; 0: none was found     */
    int have_own;                     /* the next is there                                                */
    mscope_conflict own;              /* the price of one beta at eta_own                                 */
    int flag;                         /* gain_own > 1.5                                                   */
} mscope_price;

/* mscope_price_of - margin: NULL where no stability record covers the table; fraction: target over present excess risk
 *
 * Threads  any.  Cost two searches: milliseconds, a second where rows are uneven
 * Errors   MSCOPE_EINVAL  no bands, or settings out of range                                                       */
MSCOPE_MUST_CHECK int mscope_price_of(const mscope_measured *m, const mscope_margin *margin, double fraction,
                                      mscope_price *out);

#endif
