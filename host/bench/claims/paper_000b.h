/* paper_000b.h - functions behind the table of claims of the later revision of paper 000, appendices G and H */
#ifndef MSCOPE_BENCH_CLAIMS_000B_H
#define MSCOPE_BENCH_CLAIMS_000B_H

#include "claim.h"

typedef int mscope_claim_fn(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out);

/* paper_000b_row.c: one row. argument: the coordinate of the test vector, or Hn */
mscope_claim_fn mscope_000b_vector, mscope_000b_twice, mscope_000b_at_most_twice, mscope_000b_critical,
    mscope_000b_helpless, mscope_000b_threshold, mscope_000b_cramer_rao;
/* paper_000b_vocab.c: rows of different frequency under one (eta, beta). argument: the batch, in units of B_x where it
 * is not large, or beta */
mscope_claim_fn mscope_000b_sgd_steps, mscope_000b_own_rates, mscope_000b_large_sgd, mscope_000b_large_momentum,
    mscope_000b_fixed_beta, mscope_000b_samples;
/* paper_000b_lr.c: G.15. argument: 0 the sum, 1 lambda_0, 2 the frequencies, 3 the shifts */
mscope_claim_fn mscope_000b_window;

#endif
