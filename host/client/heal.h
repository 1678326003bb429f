/* heal.h - SYNC and REFERENCE from the trainer's own rows */
#ifndef MSCOPE_CLIENT_HEAL_H
#define MSCOPE_CLIENT_HEAL_H

#include "state.h"

/* mscope_heal_able - the client can read the trainer's rows (theta and m, or read, were given at attach) */
int mscope_heal_able(const mscope_client_table *t);
/* mscope_heal_start - the daemon's copy needs every row again, from the first */
void mscope_heal_start(mscope_client_table *t);
/* mscope_heal_forgive - the next SYNC need not wait because an earlier one was refused */
void mscope_heal_forgive(mscope_client_table *t);
/* mscope_heal_some - queue references, and SYNC chunks of at most sync_bytes, when their step is the daemon's
 * may_seek: a SYNC may name a step later than the daemon's, which declares those between lost */
void mscope_heal_some(mscope_client *c, uint32_t handle, int may_seek);
/* mscope_heal_with_push - the same, without may_seek, in so little time that the step is not felt to be longer; if the
 * trainer has given sync_bytes, it has decided */
void mscope_heal_with_push(mscope_client *c, uint32_t handle);
/* mscope_heal_exact - the daemon's copy is exact, as far as this side knows */
int mscope_heal_exact(const mscope_client *c, const mscope_client_table *t);

/* mscope_heal_keep - copy a chunk of the reference or of labels (kind: MSCOPE_REFERENCE, MSCOPE_LABELS), in place of an
 * older one of the same rows
 * Shape    from: len bytes.  Errors  MSCOPE_ENOMEM */
MSCOPE_MUST_CHECK int mscope_heal_keep(mscope_client_table *t, enum mscope_kind kind, uint32_t first, uint32_t n,
                                       const void *from, size_t len, uint8_t value_type);
void mscope_heal_forget(mscope_client_table *t);

#endif
