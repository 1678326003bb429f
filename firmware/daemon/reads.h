/* reads.h - the STEP of a table whose optimizer the trainer runs and the daemon only reads (forms READ and FROZEN)
 *
 * The daemon keeps no copy of such rows. A row is an image of two coordinates that has the row's norms: its momentum
 * stands on the first axis, a gradient is split into its part along that momentum and the rest, and the first
 * coordinate of theta is the root of the mean second moment. So the core's clocks, bands, totals and windows are those
 * of the real row (firmware/README.md, "Optimizers that are read").                                           */
#ifndef MSCOPE_DAEMON_READS_H
#define MSCOPE_DAEMON_READS_H

#include "entries.h"

static inline int mscope_reads(const mscope_shadow *s)
{
    return MSCOPE_FORM_READS(s->hello.form);
}

/* mscope_reads_in - indices and columns of a STEP, checked; *out: the images of the gradients, in the scratch
 * Errors   as mscope_entries_in; the table as it was                                                          */
MSCOPE_MUST_CHECK int mscope_reads_in(mscope_shadow *s, const mscope_header *h, mscope_cursor *c, mscope_entries *out);
/* mscope_reads_put - after the step: the rows as their columns say. The entries must be those of mscope_reads_in
 * Errors   those of the core, which cannot happen after mscope_reads_in                                      */
MSCOPE_MUST_CHECK int mscope_reads_put(mscope_shadow *s, const mscope_step *step, const mscope_entries *in,
                                       size_t n);

#endif
