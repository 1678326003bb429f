/* paper_003.c - table of what is reproduced of paper 003, "High-dimensional limit theorems for SGD" (arXiv 2206.04030)
 */
#include "paper_003.h"

const mscope_claim mscope_claims_003[] = {
    { "003", "Prop. 3.2", "matrix PCA: lambda_c", 1, 0.02, 0, 20, mscope_003_pca_critical },
    { "003", "Prop. 3.3", "matrix PCA: drift at m = 0, lambda = 0.8", -0.8, 0.1, 0.8, 10, mscope_003_pca_drift },
    { "003", "Prop. 3.3", "matrix PCA: drift at m = 0, lambda = 1.2", 0.8, 0.1, 1.2, 10, mscope_003_pca_drift },
    { "003", "Prop. 3.3", "matrix PCA: variance of sqrt(n) m, lambda = 0.5", 2, 0.2, 0.5, 5, mscope_003_pca_variance },
    { "003", "Prop. 3.2", "matrix PCA: |m| at lambda = 1.2", 0.4472136, 0.01, 1.2, 5, mscope_003_pca_fixed_point },
    { "003", "Prop. 3.2", "matrix PCA: |m| at lambda = 2", 1, 0.01, 2, 5, mscope_003_pca_fixed_point },
    { "003", "(3.5)", "matrix PCA: variance of sqrt(n) (r2 - 1)", 0.25, 0.05, 2, 5, mscope_003_pca_radius },
    { "003", "(3.3)", "tensor PCA, Lambda = 0.5: drift over M", -3, 1, 0.5, 2, mscope_003_pca_tensor },
    { "003", "Prop. 3.1", "matrix PCA: runs against the ballistic limit, |z|", 0, 3, 1, 3, mscope_003_flow },
    { "003", "Prop. 4.1", "GMM: runs against the ballistic limit, |z|", 0, 3, 2, 5, mscope_003_flow },
    { "003", "Prop. 9.1", "XOR: runs against the ballistic limit, |z|", 0, 3, 3, 5, mscope_003_flow },
    { "003", "Prop. 4.2", "GMM: sum of v^2 at the stable fixed points", 1.3862944, 0.07, 2, 3, mscope_003_mixture_level },
    { "003", "Figure 7", "GMM: probability of success", 0.5, 0, 2, 60, mscope_003_mixture },
    { "003", "Figure 10", "XOR, K = 4: probability of success", 0.09375, 0, 4, 90, mscope_003_mixture },
    { "003", "Sec. 9.4", "XOR, K = 4: the same by margins at 300 N steps", 0.09375, 0, 4, 110, mscope_003_mixture_grown },
    { "003", "(5.2)", "XOR, K = 6: probability of success", 0.38085938, 0, 6, 120, mscope_003_mixture },
    { "003", "(5.2)", "XOR, K = 6: the same by margins at 300 N steps", 0.38085938, 0, 6, 180, mscope_003_mixture_grown },
    { "003", "Prop. 4.3", "GMM ring: noise across it, variance per time", 0.07687248, 0.0077, 2, 2, mscope_003_ring_noise },
    { "003", "Prop. 4.3", "GMM ring: variance across it at time 5", 1.41915, 0.14, 2, 10, mscope_003_ring_later },
    { "003", "Prop. 4.3", "GMM ring: variance along it over across (rank 1)", 0, 1e-6, 2, 10, mscope_003_ring_rank },
    { "003", "Prop. 5.1", "XOR rings: noise across one, variance per time", 0.01972823, 0.002, 4, 2, mscope_003_ring_noise },
    { "003", "Prop. 5.1", "XOR rings: variance across one at time 10", 0.333735, 0.033, 4, 20, mscope_003_ring_later },
    { "003", "Prop. 5.1", "XOR rings: correlation of the two", -1.0 / 3, 0, 4, 20, mscope_003_ring_rank },
    { NULL, NULL, NULL, 0, 0, 0, 0, NULL },
};
