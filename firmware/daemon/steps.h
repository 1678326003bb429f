/* steps.h - STEP, PROBE, REFERENCE and SYNC applied to a table
 *
 * f[n]: the parts after the header. Each call returns 0, or a negative code with *why filled and the table as it was.
 * Cost O(bytes), no allocation; a STEP or SYNC after lost steps also runs those.                               */
#ifndef MSCOPE_DAEMON_STEPS_H
#define MSCOPE_DAEMON_STEPS_H

#include "engine.h"

MSCOPE_MUST_CHECK int mscope_step_apply(mscope_engine *e, mscope_shadow *s, const mscope_header *h,
                                        const mscope_part *f, size_t n, mscope_refusal *why);
MSCOPE_MUST_CHECK int mscope_probe_apply(mscope_shadow *s, const mscope_header *h, const mscope_part *f, size_t n,
                                         mscope_refusal *why);
MSCOPE_MUST_CHECK int mscope_reference_apply(mscope_shadow *s, const mscope_header *h, const mscope_part *f,
                                             size_t n, mscope_refusal *why);
MSCOPE_MUST_CHECK int mscope_sync_apply(mscope_engine *e, mscope_shadow *s, const mscope_header *h,
                                        const mscope_part *f, size_t n, mscope_refusal *why);

#endif
