/* probe.c - curvature along the momentum, averaged over the rows of a band
 *
 * Each probed row is one sample of h1 = <m,Hm>/|m|^2 and h2 = |Hm|^2/|m|^2; curvature.c says what a band remembers. */
#include "table.h"

typedef struct membership {
    const mscope_table *t;
    unsigned band;
} membership;

static int in_band(const void *ctx, uint32_t row)
{
    const membership *x = ctx;

    return x->t->row[row].total == x->band;
}

/* The first row of a band in this probe: does the band take samples of it? */
static int begin(mscope_table *t, unsigned band)
{
    const membership of = { t, band };
    mscope_probe_memory *p = &t->band[band].probed;

    if (!mscope_probe_begin(p, t->schedule.now, t->step.batch))
        return 0;
    mscope_probe_rows_purge(&p->rows, in_band, &of);
    return 1;
}

static void products(const mscope_table *t, uint32_t row, const void *hm, double *v, double *mh, double *hh)
{
    double lane[3][MSCOPE_LANES] = { { 0 }, { 0 }, { 0 } };
    size_t base = (size_t)row * t->cfg.dim;

    for (size_t i = 0; i < t->cfg.dim; i++) {
        size_t l = i % MSCOPE_LANES;
        double m = t->m_size == 8 ? ((const double *)(const void *)t->m)[base + i]
                                  : (double)((const float *)(const void *)t->m)[base + i];
        double h = t->g_size == 8 ? ((const double *)hm)[i] : (double)((const float *)hm)[i];

        lane[0][l] += m * m;
        lane[1][l] += m * h;
        lane[2][l] += h * h;
    }
    *v = mscope_lanes_fold(lane[0]);
    *mh = mscope_lanes_fold(lane[1]);
    *hh = mscope_lanes_fold(lane[2]);
}

int mscope_table_probe(mscope_table *t, const uint32_t *rows, const void *hm, size_t n)
{
    uint64_t met = 0, open = 0;              /* bit b: band b has rows in this probe; it takes them */
    uint32_t groups;
    int taken = 0, err;

    if ((err = mscope_refuse_open(t, "probe inside a step")) || (err = mscope_check_rows(t, rows, n)) ||
        (err = mscope_check_entries(t, "probe", hm, n)))
        return err;
    groups = mscope_coalesce(t, rows, n);
    mscope_catch_up(t, t->scratch.row, 0, groups);
    for (uint32_t k = 0; k < groups; k++) {
        uint32_t row = t->scratch.row[k];
        unsigned band = t->row[row].total;
        double v, mh, hh;

        mscope_coalesce_sum(t, t->scratch.unique[k], hm, t->chunk->sum, t->chunk->summed);
        products(t, row, t->chunk->summed, &v, &mh, &hh);
        if (v <= 0.0)
            continue;
        if (!(met >> band & 1) && begin(t, band))
            open |= (uint64_t)1 << band;
        met |= (uint64_t)1 << band;
        if (!(open >> band & 1))
            continue;
        mscope_probe_take(&t->band[band].probed, row, mh / v, hh / v);
        taken++;
    }
    return taken;
}
