/* paper_000_ls.c - paper 000, least squares: finite d against the limits, slopes, spectra, stability exponents */
#include "paper_000.h"

#include <math.h>
#include <stdio.h>

#include "mscope/theory.h"

/* ---- Figures 8, 9, 11-21: the main ODE against its limit ------------------------------------------------------- */

static const struct figure {
    int number;
    double kappa, gamma, eta, eps, tau;
    int n_p;                          /* how many p_* the figure sweeps        */
    double p[5];
} figures[] = {
    { 8, 1.2, 1, 1.5, 0.03, 140, 3, { 0.8, 1, 1.2 } },
    { 9, 1.2, 1, 0.2, 1, 20, 5, { 0.6, 0.8, 1, 1.2, 1.4 } },
    { 11, 0.05, 0.8, 0.2, 1, 20, 1, { 1 } },
    { 12, 0.85, 1.15, 0.2, 1, 20, 1, { 1 } },
    { 13, 2.2, 2.6, 0.2, 1, 20, 1, { 1 } },
    { 14, 0.85, 0.325, 0.2, 1, 20, 1, { 1 } },
    { 15, 2.2, 1.5, 0.2, 1, 20, 1, { 1 } },
    { 16, 2.2, 0.4, 0.2, 1, 20, 1, { 1 } },
    { 17, 0.85, 0.65, 0.5, 1, 20, 1, { 1 } },
    { 18, 2.2, 2, 0.5, 1, 20, 1, { 1 } },
    { 19, 1.2, 1.5, 0.2, 1, 20, 1, { 1 } },
    { 20, 1.2, 0.5, 0.2, 1, 20, 1, { 1 } },
    { 21, 0.2, 0.5, 0.2, 1, 20, 1, { 1 } },
};

static const struct figure *figure_of(double number)
{
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        if (figures[i].number == (int)number)
            return &figures[i];
    return NULL;
}

enum { POINTS = 200 };

/* Largest deviation over tau, each of R, V/p^2, C/p as a share of its limit's largest value. Negative: failed. */
static double deviation(const struct figure *f, double p, double d)
{
    const mscope_exponents e = { .kappa = f->kappa, .sigma = 1.2, .gamma = f->gamma };
    const mscope_prefactors pre = { .p = p, .batch = 1, .eps = f->eps, .eta = f->eta };
    double top[3] = { 0 }, off[3] = { 0 }, worst = 0;
    mscope_limit limit;
    mscope_ls ls;
    mscope_row row;
    if (mscope_limit_of(&e, &pre, &limit) < 0 || mscope_coscale(&e, &pre, d, &ls, NULL) < 0 ||
        mscope_row_from_ls(&ls, &row) < 0)
        return -1;
    for (int i = 1; i <= POINTS; i++) {
        const double tau = f->tau * i / POINTS;
        double x[3] = { 1, 0, 0 }, y[3] = { 1, 0, 0 };
        if (mscope_limit_at(&limit, tau, x) < 0 ||
            mscope_row_advance(&row, MSCOPE_CLOCK_ODE, tau * pow(d, limit.atlas.clock), y) < 0)
            return -1;
        const double z[3] = { y[0], y[1] / (ls.p * ls.p), y[2] / ls.p };
        for (int k = 0; k < (limit.dim == 1 ? 1 : 3); k++) {
            top[k] = fmax(top[k], fabs(x[k]));
            off[k] = fmax(off[k], fabs(z[k] - x[k]));
        }
    }
    top[0] = 1;
    for (int k = 0; k < (limit.dim == 1 ? 1 : 3); k++)
        worst = fmax(worst, off[k] / top[k]);
    return worst;
}

static double worst_of(const struct figure *f, double d)
{
    double worst = 0;
    for (int i = 0; i < f->n_p; i++) {
        const double x = deviation(f, f->p[i], d);
        if (x < 0)
            return -1;
        worst = fmax(worst, x);
    }
    return worst;
}

/* Falls with d, and is small at d = 1e4. */
int mscope_000_ls_limit(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    const struct figure *f = figure_of(claim->argument);
    (void)seed;
    if (f == NULL)
        return -1;
    const double a = worst_of(f, 1e2), b = worst_of(f, 1e3), c = worst_of(f, 1e4);
    if (a < 0 || b < 0 || c < 0)
        return -1;
    mscope_claim_judge(claim, c, out);
    if (!(a > b && b > c))
        out->verdict = MSCOPE_CLAIM_FAIL;
    snprintf(out->note, sizeof out->note, "d=1e2: %.3g, 1e3: %.3g, 1e4: %.3g, falls as d^%.2f", a, b, c,
             log(c / b) / log(10));
    return 0;
}

/* ---- Figure 7: slopes on the dense/sparse boundary below resonance ------------------------------ */

int mscope_000_boundary_rate(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    double worst = 0, worst_p = 0, ours_at = 0, law_at = 0;
    (void)seed;
    for (double p = 0.6; p < 1.5; p += 0.2) {
        const mscope_exponents e = { .kappa = 1.2, .sigma = 1.2, .gamma = 0.6 };
        const mscope_prefactors pre = { .p = p, .batch = 1, .eps = 1, .eta = 0.2 };
        double x[3] = { 1, 0, 0 }, y[3];
        mscope_limit limit;
        mscope_ls ls;
        mscope_row row;
        if (mscope_limit_of(&e, &pre, &limit) < 0 || mscope_coscale(&e, &pre, 1000, &ls, NULL) < 0 ||
            mscope_row_from_ls(&ls, &row) < 0 || mscope_row_advance(&row, MSCOPE_CLOCK_ODE, 2 * 1000, x) < 0)
            return -1;
        y[0] = x[0], y[1] = x[1], y[2] = x[2];
        if (mscope_row_advance(&row, MSCOPE_CLOCK_ODE, 8 * 1000, y) < 0)
            return -1;
        const double slope = log(x[0] / y[0]) / 8, chi = p / -expm1(-p), law = chi * 0.2 * 1.8;
        if (fabs(slope / law - 1) > worst) {
            worst = fabs(slope / law - 1);
            worst_p = p;
            ours_at = slope;
            law_at = law;
        }
    }
    mscope_claim_judge(claim, worst, out);
    snprintf(out->note, sizeof out->note, "worst at p_*=%.1f: slope %.4f, law %.4f, d=1000", worst_p, ours_at, law_at);
    return 0;
}

/* ---- Figure 10: risk after a fixed number of nonzero gradients, best eta ------------------------ */

/* The paper does not say how the budget was counted; the second reading draws its stripe.
 * How many active updates the budget buys: a mean active batch holds p B/P gradients; to leading order max(1, p B). */
enum counting { EXACT, LEADING_ORDER };

/* log10 R of the main ODE after that many nonzero gradients, the best eta on a fine grid below eta_max. */
static double last_risk(double kappa, double gamma, double budget, enum counting counting)
{
    const mscope_exponents e = { .kappa = kappa, .sigma = 1.2, .gamma = gamma };
    const mscope_prefactors pre = { 1, 1, 1, 1 };
    double best = INFINITY, top;
    mscope_ls ls;
    mscope_row row;
    if (mscope_coscale(&e, &pre, 1000, &ls, NULL) < 0 || mscope_row_from_ls(&ls, &row) < 0 ||
        mscope_row_eta_max(&row, &top) < 0)
        return NAN;
    const double open = ls.p * ls.batch, updates = budget / (counting == EXACT ? open / row.P : fmax(1, open));
    for (int i = 1; i <= 160; i++) {
        double x[3] = { 1, 0, 0 };
        row.eta = top * pow(10, -4 + 4 * (i - 0.5) / 160);
        if (mscope_row_advance(&row, MSCOPE_CLOCK_ODE, updates, x) == 0)
            best = fmin(best, log10(x[0]));
    }
    return best;
}

static double best_kappa(double gamma, double budget, enum counting counting)
{
    double best = INFINITY, where = NAN;
    for (int i = 0; i <= 24; i++) {
        const double x = last_risk(0.1 * i, gamma, budget, counting);
        if (x < best - 1e-6) {
            best = x;
            where = 0.1 * i;
        }
    }
    return where;
}

/* Rate of the slowest mode per active update, at the best eta: what a large budget is spent at. */
static double best_rate(double kappa, double gamma, double d)
{
    const mscope_exponents e = { .kappa = kappa, .sigma = 1.2, .gamma = gamma };
    const mscope_prefactors pre = { 1, 1, 1, 1 };
    double best = 0, top, root[3][2];
    enum mscope_spectrum kind;
    mscope_ls ls;
    mscope_row row;
    if (mscope_coscale(&e, &pre, d, &ls, NULL) < 0 || mscope_row_from_ls(&ls, &row) < 0 ||
        mscope_row_eta_max(&row, &top) < 0)
        return NAN;
    for (int i = 1; i <= 400; i++) {
        row.eta = top * pow(10, -6 + 6 * (i - 0.5) / 400);
        if (mscope_row_spectrum(&row, root, &kind) == 0)
            best = fmax(best, -fmax(root[0][0], fmax(root[1][0], root[2][0])));
    }
    return best;
}

/* Exponent in d of the rate at kappa = 2.2 over the rate at kappa = sigma. */
static double advantage(double gamma)
{
    const double d[2] = { 1e3, 1e6 };
    double ratio[2];
    for (int i = 0; i < 2; i++)
        ratio[i] = best_rate(2.2, gamma, d[i]) / best_rate(1.2, gamma, d[i]);
    return log(ratio[1] / ratio[0]) / log(d[1] / d[0]);
}

/* The stripe at sigma comes with leading-order counting: an active update there holds p B/P = 1.58 gradients, not 1.
 * Above resonance no counting has it: by the paper's own table an active update at kappa = sigma needs d^gamma of
 * them, at kappa >= gamma + sigma - 1 only d. So for gamma > 1 the stripe ends at the resonance line, at any budget. */
int mscope_000_heatmap(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    const double budget = 5e3, gamma = claim->argument, theirs = best_kappa(gamma, budget, LEADING_ORDER);
    (void)seed;
    mscope_claim_judge(claim, best_kappa(gamma, budget, EXACT), out);
    if (out->verdict == MSCOPE_CLAIM_FAIL && fabs(theirs - claim->value) < 1e-9) {
        out->verdict = MSCOPE_CLAIM_CORRECTED;
        out->corrected = out->ours;
    }
    if (out->verdict == MSCOPE_CLAIM_FAIL && gamma > 1) {
        const double exponent = advantage(gamma);
        if (fabs(exponent - (gamma - 1)) < 0.05) {
            out->verdict = MSCOPE_CLAIM_CORRECTED;
            out->corrected = out->ours;
        }
        snprintf(out->note, sizeof out->note,
                 "kappa = sigma is above resonance here: it needs d^gamma active updates, kappa = 2.2 only d; ratio "
                 "of best slow rates, d = 1e3 to 1e6: d^%.3f (paper's table: d^%.2g). No stripe, in any counting",
                 exponent, gamma - 1);
        return 0;
    }
    snprintf(out->note, sizeof out->note,
             "budget 5d, log10 R at kappa .6/sigma/2.2: exact count %.2f/%.2f/%.2f; counting max(1,pB) a batch "
             "(our reading of theirs) %.2f/%.2f/%.2f, least at %.1f",
             last_risk(0.6, gamma, budget, EXACT), last_risk(1.2, gamma, budget, EXACT),
             last_risk(2.2, gamma, budget, EXACT), last_risk(0.6, gamma, budget, LEADING_ORDER),
             last_risk(1.2, gamma, budget, LEADING_ORDER), last_risk(2.2, gamma, budget, LEADING_ORDER), theirs);
    return 0;
}

/* ---- Figure 17: the spectrum on resonance ------------------------------------------------------- */

static int report(const mscope_claim *claim, double root[3][2], mscope_claim_result *out)
{
    const int part = (int)claim->argument;      /* 0 slow real, 1 real part, 2 imaginary part of the pair */
    mscope_claim_judge(claim, part == 0 ? root[0][0] : part == 1 ? root[1][0] : fabs(root[1][1]), out);
    return 0;
}

/* Of the main ODE at d = 1e4, in units of rho = eps. */
int mscope_000_spectrum(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    const mscope_exponents e = { .kappa = 0.85, .sigma = 1.2, .gamma = 0.65 };
    const mscope_prefactors pre = { 1, 1, 1, 0.5 };
    double root[3][2];
    enum mscope_spectrum kind;
    mscope_ls ls;
    mscope_row row;
    (void)seed;
    if (mscope_coscale(&e, &pre, 1e4, &ls, NULL) < 0 || mscope_row_from_ls(&ls, &row) < 0 ||
        mscope_row_spectrum(&row, root, &kind) < 0)
        return -1;
    for (int i = 0; i < 6; i++)
        root[i / 2][i % 2] /= ls.eps;
    report(claim, root, out);
    snprintf(out->note, sizeof out->note, "main ODE at d=1e4, per d^gamma");
    return 0;
}

/* Of the limit's cubic; the caption calls the finite-d numbers predicted. */
int mscope_000_cubic(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    static const double exact[] = { -0.57615, -1.21193, 1.06524 };
    const mscope_exponents e = { .kappa = 0.85, .sigma = 1.2, .gamma = 0.65 };
    const mscope_prefactors pre = { 1, 1, 1, 0.5 };
    double root[3][2], c[3];
    enum mscope_spectrum kind;
    mscope_limit limit;
    (void)seed;
    if (mscope_limit_of(&e, &pre, &limit) < 0)
        return -1;
    for (int i = 0; i < 3; i++)
        c[i] = limit.cubic[i];
    if (mscope_cubic_roots(c, root, &kind) < 0)
        return -1;
    report(claim, root, out);
    const double should = exact[(int)claim->argument];
    if (out->verdict == MSCOPE_CLAIM_FAIL && fabs(out->ours - should) < 1e-5) {
        out->verdict = MSCOPE_CLAIM_CORRECTED;
        out->corrected = should;
    }
    snprintf(out->note, sizeof out->note, "cubic (188) at etabar=.5, zeta=1; the caption has the values of d=1e4");
    return 0;
}

/* ---- Table 4: exponents of eta_max -------------------------------------------------------------- */

static const double corners[6][2] = {            /* kappa, gamma in regions A..F at sigma = 1.2 */
    { 0.05, 0.8 }, { 0.7, 0.2 }, { 0.7, 1.0 }, { 2.0, 0.4 }, { 2.0, 1.2 }, { 2.0, 2.4 },
};

int mscope_000_ceiling(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    const int region = (int)claim->argument;
    const mscope_exponents e = { .kappa = corners[region][0], .sigma = 1.2, .gamma = corners[region][1] };
    const mscope_prefactors pre = { 1, 1, 1, 1 };
    const double d[2] = { 1e10, 1e14 }, should = fmin(0.2, e.kappa + e.gamma);
    double top[2];
    (void)seed;
    for (int i = 0; i < 2; i++) {
        mscope_ls ls;
        mscope_row row;
        if (mscope_coscale(&e, &pre, d[i], &ls, NULL) < 0 || mscope_row_from_ls(&ls, &row) < 0 ||
            mscope_row_eta_max(&row, &top[i]) < 0)
            return -1;
    }
    mscope_claim_judge(claim, log(top[1] / top[0]) / log(d[1] / d[0]), out);
    if (out->verdict == MSCOPE_CLAIM_FAIL && fabs(out->ours - should) < 0.005) {
        out->verdict = MSCOPE_CLAIM_CORRECTED;
        out->corrected = should;
    }
    snprintf(out->note, sizeof out->note,
             "region %c, kappa=%.2f gamma=%.2f sigma=1.2; exact eta_max ~ d^min(sigma-1, kappa+gamma)", 'A' + region,
             e.kappa, e.gamma);
    return 0;
}
