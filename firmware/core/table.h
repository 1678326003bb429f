/* table.h - what a table is made of; private to the core
 *
 * Memory, in the order it is carved (each part on a 64-byte line):
 *
 *     [mscope_table][schedule nodes][span memo][row records][theta][m][reference][decay moments]
 *     [acf slots and references][coalescing scratch: next, tail, unique, row, home, slot, norms][chunks][their summed gradients]
 *
 * A row record is one cache line. Its moments (r, v, c) are those of the stored vectors, at the row's clock. All bytes 0
 * is a valid row: at 0, never active, up to date with the step the table began at; so a fresh mapping needs no writing. */
#ifndef MSCOPE_CORE_TABLE_H
#define MSCOPE_CORE_TABLE_H

#include "activity.h"
#include "kern.h"
#include "moments.h"
#include "mscope/core.h"

#define MSCOPE_TOTALS (MSCOPE_BANDS + 1)     /* total 0: rows never active; total b + 1: band b */
#define MSCOPE_SILENT_TOTAL 0
#define MSCOPE_CHUNKS 16                     /* most pieces of one apply; results depend on n, never on threads */
#define MSCOPE_CHUNK_ROWS 256                /* fewest rows in a piece */

enum { MSCOPE_ROW_MARKED = 1, MSCOPE_ROW_FOLLOWED = 2 };   /* in the job that catches up; has a reference copy of m */

typedef struct mscope_core_row {
    double r, v, c;
    uint64_t active, occurrences;
    uint32_t clock;                  /* low 32 bits of step - base, of the row's vectors; age < history       */
    uint32_t last;                   /* the same of the last activation; age < 2^31                           */
    float counted;                   /* gap that its account counts it with, see mscope_activity_counted      */
    mscope_activity rate;
    uint8_t total, flags;            /* total: where its account is, band + 1                                 */
} mscope_core_row;

typedef struct mscope_decay_moments {         /* moments against the reference row, for weight decay */
    double q, h, ss;
} mscope_decay_moments;

typedef struct mscope_account {      /* what is known of a band's rows without looking at them */
    mscope_total total;
    uint64_t at;                     /* step the total stands at: it follows when it is next needed */
    mscope_tally joined;             /* rows that enter the total at the end of the open step */
    uint64_t updates;
    uint32_t rows, idle;
    double p, P;                     /* sums over rows of what mscope_activity_counted says */
} mscope_account;

/* A resum passes over the rows in slices while steps go on: what has been passed has an account of its own, which every
 * change of such a row enters too, and which takes the place of the live one when the last row is passed. */
typedef struct mscope_band_state {
    mscope_account live, passed;
    mscope_window window;
    mscope_curvature curvature;
} mscope_band_state;

typedef struct mscope_acf_slot {
    uint32_t row, stride, lags, filled;
    uint64_t started;                /* the row's activations at the reference */
    int busy;
    double lag[MSCOPE_ACF_LAGS];
} mscope_acf_slot;

#define MSCOPE_LAST UINT32_MAX       /* in next[]: no further entry of this row */

typedef struct mscope_scratch {
    uint32_t *next;                  /* of each entry: the next of its row */
    uint32_t *tail;                  /* of each group: its last entry ...   */
    uint32_t *unique, *row;          /* ... its first entry, its row ...    */
    uint32_t *home;                  /* ... and its place in slot           */
    uint32_t *slot;                  /* group that may be there, by a hash of its row: it is when its home says so */
    double *norm;                    /* of each entry: |g|^2 */
} mscope_scratch;

typedef struct mscope_transfer {         /* what active rows do to the account of one band */
    mscope_tally left, joined;
    int64_t rows, updates;
    double p, P;
} mscope_transfer;

typedef struct mscope_occurrence {   /* what one active row brought in this step */
    double n, s2, g2;
} mscope_occurrence;

/* One piece of an apply: a share of the groups, and everything that a thread needs to itself. Flows and windows are zero
 * between calls. */
typedef struct mscope_chunk {
    uint32_t first, end;             /* groups */
    uint32_t followed;               /* groups listed in scratch.tail from `first` on, for the autocorrelation */
    mscope_transfer transfer[2][MSCOPE_TOTALS];      /* [1]: rows that a running resum has passed */
    mscope_window window[MSCOPE_TOTALS];
    mscope_sums sums[MSCOPE_JOB_ROWS];
    mscope_idle idle[MSCOPE_JOB_ROWS];
    const void *g[MSCOPE_JOB_ROWS];
    mscope_occurrence seen[MSCOPE_JOB_ROWS];
    unsigned char *summed;           /* t->summed rows of gradients summed over their occurrences */
    double *sum;                     /* one of them in double */
} mscope_chunk;

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
    uint32_t chunks, summed;                 /* chunks carved; summed rows of each */
    double summing;                          /* relative rounding of the sums of one row */
    mscope_schedule schedule;

    /* cleared at init */
    mscope_fault fault;
    mscope_parallel parallel;
    uint64_t base;                   /* step the table began at; clocks count from here */
    int open, applied;               /* inside a step; apply was called in it */
    uint64_t checks;                 /* checks of entries so far; the norms of the last are in scratch */
    int made;                        /* torch form: the momentum buffer exists */
    int decays;                      /* weight decay was seen, so decay records are kept */
    mscope_step step;                /* the open or last step */
    mscope_map_dd idle;
    mscope_kick kick;
    int idle_of;                     /* idle and kick are those of `step` with made = idle_of - 1; 0: of none */
    uint64_t joining;                /* bit b: rows wait to join band[b] */
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

/* Records of the rows to come, brought in by loads alone: see mscope_reach in kern_job.h. */
#define MSCOPE_REACH 64u
static inline void mscope_core_rows_reach(const mscope_table *t, const uint32_t *rows, size_t n)
{
    for (size_t i = 0; i < n && i < MSCOPE_REACH; i++)
        (void)*(const volatile uint8_t *)&t->row[rows[i]].flags;
}

static inline uint32_t mscope_now(const mscope_table *t)
{
    return (uint32_t)(t->schedule.now - t->base);
}

static inline uint64_t mscope_core_row_age(const mscope_table *t, const mscope_core_row *row)
{
    return (uint32_t)(mscope_now(t) - row->clock);
}

static inline uint64_t mscope_core_row_open_gap(const mscope_table *t, const mscope_core_row *row)
{
    return (uint32_t)(mscope_now(t) - row->last);
}

/* The idle maps a row missed, multiplied. Returns 1 when there are any. */
static inline int mscope_core_row_span(const mscope_table *t, const mscope_core_row *row, mscope_map *span)
{
    uint64_t age = mscope_core_row_age(t, row);

    *span = age ? mscope_schedule_recall(&t->schedule, t->schedule.now - age) : (mscope_map){ 1.0, 0.0, 0.0, 1.0 };
    return age != 0;
}

/* The moments of a row as of its clock, and as of now with their rounding bound. */
static inline mscope_moments mscope_core_row_moments(const mscope_table *t, uint32_t row)
{
    const mscope_core_row *x = &t->row[row];
    mscope_moments o = { x->r, x->v, x->c, 0.0, 0.0, 0.0 };

    if (t->decays && t->decay) {
        o.q = t->decay[row].q;
        o.h = t->decay[row].h;
        o.ss = t->decay[row].ss;
    }
    return o;
}

mscope_moments mscope_core_row_moments_now(const mscope_table *t, uint32_t row, mscope_moments_bound *bound);

/* As moments_now, but from the vectors, read only: O(dim), for rows whose closed form cancels. */
mscope_moments mscope_core_row_moments_exact(const mscope_table *t, uint32_t row, mscope_moments_bound *bound);

/* Sum a row as it stands. */
void mscope_core_row_run(mscope_table *t, uint32_t row, mscope_sums *sums);

/* Store what the kernel summed, and the decay moments if they are kept. */
void mscope_core_row_store_decay(mscope_table *t, uint32_t row);
static inline void mscope_core_row_store(mscope_table *t, uint32_t row, const mscope_sums *sums)
{
    t->row[row].r = sums->r;
    t->row[row].v = sums->v;
    t->row[row].c = sums->c;
    if (t->decays && t->decay)
        mscope_core_row_store_decay(t, row);
}

/* Bring the n rows listed, or rows first .. first+n-1 where the list is NULL, to now outside a step, totals included. */
void mscope_catch_up(mscope_table *t, const uint32_t *rows, uint32_t first, size_t n);

/* The catch-up map in increment form; momentum that has decayed below anything it can do is flushed to 0. */
static inline mscope_idle mscope_core_row_idle(const mscope_table *t, const mscope_core_row *row, const mscope_map *span)
{
    mscope_idle a = mscope_map_split(span);
    double kept = span->a22 * span->a22;

    /* Below this mean square per coordinate momentum moves nothing any more and would only be denormal. Without
     * statistics |m| is not known: what is left of it, against what it has already done to theta, says the same. */
    if (a.a21 == 0.0 && (t->cfg.statistics == MSCOPE_STATISTICS_NONE
                             ? kept < 1e-60
                             : kept * row->v < (t->m_size == 8 ? 1e-280 : 1e-60) * t->cfg.dim))
        a.b22 = a.x22 = 0.0;
    return a;
}

/* -- fault.c: refusals ------------------------------------------------------------------- */

/* Note what is refused for mscope_table_fault; returns code. */
int mscope_refuse(mscope_table *t, int code, const char *field, size_t at, double value, double low, double high);
/* MSCOPE_ESTATE inside a step, with `what` as the field. */
int mscope_refuse_open(mscope_table *t, const char *what);

/* -- parallel.c: lent threads ------------------------------------------------------------ */

/* Work(arg, i) for every i < n, on the caller's threads if there are any. */
void mscope_parallel_run(mscope_table *t, void (*work)(void *arg, size_t i), void *arg, size_t n);

/* -- accounts.c: the accounts of the bands ------------------------------------------------ */

/* Bring an account's total, or all of them, to now; let the rows in that wait for the end of the step. */
void mscope_account_bring(const mscope_table *t, mscope_account *a);
void mscope_accounts_bring(mscope_table *t);
void mscope_accounts_join(mscope_table *t);
void mscope_accounts_stamp(mscope_table *t);         /* they stand at now, which was moved */

/* A row's moments leave (sign -1) or enter (+1) an account; all accounts that the row is in. */
void mscope_account_change(const mscope_table *t, mscope_account *a, double sign, const mscope_moments *x,
                           const mscope_moments_bound *bound);
void mscope_accounts_change(mscope_table *t, uint32_t row, double sign, const mscope_moments *x,
                            const mscope_moments_bound *bound);
/* Enter what the rows of chunks 0 .. n-1 did, in this order, and clear them. Rows that enter a total wait for the end of
 * the open step; outside a step they enter at once. */
void mscope_accounts_settle(mscope_table *t, size_t chunks);

/* -- inputs.c: checks --------------------------------------------------------------------- */

/* Check n entries against rows and finiteness, leaving their squared norms in scratch. */
int mscope_check_rows(mscope_table *t, const uint32_t *rows, size_t n);
int mscope_check_entries(mscope_table *t, const char *field, const void *entries, size_t n);
int mscope_check_counts(mscope_table *t, const uint32_t *counts, size_t n);
int mscope_check_finite(mscope_table *t, const char *field, const void *x, size_t n, size_t size);

/* -- coalesce.c: occurrences of one row ---------------------------------------------------- */

/* Group n entries by row: unique[0 .. returned-1] are first occurrences, chained in order by next[], row[] their rows. */
uint32_t mscope_coalesce(mscope_table *t, const uint32_t *rows, size_t n);
size_t mscope_coalesce_slots(uint32_t n);            /* places in slot for n entries, a power of two */
/* The entries of the group that starts at `first`, summed in order in double, into out in the gradient's type; sum holds one
 * row in double. */
void mscope_coalesce_sum(const mscope_table *t, uint32_t first, const void *entries, double *sum, void *out);

/* -- acf.c: rows that are followed ----------------------------------------------------------- */

void mscope_acf_note(mscope_table *t, uint32_t row);         /* the row just had an active update */
void mscope_acf_forget(mscope_table *t, uint32_t row);       /* it leaves its band or is overwritten */

#endif
