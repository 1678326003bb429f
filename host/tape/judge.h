/* judge.h - would the daemon take what this message of a recorded table holds?
 *
 * A recorder judges what it writes, and every reader judges what it reads: a file can come from anywhere. What the
 * order of messages decides (numbers of steps, sequence numbers) is for contents.h. */
#ifndef MSCOPE_TAPE_JUDGE_H
#define MSCOPE_TAPE_JUDGE_H

#include <stddef.h>

#include "mscope/wire.h"

/* mscope_judge - protocol/README.md, 1.3 and 1.4: lengths of the parts, indices within the table, counts, every value,
 * the schedule
 *
 * Shape    h: checked by mscope_header_decode, not of a HELLO; part[0] is the header
 * Returns  0, or the code of the refusal, with *why
 * Cost     one pass over the bytes                                                                   */
MSCOPE_MUST_CHECK int mscope_judge(const mscope_hello *table, const mscope_header *h, const uint8_t *const *part,
                                   const size_t *len, unsigned n, mscope_refusal *why);

#endif
