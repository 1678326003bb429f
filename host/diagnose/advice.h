/* advice.h - settings that reach a target in fewer steps than the present one, found and priced by the exact maps
 *
 * The steps of a plan come from exact propagation of all bands. A plan keeps every band at H = eta/eta_max <= 0.8, and
 * is offered only when the model says that it beats the present setting. An eta for each band without momentum comes
 * before a beta for each band: it is as good or better. "delta = 1 in every band" is no candidate: it is 2 to 50 times
 * slower. The two-thirds rule and critical damping are priced for reference and never offered. */
#ifndef MSCOPE_ADVICE_H
#define MSCOPE_ADVICE_H

#include "search.h"

enum mscope_plan_kind {               /* simpler plans first: of two within 3 % the simpler is advised */
    MSCOPE_PLAN_NOW,
    MSCOPE_PLAN_BETA,                 /* the same eta, another beta      */
    MSCOPE_PLAN_ETA,                  /* another eta, the same beta      */
    MSCOPE_PLAN_SINGLE,               /* one eta and one beta, both new  */
    MSCOPE_PLAN_ETA_EACH,             /* an eta a band, no momentum      */
    MSCOPE_PLAN_ETA_EACH_MOMENTUM,    /* an eta a band, one beta         */
    MSCOPE_PLAN_BETA_EACH,            /* a beta a band, one eta          */
    MSCOPE_PLANS
};

typedef struct mscope_plan {
    double steps;                     /* to the target; INFINITY: not faster than now, or never */
    double H;                         /* largest eta/eta_max over the bands                            */
    mscope_setting setting[MSCOPE_SEARCH_BANDS];
} mscope_plan;

typedef struct mscope_advice {
    size_t bands;
    double risk, target;              /* now, and the risk to reach                                     */
    mscope_plan plan[MSCOPE_PLANS];
    enum mscope_plan_kind best;       /* MSCOPE_PLAN_NOW: nothing better is known                        */
    double gain;                      /* steps now / steps then; INFINITY when now never gets there      */
} mscope_advice;

/* mscope_plan_name - "now", "beta alone", .. */
const char *mscope_plan_name(enum mscope_plan_kind kind);

/* mscope_advise - search all plans
 *
 * Shape    fraction: target/risk, (0, 1)
 * Errors   MSCOPE_EINVAL
 * Cost     20 isotropic bands: about 0.3 s; eight groups a band: half a minute                           */
MSCOPE_MUST_CHECK int mscope_advise(const mscope_model *m, mscope_setting now, double fraction, mscope_advice *out);

/* mscope_advise_doubt - keep only advice that is also better under another model of the same measurements
 *
 * Prices every plan under other, and chooses again among the plans that win under both.
 *
 * Shape    steps: MSCOPE_PLANS numbers, steps of each plan under other                                    */
void mscope_advise_doubt(const mscope_model *other, mscope_advice *a, double *steps);

typedef struct mscope_batch_plan {
    double factor;                    /* batch then / batch now                      */
    double steps, samples;            /* samples in units of the present batch       */
    mscope_setting setting;           /* best eta and beta at that batch             */
} mscope_batch_plan;

enum { MSCOPE_BATCH_PLANS = 9 };      /* 1/16 .. 16 */

/* mscope_advise_batch - best single setting at other batches: gradient noise goes with 1/B, for a loss that is a mean
 *
 * Returns  the index of the largest batch whose samples are within a tenth of the fewest; -1: none reaches the target
 */
int mscope_advise_batch(const mscope_model *m, double target, mscope_batch_plan out[MSCOPE_BATCH_PLANS]);

/* Well-known rules, priced with the same maps. */
typedef struct mscope_rules {
    double two_thirds_eps, two_thirds_steps;    /* 1 - beta = eta_heavy^(2/3), C = 1, heavy-ball eta kept */
    double critical_steps;                      /* eps_i = min(1, 4 eta h1_i) at the present eta          */
    mscope_setting critical[MSCOPE_SEARCH_BANDS];
} mscope_rules;

void mscope_advise_rules(const mscope_model *m, mscope_setting now, double target, mscope_rules *out);

#endif
