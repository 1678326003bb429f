/* table.c - the step: touch, begin, apply, end, settle
 *
 * Between steps every total stands at schedule.now = n. Inside step n + 1 a row that is active leaves its total at n and
 * waits in band.joined with its moments at n + 1; step_end advances the totals to n + 1 and lets it in.       */
#include <math.h>
#include <string.h>

#include "core/table.h"

#define AHEAD 8                      /* rows fetched before they are needed */
#define PREFETCHED 512               /* bytes of theta and of m; the processor follows a longer row by itself */

/* -- catching up ------------------------------------------------------------------------ */

int mscope_touch(mscope_table *t, const uint32_t *rows, size_t n)
{
    int err;

    if (t->open)
        return mscope_refuse(t, MSCOPE_ESTATE, "touch inside a step", 0, 1, 0, 0);
    err = mscope_check_rows(t, rows, n);
    if (err)
        return err;
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            __builtin_prefetch(&t->row[rows[i + AHEAD]], 1);
        mscope_row_catch_up(t, rows[i]);
    }
    return MSCOPE_OK;
}

int mscope_settle(mscope_table *t)
{
    if (t->open)
        return mscope_refuse(t, MSCOPE_ESTATE, "settle inside a step", 0, 1, 0, 0);
    for (uint32_t i = 0; i < t->cfg.rows; i++)
        mscope_row_catch_up(t, i);
    return MSCOPE_OK;
}

int mscope_table_seek(mscope_table *t, uint64_t steps)
{
    int err = mscope_settle(t);

    if (err)
        return err;
    if (steps < t->schedule.now)
        return mscope_refuse(t, MSCOPE_EINVAL, "steps", 0, (double)steps, (double)t->schedule.now, 9e15);
    if (t->base == t->schedule.now)
        t->base = steps;
    if (steps > 0)
        t->made = 1;
    mscope_schedule_seek(&t->schedule, steps);
    for (uint32_t i = 0; i < t->cfg.rows; i++) {
        if (t->row[i].active == 0)
            t->row[i].last = (uint32_t)t->base;
        t->row[i].clock = (uint32_t)steps;
    }
    return MSCOPE_OK;
}

/* -- one step --------------------------------------------------------------------------- */

static int check_step(mscope_table *t, const mscope_step *p)
{
    const double most = 1e150;
    const struct {
        const char *field;
        double value, low, high;
    } range[] = {
        { "eta", p->eta, 0.0, most },
        { "eps", p->eps, 0.0, 1.0 },
        { "dampening", p->dampening, 0.0, t->cfg.form == MSCOPE_FORM_TORCH && !t->cfg.nesterov ? 1.0 : 0.0 },
        { "weight_decay", p->weight_decay, 0.0, most },
        { "decoupled_decay", p->decoupled_decay, 0.0, most },
        { "eta * decoupled_decay", p->eta * p->decoupled_decay, 0.0, 1.0 },
        { "batch", p->batch, 1e-300, most },
    };

    for (size_t i = 0; i < sizeof range / sizeof *range; i++)
        if (!(range[i].value >= range[i].low && range[i].value <= range[i].high))
            return mscope_refuse(t, MSCOPE_EINVAL, range[i].field, 0, range[i].value, range[i].low, range[i].high);
    return MSCOPE_OK;
}

/* From the first decayed step on, rows also keep their products with the reference. */
static int start_decay(mscope_table *t)
{
    t->decays = 1;
    if (t->decay == NULL)
        return MSCOPE_OK;
    for (uint32_t i = 0; i < t->cfg.rows; i++)
        mscope_row_store_decay(t, i);
    return mscope_table_resum(t);
}

int mscope_step_begin(mscope_table *t, const mscope_step *step)
{
    int err;

    if (t->open)
        return mscope_refuse(t, MSCOPE_ESTATE, "begin inside a step", 0, 1, 0, 0);
    err = check_step(t, step);
    if (err)
        return err;
    if (!t->decays && (step->weight_decay > 0.0 || step->eta * step->decoupled_decay > 0.0)) {
        err = start_decay(t);
        if (err)
            return err;
    }
    t->step = *step;
    t->idle = mscope_step_idle(step, t->cfg.form, t->cfg.nesterov, t->made);
    t->kick = mscope_step_kick(step, t->cfg.form, t->cfg.nesterov, t->made);
    t->open = 1;
    t->applied = 0;
    return MSCOPE_OK;
}

typedef struct occurrence {          /* what one active row brought in this step */
    const void *g;
    double n, s2, g2;
    int s2_known;
} occurrence;

static void note_window(mscope_window *w, const occurrence *o, double gm)
{
    w->updates += 1.0;
    w->occurrences += o->n;
    w->gm += gm / o->n;
    w->gm2 += gm / o->n * (gm / o->n);
    if (!o->s2_known)
        return;
    w->s2 += o->s2;
    w->s2_updates += 1.0;
    w->s2_occurrences += o->n;
    if (o->n >= 2.0) {
        double u = (o->g2 - o->s2) / (o->n * (o->n - 1.0));

        w->u += u;
        w->u2 += u * u;
        w->u_updates += 1.0;
    }
}

/* Move the row's bookkeeping from its old band to the one its new rates ask for. */
static void note_activity(mscope_table *t, uint32_t row, double n)
{
    mscope_row_record *x = &t->row[row];
    uint64_t step = t->schedule.now + 1;
    double gap = (double)(uint32_t)((uint32_t)step - x->last);
    mscope_band_state *from = &t->band[mscope_total_of(x)], *to;
    mscope_rates rates = mscope_activity_rates(&x->rate, (double)mscope_row_open_gap(t, x), x->active);
    unsigned band;

    from->p -= rates.p;
    from->P -= rates.P;
    from->rows--;
    from->updates -= x->active;
    x->active++;
    x->occurrences += (uint64_t)n;
    x->last = (uint32_t)step;
    mscope_activity_note(&x->rate, gap, n / t->step.batch, x->active);
    rates = mscope_activity_rates(&x->rate, 0.0, x->active);
    band = mscope_activity_band(rates.p, x->band);
    if (band != x->band)
        mscope_acf_forget(t, row);
    x->band = (uint8_t)band;
    to = &t->band[mscope_total_of(x)];
    to->p += rates.p;
    to->P += rates.P;
    to->rows++;
    to->updates += x->active;
}

static void join(mscope_band_state *to, const mscope_moments *x, const mscope_row_error *err)
{
    mscope_row_error *e = &to->joined_error;

    to->joined.r += x->r;
    to->joined.v += x->v;
    to->joined.c += x->c;
    to->joined.q += x->q;
    to->joined.h += x->h;
    to->joined.ss += x->ss;
    e->r += err->r;
    e->v += err->v;
    e->c += err->c;
    e->q += err->q;
    e->h += err->h;
    to->joining++;
}

static void update_row(mscope_table *t, uint32_t row, const occurrence *o)
{
    mscope_row_record *x = &t->row[row];
    mscope_row_error err;
    mscope_moments at;
    mscope_band_state *to;
    mscope_sums sums;
    mscope_idle idle;
    mscope_map span;
    int late = mscope_row_age(t, x) != 0;

    at = mscope_row_moments_now(t, row, &span, &err);
    mscope_total_sub(&t->band[mscope_total_of(x)].total, &at, &err);
    if (late)
        idle = mscope_row_idle(t, x, &span);
    mscope_row_run(t, row, o->g, late ? &idle : NULL, &t->kick, &sums);
    mscope_row_store(t, row, &sums);
    x->clock = (uint32_t)(t->schedule.now + 1);
    note_activity(t, row, o->n);
    to = &t->band[mscope_total_of(x)];
    note_window(&to->window, o, sums.gm);
    at = mscope_row_moments(t, row);
    err = mscope_row_fresh_error(t, &at);
    join(to, &at, &err);
    if (t->cfg.acf_rows)
        mscope_acf_note(t, row);
}

static int check_counts(mscope_table *t, const uint32_t *counts, size_t n)
{
    for (size_t i = 0; counts && i < n; i++)
        if (counts[i] == 0)
            return mscope_refuse(t, MSCOPE_EINVAL, "count", i, 0.0, 1.0, 4294967295.0);
    return MSCOPE_OK;
}

static occurrence gather(mscope_table *t, uint32_t first, const uint32_t *rows, const void *grads,
                         const uint32_t *counts)
{
    const mscope_scratch *s = &t->scratch;
    occurrence o = { NULL, 0.0, 0.0, 0.0, counts == NULL };
    uint32_t entries;

    o.g = mscope_coalesce_sum(t, first, rows, grads, &entries);
    o.g2 = s->norm[first];
    if (entries > 1)
        t->kern->sumsq[t->g_size == 8](o.g, t->cfg.dim, 1, &o.g2);
    for (uint32_t i = first, k = 0; k < entries; i = s->next[i], k++) {
        o.n += counts ? (double)counts[i] : 1.0;
        o.s2 += s->norm[i];
    }
    return o;
}

static void prefetch_row(const mscope_table *t, uint32_t row)
{
    const unsigned char *theta = mscope_at(t->theta, row, t, t->theta_size), *m = mscope_at(t->m, row, t, t->m_size);
    size_t bytes = t->cfg.dim * t->theta_size;

    for (size_t i = 0; i < bytes && i < PREFETCHED; i += 64) {
        __builtin_prefetch(theta + i, 1);
        __builtin_prefetch(m + i, 1);
    }
}

int mscope_apply(mscope_table *t, const uint32_t *rows, const void *grads, const uint32_t *counts, size_t n)
{
    uint32_t groups;
    int err;

    if (!t->open || t->applied)
        return mscope_refuse(t, MSCOPE_ESTATE, "apply outside a step, or twice in it", 0, t->applied, 0, 0);
    if ((err = mscope_check_rows(t, rows, n)) || (err = check_counts(t, counts, n)) ||
        (err = mscope_check_entries(t, "gradient", grads, n)))
        return err;
    t->applied = 1;
    groups = mscope_coalesce(t, rows, n);
    for (uint32_t k = 0; k < groups; k++) {
        uint32_t first = t->scratch.unique[k];
        occurrence o = gather(t, first, rows, grads, counts);

        if (k + AHEAD < groups)
            prefetch_row(t, rows[t->scratch.unique[k + AHEAD]]);
        update_row(t, rows[first], &o);
    }
    return MSCOPE_OK;
}

/* Advance every total through the step, then let the active rows back in. */
static void advance_totals(mscope_table *t)
{
    mscope_map idle = mscope_map_round(&t->idle);

    for (unsigned b = 0; b < MSCOPE_TOTALS; b++) {
        mscope_band_state *s = &t->band[b];
        mscope_total *total = &s->total;

        if (total->sum.r != 0.0 || total->sum.v != 0.0 || total->sum.ss != 0.0 || total->er != 0.0)
            mscope_total_advance(total, &idle);
        if (s->joining == 0)
            continue;
        mscope_total_join(total, &s->joined, &s->joined_error, s->joining);
        memset(&s->joined, 0, sizeof s->joined);
        memset(&s->joined_error, 0, sizeof s->joined_error);
        s->joining = 0;
    }
}

/* Every row is looked at once in history/2 steps, and brought along when it is older than that: so no clock is
 * ever older than the history, and a row silent for ever costs one visit in history/2 steps. */
static void sweep(mscope_table *t)
{
    uint32_t half = t->schedule.history / 2, visits = (t->cfg.rows + half - 1) / half;

    for (uint32_t k = 0; k < visits; k++) {
        mscope_row_record *x = &t->row[t->sweep];

        if (mscope_row_age(t, x) >= half)
            mscope_row_catch_up(t, t->sweep);
        if (mscope_row_open_gap(t, x) > (uint32_t)1 << 30)
            x->last = (uint32_t)t->schedule.now - ((uint32_t)1 << 30);
        if (++t->sweep == t->cfg.rows)
            t->sweep = 0;
    }
}

int mscope_step_end(mscope_table *t)
{
    if (!t->open)
        return mscope_refuse(t, MSCOPE_ESTATE, "end outside a step", 0, 0, 1, 1);
    advance_totals(t);
    mscope_schedule_push(&t->schedule, &t->idle);
    if (t->step.eps < 1.0)
        t->made = 1;
    t->open = 0;
    sweep(t);
    return MSCOPE_OK;
}
