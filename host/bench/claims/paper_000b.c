/* paper_000b.c - the numbers of appendices G and H in the later revision of arXiv 2605.28961
 *
 * Statements as in the authors' formal proofs (mlexpos/sparse-sgd, lean/RESULTS.md); theirs holds for whole batches
 * with B - 1 <= B_x, B_x = (d+2)/(p_max - p_min). Hn is eta excess/2, omega^2 is eta h1/eps. The claims of H.10 are
 * limits of small eta h1; host/diagnose/bounds.h tells what holds beyond them. */
#include <math.h>

#include "paper_000b.h"

const mscope_claim mscope_claims_000b[] = {
    { "000b", "Test vector", "R after one step, in 1/256", 227, 1e-9, 0, 0.1, mscope_000b_vector },
    { "000b", "Test vector", "eta^2 V after one step, in 1/256", 3, 1e-9, 1, 0.1, mscope_000b_vector },
    { "000b", "Test vector", "eta C after one step, in 1/256", 13, 1e-9, 2, 0.1, mscope_000b_vector },
    { "000b", "G.15", "lambda_0 + 2 mu_1 + 2 mu_2 at the fixed point", -4, 1e-3, 0, 0.1, mscope_000b_window },
    { "000b", "G.15", "lambda_0, relative deviation", 0, 1e-3, 1, 0.1, mscope_000b_window },
    { "000b", "G.15", "frequencies nu_1, nu_2, largest relative deviation", 0, 1e-3, 2, 0.1, mscope_000b_window },
    { "000b", "G.15", "shifts mu_1, mu_2, largest relative deviation", 0, 1e-3, 3, 0.1, mscope_000b_window },
    { "000b", "H.10(i)", "momentum over SGD at Hn -> 0, omega^2 = 1/4", 2, 0.002, 1e-6, 0.1, mscope_000b_twice },
    { "000b", "H.10(i)", "largest ratio at one floor, small eta h1", 2, 0.02, 0, 1, mscope_000b_at_most_twice },
    { "000b", "H.10(ii)", "ratio at critical damping, Hn = 0.01", 1.584963, 2e-5, 0.01, 0.1, mscope_000b_critical },
    { "000b", "H.10(ii)", "ratio at critical damping, Hn = 0.1", 1.190758, 2e-5, 0.1, 0.1, mscope_000b_critical },
    { "000b", "H.10(ii)", "ratio at critical damping, Hn = 0.9", 0.690212, 2e-5, 0.9, 0.1, mscope_000b_critical },
    { "000b", "H.10(iii)", "best ratio at Hn = 0.34", 1, 1e-6, 0.34, 0.1, mscope_000b_helpless },
    { "000b", "H.10(iii)", "best ratio at Hn = 0.8", 1, 1e-6, 0.8, 0.1, mscope_000b_helpless },
    { "000b", "H.10(iii)", "Hn above which no beta helps", 1.0 / 3, 0.003, 0, 0.2, mscope_000b_threshold },
    { "000b", "H.11", "k R_k over noise d/(B p), rates as 1/k, k = 2e5", 1, 0.003, 2e5, 0.1,
      mscope_000b_cramer_rao },
    { "000b", "H.13(v), H.16(i)", "S_SGD over its formula, B = 0.01 B_x", 1, 1e-4, 0.01, 0.1, mscope_000b_sgd_steps },
    { "000b", "H.13(v), H.16(i)", "S_SGD over its formula, B = B_x", 1, 1e-4, 1, 0.1, mscope_000b_sgd_steps },
    { "000b", "H.13(v), H.16(i)", "S_SGD over its formula, B = 2.3 B_x: above 1", NAN, 0, 2.3, 0.1,
      mscope_000b_sgd_steps },
    { "000b", "H.16(i)", "S with one rate over S with a rate for each, B_x", 1, 1e-4, 1, 0.1, mscope_000b_own_rates },
    { "000b", "H.15(i)", "S_SGD over its limit of large B", 1, 0.002, 1e12, 0.1, mscope_000b_large_sgd },
    { "000b", "H.15(i)", "S with momentum over its limit of large B", 1, 0.01, 1e12, 1, mscope_000b_large_momentum },
    { "000b", "H.15(iv), H.16(ii)", "S over 1/ln(1/beta), beta = 0.9, kappa = 100 < kappa_beta", 1, 0.002, 0.9, 0.2,
      mscope_000b_fixed_beta },
    { "000b", "H.15(iv), H.16(ii)", "E_min/S_beta over its lower bound, beta = 0.5: at least 1", NAN, 0, 0.5, 0.2,
      mscope_000b_samples },
    { "000b", "H.15(iv), H.16(ii)", "E_min/S_beta over its lower bound, beta = 0.2: at least 1", NAN, 0, 0.2, 0.2,
      mscope_000b_samples },
    { NULL, NULL, NULL, 0, 0, 0, 0, NULL },
};
