/* test_theory.c - what must hold between the parts of the theory, at ordinary and at extreme
 * numbers
 *
 * The vectors (test_theory_vectors, test_predict) say what the values are; here one formula is held
 * against another that shares no step with it.                                                  */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mscope/theory.h"

#define LEN(a) (sizeof(a) / sizeof *(a))
#define OK(call) assert_int_equal(call, MSCOPE_OK)

static uint64_t seed = 20240229;

static double uniform(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 11) * 0x1p-53;
}

static double decades(double lo, double hi)
{
    return pow(10.0, lo + (hi - lo) * uniform());
}

/* |got - want| <= rtol * size, with both values in the report */
static void close_to(const char *what, double got, double want, double rtol, double size)
{
    if (!(fabs(got - want) <= rtol * size))
        fail_msg("%s: got %a (%.17g), want %a (%.17g), size %g, error/size %.3g", what, got, got,
                 want, want, size, fabs(got - want) / size);
}

static double eta_max_of(mscope_row row)
{
    double top;

    OK(mscope_row_eta_max(&row, &top));
    return top;
}

/* d to 1e6, p to 1e-9, B to 1e6, eps to 1e-9; eta as a share of eta_max */
static mscope_row random_row(double share)
{
    mscope_ls ls = { .d = floor(decades(0, 6)),
                     .p = decades(-9, 0),
                     .batch = floor(decades(0, 6)),
                     .eps = decades(-9, 0) };
    mscope_row row;

    OK(mscope_row_from_ls(&ls, &row));
    row.eta = share * eta_max_of(row);
    return row;
}

static void product(const double *a, const double *b, double *out, double *size)
{
    for (int i = 0; i < 9; i++) {
        out[i] = size[i] = 0.0;
        for (int k = 0; k < 3; k++) {
            out[i] += a[i / 3 * 3 + k] * b[k * 3 + i % 3];
            size[i] += fabs(a[i / 3 * 3 + k] * b[k * 3 + i % 3]);
        }
    }
}

/* ---- exact maps -------------------------------------------------------------------------------
 */

static void test_one_step_vector_is_exact(void **state)
{
    /* w = eta eps h1 = 1/4, Hn = 1/8, phi = 1/16, all dyadic: equality means every bit */
    static const double etas[] = { 1.0, 4.0, 0.125 };

    (void)state;
    for (size_t i = 0; i < LEN(etas); i++) {
        double eta = etas[i], x[3] = { 1.0, 0.0, 0.0 };
        mscope_row row = { .P = 0.5,
                           .Q = 0.5,
                           .h1 = 1.0 / eta,
                           .excess = 0.25 / eta,
                           .eps = 0.25,
                           .beta = 0.75,
                           .eta = eta,
                           .noise2 = 0.125 / (eta * eta) };
        OK(mscope_row_advance(&row, MSCOPE_CLOCK_STEP, 1.0, x));
        assert_true(x[0] == 75.0 / 128.0);
        assert_true(eta * eta * x[1] == 11.0 / 128.0);
        assert_true(eta * x[2] == 21.0 / 128.0);
    }
}

/* A (I - Q D) = G - I, with I - Q D = P I - Q (D - I) free of subtraction */
static void test_drift_and_step_share_one_law(void **state)
{
    double worst = 0.0;

    (void)state;
    for (int n = 0; n < 2000; n++) {
        mscope_row row = random_row(1.2 * uniform());
        double A[9], G[9], D[9], out[9], size[9];
        OK(mscope_row_drift(&row, A));
        OK(mscope_row_step(&row, G));
        OK(mscope_row_parts(&row, D, NULL));
        for (int i = 0; i < 9; i++)
            D[i] = -row.Q * D[i] + (i % 4 == 0 ? row.P : 0.0);
        product(A, D, out, size);
        for (int i = 0; i < 9; i++) {
            double s = size[i] + fabs(G[i]);
            close_to("A (I - Q D) against G - I", out[i], G[i], 1e-13, s);
            worst = fmax(worst, fabs(out[i] - G[i]) / s);
        }
    }
    printf("# note A (I - Q D) = G - I to %.2g of its terms, 2000 random rows\n", worst);
}

static void test_step_is_the_mixture_of_its_parts(void **state)
{
    (void)state;
    for (int n = 0; n < 500; n++) {
        mscope_row row = random_row(1.2 * uniform());
        double G[9], D[9], S[9];
        OK(mscope_row_step(&row, G));
        OK(mscope_row_parts(&row, D, S));
        for (int i = 0; i < 9; i++)
            close_to("G = P S + Q D", row.P * S[i] + row.Q * D[i], G[i], 1e-14,
                     fabs(row.P * S[i]) + fabs(row.Q * D[i]));
    }
}

static void test_catchup_is_a_power_of_the_empty_step(void **state)
{
    static const double idle[] = { 0, 1, 2, 3, 17, 1000 }, eps[] = { 1.0, 0.5, 0.1, 1e-3, 1e-9 };

    (void)state;
    for (size_t i = 0; i < LEN(eps); i++)
        for (size_t j = 0; j < LEN(idle); j++) {
            double theta = 1.0, m = 1.0, S, decay;
            OK(mscope_catchup(eps[i], idle[j], &S, &decay));
            for (double k = 0; k < idle[j]; k += 1.0) {
                m *= 1.0 - eps[i];
                theta -= 1e-3 * m;
            }
            close_to("catch-up decay", decay, m, 1e-12, m);
            close_to("catch-up drift", 1.0 - 1e-3 * S, theta, 1e-12, fabs(theta) + 1e-3 * idle[j]);
        }
}

static void test_waiting_sums_match_direct_summation(void **state)
{
    mscope_ls ls = { .d = 5, .p = 0.07, .batch = 3, .eps = 0.2 };
    mscope_batch b;
    double sum[7] = { 0 }, s = 0.0, s_prev = 0.0, decay = 1.0, weight;

    (void)state;
    OK(mscope_ls_batch(&ls, &b));
    weight = b.P;
    for (int k = 1; k < 4000; k++, weight *= b.Q) {
        decay *= 0.8;
        s_prev = s;
        s += decay;
        sum[0] += weight * decay;
        sum[1] += weight * s;
        sum[2] += weight * s_prev;
        sum[3] += weight * s * s;
        sum[4] += weight * s_prev * s_prev;
        sum[5] += weight * decay * s;
        sum[6] += weight * s * s_prev;
    }
    close_to("E beta^K", b.beta1bar, sum[0], 1e-13, 1.0);
    close_to("E S_K", b.s_theta, sum[1], 1e-13, 4.0);
    close_to("E S_K-1", b.s_g, sum[2], 1e-13, 4.0);
    close_to("E S_K^2", b.s2_theta, sum[3], 1e-13, 16.0);
    close_to("E S_K-1^2", b.s2_g, sum[4], 1e-13, 16.0);
    close_to("E beta^K S_K", b.bs_theta, sum[5], 1e-13, 4.0);
    close_to("E S_K S_K-1", b.s_cross, sum[6], 1e-13, 16.0);
    assert_true(b.gap1 + b.beta1bar == 1.0 || fabs(b.gap1 + b.beta1bar - 1.0) < 1e-15);
}

/* ---- clocks -----------------------------------------------------------------------------------
 */

static void test_clocks_are_one_when_every_step_is_active(void **state)
{
    mscope_row row = {
        .P = 1.0, .Q = 0.0, .h1 = 0.4, .excess = 1.5, .eps = 0.2, .eta = 0.7, .noise2 = 0.3
    };

    (void)state;
    for (double n = 0; n < 200; n += 13) {
        double a[3] = { 1, 0, 0 }, b[3] = { 1, 0, 0 }, c[3] = { 1, 0, 0 };
        OK(mscope_row_advance(&row, MSCOPE_CLOCK_ACTIVE, n, a));
        OK(mscope_row_advance(&row, MSCOPE_CLOCK_STEP, n, b));
        OK(mscope_row_advance(&row, MSCOPE_CLOCK_STORED, n, c));
        for (int i = 0; i < 3; i++) {
            close_to("active and step", a[i], b[i], 1e-12, a[0]);
            close_to("active and stored", a[i], c[i], 1e-12, a[0]);
        }
    }
}

static void test_time_adds_up(void **state)
{
    static const enum mscope_clock clocks[] = { MSCOPE_CLOCK_ACTIVE, MSCOPE_CLOCK_STEP,
                                                MSCOPE_CLOCK_ODE };

    (void)state;
    for (int n = 0; n < 300; n++) {
        mscope_row row = random_row(0.9 * uniform());
        double far = floor(decades(0, 7)), near = floor(decades(0, 3));
        row.noise2 = n % 2 ? row.h1 : 0.0;
        for (size_t k = 0; k < LEN(clocks); k++) {
            double a[3] = { 1, 0, 0 }, b[3] = { 1, 0, 0 }, size[3];
            OK(mscope_row_advance(&row, clocks[k], far + near, a));
            OK(mscope_row_advance(&row, clocks[k], near, b));
            OK(mscope_row_advance(&row, clocks[k], far, b));
            size[0] = a[0] + 1e-12;
            size[1] = a[1] + 1e-280;
            size[2] = sqrt(size[0] * size[1]);
            for (int i = 0; i < 3; i++)
                close_to("advance far + near", a[i], b[i], 1e-9, size[i]);
        }
    }
}

static void test_small_counts_are_plain_products(void **state)
{
    (void)state;
    for (int n = 0; n < 200; n++) {
        mscope_row row = random_row(1.1 * uniform());
        double A[9], x[3] = { 1, 0.1 * row.h1 * row.h1, 0 }, y[3], d[3];
        memcpy(y, x, sizeof y);
        OK(mscope_row_drift(&row, A));
        for (int k = 1; k <= 9; k++) {
            for (int i = 0; i < 3; i++)
                d[i] = A[3 * i] * x[0] + A[3 * i + 1] * x[1] + A[3 * i + 2] * x[2];
            for (int i = 0; i < 3; i++)
                x[i] += d[i];
        }
        OK(mscope_row_advance(&row, MSCOPE_CLOCK_ACTIVE, 9.0, y));
        close_to("R after nine updates", y[0], x[0], 1e-12, x[0]);
        close_to("V after nine updates", y[1], x[1], 1e-11, x[1]);
        close_to("C after nine updates", y[2], x[2], 1e-11, sqrt(x[0] * x[1]));
    }
}

static void test_floors_are_stationary_on_their_clock(void **state)
{
    (void)state;
    for (int n = 0; n < 400; n++) {
        mscope_row row = random_row(0.95 * uniform());
        mscope_feedback fb;
        row.noise2 = row.h1 * decades(-3, 3);
        OK(mscope_row_feedback(&row, &fb));
        for (int c = 0; c <= MSCOPE_CLOCK_ODE; c++) {
            double x[3], y[3];
            OK(mscope_row_floor(&row, (enum mscope_clock)c, x));
            memcpy(y, x, sizeof y);
            if (c == MSCOPE_CLOCK_STORED)
                continue; /* its second half lives on another floor, checked below */
            OK(mscope_row_advance(&row, (enum mscope_clock)c, 1.0, y));
            for (int i = 0; i < 3; i++)
                close_to("floor stays", y[i], x[i], 1e-12,
                         i == 0   ? x[0]
                         : i == 1 ? x[1]
                                  : sqrt(x[0] * x[1]));
            if (c == MSCOPE_CLOCK_STEP) {
                close_to("R_inf = phi/(1-H)", x[0], fb.R_inf, 0.0, 1.0);
                close_to("C = -eta V/2", x[2], -0.5 * row.eta * x[1], 1e-15, fabs(x[2]));
            }
        }
    }
}

static void test_every_clock_reaches_its_floor(void **state)
{
    mscope_row row = {
        .P = 0.3, .Q = 0.7, .h1 = 0.1, .excess = 0.8, .eps = 0.15, .eta = 0.6, .noise2 = 0.2
    };

    (void)state;
    for (int c = 0; c <= MSCOPE_CLOCK_ODE; c++) {
        double x[3] = { 1, 0, 0 }, y[3];
        OK(mscope_row_advance(&row, (enum mscope_clock)c, 1e5, x));
        OK(mscope_row_floor(&row, (enum mscope_clock)c, y));
        for (int i = 0; i < 3; i++)
            close_to("after 1e5 ticks", x[i], y[i], 1e-10, fabs(y[i]));
    }
}

/* ---- stability --------------------------------------------------------------------------------
 */

static void test_determinants_agree(void **state)
{
    (void)state;
    for (int n = 0; n < 2000; n++) {
        mscope_row row = random_row(1.5 * uniform());
        double beta = 1.0 - row.eps, a[3], g[3];
        double x1 = row.P + row.Q * row.eps, x2 = row.P + row.Q * row.eps * (1.0 + beta);
        OK(mscope_row_cubic(&row, a));
        OK(mscope_row_step_cubic(&row, g));
        close_to("det(I-G) = det(-A) P x1 x2", a[2] * row.P * x1 * x2, g[2], 1e-13, fabs(g[2]));
    }
}

/* the coefficients against those of the matrix, for numbers whose determinant has digits left */
static void cubic_of(const double *m, double c[3])
{
    c[0] = -(m[0] + m[4] + m[8]);
    c[1] = m[0] * m[4] - m[1] * m[3] + m[0] * m[8] - m[2] * m[6] + m[4] * m[8] - m[5] * m[7];
    c[2] = -(m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) +
             m[2] * (m[3] * m[7] - m[4] * m[6]));
}

static void test_cubics_belong_to_their_matrices(void **state)
{
    (void)state;
    for (int n = 0; n < 500; n++) {
        mscope_ls ls = { .d = floor(decades(0, 2)),
                         .p = 0.05 + 0.9 * uniform(),
                         .batch = floor(decades(0, 2)),
                         .eps = 0.05 + 0.9 * uniform() };
        mscope_row row;
        double m[9], want[3], got[3];
        OK(mscope_row_from_ls(&ls, &row));
        row.eta = 1.5 * uniform() * eta_max_of(row);
        OK(mscope_row_drift(&row, m));
        OK(mscope_row_cubic(&row, got));
        cubic_of(m, want);
        for (int i = 0; i < 3; i++)
            close_to("cubic of A", got[i], want[i], 1e-11, 1.0 + fabs(want[i]));
        OK(mscope_row_step(&row, m));
        OK(mscope_row_step_cubic(&row, got));
        cubic_of(m, want);
        for (int i = 0; i < 3; i++)
            close_to("cubic of G - I", got[i], want[i], 1e-11, 1.0 + fabs(want[i]));
    }
}

static void test_eta_max_is_where_decay_ends(void **state)
{
    (void)state;
    for (int n = 0; n < 2000; n++) {
        mscope_row row = random_row(1.0);
        double top = row.eta, rate, c[3], root[3][2];
        OK(mscope_row_rate(&row, &rate));
        assert_true(rate == 0.0); /* eta is eta_max to the bit: the constant coefficient vanishes */
        row.eta = top * (1.0 - 1e-9);
        OK(mscope_row_rate(&row, &rate));
        assert_true(rate > 0.0);
        OK(mscope_row_cubic(&row, c));
        OK(mscope_cubic_roots(c, root, NULL));
        assert_true(root[0][0] < 0.0 && c[0] > 0.0 && c[1] > 0.0 && c[2] > 0.0 &&
                    c[0] * c[1] > c[2]);
        row.eta = top * (1.0 + 1e-9);
        OK(mscope_row_rate(&row, &rate));
        assert_true(rate < 0.0);
    }
}

static void test_feedback_decides_and_retention_caps(void **state)
{
    (void)state;
    for (int n = 0; n < 4000; n++) {
        mscope_row row = random_row(2.0 * uniform());
        mscope_feedback fb;
        double c[3], root[3][2];
        OK(mscope_row_feedback(&row, &fb));
        OK(mscope_row_cubic(&row, c));
        OK(mscope_cubic_roots(c, root, NULL));
        close_to("Hn + Hc = H", fb.Hn + fb.Hc, fb.H, 1e-14, fb.H);
        assert_true((fb.H < 1.0) == (root[0][0] < 0.0));
        assert_true((fb.H < 1.0) == (fb.rate > 0.0));
        assert_true(fb.rate <= fb.rate_cap * (1.0 + 1e-9));
        assert_true((fb.regime == MSCOPE_REGIME_UNSTABLE) == (fb.H > 1.0));
    }
}

static void test_roots_satisfy_their_cubic(void **state)
{
    (void)state;
    for (int n = 0; n < 2000; n++) {
        mscope_row row = random_row(n % 3 ? uniform() : decades(-14, 0));
        double c[3], r[3][2], sum;
        enum mscope_spectrum kind;
        OK(mscope_row_cubic(&row, c));
        OK(mscope_cubic_roots(c, r, &kind));
        assert_true(r[0][0] >= r[1][0] * (1.0 + 1e-6) && r[1][0] >= r[2][0] && r[1][1] >= 0.0);
        sum = r[0][0] + r[1][0] + r[2][0];
        close_to("sum of roots", sum, -c[0], 1e-14, c[0]);
        close_to("product of roots",
                 r[0][0] *
                     (r[1][1] != 0.0 ? r[1][0] * r[1][0] + r[1][1] * r[1][1] : r[1][0] * r[2][0]),
                 -c[2], 1e-13, fabs(c[2]));
        assert_true((kind == MSCOPE_SPECTRUM_PAIR) == (r[1][1] > 0.0) ||
                    kind == MSCOPE_SPECTRUM_UNDECIDED);
    }
}

/* ---- regimes ----------------------------------------------------------------------------------
 */

/* the multipliers of the mean map by brute force: e' and m' averaged over a geometric gap */
static void test_mean_mode_is_the_mean_map(void **state)
{
    (void)state;
    for (int n = 0; n < 500; n++) {
        mscope_row row = {
            .P = 0.05 + 0.95 * uniform(), .h1 = 0.0, .excess = 1.0, .eps = 0.02 + 0.97 * uniform()
        };
        double x = decades(-3, 0), tr, det, zeta, omega, re, im;
        mscope_feedback fb;
        row.Q = 1.0 - row.P;
        row.h1 = row.P * 0.5;
        row.eta = x / 0.5;
        OK(mscope_row_feedback(&row, &fb));
        tr = 2.0 - fb.rho - fb.x * fb.rho;
        det = 1.0 - fb.rho;
        if (tr * tr >= 4.0 * det) {
            assert_true(fb.omega == 0.0 || tr < 0.0);
            assert_true(fb.zeta >= 1.0 - 1e-9 || tr < 0.0);
            continue;
        }
        re = 0.5 * tr;
        im = 0.5 * sqrt(4.0 * det - tr * tr);
        omega = atan2(im, re);
        zeta = -0.5 * log(det) / hypot(0.5 * log(det), omega);
        close_to("omega of the mean map", fb.omega, omega, 1e-7, omega);
        close_to("zeta of the mean map", fb.zeta, zeta, 1e-7, zeta);
    }
}

static void test_regime_thresholds(void **state)
{
    (void)state;
    assert_int_equal(mscope_regime_of(0.1, 2.1), MSCOPE_REGIME_SGD);
    assert_int_equal(mscope_regime_of(0.1, INFINITY), MSCOPE_REGIME_SGD);
    assert_int_equal(mscope_regime_of(0.1, 2.0), MSCOPE_REGIME_RESONANT);
    assert_int_equal(mscope_regime_of(0.1, 0.5), MSCOPE_REGIME_RESONANT);
    assert_int_equal(mscope_regime_of(0.1, 0.49), MSCOPE_REGIME_HEAVY_BALL);
    assert_int_equal(mscope_regime_of(0.8, 0.1), MSCOPE_REGIME_HEAVY_BALL);
    assert_int_equal(mscope_regime_of(0.81, 0.1), MSCOPE_REGIME_NEAR);
    assert_int_equal(mscope_regime_of(1.01, 9.0), MSCOPE_REGIME_UNSTABLE);
    assert_int_equal(mscope_regime_of(NAN, 9.0), MSCOPE_REGIME_UNSTABLE);
    assert_string_equal(mscope_regime_name(MSCOPE_REGIME_NEAR), "near-instability");
    assert_string_equal(mscope_regime_name((enum mscope_regime)77), "unknown");
}

static void test_probe_and_model_give_one_row(void **state)
{
    (void)state;
    for (int n = 0; n < 300; n++) {
        mscope_ls ls = { .d = floor(decades(0, 4)),
                         .p = decades(-4, 0),
                         .batch = floor(decades(0, 3)),
                         .eps = decades(-4, 0),
                         .eta = 0.01 };
        mscope_batch b;
        mscope_row model, probe;
        OK(mscope_ls_batch(&ls, &b));
        OK(mscope_row_from_ls(&ls, &model));
        OK(mscope_row_from_probe(b.P, b.B1, b.B2, ls.eps, ls.eta, 0.0, &probe));
        close_to("h1", probe.h1, model.h1, 1e-13, model.h1);
        close_to("excess", probe.excess, model.excess, 1e-12, model.excess + model.h1);
    }
}

static void test_vocabulary_is_bound_at_an_end(void **state)
{
    (void)state;
    for (int n = 0; n < 300; n++) {
        mscope_ls ls = { .d = floor(decades(0, 4)),
                         .batch = floor(decades(0, 6)),
                         .eps = decades(-4, 0) };
        double lo = decades(-6, -2), hi = lo * decades(0, 2), least = INFINITY;
        mscope_vocab v;
        mscope_row row;
        OK(mscope_vocab_summary(&ls, lo, hi, &v));
        for (int i = 0; i <= 50; i++) {
            ls.p = lo * pow(hi / lo, i / 50.0);
            OK(mscope_row_from_ls(&ls, &row));
            least = fmin(least, eta_max_of(row));
        }
        close_to("least eta_max", v.eta_max, least, 1e-9, least);
        assert_true(v.radius_momentum <= v.radius_sgd && v.radius_sgd < 1.0);
    }
}

/* ---- limits -----------------------------------------------------------------------------------
 */

static void limit_case(double kappa, double sigma, double gamma, double d, double tau, double tol)
{
    mscope_exponents e = { kappa, sigma, gamma, 0.0 };
    mscope_prefactors f = { 0.7, 1.3, 0.6, 0.4 };
    double x[3] = { 1, 0, 0 }, y[3] = { 1, 0, 0 };
    mscope_limit l;
    mscope_ls ls;
    mscope_row row;

    OK(mscope_limit_of(&e, &f, &l));
    OK(mscope_limit_at(&l, tau, x));
    OK(mscope_coscale(&e, &f, d, &ls, NULL));
    OK(mscope_row_from_ls(&ls, &row));
    OK(mscope_row_advance(&row, MSCOPE_CLOCK_ODE, tau * pow(d, l.atlas.clock), y));
    close_to(l.atlas.regime, y[0], x[0], tol, 1.0);
    if (l.dim == 1)
        return;
    close_to(l.atlas.regime, y[1] / (ls.p * ls.p), x[1], tol, 1.0);
    close_to(l.atlas.regime, y[2] / ls.p, x[2], tol, 1.0);
}

static void test_limits_are_reached_at_large_d(void **state)
{
    static const double e[][3] = {
        { 0.05, 1.2, 0.8 }, { 0.2, 1.2, 0.5 }, { 0.85, 1.2, 1.15 }, { 0.85, 1.2, 0.65 },
        { 0.85, 1.2, 0.3 }, { 1.2, 1.2, 1.5 }, { 1.2, 1.2, 1.0 },   { 1.2, 1.2, 0.5 },
        { 2.2, 1.2, 2.6 },  { 2.2, 1.2, 2.0 }, { 2.2, 1.2, 1.5 },   { 2.2, 1.2, 0.4 },
        { 0.0, 0.0, 1.0 },  { 1.0, 0.0, 2.0 }, { 1.1, 0.3, 2.6 },
    };

    (void)state;
    for (size_t i = 0; i < LEN(e); i++) {
        limit_case(e[i][0], e[i][1], e[i][2], 1e8, 1.5, 5e-3);
        limit_case(e[i][0], e[i][1], e[i][2], 1e12, 1.5, 3e-4);
    }
}

static void test_cubic_of_the_limit(void **state)
{
    (void)state;
    for (int n = 0; n < 300; n++) {
        mscope_exponents e = { 0.85, 1.2, n % 2 ? 0.65 : 1.15, 0.0 };
        mscope_prefactors f = { uniform() + 0.1, uniform() + 0.1, uniform() + 0.1,
                                3.0 * uniform() + 0.01 };
        mscope_limit l;
        double c[3];
        OK(mscope_limit_of(&e, &f, &l));
        cubic_of(l.M, c);
        for (int i = 0; i < 3; i++)
            close_to("cubic of the limit", l.cubic[i] * pow(l.rho, i + 1), c[i], 1e-12,
                     1.0 + fabs(c[i]));
        if (fabs(l.discriminant) > 1e-6)
            assert_int_equal(l.spectrum,
                             l.discriminant < 0.0 ? MSCOPE_SPECTRUM_PAIR : MSCOPE_SPECTRUM_REAL3);
        if (l.dim == 3)
            assert_true((l.root[0][0] < 0.0) == (l.etabar * l.zeta < 2.0));
    }
}

static void test_coscale_and_back(void **state)
{
    mscope_exponents e = { 0.6, 1.1, 0.9, 0.0 };
    mscope_prefactors f = { 0.8, 1.5, 0.3, 0.7 };
    mscope_ls ls;
    mscope_bad bad;
    double x[4];

    (void)state;
    OK(mscope_coscale(&e, &f, 777.0, &ls, NULL));
    OK(mscope_exponents_of(&ls, &f, x));
    close_to("kappa", x[0], 0.6, 1e-13, 1.0);
    close_to("sigma", x[1], 1.1, 1e-13, 1.0);
    close_to("gamma", x[2], 0.9, 1e-13, 1.0);
    close_to("alpha", x[3], 0.3, 1e-13, 1.0);
    f.p = 99.0;
    e.kappa = 0.0;
    assert_int_equal(mscope_coscale(&e, &f, 777.0, &ls, &bad), MSCOPE_EINVAL);
    assert_string_equal(bad.field, "p_star");
}

/* ---- refusals ---------------------------------------------------------------------------------
 */

static void test_refusals_name_the_field_and_leave_the_output(void **state)
{
    static const struct {
        mscope_ls ls;
        const char *field;
    } bad[] = {
        { { .d = 0.5, .p = 0.1, .batch = 1, .eps = 0.1 }, "d" },
        { { .d = NAN, .p = 0.1, .batch = 1, .eps = 0.1 }, "d" },
        { { .d = 1, .p = 0.0, .batch = 1, .eps = 0.1 }, "p" },
        { { .d = 1, .p = 1.1, .batch = 1, .eps = 0.1 }, "p" },
        { { .d = 1, .p = 0.1, .batch = 0, .eps = 0.1 }, "B" },
        { { .d = 1, .p = 0.1, .batch = INFINITY, .eps = 0.1 }, "B" },
        { { .d = 1, .p = 0.1, .batch = 1, .eps = 0.0 }, "eps" },
        { { .d = 1, .p = 0.1, .batch = 1, .eps = 1.1 }, "eps" },
        { { .d = 1, .p = 0.1, .batch = 1, .eps = 0.1, .beta = 0.8 }, "beta" },
        { { .d = 1, .p = 0.1, .batch = 1, .eps = 0.1, .eta = -1 }, "eta" },
        { { .d = 1, .p = 0.1, .batch = 1, .eps = 0.1, .noise = -1 }, "noise" },
    };

    (void)state;
    for (size_t i = 0; i < LEN(bad); i++) {
        mscope_bad why = { NULL, 0.0, NULL };
        mscope_row row = { .P = 42.0 };
        assert_int_equal(mscope_ls_check(&bad[i].ls, &why), MSCOPE_EINVAL);
        assert_string_equal(why.field, bad[i].field);
        assert_non_null(why.range);
        assert_int_equal(mscope_row_from_ls(&bad[i].ls, &row), MSCOPE_EINVAL);
        assert_true(row.P == 42.0);
    }
}

static void test_nothing_is_taken_on_trust(void **state)
{
    mscope_row row = { .P = 0.5, .Q = 0.5, .h1 = 0.2, .excess = 1.0, .eps = 0.1, .eta = 0.1 };
    double x[3] = { 1, 2, 3 }, A[9];

    (void)state;
    assert_int_equal(mscope_row_advance(&row, MSCOPE_CLOCK_STEP, 1.5, x), MSCOPE_EINVAL);
    assert_int_equal(mscope_row_advance(&row, MSCOPE_CLOCK_STEP, -1.0, x), MSCOPE_EINVAL);
    assert_int_equal(mscope_row_advance(&row, MSCOPE_CLOCK_STEP, NAN, x), MSCOPE_EINVAL);
    assert_int_equal(mscope_row_advance(&row, MSCOPE_CLOCK_ODE, INFINITY, x), MSCOPE_EINVAL);
    assert_int_equal(mscope_row_advance(&row, (enum mscope_clock)9, 1.0, x), MSCOPE_EINVAL);
    assert_true(x[0] == 1 && x[1] == 2 && x[2] == 3);
    assert_int_equal(mscope_row_drift(NULL, A), MSCOPE_EINVAL);
    assert_int_equal(mscope_row_drift(&row, NULL), MSCOPE_EINVAL);
    row.eta = 10.0;
    row.noise2 = 1.0;
    assert_int_equal(mscope_row_floor(&row, MSCOPE_CLOCK_STEP, x), MSCOPE_ESTATE);
    row.h1 = 0.0;
    assert_int_equal(mscope_row_drift(&row, A), MSCOPE_EINVAL);
    assert_int_equal(mscope_row_from_probe(0.5, 1.0, 0.5, 0.1, 0.1, 0.0, &row), MSCOPE_EINVAL);
    assert_int_equal(mscope_cubic_roots((double[]){ NAN, 0, 0 }, (double[3][2]){ { 0 } }, NULL),
                     MSCOPE_ENONFINITE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_step_vector_is_exact),
        cmocka_unit_test(test_drift_and_step_share_one_law),
        cmocka_unit_test(test_step_is_the_mixture_of_its_parts),
        cmocka_unit_test(test_catchup_is_a_power_of_the_empty_step),
        cmocka_unit_test(test_waiting_sums_match_direct_summation),
        cmocka_unit_test(test_clocks_are_one_when_every_step_is_active),
        cmocka_unit_test(test_time_adds_up),
        cmocka_unit_test(test_small_counts_are_plain_products),
        cmocka_unit_test(test_floors_are_stationary_on_their_clock),
        cmocka_unit_test(test_every_clock_reaches_its_floor),
        cmocka_unit_test(test_determinants_agree),
        cmocka_unit_test(test_cubics_belong_to_their_matrices),
        cmocka_unit_test(test_eta_max_is_where_decay_ends),
        cmocka_unit_test(test_feedback_decides_and_retention_caps),
        cmocka_unit_test(test_roots_satisfy_their_cubic),
        cmocka_unit_test(test_mean_mode_is_the_mean_map),
        cmocka_unit_test(test_regime_thresholds),
        cmocka_unit_test(test_probe_and_model_give_one_row),
        cmocka_unit_test(test_vocabulary_is_bound_at_an_end),
        cmocka_unit_test(test_limits_are_reached_at_large_d),
        cmocka_unit_test(test_cubic_of_the_limit),
        cmocka_unit_test(test_coscale_and_back),
        cmocka_unit_test(test_refusals_name_the_field_and_leave_the_output),
        cmocka_unit_test(test_nothing_is_taken_on_trust),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
