/* schedules.h - rules for the rates of step t, and where each comes from
 *
 * T is the length of the run, u = t/T. Momentum rules are in the EMA form m <- (1-eps) m + eps g, theta <- theta - eta m,
 * unless they say otherwise; heavy-ball (torch) learning rates are eta_hb = eta eps.
 *
 *   sgd            eps = 1
 *   constant       eta, eps
 *   nesterov       the same with the look-ahead of torch.optim.SGD(nesterov=True), in EMA form
 *   warmup         eta min(1, (t+1)/(warmup T))
 *   cosine         warm-up, then eta (1 + cos pi v)/2, v the share of what is left after the warm-up
 *   step           eta 0.5^floor(8 u)                     bigram protocol of the theory's authors (bigram_momentum.py)
 *   inv-t          eta/(1 + 20 u)                          same
 *   wsd            warm-up, eta until wsd_from T, then linearly to 0
 *   wsd-sqrt       the same with 1 - sqrt of the share      common form of the cooldown; UNVERIFIED against bigram_momentum.py
 *   two-thirds     eps = min(1, C eta_hb^(2/3)): "flatter, faster" (2210.16400), heavy ball pi <- beta pi - grad,
 *                  w <- w + eta_hb pi. In our eta = eta_hb/eps that is eps = min(1, C^3 eta^2). C = 0.17 is the paper's
 *                  value for its toy matrix model; it is to be fitted elsewhere.
 *   dim-adapted    eps = min(1, c/d), d the workload's                          shape of SDAHB (2106.03696), constant UNVERIFIED
 *   dana-constant, dana-decaying                    dimension-adapted Nesterov acceleration (2505.16098), as in the
 *                  authors' code (mlexpos/adana, jax/dana_plrf.py):
 *                    y <- (1 - D) y + g;   theta <- theta - g2 g - g3 y,     D(t) = delta/(delta + t)
 *                    g2 = (eta/2) min(1, B/trace),  delta = 4 + 2 (alpha + zeta)/(2 alpha)
 *                    constant: g3 = g2/(2 d);  decaying: g3 = (g2/2) (1+t)^(-1/(2 alpha))     (eta: their LRscalar)
 *   per-band-eta, per-band-eps                      an eta (eps) for each band, searched by the exact maps of the workload
 *                  so that the steps to the target are fewest; constant in time
 *
 * Left out: ADana (2602.05298) and Dana-Star: they need second moments, which no workload here keeps.
 * Frozen, catch-up, dense and row clock are not rules but what any rule does to silent rows: enum mscope_bench_semantics.  */
#ifndef MSCOPE_BENCH_SCHEDULES_H
#define MSCOPE_BENCH_SCHEDULES_H

#include "workload.h"

enum mscope_bench_rule_param {
    MSCOPE_RULE_ETA, MSCOPE_RULE_EPS, MSCOPE_RULE_WARMUP, MSCOPE_RULE_WSD_FROM, MSCOPE_RULE_C23, MSCOPE_RULE_C_DIM,
    MSCOPE_RULE_TRACE, MSCOPE_RULE_ALPHA, MSCOPE_RULE_ZETA, MSCOPE_RULE_PARAMS
};

extern const mscope_bench_param mscope_bench_rule_params[];    /* closed by a NULL name */

typedef struct mscope_bench_schedule mscope_bench_schedule;

typedef struct mscope_bench_rule {
    const char *name, *help;
    unsigned reads;                   /* bit i: reads parameter i                               */
    int per_band;                     /* 0 no; 1 eta of each band, 2 eps of each band           */
    int rates_constant;               /* 1: the same at every t                                  */
    void (*rates)(const mscope_bench_schedule *s, double t, mscope_bench_rates *out);
} mscope_bench_rule;

struct mscope_bench_schedule {
    const mscope_bench_rule *rule;
    double param[MSCOPE_RULE_PARAMS];
    double steps;                     /* T                                                      */
    double dim, batch;                /* the workload's, 1 where it has none                    */
};

extern const mscope_bench_rule mscope_bench_rules[];           /* closed by a NULL name */
const mscope_bench_rule *mscope_bench_rule_find(const char *name);

/* mscope_bench_rates_at - the rates of step t, t from 0 */
void mscope_bench_rates_at(const mscope_bench_schedule *s, double t, mscope_bench_rates *out);

#endif
