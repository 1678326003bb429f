/* gather.h - the entries of one step, from the trainer's arrays into the bodies of a message */
#ifndef MSCOPE_CLIENT_GATHER_H
#define MSCOPE_CLIENT_GATHER_H

#include "state.h"

/* The arguments that all forms of push have in common. rows32, rows64 or mask say which rows are active; without any of
 * them all are. Borrowed until the call returns. */
typedef struct mscope_gradient {
    const uint32_t *rows32;
    const int64_t *rows64;
    const uint8_t *mask;
    const void *values;
    const uint32_t *counts;
    int tallied;                         /* rows and counts are the table's tally, values its whole gradient */
    unsigned value_type;
    size_t row_bytes;                    /* of one row's values                                        */
    size_t n;
} mscope_gradient;

static inline size_t mscope_row_bytes(const mscope_client_table *t, unsigned value_type)
{
    return t->info.dim * mscope_value_size(value_type);
}

/* mscope_tally - mark and count the rows looked up
 * Returns  0 and the number of distinct rows;  Errors  MSCOPE_EINDEX a row, MSCOPE_ENOMEM */
MSCOPE_MUST_CHECK int mscope_tally(mscope_client_table *t, const int64_t *lookups, size_t n, size_t *distinct);
/* mscope_tally_leave_zeros - forget the rows looked up whose values are all +0; returns how many
 *
 * Shape    grads[rows][row_bytes] */
size_t mscope_tally_leave_zeros(mscope_client_table *t, const void *grads, size_t row_bytes);
void mscope_tally_forget(mscope_client_table *t);

/* mscope_fill_rows - the active rows, out[n];  Errors  MSCOPE_EINDEX */
MSCOPE_MUST_CHECK int mscope_fill_rows(uint32_t *out, const mscope_gradient *g, const mscope_client_table *t);
/* mscope_fill_values - their values, out[n * row_bytes]; rows: as mscope_fill_rows wrote them */
void mscope_fill_values(char *out, const uint32_t *rows, const mscope_gradient *g, const mscope_client_table *t);
/* mscope_fill_counts - their counts, out[n]; g has counts or is tallied */
void mscope_fill_counts(uint32_t *out, const mscope_gradient *g, const mscope_client_table *t);

#endif
