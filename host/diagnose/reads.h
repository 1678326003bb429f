/* reads.h - what a record says of an optimizer that is read and not followed: Adam and its like */
#ifndef MSCOPE_DIAGNOSE_READS_H
#define MSCOPE_DIAGNOSE_READS_H

#include <stddef.h>

#include "mscope/wire.h"

int mscope_reads_band(const mscope_rec_band *b);       /* is the band of such a table?                */

/* mscope_reads_step - size of a step in eta a coordinate, u/(eta sqrt d); NaN where no update was measured */
double mscope_reads_step(const mscope_rec_band *b);

/* mscope_reads_say - append what the optimizer does to silent rows and what that does to this band; the end is left
 * out where it does not fit. Other bands: nothing */
void mscope_reads_say(const mscope_rec_band *b, char *to, size_t cap);

#endif
