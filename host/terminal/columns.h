/* columns.h - the columns of a table of bands: which fit, which a person chose, and what they say
 *
 * A set of columns is a mask, bit i for column i. band and regime belong to every set.                             */
#ifndef MSCOPE_TERMINAL_COLUMNS_H
#define MSCOPE_TERMINAL_COLUMNS_H

#include <stddef.h>
#include <stdint.h>

#include "diagnose/verdict.h"

enum { MSCOPE_COLUMN_BAND, MSCOPE_COLUMN_V = 6, MSCOPE_COLUMN_TRAIL = 14, MSCOPE_COLUMN_REGIME, MSCOPE_COLUMNS,
       MSCOPE_COLUMN_TEXT = 32 };

/* mscope_columns_read - a list such as "p,rows,H" into the mask at context; an mscope_option_check */
int mscope_columns_read(void *context, const char *list, char *why, size_t cap);

/* mscope_columns_fit - the columns that fit into `width`, the least telling ones left out; width 0: all.
 *
 * trail: the caller can draw one */
uint32_t mscope_columns_fit(int width, int trail);

const char *mscope_column_name(int column);
/* Of its text, which is right-aligned but for regime and trail; a blank goes before it. */
int mscope_column_width(int column);

/* mscope_column_number - the number of a band that a column shows; NaN: not known. Shape not trail, not regime */
double mscope_column_number(int column, const mscope_rec_band *b, const mscope_verdict *v);

/* mscope_column_text - what a column says of a band, "-" where it is not known; trail: empty */
const char *mscope_column_text(int column, const mscope_rec_band *b, const mscope_verdict *v,
                               char out[MSCOPE_COLUMN_TEXT]);

#endif
