/* paper_003.h - functions behind the table of claims of paper 003 (arXiv 2206.04030) */
#ifndef MSCOPE_BENCH_CLAIMS_003_H
#define MSCOPE_BENCH_CLAIMS_003_H

#include "claim.h"

typedef int mscope_003_fn(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out);

mscope_003_fn mscope_003_pca_drift, mscope_003_pca_critical, mscope_003_pca_fixed_point, mscope_003_pca_variance,
    mscope_003_pca_radius, mscope_003_pca_tensor;                        /* paper_003_pca.c */
mscope_003_fn mscope_003_mixture, mscope_003_mixture_grown, mscope_003_mixture_level; /* paper_003_mix.c */
mscope_003_fn mscope_003_flow;                          /* paper_003_flow.c; argument: 1 pca, 2 gmm, 3 xor */
mscope_003_fn mscope_003_ring_later, mscope_003_ring_noise,
    mscope_003_ring_rank;                               /* paper_003_ring.c; argument: clusters */

#endif
