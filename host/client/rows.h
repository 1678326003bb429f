/* rows.h - the rows that gradients have touched, and where their values stand
 *
 * All spans share one numbering of values, in the order in which rows were first touched. An array of `values` doubles
 * then holds a direction, or a gradient, and arrays of one probe are added element by element. A row keeps its place.
 * Values are in coordinates scaled by sqrt(rate): a gradient is multiplied by it, and so is a shift of theta. */
#ifndef MSCOPE_CLIENT_ROWS_H
#define MSCOPE_CLIENT_ROWS_H

#include "mscope/probe.h"

typedef struct mscope_spot {
    uint32_t span, row, at;              /* at: first value                                            */
} mscope_spot;

typedef struct mscope_rows {
    mscope_probe_span *span;
    size_t spans;
    double *scale;                       /* sqrt(rate/rate of span 0), of each span                    */
    uint32_t **index;                    /* of each row of each span: 0 not touched, else 1 + its index in place */
    mscope_spot *place;
    size_t places;
    uint64_t values, most_values;
    uint64_t left_out;                   /* distinct rows without room                                 */
    uint64_t *saved;                     /* bits of theta, eight bytes a value                         */
    size_t saved_places;
} mscope_rows;

/* mscope_rows_open - span[n] is copied. most_values: a bound, lowered to the number of all values
 * Errors   MSCOPE_ENOMEM; close may be called then                                                    */
MSCOPE_MUST_CHECK int mscope_rows_open(mscope_rows *r, const mscope_probe_span *span, size_t n, uint64_t most_values);
void mscope_rows_close(mscope_rows *r);

/* mscope_rows_most - how many rows can ever have a place */
size_t mscope_rows_most(const mscope_rows *r);

/* mscope_rows_add - to += the scaled gradient; a row that is touched for the first time gets a place, or is left out
 * rows NULL: 0 .. n-1. Indices were judged before                                                    */
void mscope_rows_add(mscope_rows *r, size_t span, const uint32_t *rows, const void *values, size_t n, double *to);

/* mscope_rows_length - delta for which the longest row of delta v is 3e-3 (float32) or 1e-5 (float64) of the root mean
 * square row of theta, over the rows in which v is not 0; 0: v is 0 */
double mscope_rows_length(const mscope_rows *r, const double *v);

/* mscope_rows_shift, _back - theta + delta v in place; and the old bits again */
void mscope_rows_shift(mscope_rows *r, const double *v, double delta);
void mscope_rows_back(mscope_rows *r);

#endif
