/* gated.h - rows of least squares behind Bernoulli gates: the model of sparse-ls and vocab-ls
 *
 * In every sample, row j is open with probability p_j, independently of the others; then x ~ N(0, diag h) and the
 * gradient is x (<x, e> + noise). The gradients of a step's N ~ Binomial(B, p_j) samples are summed and divided by B.
 * In law: with w = sqrt(h) e, the N pairs (a, xi) of <x,e> = |w| a and noise enter by sum c^2 and sum a c alone, c =
 * |w| a + xi: one chi-square and one normal; the part across w is Gaussian with variance sum c^2. Literally: every x
 * is drawn. */
#ifndef MSCOPE_BENCH_GATED_H
#define MSCOPE_BENCH_GATED_H

#include "rows.h"

typedef struct mscope_gated {
    uint32_t rows, dim;
    double batch, noise;             /* variance of the label noise                              */
    double *p;                       /* of each row, descending                                  */
    double *weight;                  /* of each row in the risk                                   */
    double *h, *root_h;              /* spectrum, mean 1                                          */
    int literal, isotropic;
    gsl_rng *rng;
    mscope_bench_rows table;         /* theta is the error: the target is 0, the start is drawn   */
    double *grad, *work;
    uint32_t *open;
    double start[MSCOPE_BENCH_BANDS]; /* mean |e|^2 of a row at the start                          */
} mscope_gated;

typedef struct mscope_gated_shape {
    uint32_t rows, dim;
    double batch, noise, spectrum;   /* h_j ~ j^-spectrum, mean 1                                 */
    int literal, octaves;            /* octaves: bands by -log2 p; otherwise one band              */
    int uniform;                     /* the risk counts rows alike instead of by p                 */
    double initial;                  /* |e|^2 of each row at the start                            */
} mscope_gated_shape;

/* mscope_gated_open - p: rows values, descending, copied
 * Returns  0 or negative; close also after a failure                                             */
int mscope_gated_open(mscope_gated *g, const mscope_gated_shape *s, const double *p, uint64_t seed);
void mscope_gated_close(mscope_gated *g);

/* The verbs of a workload; self is a mscope_gated. Theory: isotropic rows, exact, each row by its own p. */
int mscope_gated_step(void *self, const mscope_bench_step *step);
void mscope_gated_summary(void *self, mscope_bench_summary *out);
int mscope_gated_theory(void *self, const mscope_bench_rates *rates, double t, mscope_bench_summary *out);
int mscope_gated_advise(void *self, const mscope_bench_rates *now, int beta_each, double fraction,
                        mscope_bench_rates *band);
void mscope_gated_fini(void *self);

extern const char *const mscope_gated_stats[];

#endif
