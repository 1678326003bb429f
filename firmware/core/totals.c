/* totals.c - bands read out, and recomputed from their rows when their bounds ask for it */
#include <math.h>
#include <string.h>

#include "table.h"

#define CANCELLED 1e-10              /* relative error of a row's closed form that asks for its vectors */
#define IDLE_GAPS 4.0                /* a row is idle after this many of its mean gaps */

static int refuse_open(mscope_table *t, const char *what)
{
    return t->open ? mscope_refuse(t, MSCOPE_ESTATE, what, 0, 1, 0, 0) : MSCOPE_OK;
}

/* -- entering and leaving --------------------------------------------------------------- */

void mscope_account_bring(const mscope_table *t, mscope_account *a)
{
    const mscope_moments *sum = &a->total.sum;

    if (a->at == t->schedule.now)
        return;
    if (sum->r != 0.0 || sum->v != 0.0 || sum->ss != 0.0 || a->total.er != 0.0) {
        mscope_map span = mscope_schedule_recall(&t->schedule, a->at);

        mscope_total_advance(&a->total, &span, mscope_span_products(t->schedule.now - a->at));
    }
    a->at = t->schedule.now;
}

void mscope_accounts_bring(mscope_table *t)
{
    for (unsigned b = 0; b < MSCOPE_TOTALS; b++) {
        mscope_account_bring(t, &t->band[b].live);
        if (t->passed)
            mscope_account_bring(t, &t->band[b].passed);
    }
}

void mscope_accounts_stamp(mscope_table *t)
{
    for (unsigned b = 0; b < MSCOPE_TOTALS; b++)
        t->band[b].live.at = t->band[b].passed.at = t->schedule.now;
}

static void let_in(const mscope_table *t, mscope_account *a)
{
    if (a->joined.rows == 0)
        return;
    mscope_account_bring(t, a);
    mscope_total_join(&a->total, &a->joined);
    memset(&a->joined, 0, sizeof a->joined);
}

void mscope_accounts_join(mscope_table *t)
{
    for (; t->joining; t->joining &= t->joining - 1) {
        mscope_band_state *b = &t->band[__builtin_ctzll(t->joining)];

        let_in(t, &b->live);
        let_in(t, &b->passed);
    }
}

static void change(const mscope_table *t, mscope_account *a, double sign, const mscope_moments *x, const mscope_row_error *err)
{
    mscope_account_bring(t, a);
    if (sign > 0.0)
        mscope_total_add(&a->total, x, err);
    else
        mscope_total_sub(&a->total, x, err);
}

void mscope_account_change(mscope_table *t, uint32_t row, double sign, const mscope_moments *x,
                           const mscope_row_error *err)
{
    mscope_band_state *b = &t->band[t->row[row].total];

    change(t, &b->live, sign, x, err);
    if (row < t->passed)
        change(t, &b->passed, sign, x, err);
}

static void tally_add(mscope_tally *to, const mscope_tally *x)
{
    to->sum.r += x->sum.r;
    to->sum.v += x->sum.v;
    to->sum.c += x->sum.c;
    to->sum.q += x->sum.q;
    to->sum.h += x->sum.h;
    to->sum.ss += x->sum.ss;
    to->e2 += x->e2;
    to->m2 += x->m2;
    to->s2 += x->s2;
    to->rows += x->rows;
}

static void enter_flow(const mscope_table *t, mscope_account *a, const mscope_flow *f)
{
    mscope_account_bring(t, a);
    if (f->left.rows)
        mscope_total_leave(&a->total, &f->left);
    if (f->joined.rows && t->open)
        tally_add(&a->joined, &f->joined);
    else if (f->joined.rows)
        mscope_total_join(&a->total, &f->joined);
    a->rows += (uint32_t)f->rows;            /* modulo 2^32 and 2^64: the sums are right */
    a->updates += (uint64_t)f->updates;
    a->p += f->p;
    a->P += f->P;
}

static void enter_window(mscope_window *to, const mscope_window *w)
{
    to->updates += w->updates;
    to->occurrences += w->occurrences;
    to->s2 += w->s2;
    to->s2_updates += w->s2_updates;
    to->s2_occurrences += w->s2_occurrences;
    to->u += w->u;
    to->u2 += w->u2;
    to->u_updates += w->u_updates;
    to->gm += w->gm;
    to->gm2 += w->gm2;
}

void mscope_accounts_settle(mscope_table *t, size_t chunks)
{
    for (size_t k = 0; k < chunks; k++) {
        mscope_chunk *c = &t->chunk[k];

        for (unsigned b = 0; b < MSCOPE_TOTALS; b++) {
            mscope_band_state *s = &t->band[b];

            for (int passed = 0; passed < 2; passed++) {
                mscope_flow *f = &c->flow[passed][b];

                if (f->left.rows == 0 && f->joined.rows == 0)
                    continue;
                enter_flow(t, &s->live, f);
                if (passed)
                    enter_flow(t, &s->passed, f);
                if (t->open)
                    t->joining |= (uint64_t)1 << b;
                memset(f, 0, sizeof *f);
            }
            if (c->window[b].updates > 0.0) {
                enter_window(&s->window, &c->window[b]);
                memset(&c->window[b], 0, sizeof c->window[b]);
            }
        }
    }
}

/* -- resum ------------------------------------------------------------------------------ */

static void count(mscope_account *a, const mscope_row_record *x, mscope_rates rates, int sign)
{
    a->rows += (uint32_t)sign;
    a->updates += (uint64_t)sign * x->active;
    a->p += sign * rates.p;
    a->P += sign * rates.P;
}

/* Rows that fell silent count for less, and drift to rarer bands; the step that counts them active brings them back.
 * Returns what the row counts for. */
static mscope_rates note_silence(mscope_table *t, uint32_t row)
{
    mscope_row_record *r = &t->row[row];
    float gap = mscope_activity_gap(&r->rate, (double)mscope_row_open_gap(t, r), r->active);
    mscope_rates before = mscope_activity_counted(&r->rate, r->counted, r->active), now;
    unsigned band, total;

    if (r->active == 0 || gap <= r->counted)
        return before;
    now = mscope_activity_counted(&r->rate, gap, r->active);
    band = mscope_activity_band(now.p, mscope_row_band(r));
    total = band + 1;
    count(&t->band[r->total].live, r, before, -1);
    count(&t->band[total].live, r, now, 1);
    r->counted = gap;
    if (total != r->total) {
        mscope_row_error err;
        mscope_moments x = mscope_row_moments_now(t, row, &err);

        mscope_acf_forget(t, row);
        change(t, &t->band[r->total].live, -1.0, &x, &err);
        change(t, &t->band[total].live, 1.0, &x, &err);
        r->total = (uint8_t)total;
    }
    return now;
}

/* Sums of a slice go to tallies first: they are chunk 0's, free between calls. */
static void sum_row(mscope_table *t, uint32_t row)
{
    mscope_row_record *r = &t->row[row];
    mscope_moments x = mscope_row_moments(t, row);
    mscope_gross gross;
    mscope_map span;
    int late = mscope_row_span(t, r, &span);

    gross = mscope_moments_bring(&span, &x, late ? mscope_span_products(mscope_row_age(t, r)) : 0, t->summing);
    if ((gross.e2 > CANCELLED * x.r || gross.m2 > CANCELLED * x.v) && t->cfg.statistics == MSCOPE_STATISTICS_DOUBLE) {
        mscope_row_error err;

        x = mscope_row_moments_exact(t, row, &err);
        mscope_total_add(&t->band[r->total].passed.total, &x, &err);
        return;
    }
    if (x.r != 0.0 || x.v != 0.0 || x.ss != 0.0)
        mscope_tally_add(&t->chunk->flow[0][r->total].joined, &x, &gross);
}

static void pass(mscope_table *t, uint32_t row)
{
    mscope_row_record *r = &t->row[row];
    mscope_rates rates = note_silence(t, row);
    mscope_account *a = &t->band[r->total].passed;

    count(a, r, rates, 1);
    if (r->active && (double)mscope_row_open_gap(t, r) > IDLE_GAPS * (double)r->rate.gap)
        a->idle++;
    if (r->r != 0.0 || r->v != 0.0 || t->decays)
        sum_row(t, row);
}

static void enter_slice(mscope_table *t)
{
    for (unsigned b = 0; b < MSCOPE_TOTALS; b++) {
        mscope_tally *y = &t->chunk->flow[0][b].joined;

        if (y->rows == 0)
            continue;
        mscope_total_join(&t->band[b].passed.total, y);
        memset(y, 0, sizeof *y);
    }
}

int mscope_table_resum_slice(mscope_table *t, uint32_t rows)
{
    uint32_t end = rows < t->cfg.rows - t->passed ? t->passed + rows : t->cfg.rows;
    int err = refuse_open(t, "resum inside a step");

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

/* -- reading ---------------------------------------------------------------------------- */

int mscope_table_band(mscope_table *t, unsigned b, mscope_band *out)
{
    unsigned at = b == MSCOPE_BAND_SILENT ? MSCOPE_SILENT_TOTAL : b + 1;
    mscope_band_state *s;
    mscope_account *a;
    int err = refuse_open(t, "read inside a step");

    if (err)
        return err;
    if (b >= MSCOPE_BANDS && b != MSCOPE_BAND_SILENT)
        return mscope_refuse(t, MSCOPE_EINVAL, "band", 0, b, 0, MSCOPE_BANDS - 1);
    s = &t->band[at];
    a = &s->live;
    mscope_account_bring(t, a);
    memset(out, 0, sizeof *out);
    out->step = t->schedule.now;
    out->updates = a->updates;
    out->rows = a->rows;
    if (a->rows) {
        out->p = a->p / a->rows;
        out->P = a->P / a->rows;
        out->idle_share = (double)a->idle / a->rows;
        out->R = a->total.sum.r;
        out->V = a->total.sum.v;
        out->C = a->total.sum.c;
        out->R_err = a->total.er;
        out->V_err = a->total.ev;
        out->C_err = a->total.ec;
    }
    if (t->cfg.statistics == MSCOPE_STATISTICS_NONE)
        out->R = out->V = out->C = out->R_err = out->V_err = out->C_err = NAN;
    out->window = s->window;
    out->curvature = s->curvature;
    return MSCOPE_OK;
}

void mscope_table_window_reset(mscope_table *t)
{
    for (unsigned b = 0; b < MSCOPE_TOTALS; b++)
        memset(&t->band[b].window, 0, sizeof t->band[b].window);
}

int mscope_table_row(const mscope_table *t, uint32_t row, mscope_row_info *out)
{
    const mscope_row_record *x;
    mscope_rates rates;

    if (row >= t->cfg.rows)
        return MSCOPE_EINDEX;
    x = &t->row[row];
    rates = mscope_activity_rates(&x->rate, (double)mscope_row_open_gap(t, x), x->active);
    out->active = x->active;
    out->occurrences = x->occurrences;
    out->last_active = x->active ? t->schedule.now - mscope_row_open_gap(t, x) : 0;
    out->r = x->r;
    out->v = x->v;
    out->c = x->c;
    out->clock = t->schedule.now - mscope_row_age(t, x);
    out->p = rates.p;
    out->P = rates.P;
    out->band = mscope_row_band(x);
    return MSCOPE_OK;
}
