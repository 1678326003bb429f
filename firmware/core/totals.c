/* totals.c - bands read out, and recomputed from their rows when their bounds ask for it */
#include <math.h>
#include <string.h>

#include "core/table.h"

#define CANCELLED 1e-10              /* relative error of a row's closed form that asks for its vectors */
#define IDLE_GAPS 4.0                /* a row is idle after this many of its mean gaps */

static int refuse_open(mscope_table *t, const char *what)
{
    return t->open ? mscope_refuse(t, MSCOPE_ESTATE, what, 0, 1, 0, 0) : MSCOPE_OK;
}

/* Rows that fell silent drift to rarer bands; the step that counts them active brings them back. */
static void migrate(mscope_table *t, uint32_t row, double p)
{
    mscope_row_record *x = &t->row[row];
    unsigned band = mscope_activity_band(p, x->band);

    if (band == x->band)
        return;
    mscope_acf_forget(t, row);
    x->band = (uint8_t)band;
}

static void count_row(mscope_table *t, uint32_t row)
{
    mscope_row_record *x = &t->row[row];
    double open = (double)mscope_row_open_gap(t, x);
    mscope_rates rates = mscope_activity_rates(&x->rate, open, x->active);
    mscope_band_state *s;

    if (x->active)
        migrate(t, row, rates.p);
    s = &t->band[mscope_total_of(x)];
    s->rows++;
    s->updates += x->active;
    s->p += rates.p;
    s->P += rates.P;
    if (x->active && open > IDLE_GAPS * (double)x->rate.gap)
        s->idle++;
}

int mscope_table_resum(mscope_table *t)
{
    int err = refuse_open(t, "resum inside a step");

    if (err)
        return err;
    for (unsigned b = 0; b < MSCOPE_TOTALS; b++) {
        mscope_band_state *s = &t->band[b];

        memset(&s->total, 0, sizeof s->total);
        s->rows = s->idle = 0;
        s->updates = 0;
        s->p = s->P = 0.0;
    }
    for (uint32_t i = 0; i < t->cfg.rows; i++) {
        mscope_row_error e;
        mscope_moments x;
        mscope_map span;

        count_row(t, i);
        if (t->row[i].r == 0.0 && t->row[i].v == 0.0 && !t->decays)
            continue;
        x = mscope_row_moments_now(t, i, &span, &e);
        if (e.r > CANCELLED * x.r || e.v > CANCELLED * x.v)
            x = mscope_row_moments_exact(t, i, &e);
        if (x.r != 0.0 || x.v != 0.0 || x.ss != 0.0)
            mscope_total_add(&t->band[mscope_total_of(&t->row[i])].total, &x, &e);
    }
    for (unsigned b = 0; b < MSCOPE_TOTALS; b++)
        mscope_total_fresh(&t->band[b].total);
    return MSCOPE_OK;
}

int mscope_table_band(mscope_table *t, unsigned b, mscope_band *out)
{
    unsigned at = b == MSCOPE_BAND_SILENT ? MSCOPE_SILENT_TOTAL : b;
    mscope_band_state *s;
    int err = refuse_open(t, "read inside a step");

    if (err)
        return err;
    if (at >= MSCOPE_TOTALS || (b >= MSCOPE_BANDS && b != MSCOPE_BAND_SILENT))
        return mscope_refuse(t, MSCOPE_EINVAL, "band", 0, b, 0, MSCOPE_BANDS - 1);
    s = &t->band[at];
    if (mscope_total_stale(&s->total) && (err = mscope_table_resum(t)) != 0)
        return err;
    memset(out, 0, sizeof *out);
    out->step = t->schedule.now;
    out->updates = s->updates;
    out->rows = s->rows;
    if (s->rows) {
        out->p = s->p / s->rows;
        out->P = s->P / s->rows;
        out->idle_share = (double)s->idle / s->rows;
        out->R = s->total.sum.r;
        out->V = s->total.sum.v;
        out->C = s->total.sum.c;
        out->R_err = s->total.er;
        out->V_err = s->total.ev;
        out->C_err = s->total.ec;
    }
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
    out->band = x->band;
    return MSCOPE_OK;
}
