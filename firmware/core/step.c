/* step.c - the step: touch, begin, end, settle, seek, and the sweep
 *
 * Between steps every total is that of n = schedule.now steps taken. Inside step n + 1 an active row leaves its total
 * at n and waits in account.joined with its moments at n + 1; step_end advances the totals to n + 1 and lets it in. */
#include <math.h>
#include <string.h>

#include "table.h"

/* -- catching up ------------------------------------------------------------------------ */

int mscope_table_touch(mscope_table *t, const uint32_t *rows, size_t n)
{
    int err = mscope_refuse_open(t, "touch inside a step");

    if (err == 0)
        err = mscope_check_rows(t, rows, n);
    if (err)
        return err;
    mscope_catch_up(t, rows, 0, n);
    return MSCOPE_OK;
}

int mscope_table_settle(mscope_table *t)
{
    int err = mscope_refuse_open(t, "settle inside a step");

    if (err)
        return err;
    mscope_catch_up(t, NULL, 0, t->cfg.rows);
    return MSCOPE_OK;
}

int mscope_table_unseen(mscope_table *t, uint64_t steps)
{
    const int err = mscope_refuse_open(t, "unseen inside a step");
    const uint64_t known = t->schedule.now - t->unseen;

    if (err)
        return err;
    if (steps > known)
        return mscope_refuse(t, MSCOPE_EINVAL, "steps", 0, (double)steps, 0.0, (double)known);
    t->unseen += steps;
    return MSCOPE_OK;
}

/* The steps between move no row and no total, so nothing but the number of the step changes. */
int mscope_table_seek(mscope_table *t, uint64_t steps)
{
    const int err = mscope_refuse_open(t, "seek inside a step");
    const uint64_t done = mscope_table_steps(t);

    if (err)
        return err;
    if (steps < done || steps > MSCOPE_STEPS_MOST)
        return mscope_refuse(t, MSCOPE_EINVAL, "steps", 0, (double)steps, (double)done, (double)MSCOPE_STEPS_MOST);
    if (steps > 0)
        t->made = 1;
    t->jumped += steps - done;
    return MSCOPE_OK;
}

/* -- one step --------------------------------------------------------------------------- */

static int check_step(mscope_table *t, const mscope_step *p)
{
    const double most = 1e150;
    const int reads = MSCOPE_FORM_READS(t->cfg.form);
    const struct {
        const char *field;
        double value, low, high;
    } range[] = {
        { "eta", p->eta, 0.0, most },
        { "eps", p->eps, 0.0, 1.0 },
        { "dampening", p->dampening, 0.0, t->cfg.form == MSCOPE_FORM_TORCH && !t->cfg.nesterov ? 1.0 : 0.0 },
        { "weight_decay", p->weight_decay, 0.0, reads ? 0.0 : most },
        { "decoupled_decay", p->decoupled_decay, 0.0, reads ? 1.0 : most },
        { "eta * decoupled_decay", reads ? 0.0 : p->eta * p->decoupled_decay, 0.0, 1.0 },
        { "batch", p->batch, 1e-300, most },
    };

    for (size_t i = 0; i < sizeof range / sizeof *range; i++)
        if (!(range[i].value >= range[i].low && range[i].value <= range[i].high))
            return mscope_refuse(t, MSCOPE_EINVAL, range[i].field, 0, range[i].value, range[i].low, range[i].high);
    return MSCOPE_OK;
}

int mscope_table_step_begin(mscope_table *t, const mscope_step *step)
{
    int err = mscope_refuse_open(t, "begin inside a step");

    if (err == 0)
        err = check_step(t, step);
    if (err)
        return err;
    /* other bits of the same numbers only cost the work once more */
    // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c)
    if (t->idle_of != t->made + 1 || memcmp(&t->step, step, sizeof *step) != 0) {
        t->step = *step;
        t->idle = mscope_step_idle(step, t->cfg.form, t->cfg.nesterov, t->made);
        t->kick = mscope_step_kick(step, t->cfg.form, t->cfg.nesterov, t->made);
        t->ema = mscope_step_ema(step, t->cfg.form);
        t->idle_of = t->made + 1;
    }
    t->open = 1;
    t->applied = 0;
    return MSCOPE_OK;
}

/* Every row is visited once in history/2 steps, and caught up if its clock would fall behind the history before the
 * next visit. Totals are brought to now once in history/2 steps. Where the share of one step is less than a job of
 * rows, the shares of several steps are taken at once: catching up a job costs much less than catching up its rows one
 * by one. */
static void sweep(mscope_table *t)
{
    const uint32_t half = t->schedule.history / 2, share = (t->cfg.rows + half - 1) / half;
    uint32_t every = 1, visits;
    uint32_t old[MSCOPE_JOB_ROWS], n = 0;

    while (2 * every * share <= MSCOPE_JOB_ROWS && every < half / 4)
        every *= 2;
    visits = every * share < t->cfg.rows ? every * share : t->cfg.rows;
    if ((mscope_now(t) & (half - 1)) == 0)
        mscope_accounts_bring(t);
    if ((mscope_now(t) & (every - 1)) != 0)
        return;
    for (uint32_t k = 0; k < visits; k++) {
        mscope_core_row *x = &t->row[t->sweep];

        if (mscope_core_row_age(t, x) > half - every)
            old[n++] = t->sweep;
        if (mscope_core_row_open_gap(t, x) > (uint32_t)1 << 30)
            x->last = mscope_seen(t) - ((uint32_t)1 << 30);
        if (++t->sweep == t->cfg.rows)
            t->sweep = 0;
        if (n == MSCOPE_JOB_ROWS) {
            mscope_catch_up(t, old, 0, n);
            n = 0;
        }
    }
    if (n)
        mscope_catch_up(t, old, 0, n);
}

int mscope_table_step_end(mscope_table *t)
{
    if (!t->open)
        return mscope_refuse(t, MSCOPE_ESTATE, "end outside a step", 0, 0, 1, 1);
    mscope_schedule_push(&t->schedule, &t->idle);
    mscope_accounts_join(t);
    if (t->step.eps < 1.0)
        t->made = 1;
    t->open = 0;
    if (t->schedule.now % MSCOPE_FADE_FOLD == 0)
        mscope_fade_fold(t);
    sweep(t);
    return MSCOPE_OK;
}
