/* read.c - read a table: its configuration, arrays, bands and single rows */
#include <math.h>
#include <string.h>

#include "table.h"

const char *mscope_table_kernel(const mscope_table *t)
{
    return t->kern->name;
}

uint64_t mscope_table_steps(const mscope_table *t)
{
    return t->schedule.now + t->jumped;
}

const mscope_table_config *mscope_table_cfg(const mscope_table *t)
{
    return &t->cfg;
}

void *mscope_table_theta(mscope_table *t)
{
    return t->theta;
}

void *mscope_table_momentum(mscope_table *t)
{
    return t->m;
}

int mscope_table_band(mscope_table *t, unsigned b, mscope_band *out)
{
    unsigned at = b == MSCOPE_BAND_SILENT ? MSCOPE_SILENT_TOTAL : b + 1;
    mscope_band_state *s;
    mscope_account *a;
    int err = mscope_refuse_open(t, "read inside a step");

    if (err)
        return err;
    if (b >= MSCOPE_BANDS && b != MSCOPE_BAND_SILENT)
        return mscope_refuse(t, MSCOPE_EINVAL, "band", 0, b, 0, MSCOPE_BANDS - 1);
    s = &t->band[at];
    a = &s->live;
    mscope_account_bring(t, a);
    memset(out, 0, sizeof *out);
    out->step = mscope_table_steps(t);
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
    if (!mscope_sums_up(t))
        out->R = out->V = out->C = out->R_err = out->V_err = out->C_err = NAN;
    out->window = s->window;
    out->fade = (mscope_fade){ s->fade.gaps + s->fresh.gaps, s->fade.first + s->fresh.first,
                                 s->fade.second + s->fresh.second, s->fade.theta2 + s->fresh.theta2 };
    out->curvature = mscope_probe_read(&s->probed, t->schedule.now);
    return MSCOPE_OK;
}

void mscope_table_window_reset(mscope_table *t)
{
    for (unsigned b = 0; b < MSCOPE_TOTALS; b++)
        memset(&t->band[b].window, 0, sizeof t->band[b].window);
}

int mscope_table_pulse(mscope_table *t, unsigned b, mscope_pulse *out)
{
    int err = mscope_refuse_open(t, "pulse inside a step");

    if (err)
        return err;
    if (b >= MSCOPE_BANDS)
        return mscope_refuse(t, MSCOPE_EINVAL, "band", 0, b, 0, MSCOPE_BANDS - 1);
    *out = t->band[b + 1].pulse;
    memset(&t->band[b + 1].pulse, 0, sizeof *out);
    return MSCOPE_OK;
}

int mscope_table_row(const mscope_table *t, uint32_t row, mscope_table_row_info *out)
{
    const mscope_core_row *x;
    mscope_rates rates;

    if (row >= t->cfg.rows)
        return MSCOPE_EINDEX;
    x = &t->row[row];
    rates = mscope_activity_rates(&x->rate, x->remembered, (double)mscope_core_row_open_gap(t, x), x->active);
    out->active = x->active;
    out->occurrences = x->occurrences;
    out->last_active = x->active ? mscope_table_steps(t) - mscope_core_row_open_gap(t, x) : 0;
    out->r = x->r;
    out->v = x->v;
    out->c = x->c;
    out->clock = mscope_table_steps(t) - mscope_core_row_age(t, x);
    out->p = rates.p;
    out->P = rates.P;
    out->band = mscope_core_row_band(x);
    return MSCOPE_OK;
}
