/* read.h - an optimizer that the trainer runs and the daemon only reads: Adam and its like
 *
 * The daemon has no rows of such a table. After each step it is told five numbers of every active row: the norm of its
 * momentum, the root of its mean second moment, the norm of its gradient, the cosine between gradient and momentum
 * before the step, and the norm of the update really made. Attach the table with form MSCOPE_FORM_READ where the
 * momentum and the second moment of silent rows decay (dense gradients), with MSCOPE_FORM_FROZEN where they stand still
 * (SparseAdam). Then in each step
 *
 *     mscope_client_read_before    the gradients are there and the weights have not moved
 *     ... the optimizer's step ...
 *     mscope_client_read_after
 *
 * A trainer that computes the numbers itself calls mscope_client_push with grads[n][MSCOPE_READ_COLUMNS] = (|m|, rms v,
 * |g|, cos, |u|) instead, every row once, with MSCOPE_READ_COS and MSCOPE_READ_NOT where the daemon can do without.
 *
 * Threads  as mscope/client.h                                                                               */
#ifndef MSCOPE_READ_H
#define MSCOPE_READ_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Arrays [rows][width] of one element type, MSCOPE_F32 or MSCOPE_F64; nothing is written to them. */
typedef struct mscope_read {
    enum mscope_value type;
    const void *theta;         /* NULL: updates are not measured                                       */
    const void *momentum;      /* _before: NULL: the norms tell cos (also where there is none yet). _after: NULL: there
                                * is none, and |g| stands for |m|                                      */
    const void *second;        /* NULL: there is none                                                  */
    int follows;               /* 1: v <- beta2 v + (1 - beta2) g^2, or v + g^2 where beta2 = 1: |g| tells its mean, and
                                * where a step has more than 64 rows it is read of one in eight        */
} mscope_read;

/* mscope_client_read_before - the active rows of a step, their gradients, and where its updates begin
 *
 * lookups  n row numbers, with repeats, each one an occurrence
 * gradient sparse 0: [rows][width]; a row looked up whose gradient is 0 is not active. lookups NULL: active are all
 *          rows whose gradient is not 0, once each.   sparse 1: [n][width], that of each look-up; repeats are summed
 * Errors   MSCOPE_EINVAL, MSCOPE_ESTATE the table's form, MSCOPE_EINDEX, MSCOPE_ENOMEM: the step that follows is then
 *          told without rows and counts as dropped
 * Cost     O(n + rows/64 + active rows x width); with lookups NULL O(rows x width)                         */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_read_before(mscope_client *c, int table, const int64_t *lookups,
                                                           size_t n, const void *gradient, int sparse,
                                                           const mscope_read *of);

/* mscope_client_read_after - the rest of the five numbers, and the step to the daemon
 *
 * step     eta: of the preconditioned step theta <- theta - eta m/(sqrt v + epsilon), bias corrections included;
 *          eps = 1 - beta1, 1 without momentum; decoupled_decay = 1 - beta2, 0 where nothing is forgotten; batch
 * batch 0  samples: the look-ups
 * The update of one row in eight is measured where a step has more than 64.
 * of       type and theta (an address or NULL) as in mscope_client_read_before
 * Returns  as mscope_client_push;  Errors  as it, and MSCOPE_EINVAL of
 * Cost     O(active rows x width)                                                                          */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_read_after(mscope_client *c, int table, const mscope_step *step,
                                                          const mscope_read *of);

/* mscope_read_rows - |m| and rms v of rows first .. first+n-1 as the daemon keeps them, for attach_info.read
 * Shape    theta[n][2], m[n][2]                                                                            */
MSCOPE_API void mscope_read_rows(const mscope_read *of, uint32_t width, uint32_t first, uint32_t n, double *theta,
                                 double *m);

#ifdef __cplusplus
}
#endif
#endif
