/* schedules.h - the schedules: rates of step t, and the source of each formula
 *
 * T is the length of the run, u = t/T. Momentum rules are in the EMA form m <- (1-eps) m + eps g, theta <- theta -
 * eta m, unless they say otherwise; heavy-ball (torch) learning rates are eta_hb = eta eps.
 *
 *   sgd            eps = 1
 *   constant       eta, eps
 *   nesterov       the same with the look-ahead of torch.optim.SGD(nesterov=True), in EMA form
 *   warmup         eta min(1, (t+1)/(warmup T))          checked (a); warmup = 0.05 is ours, 0 there
 *   cosine         warm-up, then eta (1 + cos pi v)/2, v the share passed of the time after the warm-up. (a) runs its
 *                  cosine over the whole of T beside the warm-up: the same for warmup = 0, else a convention
 *   step           eta 0.5^floor(8 u)                     checked (a)
 *   inv-t          eta/(1 + 20 u)                          checked (a)
 *   wsd            warm-up, eta until wsd_from T, then linearly to 0       checked (a), wsd_from = 0.8 too
 *   wsd-sqrt       the same with 1 - sqrt of the share                     checked (a)
 *   two-thirds     eps = min(1, C eta_hb^(2/3)): "flatter, faster" (2210.16400), heavy ball pi <- beta pi - grad,
 *                  w <- w + eta_hb pi. In our eta = eta_hb/eps that is eps = min(1, C^3 eta^2). C = 0.17 is the paper's
 *                  value for its toy matrix model, a fit; elsewhere it is to be fitted again.
 *   dim-adapted    eps = min(1, c/d), d the workload's. The shape is SDAHB's (2106.03696) as 2605.28961
 *                  section 5 states it, "1 - c/d for a constant c"; no source gives c: c = 1 is a convention
 *   dana-constant, dana-decaying
 *                  dimension-adapted Nesterov acceleration (2505.16098), checked with the authors' code
 *                  (mlexpos/adana, jax/dana_plrf.py):
 *                    y <- (1 - D) y + g;   theta <- theta - g2 g - g3 y,     D(t) = delta/(delta + t)
 *                    g2 = (eta/2) min(1, B/trace),  delta = 4 + 2 (alpha + zeta)/(2 alpha)
 *                    constant: g3 = g2/(2 d);  decaying: g3 = (g2/2) (1+t)^(-1/(2 alpha))     (eta: their LRscalar)
 *                  there for one dense power-law spectrum; alpha is our dana_alpha, since gmm and xor
 *                  have an alpha of their own. dana_alpha = 1, zeta = 0.5, trace = 1 are ours: set them by the
 *                  workload
 *   per-band-eta, per-band-eps
 *                  an eta (eps) for each band, constant in time: the one with the fewest steps to the target by
 *                  the exact maps of the workload
 *   adam           m and v with beta1 = 1 - eps and beta2 = 1 - eps2, both freed of their start at 0 by
 *                  1/(1 - beta^t), t from 1:  theta <- theta - eta m^/(sqrt v^ + 1e-8)       torch.optim.Adam
 *   adam-cosine    the same under the eta of cosine
 *   adana          (2602.05298), checked with the authors' code (mlexpos/adana, src/optim/adana.py, clipsnr None):
 *                  one a = delta/(delta + t), t from 1, for m and v;
 *                  theta <- theta - eta (g + (1 + (1+t)^(1-kappa)) m)/(sqrt v + 1e-8). The paper's README has
 *                  (1+t)^(1-kappa) without the 1: we follow the code
 *   dana-star      the same source, src/optim/dana_star.py: also a running mean of |g|/(|g| + sqrt v), which tells how
 *                  active a coordinate is; workloads/squares.h has the update. delta = 8 and clipsnr = 1 are the code's
 *                  defaults; kappa = 0.85 is the README's, 1 there. Neither has weight decay here
 *   recorded       the rates that the recording was trained with, decay included, eta times a factor (workload
 *                  `recording` only)
 *
 * (a): bigram_model/bigram_momentum.py of the authors of 2605.28961 (mlexpos/sparse-sgd), function schedule_factors.
 * co = 1 is its "co" mode: 1 - beta falls with the decay of eta (not with the warm-up), beta at most 0.999.
 * adam to dana-star run only where the workload keeps their means (workload.h, keeps_squares): the core keeps none, and
 * the theory here is of linear momentum.
 * Frozen, catch-up, dense and row clock are not rules but what any rule does to silent rows: enum
 * mscope_bench_semantics. */
#ifndef MSCOPE_BENCH_SCHEDULES_H
#define MSCOPE_BENCH_SCHEDULES_H

#include "workload.h"

enum mscope_bench_rule_param {
    MSCOPE_RULE_ETA, MSCOPE_RULE_EPS, MSCOPE_RULE_WARMUP, MSCOPE_RULE_WSD_FROM, MSCOPE_RULE_C23, MSCOPE_RULE_C_DIM,
    MSCOPE_RULE_TRACE, MSCOPE_RULE_DANA_ALPHA, MSCOPE_RULE_ZETA, MSCOPE_RULE_TIMES,
    MSCOPE_RULE_CO, MSCOPE_RULE_EPS2, MSCOPE_RULE_DELTA, MSCOPE_RULE_KAPPA, MSCOPE_RULE_CLIPSNR, MSCOPE_RULE_PARAMS
};

extern const mscope_bench_param mscope_bench_rule_params[];    /* closed by a NULL name */

typedef struct mscope_bench_schedule mscope_bench_schedule;

typedef struct mscope_bench_rule {
    const char *name, *help;
    const char *source;               /* where formula and constants are from, and what is a convention   */
    unsigned reads;                   /* bit i: reads parameter i                               */
    int per_band;                     /* 0 no; 1 eta of each band, 2 eps of each band           */
    int rates_constant;               /* 1: the same at every t                                  */
    void (*rates)(const mscope_bench_schedule *s, double t, mscope_bench_rates *out);
    int squares;                      /* 1: divides by a running mean of g^2                     */
} mscope_bench_rule;

struct mscope_bench_schedule {
    const mscope_bench_rule *rule;
    double param[MSCOPE_RULE_PARAMS];
    double steps;                     /* T                                                      */
    double dim, batch;                /* the workload's, 1 where it has none                    */
    const mscope_bench_origin *from;  /* for the rule `recorded`                                */
    const void *origin;
};

extern const mscope_bench_rule mscope_bench_rules[];           /* closed by a NULL name */
const mscope_bench_rule *mscope_bench_rule_find(const char *name);

/* mscope_bench_rates_at - the rates of step t, t from 0 */
void mscope_bench_rates_at(const mscope_bench_schedule *s, double t, mscope_bench_rates *out);

#endif
