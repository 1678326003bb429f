/* accounts.c - the accounts of the bands: what rows take out and bring in
 *
 * Each account stands at a step of its own and is advanced when it is next needed.                            */
#include <string.h>

#include "table.h"

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

void mscope_account_change(const mscope_table *t, mscope_account *a, double sign, const mscope_moments *x,
                           const mscope_moments_bound *bound)
{
    mscope_account_bring(t, a);
    if (sign > 0.0)
        mscope_total_add(&a->total, x, bound);
    else
        mscope_total_sub(&a->total, x, bound);
}

void mscope_accounts_change(mscope_table *t, uint32_t row, double sign, const mscope_moments *x,
                            const mscope_moments_bound *bound)
{
    mscope_band_state *b = &t->band[t->row[row].total];

    mscope_account_change(t, &b->live, sign, x, bound);
    if (row < t->passed)
        mscope_account_change(t, &b->passed, sign, x, bound);
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

static void enter_transfer(const mscope_table *t, mscope_account *a, const mscope_transfer *f)
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
    to->gm_updates += w->gm_updates;
}

static void enter_pulse(mscope_pulse *to, const mscope_pulse *p)
{
    if (to->updates == 0.0 || p->top > to->top) {
        to->top = p->top;
        to->top_row = p->top_row;
    }
    to->updates += p->updates;
    to->gm += p->gm;
    to->g2 += p->g2;
}

static void enter_fade(mscope_fade *to, const mscope_fade *c)
{
    to->gaps += c->gaps;
    to->first += c->first;
    to->second += c->second;
    to->theta2 += c->theta2;
}

/* A gap counts for half after 4096 steps, or 32 lifetimes of the buffer if that is longer: the same for all bands and
 * for all shards of a table, so that sums of shards are the sums of the whole. */
void mscope_fade_fold(mscope_table *t)
{
    const double least = 4096.0, lifetimes = 32.0, eps = t->step.eps;
    double span = eps * least < lifetimes ? lifetimes / (eps > 0.0 ? eps : 1e-300) : least;
    double keep = span / (span + MSCOPE_FADE_FOLD);

    for (unsigned b = 0; b < MSCOPE_TOTALS; b++) {
        mscope_band_state *s = &t->band[b];

        s->fade = (mscope_fade){ keep * s->fade.gaps, keep * s->fade.first, keep * s->fade.second,
                                 keep * s->fade.theta2 };
        enter_fade(&s->fade, &s->fresh);
        s->fresh = (mscope_fade){ 0 };
    }
}

void mscope_accounts_settle(mscope_table *t, size_t chunks)
{
    for (size_t k = 0; k < chunks; k++) {
        mscope_chunk *c = &t->chunk[k];

        for (unsigned b = 0; b < MSCOPE_TOTALS; b++) {
            mscope_band_state *s = &t->band[b];

            for (int passed = 0; passed < 2; passed++) {
                mscope_transfer *f = &c->transfer[passed][b];

                if (f->left.rows == 0 && f->joined.rows == 0)
                    continue;
                enter_transfer(t, &s->live, f);
                if (passed)
                    enter_transfer(t, &s->passed, f);
                if (t->open)
                    t->joining |= (uint64_t)1 << b;
                memset(f, 0, sizeof *f);
            }
            if (c->window[b].updates > 0.0) {
                enter_window(&s->window, &c->window[b]);
                memset(&c->window[b], 0, sizeof c->window[b]);
                enter_pulse(&s->pulse, &c->pulse[b]);
                memset(&c->pulse[b], 0, sizeof c->pulse[b]);
            }
            if (c->fade[b].gaps > 0.0) {
                enter_fade(&s->fresh, &c->fade[b]);
                c->fade[b] = (mscope_fade){ 0 };
            }
        }
    }
}
