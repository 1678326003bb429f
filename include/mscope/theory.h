/* theory.h - exact second-moment theory of minibatch SGD with momentum under sparse gradients
 *
 * One step k of the algorithm, with eps = 1 - beta:                              (10)-(12)
 *
 *   m <- beta m + eps g;   theta <- theta - eta m        EMA form: theta moves by the new m
 *
 * The state is always (R, V, C) = (E|e|^2, E|m|^2, E<e,m>), e = theta - theta*, in that order.
 * Every 3x3 matrix acts on it and is row-major. Numbers in brackets are equation numbers of the
 * paper (arXiv 2605.28961).
 *
 * Units    eta, eps, beta: per global step. P, p: probabilities. Rates and eigenvalues are per active
 *          update, unless the name or the comment says step. R: parameter^2.
 * Owns     every function reads its inputs and writes into memory of the caller; none keeps any
 * Threads  any; there is no global state. But functions marked GSL turn off GSL's error handler,
 *          which is global, while they run, and restore it
 * Errors   0, or MSCOPE_EINVAL with the output untouched; the matching _check function names the
 *          field, its value and its range. Other codes are listed where they occur.
 * Linking  cc -Iinclude mine.c -Lbuild -lmscope_theory -lgsl -lgslcblas -lm; nothing else of momentscope
 *          is needed. GSL is GPL, and so is a program that is passed on with it.                */
#ifndef MSCOPE_THEORY_H
#define MSCOPE_THEORY_H

#include <stddef.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- why an input was refused ----------------------------------------------------------- */

/* The strings are static. value is NaN when a pointer was NULL.                             */
typedef struct mscope_bad {
    const char *field; /* name of the struct member or argument     */
    double value;      /* its value                                 */
    const char *range; /* the allowed range, in words               */
} mscope_bad;

/* ---- a block of coordinates under one gate ---------------------------------------------- */

/* Least squares: x = s z, s ~ Bernoulli(p) gates the whole d-vector, z ~ N(0, I_d).         */
typedef struct mscope_ls {
    double d;     /* coordinates that share the gate, real, >= 1                             */
    double p;     /* probability that one sample opens the gate, (0, 1]                      */
    double batch; /* B, samples a step, real, > 0                                            */
    double eps;   /* 1 - beta, (0, 1]; the primary number                                    */
    double beta;  /* 0: 1 - eps. Give it when eps > 1/2 and its last digits matter           */
    double eta;   /* learning rate, >= 0                                                     */
    double noise; /* variance of the label noise, >= 0                                       */
} mscope_ls;

/* One row as the maps need it, from the model or from a probe. Units: per global step.      */
typedef struct mscope_row {
    double P;      /* probability that a step is active, (0, 1]                               */
    double Q;      /* 1 - P, a field of its own so that neither loses digits                  */
    double h1;     /* P H1, curvature a step: E<g,e> = h1 R; least squares: p                 */
    double excess; /* (s2 - h1^2)/h1 >= 0, s2 = P H2: gradient noise; least squares: (d+2-p)/B */
    double eps, beta, eta;
    double noise2; /* E|label noise in g|^2 a step, >= 0; least squares: p d noise / B        */
} mscope_row;

/* mscope_ls_check - is every field in its range, and is beta + eps = 1?
 *
 * Errors   MSCOPE_EINVAL and *why, if why is not NULL                                       */
MSCOPE_MUST_CHECK int mscope_ls_check(const mscope_ls *ls, mscope_bad *why);

/* mscope_row_check - as mscope_ls_check, for a row                                          */
MSCOPE_MUST_CHECK int mscope_row_check(const mscope_row *row, mscope_bad *why);

/* mscope_row_from_ls - P, Q, h1, excess and noise2 of a least-squares block (29), (50)-(54) */
MSCOPE_MUST_CHECK int mscope_row_from_ls(const mscope_ls *ls, mscope_row *row);

/* mscope_row_from_probe - a row from measured curvature
 *
 * Units    H1 = E[<g,e> | active]/|e|^2 and H2 = E[|g|^2 | active]/|e|^2, label noise taken off
 * Errors   MSCOPE_EINVAL  out of range, or H2 < H1^2                                        */
MSCOPE_MUST_CHECK int mscope_row_from_probe(double P, double H1, double H2, double eps, double eta,
                                            double noise2, mscope_row *row);

/* ---- batch factors and waiting-time sums ------------------------------------------------- */

/* K ~ Geometric(P) on {1, 2, ..}; S_K = beta + .. + beta^K.                                 */
typedef struct mscope_batch {
    double P, Q;                       /* (29)                                               */
    double B1, Bdiag, Bcross, B2;      /* (50)-(54): E[g|e] = B1 e, E[|g|^2|e] = B2|e|^2, active */
    double beta1bar, beta2bar;         /* E[beta^K] (33), E[beta^2K] (34)                    */
    double gap1, gap2;                 /* 1 - beta1bar, 1 - beta2bar, without subtraction    */
    double s_theta, s_g;               /* E[S_K] (37), E[S_{K-1}] (38)                       */
    double s2_theta, s2_g;             /* E[S_K^2] (40), E[S_{K-1}^2] (41)                   */
    double bs_theta, bs_g;             /* E[beta^K S_K] (43), E[beta^K S_{K-1}] (44)         */
    double s_cross;                    /* E[S_K S_{K-1}] (45)                                */
} mscope_batch;

/* mscope_ls_batch - every batch factor of a least-squares block, without cancellation       */
MSCOPE_MUST_CHECK int mscope_ls_batch(const mscope_ls *ls, mscope_batch *out);

/* mscope_catchup - the effect of j empty steps (22): theta <- theta - eta S m, m <- decay m
 *
 *   S = beta (1 - beta^j)/eps,   decay = beta^j
 *
 * Units    idle: whole steps >= 0, as a double                                              */
MSCOPE_MUST_CHECK int mscope_catchup(double eps, double idle, double *S, double *decay);

/* ---- exact maps --------------------------------------------------------------------------- */

/* mscope_row_drift - A, the drift of (R,V,C) per active update (5), (107)-(116)
 *
 * The map from one active update to the next is I + A. Accuracy: 1e-15 of the sum of |terms|
 * of each entry.                                                                            */
MSCOPE_MUST_CHECK int mscope_row_drift(const mscope_row *row, double A[9]);

/* mscope_row_step - G - I, the map of one global step minus the identity                    */
MSCOPE_MUST_CHECK int mscope_row_step(const mscope_row *row, double GmI[9]);

/* mscope_row_parts - the empty step D and the active step S, G = P S + Q D
 *
 * Shape    either may be NULL; both are minus the identity                                   */
MSCOPE_MUST_CHECK int mscope_row_parts(const mscope_row *row, double DmI[9], double SmI[9]);

/* mscope_row_inject - the label noise added to (R,V,C) in a global step, eps^2 noise2 (eta^2,1,-eta)
 *
 * An active update adds 1/P times as much.                                                  */
MSCOPE_MUST_CHECK int mscope_row_inject(const mscope_row *row, double b[3]);

enum mscope_clock {
    MSCOPE_CLOCK_ACTIVE, /* state right after the n-th active update:          (I+A)^n x0     */
    MSCOPE_CLOCK_STEP,   /* state after n global steps, materialised:          G^n x0         */
    MSCOPE_CLOCK_STORED, /* state stored at the last active update, read after n global steps */
    MSCOPE_CLOCK_ODE     /* Poisson clock, n active updates in the mean, real: exp(A n) x0    */
};

/* mscope_row_advance - expectation of (R,V,C) after count ticks of a clock, label noise included
 *
 * Units    count: ticks of the clock, >= 0, whole and at most 2^53 except for the ODE
 * Shape    x: (R,V,C), in place
 * Errors   MSCOPE_ENONFINITE  an unstable state outgrew double precision
 * Cost     O(log count)                                                                     */
MSCOPE_MUST_CHECK int mscope_row_advance(const mscope_row *row, enum mscope_clock clock,
                                         double count, double x[3]);

/* ---- stability and spectrum ---------------------------------------------------------------- */

enum mscope_spectrum {
    MSCOPE_SPECTRUM_UNDECIDED, /* two roots coincide within rounding      */
    MSCOPE_SPECTRUM_REAL3,     /* three real roots                        */
    MSCOPE_SPECTRUM_PAIR       /* one real root and a complex pair        */
};

/* mscope_row_cubic - c1, c2, c3 of det(z I - A) = z^3 + c1 z^2 + c2 z + c3 (158)-(161), closed
 * form. Stable iff all are positive and c1 c2 > c3 (162); c3 is always the first to fail.     */
MSCOPE_MUST_CHECK int mscope_row_cubic(const mscope_row *row, double c[3]);

/* mscope_row_step_cubic - the coefficients of det(z I - (G - I)), per global step           */
MSCOPE_MUST_CHECK int mscope_row_step_cubic(const mscope_row *row, double c[3]);

/* mscope_cubic_roots - roots of z^3 + c1 z^2 + c2 z + c3 whose rightmost root is real
 *
 * Every cubic of this header has this form, because the maps keep second-moment matrices positive.
 *
 * Shape    root[i] = {re, im}, the rightmost first, then the other two, +im before -im
 * Errors   MSCOPE_ENONFINITE  a coefficient is not finite                                   */
MSCOPE_MUST_CHECK int mscope_cubic_roots(const double c[3], double root[3][2],
                                         enum mscope_spectrum *kind);

/* mscope_row_spectrum - eigenvalues of A: mscope_cubic_roots of mscope_row_cubic, but with
 * coefficients that are not rounded to double first                                         */
MSCOPE_MUST_CHECK int mscope_row_spectrum(const mscope_row *row, double root[3][2],
                                          enum mscope_spectrum *kind);

/* mscope_row_eta_max - mean-square stable on (0, eta_max), unstable above; exact
 *
 *   2 (1+beta) / [(1+beta) excess + eps h1]      the same for A, for I + A and for G        */
MSCOPE_MUST_CHECK int mscope_row_eta_max(const mscope_row *row, double *eta_max);

/* mscope_row_rate - decay rate per global step, -ln(spectral radius of G)
 *
 * At most -ln beta, whatever eta. Negative: R grows. eta = 0 gives 0.                       */
MSCOPE_MUST_CHECK int mscope_row_rate(const mscope_row *row, double *rate);

/* The two leading-order scales of eta. They are no limits: above the smaller one R decays no faster. */
typedef struct mscope_scales {
    double noise;       /* B1/B2 (171)                  */
    double correlation; /* rho/B1 (174), rho of (123)   */
} mscope_scales;

MSCOPE_MUST_CHECK int mscope_row_scales(const mscope_row *row, mscope_scales *out);

/* ---- clocks, feedback, stiffness, regime ------------------------------------------------------ */

enum mscope_regime {
    MSCOPE_REGIME_SGD,        /* zeta > 2: momentum decays before the row has learned         */
    MSCOPE_REGIME_RESONANT,   /* 1/2 <= zeta <= 2                                             */
    MSCOPE_REGIME_HEAVY_BALL, /* zeta < 1/2: the mean error oscillates                        */
    MSCOPE_REGIME_NEAR,       /* H > 0.8                                                      */
    MSCOPE_REGIME_UNSTABLE,   /* H > 1                                                        */
    MSCOPE_REGIME_UNKNOWN     /* not told: nothing was measured, or nothing fits              */
};

/* mscope_regime_name - "sgd-like", "resonant", "heavy-ball", "near-instability", "unstable"; else "unknown" */
const char *mscope_regime_name(enum mscope_regime regime);

/* mscope_regime_of - the label from H = eta/eta_max and the damping ratio zeta              */
enum mscope_regime mscope_regime_of(double H, double zeta);

typedef struct mscope_feedback {
    /* feedback: the part of its own error that a step adds again */
    double Hn;      /* eta excess/2, by gradient noise                                        */
    double Hc;      /* eta eps h1/(2(1+beta)), by curvature                                   */
    double H;       /* Hn + Hc = eta/eta_max; stable iff H < 1                                */
    double eta_max;
    double phi;     /* label-noise temperature, eta noise2/(2 h1)                             */
    double R_inf;   /* noise floor of R on the step clock, phi/(1-H); infinite if H >= 1      */
    /* timescales, active updates */
    double rho;       /* exact, eps/(P + Q eps) = 1 - beta1bar                                */
    double rho_proxy; /* eps/(P + eps) (123)                                                  */
    double x;         /* eta H1, progress of one update                                       */
    double retention; /* 1/rho                                                                */
    double learning;  /* 1/x                                                                  */
    double delta;     /* x/rho, with the exact rho                                            */
    double delta_proxy; /* x/rho_proxy, Delta of (6)                                          */
    /* the mean error: map with trace 2 - rho - x rho and determinant 1 - rho */
    double zeta;      /* damping ratio; infinite when nothing is retained (rho = 1)           */
    double omega;     /* frequency, radian per active update; 0: no oscillation               */
    /* per global step */
    double omega2;     /* stiffness eta h1/eps; for small eps oscillation iff > 1/4           */
    double omega_step; /* frequency of the mean error, radian per global step; 0: none        */
    double rate;       /* -ln(spectral radius of G)                                           */
    double rate_cap;   /* -ln beta; infinite for beta = 0                                     */
    enum mscope_regime regime;
} mscope_feedback;

/* mscope_row_feedback - all numbers from which one row is judged                            */
MSCOPE_MUST_CHECK int mscope_row_feedback(const mscope_row *row, mscope_feedback *out);

/* mscope_row_feedback_measured - the same for a row whose gaps were measured instead of assumed independent
 *
 *   fade = E (1 - beta^K),  fade2 = E (1 - beta^K)^2,  K >= 1 the steps from one active update to the next
 *
 * Exact for gaps that are independent of one another, whatever their law: the sums (33)-(45) depend on the law through
 * these two numbers alone. retention = 1/fade. H is eta over the smallest eta at which the map I + A of an active
 * update has the eigenvalue 1; there is no closed form. rate is P times the decay per active update. Hn, Hc and R_inf
 * stay those of independent gaps.
 *
 * Errors   MSCOPE_EINVAL  row as for mscope_row_feedback; fade outside (0, 1], or fade2 outside [fade^2, fade]
 * Cost     about 60 determinants of 3x3                                                      */
MSCOPE_MUST_CHECK int mscope_row_feedback_measured(const mscope_row *row, double fade, double fade2,
                                                   mscope_feedback *out);

/* mscope_row_floor - stationary (R,V,C) under label noise, exact, on a clock
 *
 * The step clock has R = phi/(1-H) and C = -eta V/2.
 * Errors   MSCOPE_ESTATE  not stable: there is no floor                                     */
MSCOPE_MUST_CHECK int mscope_row_floor(const mscope_row *row, enum mscope_clock clock, double x[3]);

/* ---- many rows, one optimizer --------------------------------------------------------------- */

/* Least-squares rows that share d, B, eps, eta and differ in p.                             */
typedef struct mscope_vocab {
    double eta_max;       /* smallest of the rows' stability limits                          */
    double p_binding;     /* the p of that row: p_max iff B > (1+beta)/eps                   */
    double batch_binding; /* (1+beta)/eps: above it the most frequent row sets the limit     */
    double batch_cross;   /* (d+2)/(p_max-p_min): above it curvature is the limit, not noise */
    double kappa;         /* p_max/p_min                                                     */
    double radius_sgd;    /* best noise-free shared spectral radius of R, beta = 0           */
    double radius_momentum; /* lower bound of that radius with momentum                      */
} mscope_vocab;

/* mscope_vocab_summary - limits of one (eta, beta) for rows with p_min <= p <= p_max
 *
 * Shape    ls gives d, batch, eps and beta; its p, eta and noise are not read                */
MSCOPE_MUST_CHECK int mscope_vocab_summary(const mscope_ls *ls, double p_min, double p_max,
                                           mscope_vocab *out);

/* ---- co-scaling: exponents, regimes, limits ---------------------------------------------------- */

/* p = p_ d^-kappa, B = B_ d^sigma, eps = eps_ d^-gamma, eta = eta_ d^-alpha (3)             */
typedef struct mscope_exponents {
    double kappa, sigma, gamma; /* >= 0 */
    double tol;                 /* equalities hold within tol; 0 means 1e-9 */
} mscope_exponents;

typedef struct mscope_prefactors {
    double p, batch, eps, eta; /* > 0 */
} mscope_prefactors;

enum mscope_batch_law { MSCOPE_CONCENTRATED, MSCOPE_NOISE_LINE, MSCOPE_DENSE, MSCOPE_DENSE_SPARSE,
                        MSCOPE_SPARSE };
enum mscope_phase { MSCOPE_ABOVE, MSCOPE_ON, MSCOPE_BELOW };

typedef struct mscope_atlas {
    enum mscope_batch_law batch;
    enum mscope_phase phase;
    const char *batch_name;  /* concentrated, noise_line, dense, dense_sparse, sparse          */
    const char *phase_name;  /* above, on, below the resonance line gamma = 1 - sigma + kappa  */
    char regime[32];         /* batch_phase, or sparse_memoryless, or triple_point             */
    const char *region;      /* A..F of Table 3, "B|C" and "E|F" on the line                   */
    const char *limit;       /* "1D", "2D", "3D" or "none"                                     */
    const char *lr_region;   /* A, C, D, E, F, EF or none, for the logistic model              */
    double alpha;            /* learning-rate exponent                                         */
    double kappa_eff, nu;    /* (119), (124)                                                   */
    double retention_exp, learning_exp; /* 1/rho ~ d^x, tau ~ d^x                              */
    double clock;            /* one unit of limit time is d^clock active updates               */
} mscope_atlas;

MSCOPE_MUST_CHECK int mscope_exponents_check(const mscope_exponents *e, mscope_bad *why);

/* mscope_classify - the regime of a triple of exponents, with every boundary                */
MSCOPE_MUST_CHECK int mscope_classify(const mscope_exponents *e, mscope_atlas *out);

/* mscope_coscale - the finite-d numbers on a co-scaling path; B is real, not rounded
 *
 * Errors   MSCOPE_EINVAL  also if p or eps comes out above 1 (field "p_star", "eps_star")   */
MSCOPE_MUST_CHECK int mscope_coscale(const mscope_exponents *e, const mscope_prefactors *f, double d,
                                     mscope_ls *out, mscope_bad *why);

/* mscope_exponents_of - the inverse: exponents of finite-d numbers, given prefactors
 *
 * Shape    out: kappa, sigma, gamma, alpha. d > 1; beta and noise of ls are not read         */
MSCOPE_MUST_CHECK int mscope_exponents_of(const mscope_ls *ls, const mscope_prefactors *f,
                                          double out[4]);

/* Limit of the balanced state (R, V/p^2, C/p), time in units of d^clock active updates.     */
typedef struct mscope_limit {
    mscope_atlas atlas;
    int dim;          /* 0: no limit; 1: R alone; 2: heavy ball; 3: with multiplicative noise */
    double c_eff;     /* 1D: R' = -c_eff R                                                   */
    double eta_eff;   /* 1D: eta_/B_                                                         */
    double rho, etabar, xi, zeta; /* 2D, 3D (185), (188): zeta = xi/rho                      */
    double M[9];      /* 2D, 3D: matrix of (185)                                             */
    double cubic[3];  /* mu^3 + a1 mu^2 + a2 mu + a3 = 0, mu = eigenvalue/rho (188)          */
    double discriminant;
    double root[3][2];
    enum mscope_spectrum spectrum;
    int oscillates;   /* etabar > 1/4: the mean oscillates                                   */
} mscope_limit;

/* mscope_limit_of - the limit ODE of a regime                                               */
MSCOPE_MUST_CHECK int mscope_limit_of(const mscope_exponents *e, const mscope_prefactors *f,
                                      mscope_limit *out);

/* mscope_limit_at - the balanced state at limit time tau, from x at time 0, in place
 *
 * Shape    1D reads and writes x[0] only
 * Errors   MSCOPE_ENOTSUP  dim = 0                                                          */
MSCOPE_MUST_CHECK int mscope_limit_at(const mscope_limit *limit, double tau, double x[3]);

/* ---- rare-class logistic regression ------------------------------------------------------------ */

/* Class 2 with probability p: x = mu + z, |mu| = r, label 1; else x = z, label 0. The state is
 * (s, u, R, V, C): theta along mu is s + r, u the momentum along mu, the rest is the bulk.
 * Every step is active: time and rates are per global step.                                 */
typedef struct mscope_lr {
    double d;     /* dimension, real, >= 1                 */
    double p;     /* class probability, (0, 1)             */
    double batch; /* B, real, > 0                          */
    double eps, beta, eta; /* as in mscope_ls              */
    double r;     /* class separation, >= 0                */
    double *terms; /* most terms of sums that calls may still compute (some 40 ns each), counted down; a call that
                      needs more returns MSCOPE_EAGAIN. NULL: no limit */
} mscope_lr;

typedef struct mscope_lr_coeffs {
    double b_star;      /* optimal offset (191)                                              */
    double theta_par;   /* s + r                                                             */
    double q;           /* theta_par^2 + R                                                   */
    double A, B, D0, Dtheta; /* script coefficients (194), (195), (198), (199)               */
    double f;           /* A theta_par + B r                                                 */
    double N;           /* bulk gradient noise (217)                                         */
} mscope_lr_coeffs;

enum mscope_lr_law {
    MSCOPE_LR_EXACT,  /* (212)-(217), Gaussian averages by the trapezoid rule                */
    MSCOPE_LR_SPARSE  /* p -> 0, (223)-(228), closed form                                    */
};

MSCOPE_MUST_CHECK int mscope_lr_check(const mscope_lr *lr, mscope_bad *why);

/* mscope_lr_coefficients - A, B, D0, Dtheta, f, N at (s, R); 1e-14 relative while q <= 18
 *
 * Shape    eps, beta and eta of lr are not read; the sparse law has no D0, Dtheta: NaN
 * Cost     exact: some hundred exponentials while q is about 1, at most 3e4                  */
MSCOPE_MUST_CHECK int mscope_lr_coefficients(const mscope_lr *lr, enum mscope_lr_law law, double s,
                                             double R, mscope_lr_coeffs *out);

/* mscope_lr_sparse_kl - alpha (219) and G = alpha - 1 - s r, the limit of KL/p              */
MSCOPE_MUST_CHECK int mscope_lr_sparse_kl(double r, double s, double R, double *alpha, double *G);

/* mscope_lr_kl - population KL divergence from the Bayes rule (203), nats; 1e-12
 *
 * Errors   MSCOPE_ENOTSUP  r, |s + r| or sqrt R above 20
 * Cost     two-dimensional trapezoid rule: 1e5 exponentials while r, |s + r|, sqrt R are about 1,
 *          growing with the fourth power of the larger ones                                 */
MSCOPE_MUST_CHECK int mscope_lr_kl(const mscope_lr *lr, double s, double R, double *kl);

/* mscope_lr_drift - (s,u,R,V,C)' (212)-(217); x + drift(x) is the exact conditional mean of one step */
MSCOPE_MUST_CHECK int mscope_lr_drift(const mscope_lr *lr, enum mscope_lr_law law,
                                      const double x[5], double dx[5]);

/* mscope_lr_iterate - n steps of x <- x + drift(x), in place; n whole, at most 1e7           */
MSCOPE_MUST_CHECK int mscope_lr_iterate(const mscope_lr *lr, enum mscope_lr_law law, double n,
                                        double x[5]);

/* mscope_lr_flow - the ODE x' = drift(x) for time t >= 0, in place, relative tolerance 1e-11  GSL
 *
 * Errors   MSCOPE_ENONFINITE  the solution left the finite numbers; x untouched             */
MSCOPE_MUST_CHECK int mscope_lr_flow(const mscope_lr *lr, enum mscope_lr_law law, double t,
                                     double x[5]);

/* mscope_lr_fixed_point - zero of the drift, u = 0: (s, u, R, V, C)
 *
 *   f(s,R) = 0;  V = eps N/(2-eps+beta eta A),  C = -eta V/2,  R = eta (2-eps) V/(2 eps A)
 *
 * Errors   MSCOPE_ESTATE  no fixed point was found (too large an eta)                       */
MSCOPE_MUST_CHECK int mscope_lr_fixed_point(const mscope_lr *lr, enum mscope_lr_law law,
                                            double x[5]);

/* Noise floor of the limits below (D) and on (E) the resonance line.                        */
typedef struct mscope_lr_floor {
    double alpha, R, s, G; /* (247): 2 log a = r^2 (1/a^2 - 1) + eta_eff/(2a)                 */
    double R_implicit;     /* (235): R = (eta_eff/2) exp(-R/(2(1+r^2)))                       */
    double alpha1, R2, s1; /* small eta_eff (248)                                            */
    double jacobian[4];    /* of (246) at the fixed point over eta_ p_, rows s, R             */
    double rate[2];        /* its eigenvalues, the slow one first                            */
} mscope_lr_floor;

/* mscope_lr_limit_floor - eta_eff = eta_/B_ >= 0, r >= 0                                    */
MSCOPE_MUST_CHECK int mscope_lr_limit_floor(double eta_eff, double r, mscope_lr_floor *out);

/* mscope_lr_limit_drift - limit ODE of a logistic region
 *
 *   A, C, F: (237)-(240), (254), balanced (s, u/p, R, V/p^2, C/p), time t/d^gamma
 *   E:       the same with eps_^2/(p_ B_) in V' (250)
 *   D:       the slow (s, R) (246), time t/d^(1-sigma+kappa); dx[1], dx[3], dx[4] are 0
 *
 * Shape    region: the letters of mscope_atlas.lr_region
 * Errors   MSCOPE_ENOTSUP  no limit in that region                                          */
MSCOPE_MUST_CHECK int mscope_lr_limit_drift(const char *region, const mscope_prefactors *f,
                                            double r, const double x[5], double dx[5]);

/* mscope_lr_limit_flow - the solution of that ODE at limit time tau, in place             GSL */
MSCOPE_MUST_CHECK int mscope_lr_limit_flow(const char *region, const mscope_prefactors *f, double r,
                                           double tau, double x[5]);

#ifdef __cplusplus
}
#endif
#endif
