/* claims_003.c - table of what is reproduced of paper 003, "High-dimensional limit theorems for SGD" (arXiv 2206.04030) */
#include "claims_003.h"

const mscope_claim mscope_claims_003[] = {
    { "003", "Prop. 3.2", "matrix PCA: lambda_c", 1, 0.02, 0, 20, mscope_003_pca_critical },
    { "003", "Prop. 3.3", "matrix PCA: drift at m = 0, lambda = 0.8", -0.8, 0.1, 0.8, 10, mscope_003_pca_drift },
    { "003", "Prop. 3.3", "matrix PCA: drift at m = 0, lambda = 1.2", 0.8, 0.1, 1.2, 10, mscope_003_pca_drift },
    { "003", "Prop. 3.3", "matrix PCA: variance of sqrt(n) m, lambda = 0.5", 2, 0.2, 0.5, 5, mscope_003_pca_variance },
    { "003", "Prop. 3.2", "matrix PCA: |m| at lambda = 1.2", 0.4472136, 0.01, 1.2, 5, mscope_003_pca_fixed_point },
    { "003", "Prop. 3.2", "matrix PCA: |m| at lambda = 2", 1, 0.01, 2, 5, mscope_003_pca_fixed_point },
    { "003", "(3.5)", "matrix PCA: variance of sqrt(n) (r2 - 1)", 0.25, 0.05, 2, 5, mscope_003_pca_radius },
    { "003", "(3.3)", "tensor PCA, Lambda = 0.5: drift over M", -3, 1, 0.5, 2, mscope_003_pca_tensor },
    { NULL, NULL, NULL, 0, 0, 0, 0, NULL },
};
