/* verdicts_sim.h - one activity band of isotropic least squares, simulated exactly in law at O(d) an update
 *
 * Rows are independent. A row's gate is open in a share P of the steps, independently from step to step or, with
 * bursts, as a two-state Markov chain that stays open for `burst` steps on average. In a step with an open gate a row
 * occurs N ~ Binomial(B, p) times given N > 0, and receives the mean over the batch of x (<x, e> - xi), x ~ N(0,
 * I_d), xi ~ N(0, noise). For any N the gradient, and the batch matrix applied to a second vector (the probe's),
 * depend on few Gaussian numbers: the Gram matrix of the projections of x on the plane of both vectors and of xi
 * (Wishart with N degrees), and normals across the plane. */
#ifndef MSCOPE_BENCH_VERDICTS_SIM_H
#define MSCOPE_BENCH_VERDICTS_SIM_H

#include <stddef.h>
#include <stdint.h>

#include <gsl/gsl_rng.h>

#include "mscope/theory.h"

#define MSCOPE_SIM_ROWS 16

typedef struct mscope_sim_band {     /* what was drawn, and what is true of it                          */
    mscope_ls ls;
    mscope_feedback truth;
    unsigned band;                   /* that p belongs to                                               */
    uint64_t steps;                  /* global steps of the whole run                                   */
    double updates;                  /* active updates a row, expected                                  */
    double burst;                    /* mean length of a run of active steps; 0: independent steps      */
} mscope_sim_band;

/* How a band's H = eta/eta_max is drawn. */
enum mscope_sim_draw {
    MSCOPE_SIM_BALANCED,             /* the regimes equally often: H log-uniform .02 .. .8, or uniform .8 .. .99 */
    MSCOPE_SIM_NATURAL               /* H log-uniform .02 .. .99, whatever regime follows               */
};

/* mscope_sim_draw_band - the number-th random band of a run; burst: mean length of its bursts, 0: none
 *
 * The truth of a bursty band is that of its gaps' law (mscope_row_feedback_measured, which tests/test_renewal.c
 * compares with the exact map of the gate). P is drawn small enough for such bursts to be longer than chance makes
 * them. */
void mscope_sim_draw_band(gsl_rng *rng, enum mscope_sim_draw how, unsigned number, double burst,
                          mscope_sim_band *out);

typedef struct mscope_sim mscope_sim;

/* mscope_sim_open - a band's rows, |e|^2 near 1, momentum 0; NULL: no memory.  mscope_sim_close frees it */
mscope_sim *mscope_sim_open(const mscope_sim_band *band, gsl_rng *rng);
void mscope_sim_close(mscope_sim *s);

/* mscope_sim_step - one global step
 *
 * Shape    probe: for each row, 1 wants H_b m of its next active step, cleared when given; rows, counts, g, hm: room
 *          for all 16 rows; counts: occurrences in the batch; g[n][d], hm[n_probed][d], probed: rows of hm
 * Returns  n, active rows                                                                                   */
size_t mscope_sim_step(mscope_sim *s, unsigned char probe[MSCOPE_SIM_ROWS], int64_t rows[MSCOPE_SIM_ROWS],
                       uint32_t counts[MSCOPE_SIM_ROWS], double *g, int64_t probed[MSCOPE_SIM_ROWS], double *hm,
                       size_t *n_probed);

#endif
