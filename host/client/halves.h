/* halves.h - are two halves those of the batch that the step trains on? */
#ifndef MSCOPE_CLIENT_HALVES_H
#define MSCOPE_CLIENT_HALVES_H

#include "rows.h"

typedef struct mscope_halves {           /* inner products of one span, z the step's gradient          */
    double aa, ab, bb, az, bz, zz;
} mscope_halves;

/* mscope_halves_sum - out[spans] */
void mscope_halves_sum(const mscope_rows *r, const double *a, const double *b, const double *z, mscope_halves *out);

/* mscope_halves_judge - the share of half a, and whether share a + (1 - share) b is z
 *
 * of[n]    the spans; checked[n]: those of which z is known
 * Returns  0;  1 it is not, *why says how                                                             */
int mscope_halves_judge(const mscope_halves *of, const uint8_t *checked, size_t n, double *share, mscope_refusal *why);

#endif
