/* table.h - what a table is made of; private to the core
 *
 * Memory, in the order it is carved (each part on a 64-byte line):
 *
 *     [mscope_table][schedule nodes][span memo][row records][theta][m][reference][decay moments]
 *     [acf slots and references][coalescing scratch: next, tail, unique, norms][one summed gradient]
 *
 * A row record is one cache line. Its moments (r, v, c) are those of the stored vectors, at the row's clock. */
#ifndef MSCOPE_CORE_TABLE_H
#define MSCOPE_CORE_TABLE_H

#include "core/activity.h"
#include "core/kern.h"
#include "core/moments.h"
#include "mscope/core.h"

#define MSCOPE_TOTALS (MSCOPE_BANDS + 1)     /* the last one: rows never active */
#define MSCOPE_SILENT_TOTAL MSCOPE_BANDS

enum { ROW_MARKED = 1, ROW_FOLLOWED = 2 };   /* in the coalescing list; has a reference copy of m */

typedef struct mscope_row_record {
    double r, v, c;
    uint64_t active, occurrences;
    uint32_t clock;                  /* low 32 bits of the step the row's vectors belong to; age < history    */
    uint32_t last;                   /* low 32 bits of the step of the last activation; age < 2^31           */
    uint32_t head;                   /* first occurrence in the apply under way (while ROW_MARKED)            */
    mscope_activity rate;
    uint8_t band, flags;
} mscope_row_record;

typedef struct mscope_decay_record {         /* moments against the reference row, for weight decay */
    double q, h, ss;
} mscope_decay_record;

typedef struct mscope_band_state {
    mscope_total total;
    mscope_moments joined;           /* rows that enter at the end of the open step */
    mscope_row_error joined_error;
    uint32_t joining;                /* how many they are */
    uint64_t updates;
    uint32_t rows, idle;
    double p, P;                     /* sums over rows */
    mscope_window window;
    mscope_curvature curvature;
} mscope_band_state;

typedef struct mscope_acf_slot {
    uint32_t row, stride, lags, filled;
    uint64_t started;                /* the row's activations at the reference */
    int busy;
    double lag[MSCOPE_ACF_LAGS];
} mscope_acf_slot;

typedef struct mscope_scratch {
    uint32_t *next, *tail, *unique;
    double *norm;
    double *sum;                     /* one summed row in double ... */
    void *sum_g;                     /* ... and in the gradient's type */
} mscope_scratch;

struct mscope_table {
    /* fixed by config */
    mscope_table_config cfg;
    const mscope_kern *kern;
    size_t theta_size, m_size, g_size;       /* bytes of one element */
    mscope_row_record *row;
    unsigned char *theta, *m, *ref;
    mscope_decay_record *decay;              /* NULL without a reference */
    mscope_acf_slot *slot;                   /* MSCOPE_BANDS x acf_rows */
    unsigned char *slot_m;
    mscope_scratch scratch;
    mscope_schedule schedule;

    /* cleared at init */
    mscope_fault fault;
    uint64_t base;                   /* step from which first gaps count */
    int open, applied;               /* inside a step; apply was called in it */
    int made;                        /* torch form: the momentum buffer exists */
    int decays;                      /* weight decay was seen, so decay records are kept */
    mscope_step step;                /* the open or last step */
    mscope_map_dd idle;
    mscope_kick kick;
    uint32_t sweep;                  /* next row the sweep looks at */
    mscope_band_state band[MSCOPE_TOTALS];
    mscope_acf acf[MSCOPE_BANDS];
};

/* -- shared by the files of the core ---------------------------------------------------- */

int mscope_refuse(mscope_table *t, int code, const char *field, size_t at, double value, double low, double high);

static inline void *mscope_at(unsigned char *base, uint32_t row, const mscope_table *t, size_t size)
{
    return base + (size_t)row * t->cfg.dim * size;
}

static inline unsigned mscope_total_of(const mscope_row_record *row)
{
    return row->band < MSCOPE_BANDS ? row->band : MSCOPE_SILENT_TOTAL;
}

static inline uint64_t mscope_row_age(const mscope_table *t, const mscope_row_record *row)
{
    return (uint32_t)((uint32_t)t->schedule.now - row->clock);
}

static inline uint64_t mscope_row_open_gap(const mscope_table *t, const mscope_row_record *row)
{
    return (uint32_t)((uint32_t)t->schedule.now - row->last);
}

/* The moments of a row as of its clock, and as of now with their rounding bound. */
mscope_moments mscope_row_moments(const mscope_table *t, uint32_t row);
mscope_moments mscope_row_moments_now(const mscope_table *t, uint32_t row, mscope_map *span, mscope_row_error *err);

/* As moments_now, but from the vectors, read only: O(dim), for rows whose closed form cancels. */
mscope_moments mscope_row_moments_exact(const mscope_table *t, uint32_t row, mscope_row_error *err);

mscope_row_error mscope_row_fresh_error(const mscope_table *t, const mscope_moments *x);    /* just summed */

/* The kernel on a row: g and kick NULL to catch up only, idle NULL when it is up to date, both NULL to sum. */
void mscope_row_run(mscope_table *t, uint32_t row, const void *g, const mscope_idle *idle, const mscope_kick *kick,
                    mscope_sums *sums);

/* Store what the kernel summed, and the decay moments if they are kept. */
void mscope_row_store_decay(mscope_table *t, uint32_t row);
void mscope_row_store(mscope_table *t, uint32_t row, const mscope_sums *sums);

/* Bring one row to now outside a step, totals included. */
void mscope_row_catch_up(mscope_table *t, uint32_t row);

/* The catch-up map in increment form; momentum that has decayed below anything it can do is flushed to 0. */
mscope_idle mscope_row_idle(const mscope_table *t, const mscope_row_record *row, const mscope_map *span);

/* Group n entries by row: unique[0 .. returned-1] are first occurrences, chained in order by next[]. Sets marks,
 * which mscope_coalesce_sum clears. */
uint32_t mscope_coalesce(mscope_table *t, const uint32_t *rows, size_t n);
/* The summed entry of the group that starts at `first`, in the gradient's type; *n gets the entries in it. */
const void *mscope_coalesce_sum(mscope_table *t, uint32_t first, const uint32_t *rows, const void *entries,
                                uint32_t *n);

/* Check n entries against rows and finiteness, leaving their squared norms in scratch. */
int mscope_check_rows(mscope_table *t, const uint32_t *rows, size_t n);
int mscope_check_entries(mscope_table *t, const char *field, const void *entries, size_t n);
int mscope_check_finite(mscope_table *t, const char *field, const void *x, size_t n, size_t size);

void mscope_acf_note(mscope_table *t, uint32_t row);         /* the row just had an active update */
void mscope_acf_forget(mscope_table *t, uint32_t row);       /* it leaves its band or is overwritten */

#endif
