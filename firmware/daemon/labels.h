/* labels.h - texts for rows, given by the trainer, so that records name rows by them
 *
 * They are kept in the chunks in which they came, in memory of their own, and are in no state file: a client sends them
 * again to a new daemon. */
#ifndef MSCOPE_DAEMON_LABELS_H
#define MSCOPE_DAEMON_LABELS_H

#include "entries.h"

/* mscope_labels_apply - judge one LABELS message and keep its part; one of the same rows takes the older one's place
 * Errors   MSCOPE_EPROTO, MSCOPE_EINVAL, MSCOPE_EINDEX;  MSCOPE_ENOMEM above 64 MiB or 4096 messages of a
 *          table; nothing is changed
 * Cost     O(bytes + messages)                                                                               */
MSCOPE_MUST_CHECK int mscope_labels_apply(mscope_shadow *s, const mscope_header *h, const mscope_part *f, size_t n,
                                          mscope_refusal *why);

/* mscope_label_of - the label of a row, "" without one.  Cost O(messages + rows of its chunk) */
const char *mscope_label_of(const mscope_shadow *s, uint32_t row);
/* mscope_label_quoted - ` "label"` for sentences, or "".  Returns out */
const char *mscope_label_quoted(const mscope_shadow *s, uint32_t row, char out[MSCOPE_LABEL_MAX + 4]);

void mscope_labels_forget(mscope_shadow *s);

#endif
