/* probe.h - how near eta is to its largest stable value: two directions over all that a trainer moves, multiplied by
 * the curvature of two halves of a batch
 *
 * For v, |v| = 1, one probe gives h_a = H_a v and h_b = H_b v by differences of gradients at theta + delta v and at
 * theta. With halves of shares s and 1 - s of the batch, h = s h_a + (1 - s) h_b, the daemon needs
 *
 *     curvature <v, h>      product <h_a, h_b>      noise s (1 - s) |h_a - h_b|^2
 *
 * Probes multiply two directions in turn, `power` and `tangent`, and turn them by the result; firmware/README.md
 * derives them. The first probe only gives the directions a start. H is known after 20 more. Where rates differ, all of
 * this is in coordinates scaled by sqrt(rate/rate of span 0). Where momenta differ, span i adds w_i <h_a, h_b> to the
 * product and `power` turns by w_i h, w_i = eps_i (2 - eps)/(eps (2 - eps_i)): without noise H is exact then, because
 * eta_max is 2/(largest eigenvalue of diag(eps_i/(2 - eps_i)) H).
 *
 * One step with a probe:
 *
 *     mscope_probe_start(p);
 *     mscope_probe_half(p, 0, span, ..), (p, 1, span, ..) gradients of the halves at theta, of each span
 *     mscope_probe_check(p, span, ..);                    the gradient that the optimizer is about to get
 *     if (mscope_probe_move(p) == 0) {                    theta + delta v
 *         mscope_probe_half(p, ..) as above               of the same halves there
 *         mscope_probe_restore(p);                        theta, bit for bit
 *     }
 *     ..the optimizer's step, mscope_client_push..
 *     mscope_probe_send(p, client, eps);
 *
 * Caveats
 *   halves    Every sample of the batch is in one half, and each half has at least a third of them. A half's gradient
 *             is scaled as if the half were the batch: a mean over its samples where the step's is a mean over all.
 *             Both passes use the random numbers of the step (dropout, negatives).
 *   memory    For each span 4 bytes a row. For each row that a gradient has touched 28 bytes, and 48 bytes for each of
 *             its values, up to `most_values`. Later rows are left out of both directions and counted; the first ones
 *             stay, which are the frequent ones. All of it is reserved by open and used as rows are touched; no other
 *             call allocates.
 *   cost      Two gradient passes a probe, one where the step's own gradient is made of the halves; about twenty passes
 *             over the values of the touched rows.
 *   threads   One thread at a time; no lock. theta is moved in place: nobody else may use it from move to restore. */
#ifndef MSCOPE_PROBE_H
#define MSCOPE_PROBE_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mscope_probe mscope_probe;

/* One array of parameters that the trainer moves. Span 0 is a watched table: its eta, eps and batch are those of the
 * products, and the daemon publishes them as stability/<its name>. */
typedef struct mscope_probe_span {
    void *theta;               /* [rows][dim]; it stays the trainer's and must live until close        */
    enum mscope_value value_type; /* of theta and of its gradients: MSCOPE_F32 or MSCOPE_F64           */
    uint32_t rows, dim;        /* 1 to 2^31 rows of 1 to 2^31 - 1 values                               */
    int table;                 /* handle from mscope_client_attach; -1: not watched                    */
    double rate;               /* learning rate, above 0; only ratios to that of span 0 count          */
    double eps;                /* its 1 - momentum, 1: no momentum; 0: as span 0, which is told to send */
    double weight_decay;       /* the part of the gradient that is weight_decay theta and that the optimizer adds after
                                * the trainer has handed it over, 0: none                              */
} mscope_probe_span;

typedef struct mscope_probe_stats {
    uint64_t sent;             /* probes that reached the client                                       */
    uint64_t refused;          /* probes that were no probe of the step; refusal says why              */
    uint64_t left_out;         /* neither: the first one, no row of v in the batch, its step was dropped, no client, or
                                * given up                                                             */
    uint64_t values;           /* of the touched rows, in use of most_values                           */
    uint64_t rows_left_out;    /* distinct rows that found no room                                     */
    mscope_refusal refusal;    /* the last one; code 0: none                                           */
    mscope_direction last;     /* the last product, whether or not it was sent; values 0: none yet     */
} mscope_probe_stats;

/* mscope_probe_open - keep directions over span[n]
 *
 * most_values  of one direction; 0: 4,000,000
 * Owns     *out is the caller's; end it with mscope_probe_close. span is copied
 * Errors   MSCOPE_EINVAL out, n, most_values, a field of a span;  MSCOPE_ENOMEM; *out untouched. Here and below
 *          mscope_client_fault tells field, value and range
 * Cost     reserves 48 bytes for each of most_values, or of all values where these are fewer          */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_probe_open(mscope_probe **out, const mscope_probe_span *span, size_t n,
                                                   uint64_t most_values);

/* mscope_probe_start - the present step has a probe. One that was not finished is given up, theta restored
 * Returns  0;  Errors  MSCOPE_EINVAL p is NULL                                                        */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_probe_start(mscope_probe *p);

/* mscope_probe_half - gradients of one half: at theta before move, at theta + delta v after it
 *
 * Several calls for one half and span add up. Leave out at both places what has no gradient.
 * half     0 or 1
 * Shape    rows[n] in any order, repeats are summed; values[n][dim] of the span's type. rows NULL: all rows, n is their
 *          number, or 0 for no gradient
 * Errors   MSCOPE_EINVAL p, half, span, n, values;  MSCOPE_EINDEX a row;  MSCOPE_ESTATE neither between start and move
 *          nor between move and restore. Nothing has changed then
 * Cost     O(n dim)                                                                                   */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_probe_half(mscope_probe *p, int half, size_t span, const uint32_t *rows,
                                                   const void *values, size_t n);

/* mscope_probe_check - the step's gradient of one span, before clipping; at least one span needs it, calls add up
 *
 * move compares it with s g_a + (1 - s) g_b. s comes from least squares over all checked spans, and is 1/2 where the
 * halves do not explain the step.
 * Shape, Errors, Cost  as half, MSCOPE_ESTATE anywhere but between start and move                     */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_probe_check(mscope_probe *p, size_t span, const uint32_t *rows,
                                                    const void *values, size_t n);

/* mscope_probe_move - theta + delta v in place, unless the halves are not those of the step
 *
 * The halves are the step's where in every checked span the cosine is above .99 and the norms agree within 2 %. Else
 * the probe is refused and counted, with the reason in stats.refusal: another batch, or a wrong scale (a sum for a
 * mean, a loss scale). The longest row of delta v is 3e-3 (float32) or 1e-5 (float64) of the root mean square row of
 * theta.
 * Returns  0 moved: give the halves again, then restore;  1 not moved, and this probe is over: refused, or the first
 * Errors   MSCOPE_EINVAL p;  MSCOPE_ESTATE not after start, a half was not given, or no span was checked. Nothing has
 *          changed then
 * Cost     O(values of the touched rows)                                                              */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_probe_move(mscope_probe *p);

/* mscope_probe_restore - theta as it was before move, bit for bit; does nothing where it was not moved, or p is NULL */
MSCOPE_API void mscope_probe_restore(mscope_probe *p);

/* mscope_probe_send - turn the direction, and hand the product to mscope_client_direction. Call it after the push of
 * the step, in every step with a probe
 *
 * eps      1 - momentum of span 0 in this step
 * c        NULL: turn the direction, send nothing
 * Returns  0 sent or buffered; 1 nothing was sent: refused or left out, see stats
 * Errors   MSCOPE_EINVAL p, eps;  MSCOPE_ESTATE not after restore or a move that returned 1. Nothing has changed then.
 *          Those of mscope_client_direction; the direction has turned, and the probe is over           */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_probe_send(mscope_probe *p, mscope_client *c, double eps);

MSCOPE_API void mscope_probe_stats_get(const mscope_probe *p, mscope_probe_stats *out);

/* mscope_probe_close - restore theta, free the directions; NULL is fine */
MSCOPE_API void mscope_probe_close(mscope_probe *p);

#ifdef __cplusplus
}
#endif
#endif
