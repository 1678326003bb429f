/* entries.h - the parts of a message read and checked once: lengths, indices, counts, values */
#ifndef MSCOPE_DAEMON_ENTRIES_H
#define MSCOPE_DAEMON_ENTRIES_H

#include "engine.h"

typedef struct mscope_cursor {       /* over the parts of a message, in order                    */
    const mscope_part *f;
    size_t n, used;
    mscope_refusal *why;
} mscope_cursor;

/* The arrays lie in the message and are valid as long as it, or in the shadow's scratch. */
typedef struct mscope_entries {
    const uint32_t *rows;
    const void *values;
    const uint32_t *counts;          /* NULL: each entry is one occurrence                        */
    mscope_checked checked;          /* rows and values, for mscope_table_apply_checked           */
} mscope_entries;

/* Each returns 0, or a code with *why filled and the table as it was. Cost O(bytes), no allocation.
 * mscope_core_refusal  put in words what the core refused with `code`
 * mscope_take          the next part, which must be `want` bytes long
 * mscope_take_end      refuse parts that are left
 * mscope_check_type    value_type against the table's state
 * mscope_values_in     n values from position `first` of a SYNC or REFERENCE part, decoded to float64 or float32
 * mscope_count_in      no more entries than HELLO's capacity
 * mscope_rows_in       n row numbers of an indices part; *out: in the message, or as it comes in, the scratch
 * mscope_entries_in    indices and values of a STEP or PROBE: in range, finite and at most 1e145 in size
 * mscope_counts_in     the counts part, where the header says COUNTS
 * mscope_schedule_in   schedule of a STEP, from the header and the part that SCHEDULE announces                  */
int mscope_core_refusal(const mscope_shadow *s, int code, mscope_refusal *why);
MSCOPE_MUST_CHECK int mscope_take(mscope_cursor *c, const char *field, uint64_t want, const uint8_t **at);
MSCOPE_MUST_CHECK int mscope_take_end(const mscope_cursor *c);
MSCOPE_MUST_CHECK int mscope_check_type(const mscope_shadow *s, const mscope_header *h, mscope_refusal *why);
MSCOPE_MUST_CHECK int mscope_values_in(const mscope_shadow *s, const mscope_header *h, const char *field,
                                       const uint8_t *in, size_t first, size_t n, void *out, int f64,
                                       mscope_refusal *why);
MSCOPE_MUST_CHECK int mscope_count_in(const mscope_shadow *s, const mscope_header *h, mscope_refusal *why);
MSCOPE_MUST_CHECK int mscope_rows_in(const mscope_shadow *s, const mscope_header *h, const uint8_t *idx,
                                     const uint32_t **out, mscope_refusal *why);
MSCOPE_MUST_CHECK int mscope_entries_in(mscope_shadow *s, const mscope_header *h, mscope_cursor *c,
                                        mscope_entries *out);
MSCOPE_MUST_CHECK int mscope_counts_in(mscope_shadow *s, const mscope_header *h, mscope_cursor *c,
                                       mscope_entries *out);
MSCOPE_MUST_CHECK int mscope_schedule_in(const mscope_header *h, mscope_cursor *c, mscope_step *step);

#endif
