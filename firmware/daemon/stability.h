/* stability.h - from products along one direction over all that a trainer moves to H = eta/eta_max
 *
 * Let v, |v| = 1, be drawn from the covariance S that is about to grow. Then for any problem (firmware/README.md has
 * the derivation)
 *
 *     H = eta/eta_max = eta n/2 + eta eps k/(2 (1 + beta)),   n = tr N(S)/l,   k = c/l
 *     l = <v, H v>,  c = |H v|^2,  N the noise of one batch: E |(H_b - H) v|^2
 *
 * The trainer multiplies two directions in turn: `power` turns towards the sharpest eigenvector, `tangent` turns like
 * an error at its limit. Each message brings l, c and the noise of its batch. Here means over the last probes are
 * kept for each direction, with errors by the delta method that allow for the correlation of neighbours. H is the
 * larger of the two. Noise is kept for a batch of one sample, so that eta, eps and batch enter when H is read: a
 * change of them rescales H at once. Pure functions, no allocation; one thread. */
#ifndef MSCOPE_DAEMON_STABILITY_H
#define MSCOPE_DAEMON_STABILITY_H

#include "mscope/wire.h"

#define MSCOPE_DIRECTIONS 2          /* enum mscope_along                                        */
#define MSCOPE_RECENT 5u             /* last products, by which a change is noticed              */

typedef struct mscope_means {        /* decaying means of x = (l, c, batch x noise)              */
    uint32_t taken;                  /* products so far, the first ones included                 */
    double mean[3], before[3];       /* before: the last x                                       */
    double cov[3][3], lag[3][3];     /* of x, and of x with the one before                       */
    double weight2;                  /* sum of the squared weights: 1/(independent products)     */
} mscope_means;

typedef struct mscope_stability {
    mscope_means all[MSCOPE_DIRECTIONS];
    double recent[MSCOPE_DIRECTIONS][MSCOPE_RECENT][3];    /* the last x, the newest at the end */
    uint32_t apart[MSCOPE_DIRECTIONS];                     /* products running in which recent and all disagreed */
    uint64_t probes, forgotten;
    double whole[MSCOPE_DIRECTIONS][2];                    /* curvature and noise, with the weights of `all`, ..  */
    double outside[MSCOPE_DIRECTIONS][2];                  /* .. and their parts outside the tables */
    mscope_direction top[MSCOPE_DIRECTIONS];               /* the last message of each             */
    char top_table[MSCOPE_DIRECTIONS][MSCOPE_NAME_MAX + 1];
} mscope_stability;

typedef struct mscope_read_H {
    double H, se;                    /* NaN: not known                                           */
    double curvature, curvature_se, sharpness, noise, part;    /* part: of H, that noise makes   */
    double samples;                  /* behind it                                                */
} mscope_read_H;

/* mscope_stability_take - one message; batch: samples in its step. Returns the weight with which shares take it up */
double mscope_stability_take(mscope_stability *s, const mscope_direction *d, double batch, double eps);

/* mscope_stability_read - H along one direction under this schedule
 *
 * Returns  NULL, or why H is not known: a text for h_source, static                                          */
const char *mscope_stability_read(const mscope_stability *s, enum mscope_along along, double eta, double eps,
                                  double batch, mscope_read_H *out);

#endif
