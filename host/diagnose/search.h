/* search.h - the settings that bring the risk to a target in the fewest steps, by exact propagation
 *
 * Every search keeps all bands at H = eta/eta_max <= H_max. It looks a little past the crossing of the target, so that
 * it does not choose an oscillation that dips under the target and comes back.
 *
 * Returns  steps, INFINITY when nothing within limit was found; the setting is then untouched
 * Cost     isotropic bands: milliseconds; eight groups a band: a thousand times as much                        */
#ifndef MSCOPE_SEARCH_H
#define MSCOPE_SEARCH_H

#include "risk.h"

enum { MSCOPE_SEARCH_BANDS = 32, MSCOPE_SEARCH_PARTS = 96 };

/* The rows of a table: parts that share a setting belong to one band. */
typedef struct mscope_model {
    size_t bands, parts;                              /* 1..32, bands..96      */
    mscope_risk_band part[MSCOPE_SEARCH_PARTS];
    int band_of[MSCOPE_SEARCH_PARTS];
    double steepest[MSCOPE_SEARCH_BANDS]; /* largest curvature a search has to keep stable, over the mean; >= 1 */
} mscope_model;

/* mscope_model_add - one more band, as rows of up to three frequencies when spread is not 0; MSCOPE_ENOMEM beyond 32 */
MSCOPE_MUST_CHECK int mscope_model_add(mscope_model *m, const mscope_risk_band *b, int spread);
/* mscope_model_steps - mscope_risk_steps with a setting for each band */
double mscope_model_steps(const mscope_model *m, const mscope_setting *by_band, double target, double limit);
/* mscope_model_steepest - largest over mean curvature if all of H2 beyond H1^2 is spread, which H1 and H2 allow
 *
 *   1 + 2.3 sqrt(min(excess/h1, 1.4))     within a tenth for spectra j^-a, a <= 1.5; at most 3.7            */
double mscope_model_steepest(const mscope_risk_band *b);
/* mscope_model_eta_max - of one band, or of all for band < 0, with its steepest direction */
double mscope_model_eta_max(const mscope_model *m, int band, double eps);

typedef struct mscope_search {
    const mscope_model *model;
    double target, limit;      /* risk; steps */
    double H_max;              /* 0.8 keeps every band out of near-instability */
} mscope_search;

/* mscope_search_eta, _beta, _single - one setting for every band: eta alone, beta alone, both */
double mscope_search_eta(const mscope_search *s, double eps, mscope_setting *best);
double mscope_search_beta(const mscope_search *s, double eta, mscope_setting *best);
double mscope_search_single(const mscope_search *s, mscope_setting *best);

/* mscope_search_eta_each - an eta for each band under one eps; eps = 1: no momentum
 *
 * Shape    best: one setting a band                                                          */
double mscope_search_eta_each(const mscope_search *s, double eps, mscope_setting *best);

/* mscope_search_beta_each - a beta for each band under one eta */
double mscope_search_beta_each(const mscope_search *s, double eta, mscope_setting *best);

/* mscope_search_eta_momentum, _beta_eta - the same over the shared eps, or the shared eta, too */
double mscope_search_eta_momentum(const mscope_search *s, mscope_setting *best);
double mscope_search_beta_eta(const mscope_search *s, mscope_setting *best);

#endif
