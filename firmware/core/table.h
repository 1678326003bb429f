/* table.h - what a table is made of; private to the core
 *
 * Memory, in the order in which it is carved (each piece on a 64-byte line):
 *
 *     [mscope_table][schedule nodes][span memo][bookkeeping of rows][theta][m][reference][decay moments]
 *     [acf slots and references][coalescing scratch: next, tail, unique, row, home, slot, norms]
 *     [chunks][sums of gradients of each chunk]
 *
 * The bookkeeping of a row is one cache line. Its moments (r, v, c) are those of the stored vectors, as of the row's
 * clock. A row of zero bytes is valid: values 0, never active, up to date with the step the table began at. So a fresh
 * mapping needs no writing. */
#ifndef MSCOPE_CORE_TABLE_H
#define MSCOPE_CORE_TABLE_H

#include "activity.h"
#include "curvature.h"
#include "kern.h"
#include "moments.h"
#include "mscope/core.h"

#define MSCOPE_TOTALS (MSCOPE_BANDS + 1)     /* total 0: rows never active; total b + 1: band b */
#define MSCOPE_SILENT_TOTAL 0
#define MSCOPE_CHUNKS 16                     /* most chunks of one apply; n decides, never the threads */
#define MSCOPE_CHUNK_ROWS 256                /* fewest rows in a chunk */

enum {                                       /* flags of a row */
    MSCOPE_ROW_MARKED = 1,                   /* it is in the job that catches up */
    MSCOPE_ROW_FOLLOWED = 2                  /* an acf slot holds a reference copy of its m */
};

typedef struct mscope_core_row {     /* bookkeeping of one row */
    double r, v, c;
    uint64_t active, occurrences;
    uint32_t clock;                  /* step of the vectors, minus base, modulo 2^32; its age is < history */
    uint32_t last;                   /* seen steps (below) at the last activation, modulo 2^32; its age is < 2^31 */
    float counted;                   /* gap by which its account counts it, see mscope_activity_counted */
    mscope_activity rate;
    uint16_t remembered;             /* weight of the gaps behind rate, see activity.h */
    uint8_t total, flags;            /* total: index of its account, band + 1 */
} mscope_core_row;

typedef struct mscope_decay_moments {         /* moments against the reference row, for weight decay */
    double q, h, ss;
} mscope_decay_moments;

typedef struct mscope_account {      /* all that is known of a band without looking at its rows */
    mscope_total total;
    uint64_t at;                     /* step the total belongs to; it is advanced when it is next needed */
    mscope_tally joined;             /* rows that will enter the total when the open step ends */
    uint64_t updates;
    uint32_t rows, idle;
    double p, P;                     /* sums over rows of their mscope_activity_counted */
} mscope_account;

/* A resum passes over the rows in slices while steps go on. The rows it has passed have a second account. Every change
 * of a passed row enters both accounts, and the second replaces the live one when the last row is passed. */
typedef struct mscope_band_state {
    mscope_account live, passed;
    mscope_window window;
    mscope_pulse pulse;
    mscope_fade fresh, fade;         /* gaps since the last mscope_fade_fold; gaps before it, old ones fading */
    mscope_probe_memory probed;
} mscope_band_state;

typedef struct mscope_acf_slot {
    uint32_t row, stride, lags, filled;
    uint64_t started;                /* the row's activations at the reference */
    int busy;
    double lag[MSCOPE_ACF_LAGS];
} mscope_acf_slot;

#define MSCOPE_LAST UINT32_MAX       /* in next[]: the row has no further entry */

typedef struct mscope_scratch {
    uint32_t *next;                  /* of each entry: the next entry of its row */
    uint32_t *tail;                  /* of each group: its last entry ...   */
    uint32_t *unique, *row;          /* ... its first entry, its row ...    */
    uint32_t *home;                  /* ... and its place in slot           */
    uint32_t *slot;                  /* by a hash of a row: its group, if home of that group points back here */
    double *norm;                    /* of each entry: |g|^2 */
} mscope_scratch;

typedef struct mscope_transfer {         /* what an apply moves out of and into the account of one band */
    mscope_tally left, joined;
    int64_t rows, updates;
    double p, P;
} mscope_transfer;

typedef struct mscope_occurrence {   /* what one active row got in this step: N, sum |g_i|^2, |G|^2, and in how many ..
                                        .. entries: s2 is that of single gradients where each is one occurrence */
    double n, s2, g2, entries;
} mscope_occurrence;

/* A share of the groups of one apply, with all the memory that a thread needs of its own. Transfers, windows and pulses
 * are zero between calls. */
typedef struct mscope_chunk {
    uint32_t first, end;             /* groups */
    uint32_t late;                   /* rows that stood behind now when the apply came to them */
    uint32_t followed;               /* rows listed in scratch.tail from `first` on, for the autocorrelation */
    mscope_transfer transfer[2][MSCOPE_TOTALS];      /* [1]: of rows that a running resum has passed */
    mscope_window window[MSCOPE_TOTALS];
    mscope_pulse pulse[MSCOPE_TOTALS];
    mscope_fade fade[MSCOPE_TOTALS];
    mscope_sums sums[MSCOPE_JOB_ROWS];
    mscope_idle idle[MSCOPE_JOB_ROWS];
    const void *g[MSCOPE_JOB_ROWS];
    mscope_occurrence seen[MSCOPE_JOB_ROWS];
    unsigned char *summed;           /* t->summed rows: gradients summed over their occurrences */
    double *sum;                     /* one of them in double */
} mscope_chunk;

#define MSCOPE_STEPS_MOST (((uint64_t)1 << 53) - 1)  /* a double counts so far exactly */

struct mscope_table {
    /* fixed by config */
    mscope_table_config cfg;
    const mscope_kern *kern;
    size_t theta_size, m_size, g_size;       /* bytes of one element */
    mscope_core_row *row;
    unsigned char *theta, *m, *ref;
    mscope_decay_moments *decay;              /* NULL without a reference */
    mscope_acf_slot *slot;                   /* MSCOPE_BANDS x acf_rows */
    unsigned char *slot_m;
    mscope_scratch scratch;
    mscope_chunk *chunk;
    uint32_t chunks, summed;                 /* number of chunks; rows of `summed` in each */
    double summing;                          /* relative rounding of the sums over one row */
    mscope_schedule schedule;

    /* cleared at init */
    mscope_fault fault;
    mscope_parallel parallel;
    uint64_t jumped;                 /* steps that a seek left out: they move nothing, and no clock counts them */
    uint64_t unseen;                 /* steps taken of which nobody knows which rows were active */
    int open, applied;               /* a step is open; apply was called in it */
    size_t were_late;                /* rows that stood behind now when the last apply came to them */
    uint64_t checks;                 /* checks of entries so far; the norms of the last are in scratch */
    int made;                        /* torch form: the momentum buffer exists */
    mscope_step step;                /* the open or last step */
    mscope_map_dd idle;
    mscope_kick kick;
    double ema;                      /* m in EMA form over native m at this step; 0: there is none */
    int idle_of;                     /* idle, kick, ema belong to `step` with made = idle_of - 1; 0: to no step */
    uint64_t joining;                /* bit b: rows wait to join the total of band[b] */
    uint32_t sweep;                  /* next row the sweep looks at */
    uint32_t passed;                 /* rows the running resum has passed; 0: none runs */
    mscope_band_state band[MSCOPE_TOTALS];
    mscope_acf acf[MSCOPE_BANDS];
    uint32_t acf_busy[MSCOPE_BANDS]; /* slots in use */
};

/* -- the arrays and clocks of a table ---------------------------------------------------- */

static inline void *mscope_at(unsigned char *base, uint32_t row, const mscope_table *t, size_t size)
{
    return base + (size_t)row * t->cfg.dim * size;
}

static inline unsigned mscope_core_row_band(const mscope_core_row *row)
{
    return row->total ? row->total - 1u : MSCOPE_BAND_SILENT;
}

/* Bring the bookkeeping of the next rows into the cache by loads alone: see mscope_reach in kern_job.h. */
#define MSCOPE_REACH 64u
static inline void mscope_core_rows_reach(const mscope_table *t, const uint32_t *rows, size_t n)
{
    for (size_t i = 0; i < n && i < MSCOPE_REACH; i++)
        (void)*(const volatile uint8_t *)&t->row[rows[i]].flags;
}

/* Steps taken, which clocks count: the number of the step without those that were jumped over. */
static inline uint32_t mscope_now(const mscope_table *t)
{
    return (uint32_t)t->schedule.now;
}

static inline uint64_t mscope_core_row_age(const mscope_table *t, const mscope_core_row *row)
{
    return (uint32_t)(mscope_now(t) - row->clock);
}

/* Steps whose activity is known. Rates are means over these alone: a step that was lost is no silence of its rows. */
static inline uint32_t mscope_seen(const mscope_table *t)
{
    return (uint32_t)(t->schedule.now - t->unseen);
}

static inline uint64_t mscope_core_row_open_gap(const mscope_table *t, const mscope_core_row *row)
{
    return (uint32_t)(mscope_seen(t) - row->last);
}

/* Are R, V, C summed; and is anything counted? */
static inline int mscope_sums_up(const mscope_table *t)
{
    return t->cfg.statistics < MSCOPE_STATISTICS_NONE;
}

static inline int mscope_counts(const mscope_table *t)
{
    return t->cfg.statistics != MSCOPE_STATISTICS_OFF;
}

static inline mscope_rows_fn *mscope_kernel_of(const mscope_table *t)
{
    return t->kern->rows[t->cfg.state][mscope_sums_up(t) ? t->cfg.statistics : MSCOPE_STATISTICS_NONE];
}

/* The product of the idle maps that a row missed. Returns 1 when it missed any. */
static inline int mscope_core_row_span(const mscope_table *t, const mscope_core_row *row, mscope_map *span)
{
    uint64_t age = mscope_core_row_age(t, row);

    *span = age ? mscope_schedule_recall(&t->schedule, t->schedule.now - age) : (mscope_map){ 1.0, 0.0, 0.0, 1.0 };
    return age != 0;
}

/* The moments of a row as of its clock. */
static inline mscope_moments mscope_core_row_moments(const mscope_table *t, uint32_t row)
{
    const mscope_core_row *x = &t->row[row];
    mscope_moments o = { x->r, x->v, x->c, 0.0, 0.0, 0.0 };

    if (t->decay) {
        o.q = t->decay[row].q;
        o.h = t->decay[row].h;
        o.ss = t->decay[row].ss;
    }
    return o;
}

/* -- row.c: one row ------------------------------------------------------------------------ */

/* The moments as of now in closed form, with a bound on their rounding. */
mscope_moments mscope_core_row_moments_now(const mscope_table *t, uint32_t row, mscope_moments_bound *bound);

/* The same from the vectors, which are only read: O(dim), for rows whose closed form cancels. */
mscope_moments mscope_core_row_moments_exact(const mscope_table *t, uint32_t row, mscope_moments_bound *bound);

/* The sums over a row's vectors as they are stored. */
void mscope_core_row_run(mscope_table *t, uint32_t row, mscope_sums *sums);

/* Store the kernel's sums as the row's moments, and its products with the reference if there is one: weight decay may
 * begin with any step, and its first one must not wait for all rows. */
void mscope_core_row_store_decay(mscope_table *t, uint32_t row);
static inline void mscope_core_row_store(mscope_table *t, uint32_t row, const mscope_sums *sums)
{
    t->row[row].r = sums->r;
    t->row[row].v = sums->v;
    t->row[row].c = sums->c;
    if (t->decay)
        mscope_core_row_store_decay(t, row);
}

/* The span of a row in increment form. Momentum that has decayed too far to move anything is flushed to 0. */
static inline mscope_idle mscope_core_row_idle(const mscope_table *t, const mscope_core_row *row,
                                               const mscope_map *span)
{
    mscope_idle a = mscope_map_split(span);
    double kept = span->a22 * span->a22;

    /* Below this mean square of a coordinate, momentum moves nothing and would only become denormal. Without statistics
     * |m| is not known; then the share of m that is left is compared with what m has already done to theta. */
    if (a.a21 == 0.0 && (!mscope_sums_up(t)
                             ? kept < 1e-60
                             : kept * row->v < (t->m_size == 8 ? 1e-280 : 1e-60) * t->cfg.dim))
        a.b22 = a.x22 = 0.0;
    return a;
}

/* -- apply.c: catching up ------------------------------------------------------------------ */

/* Bring rows to now outside a step, totals included: the n rows listed, or first .. first+n-1 where rows is NULL. */
void mscope_catch_up(mscope_table *t, const uint32_t *rows, uint32_t first, size_t n);

/* -- fault.c: refusals ------------------------------------------------------------------- */

/* Keep the refused value for mscope_table_fault; returns code. */
int mscope_refuse(mscope_table *t, int code, const char *field, size_t at, double value, double low, double high);
/* clang-tidy looks at one file at a time; this tells it that no refusal is 0. */
#ifdef __clang_analyzer__
static inline int mscope_refuse_is(int code)
{
    if (code == 0)
        __builtin_unreachable();
    return code;
}
#define mscope_refuse(...) mscope_refuse_is((mscope_refuse)(__VA_ARGS__))
#endif
/* MSCOPE_ESTATE inside a step, with `what` as the field. */
int mscope_refuse_open(mscope_table *t, const char *what);

/* -- parallel.c: lent threads ------------------------------------------------------------ */

/* Call work(arg, i) for every i < n, on the lent threads if there are any. */
void mscope_parallel_run(mscope_table *t, void (*work)(void *arg, size_t i), void *arg, size_t n);

/* -- accounts.c: the accounts of the bands ------------------------------------------------ */

/* Advance the total of one account, or of all, to now. join: let the rows in that waited for the end of the step. */
void mscope_account_bring(const mscope_table *t, mscope_account *a);
void mscope_accounts_bring(mscope_table *t);
void mscope_accounts_join(mscope_table *t);
void mscope_accounts_stamp(mscope_table *t);         /* totals that were read back belong to now */

/* The moments of a row leave (sign -1) or enter (+1) one account, or all accounts that the row is in. */
void mscope_account_change(const mscope_table *t, mscope_account *a, double sign, const mscope_moments *x,
                           const mscope_moments_bound *bound);
void mscope_accounts_change(mscope_table *t, uint32_t row, double sign, const mscope_moments *x,
                            const mscope_moments_bound *bound);
/* Every MSCOPE_FADE_FOLD steps: `fade` of each band loses some of its weight and takes up `fresh`. */
#define MSCOPE_FADE_FOLD 256u
void mscope_fade_fold(mscope_table *t);
/* Enter the transfers, windows and fades of chunks 0 .. n-1, in this order, and clear them. Rows that join a total wait
 * for the end of the open step; outside a step they join at once. */
void mscope_accounts_settle(mscope_table *t, size_t chunks);

/* -- inputs.c: checks --------------------------------------------------------------------- */

/* Row indices, values, counts of n entries. check_entries leaves the squared norms of the entries in scratch. */
int mscope_check_rows(mscope_table *t, const uint32_t *rows, size_t n);
int mscope_check_entries(mscope_table *t, const char *field, const void *entries, size_t n);
int mscope_check_counts(mscope_table *t, const uint32_t *counts, size_t n);
int mscope_check_finite(mscope_table *t, const char *field, const void *x, size_t n, size_t size);

/* -- coalesce.c: occurrences of one row ---------------------------------------------------- */

/* Group n entries by row; returns the number of groups k. unique[0 .. k-1] are their first entries, row[] their rows;
 * next[] chains the entries of a group in order. */
uint32_t mscope_coalesce(mscope_table *t, const uint32_t *rows, size_t n);
size_t mscope_coalesce_slots(uint32_t n);            /* places in slot for n entries, a power of two */
/* Sum the entries of the group that starts at `first`, in order and in double, into out in the gradients' type. sum is
 * memory for one row in double. */
void mscope_coalesce_sum(const mscope_table *t, uint32_t first, const void *entries, double *sum, void *out);

/* -- acf.c: rows that are followed ----------------------------------------------------------- */

void mscope_acf_note(mscope_table *t, uint32_t row);         /* the row just had an active update */
void mscope_acf_forget(mscope_table *t, uint32_t row);       /* the row leaves its band or is overwritten */

#endif
