/* probe.c - curvature along the momentum, averaged over the rows of a band
 *
 * Each probed row is one sample of h1 = <m,Hm>/|m|^2 and h2 = |Hm|^2/|m|^2. A band keeps mean and variance of its
 * samples: equal weights for the first 4096, exponential forgetting after that, so that it follows curvature that
 * drifts. */
#include "table.h"

#define MEMORY 4096.0

static void note(double x, double n, double *mean, double *var)
{
    double d = x - *mean;

    *mean += d / n;
    *var += (d * (x - *mean) - *var) / n;
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
    uint32_t groups;
    int taken = 0, err;

    if ((err = mscope_refuse_open(t, "probe inside a step")) || (err = mscope_check_rows(t, rows, n)) ||
        (err = mscope_check_entries(t, "probe", hm, n)))
        return err;
    groups = mscope_coalesce(t, rows, n);
    mscope_catch_up(t, t->scratch.row, 0, groups);
    for (uint32_t k = 0; k < groups; k++) {
        uint32_t row = t->scratch.row[k];
        mscope_curvature *c;
        double v, mh, hh;

        mscope_coalesce_sum(t, t->scratch.unique[k], hm, t->chunk->sum, t->chunk->summed);
        products(t, row, t->chunk->summed, &v, &mh, &hh);
        if (v <= 0.0)
            continue;
        c = &t->band[t->row[row].total].curvature;
        c->samples = c->samples < MEMORY ? c->samples + 1.0 : MEMORY;
        note(mh / v, c->samples, &c->h1, &c->h1_var);
        note(hh / v, c->samples, &c->h2, &c->h2_var);
        taken++;
    }
    return taken;
}
