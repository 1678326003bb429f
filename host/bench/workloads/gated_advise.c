/* gated_advise.c - rates for each band of gated rows by the host's search over the exact maps */
#include <math.h>

#include "diagnose/search.h"
#include "gated.h"

int mscope_gated_advise(void *self, const mscope_bench_rates *now, int beta_each, double fraction,
                        mscope_bench_rates *band)
{
    const mscope_gated *g = self;
    mscope_model model = { .bands = 0 };
    mscope_setting best[MSCOPE_SEARCH_BANDS];
    double risk = 0;
    if (!g->isotropic)
        return -1;
    for (size_t b = 0; b < g->table.bands; b++) {
        const uint32_t lo = g->table.first[b], hi = g->table.first[b + 1];
        double p = 0, weight = 0;
        for (uint32_t j = lo; j < hi; j++) {
            p += g->p[j] / (hi - lo);
            weight += g->weight[j];
        }
        const mscope_ls ls = { .d = g->dim, .p = p, .batch = g->batch, .eps = now->eps, .noise = g->noise };
        const double h = 1, mult = g->dim;
        mscope_risk_band x;
        if (mscope_risk_block(&ls, 1, &h, &mult, hi - lo, 0, &x) < 0)
            return -1;
        x.weight = weight / p;
        x.R0[0] = g->start[b];
        risk += x.weight * x.h1[0] * x.R0[0];
        if (mscope_model_add(&model, &x, 1) < 0)
            return -1;
    }
    const mscope_search s = { .model = &model, .target = fraction * risk, .limit = 1e7, .H_max = 0.8 };
    const double steps = beta_each ? mscope_search_beta_each(&s, now->eta, best)
                                   : mscope_search_eta_each(&s, now->eps, best);
    if (!isfinite(steps))
        return -1;
    for (size_t b = 0; b < g->table.bands; b++)
        band[b] = (mscope_bench_rates){ .eta = best[b].eta, .eps = best[b].eps, .gain = best[b].eps };
    return 0;
}
