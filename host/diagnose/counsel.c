/* counsel.c - what there is to say about a table: conflict, advice and occupancy of its bands */
#include "counsel.h"
#include "reads.h"

#include <stdio.h>
#include <string.h>

static void occupancy(mscope_counsel *c)
{
    const mscope_measured *m = &c->measured;
    enum mscope_regime regime[MSCOPE_SEARCH_BANDS];
    double rows[MSCOPE_SEARCH_BANDS];

    for (size_t i = 0; i < m->bands; i++) {
        const double P = m->band[i].P;
        mscope_row row = { .P = P, .Q = 1 - P, .h1 = m->h1[i], .excess = m->excess[i], .eps = m->now.eps,
                           .beta = 1 - m->now.eps, .eta = m->now.eta };
        mscope_feedback f;
        regime[i] = mscope_row_feedback(&row, &f) == MSCOPE_OK ? f.regime : MSCOPE_REGIME_UNSTABLE;
        rows[i] = m->band[i].rows;
    }
    mscope_occupancy(regime, m->updates, rows, m->bands, c->activity, c->rows);
}

/* Near instability there is something to say without curvature of the bands. */
static void lower_all_the_same(mscope_measured *m, const mscope_margin *margin)
{
    const size_t at = strlen(m->why);

    if (margin != NULL && !margin->doubted &&
        (margin->standing == MSCOPE_STANDING_NEAR || margin->standing == MSCOPE_STANDING_UNSTABLE))
        snprintf(m->why + at, sizeof m->why - at, "; but lower eta: %.60s", margin->why);
}

int mscope_counsel_of(const mscope_rec_band *const *rec, size_t n, const mscope_measured_options *o, double fraction,
                      mscope_counsel *out)
{
    mscope_measured *m = &out->measured;

    memset(out, 0, sizeof *out);
    out->fraction = fraction;
    if (n > 0 && mscope_reads_band(rec[0])) {
        out->stays = 1;
        snprintf(m->why, sizeof m->why, "each coordinate has a step size of its own, by its second moment, and the "
                 "maps behind an advice know one for a row");
        lower_all_the_same(m, o->margin);
        return 0;
    }
    if (!mscope_measured_take(rec, n, o, m)) {
        lower_all_the_same(m, o->margin);
        return 0;
    }
    if (mscope_conflict_of(m->band, m->bands, m->activity, m->now, &out->conflict) != MSCOPE_OK ||
        mscope_advise(&m->model, m->now, fraction, &out->advice) != MSCOPE_OK ||
        mscope_price_of(m, o->margin, fraction, &out->price) != MSCOPE_OK) {
        snprintf(m->why, sizeof m->why, "the records are outside the theory's range");
        return 0;
    }
    if (m->band[0].groups == 1) {
        mscope_advise_doubt(&m->uneven, &out->advice, out->uneven);
        out->doubted = 1;
    }
    occupancy(out);
    mscope_bounds_of(m, &out->bounds);
    mscope_stage_of(m, o->margin, &out->stage);
    out->possible = 1;
    return 1;
}
