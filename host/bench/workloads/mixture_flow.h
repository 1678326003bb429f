/* mixture_flow.h - ballistic limit of two-layer ReLU networks on Gaussian mixtures (paper 003, Propositions 4.1 and
 * 9.1)
 *
 * X ~ N(centre of one of the clusters, I/lambda), clusters +-mu (gmm: 2), +-mu and +-nu (xor: 4). In time = eta *
 * steps, for N -> infinity at c = eta N fixed, the summary statistics v_i, mu_i = W_i.mu, nu_i = W_i.nu, R_ij =
 * products of the rest:
 *
 *     v_i' = -E[e a_i+] - alpha v_i       mu_i' = -v_i E[e X.mu 1(a_i > 0)] - alpha mu_i     (nu alike)
 *     R_ij' = -v_i E[e X.W_j' 1(a_i > 0)] - (i <-> j) - 2 alpha R_ij + (c/lambda) v_i v_j E[e^2 1(a_i > 0) 1(a_j > 0)]
 *
 * a = WX, e = sigma(v.a+) - y, W' the rest. E over Gaussian points and their negatives (Sobol), of K + 2 dimensions:
 * what is random in a is small as lambda^(-1/2), and so is their error; from lambda = 1000 on 64 pairs, below it 64
 * sqrt(1000/lambda): R is good to 0.1 % at lambda = 20, where 64 pairs alone had 0.4 %. lambda = infinity is
 * Propositions 4.2 and 9.2. */
#ifndef MSCOPE_BENCH_MIXTURE_FLOW_H
#define MSCOPE_BENCH_MIXTURE_FLOW_H

#include <stddef.h>

enum { MSCOPE_MIXTURE_UNITS = 8 };

typedef struct mscope_mixture {
    size_t clusters, units;          /* 2 or 4; 1 to MSCOPE_MIXTURE_UNITS                          */
    double lambda, alpha, c;
} mscope_mixture;

typedef struct mscope_mixture_state {
    double v[MSCOPE_MIXTURE_UNITS], mu[MSCOPE_MIXTURE_UNITS], nu[MSCOPE_MIXTURE_UNITS];
    double R[MSCOPE_MIXTURE_UNITS][MSCOPE_MIXTURE_UNITS];
} mscope_mixture_state;

/* mscope_mixture_flow - moves the state by a time; negative: out of memory
 * Cost    80 time clusters units^2 microseconds or so, from lambda = 1000 on */
int mscope_mixture_flow(const mscope_mixture *m, double time, mscope_mixture_state *s);

#endif
