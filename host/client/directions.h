/* directions.h - one direction v: its product with the curvature of two halves, and how it turns by it
 *
 * v, h, g and fresh are arrays of rows.h. Pure functions, no allocation. */
#ifndef MSCOPE_CLIENT_DIRECTIONS_H
#define MSCOPE_CLIENT_DIRECTIONS_H

#include "rows.h"

typedef struct mscope_heading {
    double *v;
    uint64_t turns;
    double sign;                         /* of delta; it changes at each use, so that the third derivative cancels in
                                          * the means */
    double mean[3];                      /* of curvature, product and noise, for the tangent's rate    */
} mscope_heading;

/* mscope_unit - x/|x|; returns 0, x untouched, where |x| is 0 or not finite */
int mscope_unit(double *x, uint64_t n);

typedef struct mscope_pair {             /* of two places and two halves                                 */
    int along;                           /* enum mscope_along                                          */
    double delta, share;                 /* share of half a in the batch                               */
    double eps;                          /* 1 - momentum of span 0                                     */
} mscope_pair;

/* mscope_product - what one probe found along v
 *
 * On entry a and b are the differences of the halves' gradients, on return h of the batch and g, its noise:
 *     h_a = a/delta + decay v,  h = s h_a + (1 - s) h_b,  g = sqrt(s (1 - s)) (h_a - h_b)
 * The product has the weights w of spans whose momentum differs, and for `power` the h on return has them too.
 * row      room for mscope_rows_most entries: what rows of watched tables add; returns how many       */
size_t mscope_product(const mscope_rows *r, const mscope_pair *of, const double *v, double *a, double *b,
                      mscope_direction *out, mscope_direction_row *row);

/* mscope_heading_turn - d->along says which direction it is
 *
 * power    v <- (1 - a) v + a h/|h|, a = max(.1, .5/(1 + turns/4))
 * tangent  v <- v - gamma (h + d sqrt(k2) g), d = 1 or -1: a tangent of plain SGD at its limit, with noise amplified as
 *          much as momentum amplifies it
 * fresh    unit difference of the halves' gradients, mixed in so that no row is lost for good; NULL: none
 * draws    random signs are taken from this counter                                                   */
void mscope_heading_turn(mscope_heading *t, uint64_t n, const double *h, const double *g, const double *fresh,
                         const mscope_direction *d, double eps, uint64_t *draws);

#endif
