/* core.h - SGD with momentum for a table of rows of which few are active in a step
 *
 * One global step k moves every row of a table (paper (10)-(12), EMA form):
 *
 *     m <- beta m + eps g,   theta <- theta - eta m,      eps = 1 - beta,   g = 0 for rows not sent
 *
 * The core follows that dense trajectory exactly, but works only on the rows that are sent. A silent row is caught up
 * when it is next needed, by one product of the maps of the steps that it missed. In the same pass the core keeps
 * |theta-ref|^2, |m|^2 and <theta-ref, m> of each row and of each activity band.
 *
 * Order of calls in one step:  touch (rows that a forward pass will read), begin, apply, end.
 * The core is freestanding: it allocates nothing, does no input or output and reads no clock. The caller gives one
 * block of memory.
 * Threads: one table belongs to one thread at a time; two tables share no state.
 * firmware/README.md explains why it works this way, and has a glossary.                                     */
#ifndef MSCOPE_CORE_H
#define MSCOPE_CORE_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MSCOPE_BANDS 32            /* activity bands; the last one collects everything rarer     */
#define MSCOPE_BAND_SILENT 255     /* rows that were never active                                */
#define MSCOPE_ACF_LAGS 48         /* stored lags of the reference autocorrelation, lag 0 included */

enum mscope_state {                /* element types of a row                                     */
    MSCOPE_STATE_F32 = 0,          /* theta, m, g float32                                        */
    MSCOPE_STATE_MIXED = 1,        /* theta, g float32; m float64: for eps < 1e-5 and P > 0.1    */
    MSCOPE_STATE_F64 = 2           /* theta, m, g float64                                        */
};

enum mscope_form {                 /* how m takes up a gradient: the native form of a table      */
    MSCOPE_FORM_EMA = 0,           /* m <- beta m + eps g                                        */
    MSCOPE_FORM_TORCH = 1,         /* torch.optim.SGD: m <- beta m + (1-dampening) g; the first step sets m <- g;
                                      with beta = 0 theta <- theta - eta g and m stays as it is  */
    /* The trainer computes, and mscope_table_rows_put overwrites each active row after its step. No gradient enters m;
     * theta does not follow m and may hold the root of a second moment, which decays with a clock of its own. */
    MSCOPE_FORM_READ = 2,          /* m <- beta m, theta <- sqrt(1 - decoupled_decay) theta, of every row */
    MSCOPE_FORM_FROZEN = 3         /* the same of active rows alone: silent rows stand still     */
};

#define MSCOPE_FORM_READS(form) ((form) == MSCOPE_FORM_READ || (form) == MSCOPE_FORM_FROZEN)

enum mscope_statistics {           /* how |theta-ref|^2, |m|^2, <theta-ref,m>, <g,m> of a row are summed */
    MSCOPE_STATISTICS_DOUBLE = 0,  /* in float64: totals to 1e-9                                 */
    MSCOPE_STATISTICS_FLOAT = 1,   /* in float32 lanes, folded to float64: totals to about 1e-6; for MSCOPE_STATE_F32,
                                      the other states sum in float64                            */
    MSCOPE_STATISTICS_NONE = 2,    /* not summed: the update, and how often rows are active      */
    MSCOPE_STATISTICS_OFF = 3      /* nothing is counted either: the update alone                */
};

typedef struct mscope_table mscope_table;   /* lives wholly in the caller's memory */

/* Threads lent by the caller. run calls work(arg, i) once for each i < n, on any threads, and returns when all calls
 * have ended. No result depends on how many threads there are, or whether there are any. */
typedef struct mscope_parallel {
    void (*run)(void *ctx, void (*work)(void *arg, size_t i), void *arg, size_t n);    /* NULL: none */
    void *ctx;
} mscope_parallel;

/* What a table is. Memory: 64 bytes a row beside its vectors (88 with a reference), the vectors by `state`, and what
 * the knobs below say; mscope_table_mem gives the sum. */
typedef struct mscope_table_config {
    uint32_t rows;           /* 1 .. 2^31                                                        */
    uint32_t dim;            /* width of a row, 1 .. 65536; 1 gives every coordinate its own clock */

    /* Theta and m together take 8 bytes a coordinate (F32), 12 (MIXED) or 16 (F64). F32 has vector kernels; MIXED and
     * F64 use the scalar one. F32 rounds m by up to 6e-8 of itself at each update: too coarse for eps < 1e-5. */
    enum mscope_state state;
    enum mscope_form form;
    int nesterov;            /* 0 or 1                                                           */
    int reference;           /* 1: room for a reference row theta* per row (r and c about it); costs the bytes of theta
                                again and 24 a row                                               */

    /* Most occurrences in one apply, touch or probe, 1 .. 2^31. Each costs 36 to 44 bytes. Every 256 of them also cost
     * a chunk of some 39 KiB (F64: 55), up to 16 chunks; more chunks let more threads share an apply. A call with more
     * occurrences than this is refused. */
    uint32_t capacity;

    /* Steps kept to catch up from: a power of two, 16 .. 2^24; 0: 16384. Each costs 112 bytes. Every row, even a silent
     * one, is visited once in history/2 steps. A longer history makes these visits rarer; with a shorter one each step
     * visits more rows, rows/(history/2). Results are exact for every length. */
    uint32_t history;

    /* Rows that each band follows at a time for the reference autocorrelation, 0 .. 64. Each costs 32 x (416 + 4 dim)
     * bytes (8 dim with float64 m), and time for up to 48 products of two rows per reference. More rows complete more
     * references, so the mean is less noisy. With 0 mscope_table_acf always returns MSCOPE_EAGAIN. */
    uint32_t acf_rows;
    void *theta;             /* borrowed rows x dim array to work on in place, or NULL: inside mem */
    void *m;                 /* borrowed rows x dim array, or NULL: inside mem (both start at 0)  */
    const char *kernel;      /* "ref", "v256", ...; NULL: the best that is usable here           */

    /* All need the same memory. DOUBLE needs the most arithmetic, which matters when rows lie in a cache. FLOAT
     * widens the relative bounds of the bands (R_err ..) to some 5e-6 and loses squares of |m_i| < 1e-19. With NONE
     * R, V and C are NaN. With OFF all rows stay in MSCOPE_BAND_SILENT as well, and windows, fades and
     * autocorrelations stay empty. */
    enum mscope_statistics statistics;
    int zeroed;              /* 1: all bytes of mem are zero already (a fresh mapping), so init need not write them */
} mscope_table_config;

/* One global step. eta and eps may change at every step. */
typedef struct mscope_step {
    double eta;              /* learning rate, parameter per gradient (EMA: eta; torch: lr), 0 .. 1e150 */
    double eps;              /* 1 - beta, 0 .. 1; given itself, because 1 - beta would lose its digits */
    double dampening;        /* torch form without Nesterov, 0 .. 1: m gets (1 - dampening) g; else 0 */
    double weight_decay;     /* coupled: g <- g + weight_decay theta, for every row at every step  */
    double decoupled_decay;  /* theta <- (1 - eta decoupled_decay) theta first; eta decoupled_decay <= 1. In the forms
                                READ and FROZEN: the share of theta^2 that is lost, 0 .. 1, where weight_decay is 0 */
    double batch;            /* samples in this step's batch, 1e-300 .. 1e150; p = occurrences / batch */
} mscope_step;

/* The value that a call refused; valid until the next call on the table. */
typedef struct mscope_fault {
    const char *field;       /* static text                                                        */
    size_t at;               /* position in the array, 0 for scalars                               */
    double value, low, high; /* the value and its range                                            */
} mscope_fault;

/* Sums over the active updates of a band since mscope_table_window_reset. A "row update" is one row in one step with
 * N >= 1 occurrences; G is the sum of its N gradients, m its momentum just before the step. The EMA form of a buffer
 * buf of torch is m = buf eps/(1 - dampening). A step with eps = 0 or dampening 1 has none, and gives no <G, m>. */
typedef struct mscope_window {
    double updates;               /* row updates                                                   */
    double occurrences;           /* sum of N                                                      */
    double s2;                    /* sum of sum_i |g_i|^2                                          */
    double s2_updates;            /* row updates all of whose occurrences had entries of their own */
    double s2_occurrences;        /* their N                                                       */
    double u, u2, u_updates;      /* U = (|G|^2 - sum_i |g_i|^2)/(N(N-1)): sum, sum of squares, count (N >= 2) */
    double gm, gm2, gm_updates;   /* <G, m>/N, m in EMA form as of that step: sum, sum of squares, count */
} mscope_window;

/* What the active updates of a band did since mscope_table_pulse was last called; G, m, updates as in mscope_window */
typedef struct mscope_pulse {
    double updates;               /* row updates                                                   */
    double gm, g2;                /* sums of <G, m>, m in EMA form as of that step, and of |G|^2   */
    double top;                   /* largest |m|^2 of a row right after an update, native form     */
    double top_row;               /* that row, the first of equals; meaningless while updates is 0 */
} mscope_pulse;

/* How much of a row's momentum is gone at its next active update, K steps after the one before: 1 - beta^K at a
 * constant beta, else 1 less the product over the gap. With f1 = first/gaps retention is 1/f1 active updates, whatever
 * the law of the gaps (firmware/README.md). The gap before a row's first update is left out. Steps that were unseen, or
 * that a seek left out, are in no gap. */
typedef struct mscope_fade {
    double gaps;
    double first, second;         /* sums over gaps of that share and of its square                 */
    double theta2;                /* sum over gaps of the share of theta^2 that is gone; 0 but for the form READ */
} mscope_fade;

/* Curvature along the momentum; one row in one probe gives one sample h1 = <m,Hm>/|m|^2, h2 = |Hm|^2/|m|^2. Older ones
 * fade by steps, the sooner the less newer ones agree with them. When the batch changes by half, all are forgotten at
 * the second probe with it (firmware/core/curvature.c). */
typedef struct mscope_curvature {
    double samples;               /* effective number, (sum w)^2/sum w^2 of their weights w          */
    double weight;                /* sum w as of now; a sample of this step weighs 1                 */
    double half_life;             /* steps in which a weight halves                                  */
    double h1, h1_var;            /* weighted mean; (standard error)^2 x samples, with drift         */
    double h2, h2_var;
    double spread;                /* variance of mean h1 between rows over mean^2, scatter taken off; < 0: unknown */
    uint32_t steep_row;           /* the row of largest h2/h1 */
    double steep_samples;         /* effective number of its samples; 0: no row has 16 */
    double steep_h1, steep_h2;    /* its own means */
    double steep_var;             /* (relative standard error of steep_h2/steep_h1)^2 x samples */
} mscope_curvature;

typedef struct mscope_band {      /* momentum in its native form: EMA m, or torch's buffer          */
    uint64_t step;                /* completed steps                                                */
    uint64_t updates;             /* row updates of the rows now in the band, in their whole lives    */
    uint32_t rows;
    double p, P;                  /* means over rows: occurrences per sample, active steps per step  */
    double R, V, C;               /* |theta-ref|^2, |m|^2, <theta-ref,m> summed over rows, as of now */
    double R_err, V_err, C_err;   /* bounds on |R - exact R| and so on                               */
    double idle_share;            /* share of the band's rows silent for 4 times their mean gap      */
    mscope_window window;
    mscope_fade fade;            /* a gap counts for half after max(4096, 32/eps) steps              */
    mscope_curvature curvature;
} mscope_band;

typedef struct mscope_acf {       /* a[j] = mean over completed references of <m_ref, m at lag j*stride> */
    uint32_t references;          /* completed references                                           */
    uint32_t stride;              /* active updates between stored lags                             */
    uint32_t lags;                /* valid entries of a                                             */
    double a[MSCOPE_ACF_LAGS];
} mscope_acf;

/* mscope_table_mem - bytes of memory a table of this shape needs
 *
 * Returns  the size, or 0 when cfg is out of range or the size overflows
 * Cost     O(1)                                                                                    */
MSCOPE_API MSCOPE_MUST_CHECK size_t mscope_table_mem(const mscope_table_config *cfg);

/* mscope_table_init - make a table in the caller's block; every row at 0, no step done
 *
 * Owns     mem (64-byte aligned, mem_len >= mscope_table_mem) and cfg's theta and m stay the caller's and must outlive
 *          the table; the values of borrowed theta and m are where the rows start
 * Errors   MSCOPE_EINVAL  cfg out of range, mem not aligned;  MSCOPE_ENOMEM  mem_len too small;
 *          MSCOPE_ENOTSUP cfg.kernel unknown or not usable on this processor; *out untouched in each case
 * Cost     O(rows dim): writes the block once and reads borrowed rows; O(1) when zeroed and nothing is borrowed   */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_init(mscope_table **out, const mscope_table_config *cfg, void *mem,
                                                   size_t mem_len);

/* mscope_table_adopt - continue a table whose block lies at another address or in another process (a mapped file)
 *
 * The table goes on bit for bit and nothing is copied. The bytes are trusted: the caller must know that they are whole,
 * and by mscope_table_layout that this build made them.
 * Owns     as mscope_table_init; tables with borrowed theta or m cannot be adopted
 * Errors   as mscope_table_init; MSCOPE_ESTATE another shape, or left inside a step; the block untouched
 * Cost     O(1)                                                                                    */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_adopt(mscope_table **out, const mscope_table_config *cfg, void *mem,
                                                    size_t mem_len);

/* mscope_table_layout - a number that differs between builds whose tables differ in memory */
MSCOPE_API uint64_t mscope_table_layout(void);

/* mscope_table_fault - the field, value and range that the last refused call on this table refused */
MSCOPE_API const mscope_fault *mscope_table_fault(const mscope_table *t);

/* mscope_table_kernel - name of the kernel chosen at init, static text */
MSCOPE_API const char *mscope_table_kernel(const mscope_table *t);

MSCOPE_API uint64_t mscope_table_steps(const mscope_table *t);               /* completed steps */
MSCOPE_API const mscope_table_config *mscope_table_cfg(const mscope_table *t);

/* mscope_table_parallel - lend threads to the applies to come; p is copied, NULL takes them away
 *
 * An apply of 512 distinct rows or more is then up to 16 pieces of work, in each of two calls of run. Snapshots do not
 * contain p. */
MSCOPE_API void mscope_table_parallel(mscope_table *t, const mscope_parallel *p);

/* mscope_table_seek - declare that `steps` steps are already done (joining a run under way, or leaving out lost steps)
 *
 * Rows keep their values. In torch form the undamped first step is over when steps > 0.
 * Errors   MSCOPE_ESTATE inside a step;  MSCOPE_EINVAL steps below those done, or above 2^53 - 1
 * Cost     O(1)                                                                                    */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_seek(mscope_table *t, uint64_t steps);

/* mscope_table_unseen - nothing is known of which rows were active in the last `steps` steps
 *
 * Those steps were run without their entries, because the entries were lost. The rates of rows (p, P, bands, fade) are
 * means over the other steps, so a lost step is no silence. A seek after the first step says the same of the steps it
 * leaves out.
 * Errors   MSCOPE_ESTATE inside a step;  MSCOPE_EINVAL more steps than were done and not yet declared
 * Cost     O(1)                                                                                    */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_unseen(mscope_table *t, uint64_t steps);

/* mscope_table_touch - bring rows to now, so that a forward pass may read them
 *
 *   z <- A_n ... A_{t+1} z,  z = (theta, m), A_k the idle map of step k, t the row's clock
 *
 * Shape    rows: n indices in [0, rows), duplicates allowed, n <= capacity
 * Errors   MSCOPE_EINDEX, MSCOPE_EINVAL (n), MSCOPE_ESTATE inside a step; nothing changed
 * Cost     O(n dim), and O(log span) once for each distinct clock                                   */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_touch(mscope_table *t, const uint32_t *rows, size_t n);

/* mscope_table_late - how many of n rows stand behind now, so that theta must not be read without a touch
 *
 * Rows outside the table are not counted.    Cost O(n)                                             */
MSCOPE_API size_t mscope_table_late(const mscope_table *t, const uint32_t *rows, size_t n);

/* mscope_table_active - the rows of a dense gradient that are not all 0, ascending
 *
 * A row that holds a NaN is among them.
 * Shape    grads[cfg.rows][dim] in the gradient's element type; rows: room for `most`; *n: rows written
 * Errors   MSCOPE_ENOMEM  more than `most` rows; the first `most` are written
 * Cost     O(rows dim): one reading of the gradient                                                */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_active(const mscope_table *t, const void *grads, uint32_t *rows,
                                                     size_t most, size_t *n);

/* mscope_table_step_begin - open the next global step with its schedule values
 *
 * Errors   MSCOPE_EINVAL a field out of range (see mscope_table_fault);  MSCOPE_ESTATE step already open */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_step_begin(mscope_table *t, const mscope_step *step);

/* mscope_table_apply - the gradients of all active rows of the open step
 *
 * Each entry is one occurrence. Entries of one row are summed in their order, in double; the sum is stored in the type
 * of the gradients, where it may overflow. They give N, |G|^2 and sum_i |g_i|^2. A row is active because it is listed,
 * whatever its gradient is. With counts, entry i stands for counts[i] >= 1 occurrences that the caller has summed;
 * their single norms are then unknown.
 *
 * Shape    rows[n]; grads[n][dim] float32 (float64 for MSCOPE_STATE_F64), any alignment of the element type;
 *          counts[n] or NULL
 * Errors   MSCOPE_EINDEX, MSCOPE_ENONFINITE, MSCOPE_EINVAL (n, counts), MSCOPE_ESTATE (no open step, or apply
 *          already called in it); nothing changed
 * Cost     O(n dim) + O(log span) per row; gradients are read twice, the first time to check them   */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_apply(mscope_table *t, const uint32_t *rows, const void *grads,
                                                    const uint32_t *counts, size_t n);

/* Entries that mscope_table_apply_check found good. Fill it by that call alone and do not change it. */
typedef struct mscope_checked {
    const uint32_t *rows;    /* borrowed: neither array may change until the apply                  */
    const void *grads;
    size_t n;
    uint64_t ticket;         /* which check of this table it was                                    */
} mscope_checked;

/* mscope_table_apply_check - check the rows and gradients of an apply to come, inside a step or before it is begun
 *
 * For a caller that must refuse a step before anything of it has happened: check, begin, apply_checked, end.
 * Errors   as mscope_table_apply, but for counts and order; nothing changed
 * Cost     O(n dim): the first of the two readings of an apply                                      */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_apply_check(mscope_table *t, const uint32_t *rows, const void *grads,
                                                          size_t n, mscope_checked *out);

/* mscope_table_apply_checked - mscope_table_apply of entries that were checked before; does not check them again
 *
 * Errors   MSCOPE_EINVAL  entries are not of the last check of this table, or were applied already: every apply,
 *          probe and check makes those before it void; counts;  MSCOPE_ESTATE as mscope_table_apply; nothing changed
 * Cost     O(n dim) + O(log span) per row                                                           */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_apply_checked(mscope_table *t, const mscope_checked *entries,
                                                            const uint32_t *counts);

/* mscope_table_step_end - close the step: advance the schedule, the band totals and the sweep of long-silent rows
 *
 * Cost     O(bands + rows/history)                                                                */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_step_end(mscope_table *t);

/* mscope_table_touch64, mscope_table_step64 - mscope_table_touch, and check, begin, apply and end of one step, with
 * 64-bit indices (PyTorch's int64)
 *
 * *late (NULL: not wanted): how many of the rows stood behind now before the step. A trainer that touches what it reads
 * has none; others took their gradients at old values.
 * Shape    rows[n] in [0, cfg.rows); grads as in mscope_table_apply
 * Errors   as those; nothing changed                                                                */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_touch64(mscope_table *t, const int64_t *rows, size_t n);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_step64(mscope_table *t, const mscope_step *step, const int64_t *rows,
                                                     const void *grads, size_t n, size_t *late);

/* mscope_table_settle - bring every row to now (evaluation)
 * Errors   MSCOPE_ESTATE inside a step.   Cost O(rows dim) at most; a row that stands at now costs O(1) */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_settle(mscope_table *t);

/* The arrays of the rows, each as of its own clock; settle or touch first to read the present. Element types by
 * cfg.state. */
MSCOPE_API void *mscope_table_theta(mscope_table *t);
MSCOPE_API void *mscope_table_momentum(mscope_table *t);

/* mscope_table_rows_get - rows first .. first+n-1 as settle would leave them, bit for bit; the table stays as it is
 *
 * Reading does not settle rows, so a checkpoint does not change how later steps round.
 * Shape    theta[n][dim], m[n][dim] in the element types of cfg.state, not overlapping the table
 * Errors   MSCOPE_EINDEX, MSCOPE_EINVAL NULL, MSCOPE_ESTATE inside a step; nothing written
 * Cost     O(n dim) + O(log span) per row                                                          */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_rows_get(mscope_table *t, uint32_t first, uint32_t n, void *theta,
                                                       void *m);

/* mscope_table_rows_set - overwrite rows first .. first+n-1 with values as of now (heals a table that missed steps)
 *
 * Shape    theta[n][dim], m[n][dim] in the element types of cfg.state (m NULL: zero)
 * Errors   MSCOPE_EINDEX, MSCOPE_ENONFINITE, MSCOPE_ESTATE inside a step; nothing changed           */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_rows_set(mscope_table *t, uint32_t first, uint32_t n, const void *theta,
                                                       const void *m);

/* mscope_table_rows_put - overwrite n listed rows with values as of now, after their apply (forms READ and FROZEN)
 *
 * The pulses of their bands take up |m|^2 of each as that of an update.
 * Shape    rows[n]; theta[n][dim], m[n][dim] in the element types of cfg.state
 * Errors   as mscope_table_rows_set, and MSCOPE_EINVAL n > capacity; nothing changed
 * Cost     O(n dim)                                                                                 */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_rows_put(mscope_table *t, const uint32_t *rows, size_t n,
                                                       const void *theta, const void *m);

/* mscope_table_reference_set - reference rows theta* for r and c; copied; rows never set are 0
 * Errors   as mscope_table_rows_set; MSCOPE_ESTATE also when cfg.reference is 0                           */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_reference_set(mscope_table *t, uint32_t first, uint32_t n,
                                                            const void *ref);

/* mscope_table_probe - curvature along the momentum: hm[i] = H m of row rows[i] on one batch, at the present state
 *
 * hm = (g(theta + delta m) - g(theta))/delta on the same batch. Duplicates are summed as in mscope_table_apply.
 * m is in the native form, so h1 and h2 are per active update, of the batch as sent.
 * Shape    rows[n], hm[n][dim] in the gradient's element type
 * Errors   as mscope_table_apply; MSCOPE_ESTATE inside a step; rows whose momentum is 0 are skipped
 * Returns  rows that gave a sample                                                                  */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_probe(mscope_table *t, const uint32_t *rows, const void *hm, size_t n);

/* mscope_table_resum - recompute every band from its rows: R, V, C exact to rounding, bands and rates as of now
 * Rows that fell silent move to rarer bands here.
 * Errors   MSCOPE_ESTATE inside a step.   Cost O(rows)                                              */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_resum(mscope_table *t);

/* mscope_table_resum_slice - the same in slices of at most `rows` rows, with steps in between
 *
 * The new totals replace the streamed ones when the last row is passed; the slice after that begins a new pass.
 * Errors   MSCOPE_ESTATE inside a step, MSCOPE_EINVAL rows 0
 * Returns  1 when this slice finished a pass, else 0.    Cost O(rows), the argument               */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_resum_slice(mscope_table *t, uint32_t rows);

/* mscope_table_stale - 1: the bound of some band exceeds 1e-9 of its total, and a resum would lower it
 * Cost     O(bands)                                                                                */
MSCOPE_API int mscope_table_stale(mscope_table *t);

/* mscope_table_band - one band now
 *
 * Totals are as streamed since the last resum: R_err, V_err, C_err bound their errors. Rates of rows that fell silent
 * since the last resum are as of that resum. With MSCOPE_STATISTICS_NONE and _OFF R, V, C and their
 * bounds are NaN.
 * Shape    b < MSCOPE_BANDS, or MSCOPE_BAND_SILENT
 * Errors   MSCOPE_EINVAL b, MSCOPE_ESTATE inside a step
 * Cost     O(log span)                                                                             */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_band(mscope_table *t, unsigned b, mscope_band *out);
MSCOPE_API void mscope_table_window_reset(mscope_table *t);

/* mscope_table_pulse - take the pulse of one band: its sums so far, which start again from 0
 *
 * With MSCOPE_STATISTICS_NONE gm and top are 0.
 * Errors   MSCOPE_EINVAL b, MSCOPE_ESTATE inside a step
 * Cost     O(1)                                                                                    */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_pulse(mscope_table *t, unsigned b, mscope_pulse *out);

/* mscope_table_acf - reference autocorrelation of one band, in active updates of its rows
 * Errors   MSCOPE_EINVAL b;  MSCOPE_EAGAIN no reference completed yet                                */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_acf(const mscope_table *t, unsigned b, mscope_acf *out);

/* One row's clock and activity, for tests and in-process users. */
typedef struct mscope_table_row_info {
    uint64_t active, occurrences; /* active steps and occurrences over the row's life                */
    uint64_t last_active;         /* step number of the last activation, later by the unseen steps after it; 0: never */
    double r, v, c;               /* as of the row's clock                                           */
    uint64_t clock;               /* step the row's values belong to, later by the steps jumped over since */
    double p, P;
    unsigned band;
} mscope_table_row_info;
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_row(const mscope_table *t, uint32_t row, mscope_table_row_info *out);

/* mscope_table_snapshot_write / _read - the whole state as portable little-endian bytes, with version and CRC-32
 *
 * A table that is read back continues bit for bit. write calls sink with consecutive pieces. read calls source for
 * exactly `len` more bytes; source returns 0, or a negative code that ends the reading. read needs a table that was
 * just initialised with the same shape; after a failed read the table must be initialised again.
 * Errors   what sink or source returned;  MSCOPE_EPROTO, MSCOPE_EVERSION;  MSCOPE_EINVAL other shape;
 *          MSCOPE_ESTATE inside a step
 * Cost     O(rows dim)                                                                              */
typedef int (*mscope_sink)(void *ctx, const void *bytes, size_t len);
typedef int (*mscope_source)(void *ctx, void *bytes, size_t len);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_snapshot_write(mscope_table *t, mscope_sink sink, void *ctx);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_table_snapshot_read(mscope_table *t, mscope_source source, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
