/* paper_000.h - functions behind the table of claims of paper 000 (arXiv 2605.28961) */
#ifndef MSCOPE_BENCH_CLAIMS_000_H
#define MSCOPE_BENCH_CLAIMS_000_H

#include "claim.h"

typedef int mscope_claim_fn(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out);

/* paper_000_ls.c: least squares, by exact maps. argument: the figure's number, or the row of Table 4 */
mscope_claim_fn mscope_000_ls_limit, mscope_000_boundary_rate, mscope_000_heatmap, mscope_000_spectrum,
    mscope_000_cubic, mscope_000_ceiling;
/* paper_000_lr.c: logistic, by exact drifts. argument: the figure's number, or what of the floor */
mscope_claim_fn mscope_000_lr_limit, mscope_000_lr_trend, mscope_000_lr_floor, mscope_000_lr_above;
/* paper_000_mc.c: by sampling, and the vocabulary */
mscope_claim_fn mscope_000_monte_carlo, mscope_000_stable, mscope_000_lr_sampled, mscope_000_conflict,
    mscope_000_conflict_cost;

#endif
