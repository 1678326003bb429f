/* resum.c - count the accounts anew from their rows, in one piece or in slices with steps in between
 *
 * A row whose closed form cancels is summed from its vectors; all others give the moments in their bookkeeping. */
#include <string.h>

#include "table.h"

#define CANCELLED 1e-10              /* relative error of a closed form above which the vectors are summed */
#define IDLE_GAPS 4.0                /* a row is idle after this many of its mean gaps */

static void count(mscope_account *a, const mscope_core_row *x, mscope_rates rates, int sign)
{
    a->rows += (uint32_t)sign;
    a->updates += (uint64_t)sign * x->active;
    a->p += sign * rates.p;
    a->P += sign * rates.P;
}

/* A row that fell silent counts for less and moves to a rarer band; its next activation brings it back. Returns the
 * rates that the row counts for. */
static mscope_rates note_silence(mscope_table *t, uint32_t row)
{
    mscope_core_row *r = &t->row[row];
    float gap = mscope_activity_gap(&r->rate, r->remembered, (double)mscope_core_row_open_gap(t, r));
    mscope_rates before = mscope_activity_counted(&r->rate, r->counted, r->active), now;
    unsigned band, total;

    if (r->active == 0 || gap <= r->counted)
        return before;
    now = mscope_activity_counted(&r->rate, gap, r->active);
    band = mscope_activity_band(now.p, mscope_core_row_band(r));
    total = band + 1;
    count(&t->band[r->total].live, r, before, -1);
    count(&t->band[total].live, r, now, 1);
    r->counted = gap;
    if (total != r->total) {
        mscope_moments_bound bound;
        mscope_moments x = mscope_core_row_moments_now(t, row, &bound);

        mscope_acf_forget(t, row);
        mscope_account_change(t, &t->band[r->total].live, -1.0, &x, &bound);
        mscope_account_change(t, &t->band[total].live, 1.0, &x, &bound);
        r->total = (uint8_t)total;
    }
    return now;
}

/* The rows of a slice are added up in the tallies of chunk 0, which are free between calls. */
static void sum_row(mscope_table *t, uint32_t row)
{
    mscope_core_row *r = &t->row[row];
    mscope_moments x = mscope_core_row_moments(t, row);
    mscope_gross gross;
    mscope_map span;
    int late = mscope_core_row_span(t, r, &span);

    gross = mscope_moments_bring(&span, &x, late ? mscope_span_products(mscope_core_row_age(t, r)) : 0, t->summing);
    if ((gross.e2 > CANCELLED * x.r || gross.m2 > CANCELLED * x.v) && t->cfg.statistics == MSCOPE_STATISTICS_DOUBLE) {
        mscope_moments_bound bound;

        x = mscope_core_row_moments_exact(t, row, &bound);
        mscope_total_add(&t->band[r->total].passed.total, &x, &bound);
        return;
    }
    if (x.r != 0.0 || x.v != 0.0 || x.ss != 0.0)
        mscope_tally_add(&t->chunk->transfer[0][r->total].joined, &x, &gross);
}

static void pass(mscope_table *t, uint32_t row)
{
    mscope_core_row *r = &t->row[row];
    mscope_rates rates = note_silence(t, row);
    mscope_account *a = &t->band[r->total].passed;

    count(a, r, rates, 1);
    if (r->active && (double)mscope_core_row_open_gap(t, r) > IDLE_GAPS * (double)r->rate.gap)
        a->idle++;
    if (r->r != 0.0 || r->v != 0.0 || t->decay)
        sum_row(t, row);
}

static void enter_slice(mscope_table *t)
{
    for (unsigned b = 0; b < MSCOPE_TOTALS; b++) {
        mscope_tally *y = &t->chunk->transfer[0][b].joined;

        if (y->rows == 0)
            continue;
        mscope_total_join(&t->band[b].passed.total, y);
        memset(y, 0, sizeof *y);
    }
}

int mscope_table_resum_slice(mscope_table *t, uint32_t rows)
{
    uint32_t end = rows < t->cfg.rows - t->passed ? t->passed + rows : t->cfg.rows;
    int err = mscope_refuse_open(t, "resum inside a step");

    if (err)
        return err;
    if (rows == 0)
        return mscope_refuse(t, MSCOPE_EINVAL, "rows", 0, 0.0, 1.0, 4294967295.0);
    if (t->passed == 0)
        for (unsigned b = 0; b < MSCOPE_TOTALS; b++)
            memset(&t->band[b].passed, 0, sizeof t->band[b].passed);
    for (unsigned b = 0; b < MSCOPE_TOTALS; b++)
        mscope_account_bring(t, &t->band[b].passed);
    for (; t->passed < end; t->passed++)
        pass(t, t->passed);
    enter_slice(t);
    if (end < t->cfg.rows)
        return 0;
    for (unsigned b = 0; b < MSCOPE_TOTALS; b++) {
        t->band[b].live = t->band[b].passed;
        mscope_total_fresh(&t->band[b].live.total);
    }
    t->passed = 0;
    return 1;
}

int mscope_table_resum(mscope_table *t)
{
    int done;

    if (!t->open)
        t->passed = 0;
    done = mscope_table_resum_slice(t, t->cfg.rows);
    return done < 0 ? done : MSCOPE_OK;
}

int mscope_table_stale(mscope_table *t)
{
    mscope_accounts_bring(t);
    for (unsigned b = 0; b < MSCOPE_TOTALS; b++)
        if (mscope_total_stale(&t->band[b].live.total))
            return 1;
    return 0;
}
