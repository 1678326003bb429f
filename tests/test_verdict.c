/* test_verdict.c - the label of a band: arithmetic, errors, hysteresis, isotropy, and what stays unknown */
#include "harness.h"

#include "diagnose/curvature.h"
#include "diagnose/verdict.h"

static mscope_rec_band band(double P, double eta, double eps, double H1, double H2)
{
    mscope_rec_band b;

    memset(&b, 0, sizeof b);
    b.P = b.p = P;
    b.eta = eta;
    b.eps = eps;
    b.H1 = H1;
    b.H2 = H2;
    b.H1_se = b.H2_se = 0;
    b.h_samples = 64;
    snprintf(b.h_source, sizeof b.h_source, "probe");
    return b;
}

/* A calm band with one row that is not: the row is named, unless its H may be luck. */
static void test_a_steep_row_is_heard(void **state)
{
    mscope_rec_band b = band(1, 0.1, 0.1, 1, 5);
    mscope_verdict v;

    (void)state;
    b.rows = 16;
    b.steep_row = 17;
    b.steep_H1 = 5;
    b.steep_H2 = 5 * 28;
    b.steep_se = 0.05;
    b.steep_samples = 60;
    mscope_verdict_band(&b, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_NEAR);
    CHECK(strncmp(v.why, "row 17 is ", 10) == 0 && strstr(v.why, "its own H is 1.2") != NULL, "%s", v.why);
    assert_true(v.H < 0.3 && v.confidence > 0.9);        /* H stays that of the band */
    b.steep_se = 0.2;
    mscope_verdict_band(&b, &v);
    assert_true(v.regime != MSCOPE_REGIME_NEAR && v.regime != MSCOPE_REGIME_UNSTABLE);
    b.steep_se = 0.01;
    mscope_verdict_band(&b, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_UNSTABLE);
    b.steep_row = NAN;
    mscope_verdict_band(&b, &v);
    assert_true(v.regime != MSCOPE_REGIME_UNSTABLE);
}

/* P = 1, noise-free: H = eta eps h/(2(1+beta)); with mu = rho (1+x)/2 +- ..., all by hand. */
static void test_verdict_arithmetic(void **state)
{
    mscope_verdict v;
    mscope_rec_band b = band(1, 1, 0.1, 1, 1);

    (void)state;
    mscope_verdict_band(&b, &v);
    assert_true(fabs(v.H - 0.1 / 3.8) < 1e-12);
    /* lambda^2 - (2 - 0.1 - 0.1) lambda + 0.9 = 0: |lambda|^2 = 0.9, cos omega = 0.9/sqrt(0.9) */
    double a = -0.5 * log(0.9), w = acos(0.9 / sqrt(0.9));
    assert_true(fabs(v.omega - w) < 1e-12);
    assert_true(fabs(v.zeta - a / sqrt(a * a + w * w)) < 1e-12);
    assert_int_equal(v.regime, MSCOPE_REGIME_HEAVY_BALL);
    char want[64];
    snprintf(want, sizeof want, "oscillates, period %.3g updates", 2 * 3.14159265358979323846 / w);
    assert_string_equal(v.why, want);
    b.H1_low = 0.25;                         /* rows differ: the period goes as the root of curvature */
    b.H1_high = 4;
    mscope_verdict_band(&b, &v);
    assert_non_null(strstr(v.why, ", of its rows "));
    b.H1_low = b.H1_high = NAN;
    assert_true(fabs(v.confidence - (1 - 0.4 / 64)) < 1e-12);    /* no error given: as sure as 64 samples get */
}

static void test_verdict_labels(void **state)
{
    static const struct { double P, eta, eps, H1, H2; enum mscope_regime regime; } rows[] = {
        { 1, 39, 0.1, 1, 1, MSCOPE_REGIME_UNSTABLE },            /* limit 2 (1.9)/0.1 = 38 */
        { 1, 35, 0.1, 1, 1, MSCOPE_REGIME_NEAR },
        { 1, 1, 0.1, 1, 1, MSCOPE_REGIME_HEAVY_BALL },
        { 1, 0.03, 0.1, 1, 1, MSCOPE_REGIME_RESONANT },
        { 1, 0.001, 0.1, 1, 1, MSCOPE_REGIME_SGD },
        { 0.01, 1.9, 0.1, 1, 1, MSCOPE_REGIME_NEAR },   /* rare rows act at full strength: limit near 2 */
        { 1, 1.6, 0.1, 1, 2, MSCOPE_REGIME_NEAR },   /* gradient noise takes the limit to 3.8/(1.9 + 0.1) = 1.9 */
        { 0.5, 0.1, 0.1, 1, 0.9, MSCOPE_REGIME_RESONANT },       /* H2 < H1^2: two noisy means, taken as no noise */
    };
    mscope_verdict v;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        mscope_rec_band b = band(rows[i].P, rows[i].eta, rows[i].eps, rows[i].H1, rows[i].H2);
        mscope_verdict_band(&b, &v);
        if (v.regime != rows[i].regime)
            printf("# row %zu: %s, H %.3g zeta %.3g\n", i, mscope_regime_name(v.regime), v.H, v.zeta);
        assert_int_equal(v.regime, rows[i].regime);
    }
}

static void test_verdict_unknown_is_a_verdict(void **state)
{
    mscope_verdict v;
    mscope_rec_band b = band(0.5, 1, 0.1, NAN, NAN);

    (void)state;
    snprintf(b.h_source, sizeof b.h_source, "none: no probe");
    mscope_verdict_band(&b, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_UNKNOWN);
    assert_string_equal(v.why, "stability unknown: no probe");
    assert_true(isnan(v.H) && isnan(v.zeta) && v.confidence == 0);
    b = band(0, 1, 0.1, 0.2, 0.1);
    b.rows = 0;                              /* they went to other bands */
    mscope_verdict_band(&b, &v);
    assert_string_equal(v.why, "stability unknown: no row is in this band now");
    b = band(0.5, 1, 0.1, 0.2, NAN);         /* Fisher: damping, and no word on stability */
    snprintf(b.h_source, sizeof b.h_source, "fisher");
    mscope_verdict_band(&b, &v);
    assert_true(isnan(v.H) && !isnan(v.zeta));
    assert_int_equal(v.regime, MSCOPE_REGIME_HEAVY_BALL);
    assert_non_null(strstr(v.why, "stability unknown: no probe"));
    static const double odd[][4] = { { 0, 1, .1, 1 },   { 1, 0, .1, 1 }, { 1, 1, 0, 1 },
                                     { 1, 1, .1, -1 },  { 1, 1, .1, 0 }, { NAN, 1, .1, 1 },
                                     { 1, NAN, .1, 1 }, { 1, 1, 2, 1 },  { 1, 1, .1, INFINITY } };
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        b = band(odd[i][0], odd[i][1], odd[i][2], odd[i][3], 1);
        mscope_verdict_band(&b, &v);
        assert_int_equal(v.regime, MSCOPE_REGIME_UNKNOWN);
        assert_int_equal(strncmp(v.why, "stability unknown: ", 19), 0);
    }
}


/* -- errors -------------------------------------------------------------------------------------------- */

/* A probe of n rows of isotropic Gaussian features, scale h: what the daemon would publish. */
static mscope_rec_band probed(double d, double p, double B, double h, double n, double tilt)
{
    double P = -expm1(B * log1p(-p)), m1 = 0, m2 = 0, q1 = 0, q2 = 0;
    mscope_rec_band b = band(P, 0.01, 0.1, 0, 0);

    for (int k = 0; k < (int)n; k++) {
        double S = 0, across = 0;
        int N = 0;
        while (N == 0)
            for (int i = 0; i < (int)B; i++)
                N += rng_uniform() < p;
        for (int i = 0; i < N; i++)
            S += pow(rng_normal(), 2);
        for (int i = 1; i < (int)d; i++)
            across += pow(rng_normal(), 2);
        double h1 = h * S, h2 = h * h * S * (S + tilt * across);
        m1 += h1 / n, m2 += h2 / n, q1 += h1 * h1 / n, q2 += h2 * h2 / n;
    }
    b.p = p;
    b.batch = B;
    b.d = (uint64_t)d;
    b.H1 = m1, b.H2 = m2;
    b.H1_se = sqrt((q1 - m1 * m1) / n), b.H2_se = sqrt((q2 - m2 * m2) / n);
    b.h_samples = n;
    return b;
}

static void test_curvature_of_isotropic_rows_is_sharpened(void **state)
{
    double raw = 0, fit = 0, claimed = 0;
    const int runs = 400;

    (void)state;
    rng_seed(11);
    for (int i = 0; i < runs; i++) {
        mscope_rec_band b = probed(32, 0.02, 4, 0.25, 16, 1);
        double truth = 0.25 * 4 * 0.02 / b.P;
        mscope_curved c;
        mscope_curved_of(&b, &c);
        raw += pow(log(b.H1 / truth), 2) / runs;
        fit += pow(log(c.H1 / truth), 2) / runs;
        claimed += c.H1_sd * c.H1_sd / runs;
    }
    NOTE("H1 of 16 samples, one occurrence each: error %.2f as measured, %.2f weighed, %.2f claimed", sqrt(raw),
         sqrt(fit), sqrt(claimed));
    CHECK(fit < 0.45 * raw, "raw %g fit %g", raw, fit);
    CHECK(claimed > 0.6 * fit && claimed < 1.6 * fit, "claimed %g of %g", claimed, fit);
}

/* Features with an eighth of the energy across the momentum: H2/H1^2 is far below isotropy. */
static void test_curvature_of_other_rows_is_left_as_measured(void **state)
{
    double moved = 0, most = 0;

    (void)state;
    rng_seed(12);
    for (int i = 0; i < 200; i++) {
        mscope_rec_band b = probed(64, 0.3, 16, 1, 64, 0.05);
        mscope_curved c;
        mscope_curved_of(&b, &c);
        moved = fabs(log(c.H1 / b.H1)) / (b.H1_se / b.H1);
        most = fmax(most, moved);
    }
    NOTE("anisotropic rows: H1 moved by at most %.2g of its standard error", most);
    CHECK(most < 0.01, "%g", most);
}

static void test_verdict_confidence_is_the_errors_carried_through(void **state)
{
    mscope_rec_band b = band(1, 1.5, 0.1, 1, 2);     /* H 0.79 */
    mscope_verdict sure, unsure;

    (void)state;
    mscope_verdict_band(&b, &sure);
    assert_int_equal(sure.regime, MSCOPE_REGIME_HEAVY_BALL);
    b.H1_se = 0.02;                          /* a fifth of a standard error away lies near-instability */
    b.H2_se = 0.1;
    mscope_verdict_band(&b, &unsure);
    assert_true(unsure.confidence < sure.confidence);
    assert_int_equal(unsure.regime, MSCOPE_REGIME_NEAR);     /* more than a quarter likely */
    assert_true(unsure.confidence > 0.3 && unsure.confidence < 0.6);
    b = band(1, 3, 0.1, 1, 20);              /* two samples: H 16 with an error of more than that */
    b.h_samples = 2;
    b.H1_se = 0.5, b.H2_se = 30;
    mscope_verdict_band(&b, &unsure);
    CHECK(unsure.H > 1 && unsure.H_se > unsure.H, "H %g +- %g", unsure.H, unsure.H_se);
    assert_true(unsure.regime != MSCOPE_REGIME_NEAR && unsure.regime != MSCOPE_REGIME_UNSTABLE);
    assert_true(unsure.confidence < 0.5);
    double last = 0;
    for (double n = 2; n < 4096; n *= 2) {   /* zeta 0.62: more samples, more confidence */
        b = band(1, 0.04, 0.1, 1, 1.5);
        b.h_samples = n;
        b.H1_se = 0.7 / sqrt(n), b.H2_se = 1.4 * b.H1_se;
        mscope_verdict_band(&b, &sure);
        CHECK(sure.confidence >= last, "%g samples: %g after %g", n, sure.confidence, last);
        last = sure.confidence;
    }
    assert_true(last > 0.99);
}

/* Unstable is said only when it is 90 % likely. */
static void test_verdict_unstable_needs_evidence(void **state)
{
    mscope_rec_band b = band(1, 1.95, 0.1, 1, 2);    /* H 1.03 */
    mscope_verdict v;

    (void)state;
    b.H1_se = 0.02, b.H2_se = 0.1;
    mscope_verdict_band(&b, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_NEAR);
    assert_non_null(strstr(v.why, "the same within the error"));
    b.H1_se = 0.005, b.H2_se = 0.02;
    mscope_verdict_band(&b, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_UNSTABLE);
}

/* -- hysteresis ------------------------------------------------------------------------------------------ */

/* H of a band may be wrong where its rows do not move alone; its |m|^2 is a witness. */
static void test_verdict_hears_the_record(void **state)
{
    mscope_rec_band b = band(1, 60, 0.1, 1, 1);          /* limit 38 */
    mscope_verdict v;

    (void)state;
    b.retention = 10;
    b.growth = NAN;
    mscope_verdict_band(&b, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_UNSTABLE);
    assert_true(-v.rate * 8 * 10 > 2);
    b.growth = -v.rate;                                  /* as predicted */
    mscope_verdict_band(&b, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_UNSTABLE);
    b.growth = 0;
    mscope_verdict_band(&b, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_HEAVY_BALL);
    assert_true(v.confidence <= 0.5 && v.H > 1);
    assert_non_null(strstr(v.why, "not believed"));
    b.growing = 1;
    mscope_verdict_band(&b, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_UNSTABLE);
    b.retention = 0.01;                                  /* too short a time to have seen it */
    b.growing = 0;
    mscope_verdict_band(&b, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_UNSTABLE);
    b = band(1, 1, 0.1, 1, 1);
    b.growing = 1;
    b.growth = 0.3;
    mscope_verdict_band(&b, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_HEAVY_BALL);
    assert_true(v.confidence <= 0.5);
    assert_non_null(strstr(v.why, "|m|^2 grows, at 0.3 a step"));
    b.H1 = NAN;
    mscope_verdict_band(&b, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_UNKNOWN);
    assert_non_null(strstr(v.why, "|m|^2 grows"));
}

static void test_verdict_sticks_on_a_border(void **state)
{
    mscope_verdict before = { .regime = MSCOPE_REGIME_UNKNOWN }, now, fresh;
    int changes = 0, flips = 0;
    enum mscope_regime last = MSCOPE_REGIME_UNKNOWN;

    (void)state;
    for (int i = 0; i < 200; i++) {          /* zeta wanders 4 % about 1/2 */
        mscope_rec_band b = band(1, 0.1052 * (1 + 0.08 * sin(i)), 0.1, 1, 1);
        mscope_verdict_band(&b, &fresh);
        mscope_verdict_after(&b, NULL, &before, &now);
        changes += i > 0 && now.regime != before.regime;
        flips += i > 0 && fresh.regime != last;
        last = fresh.regime;
        before = now;
    }
    CHECK(flips > 20 && changes <= 1, "%d flips without memory, %d with", flips, changes);
    /* and a real change goes through at once, from any regime */
    static const enum mscope_regime all[] = { MSCOPE_REGIME_SGD,  MSCOPE_REGIME_RESONANT, MSCOPE_REGIME_HEAVY_BALL,
                                              MSCOPE_REGIME_NEAR, MSCOPE_REGIME_UNSTABLE, MSCOPE_REGIME_UNKNOWN };
    static const double eta[] = { 0.001, 0.03, 1, 35, 39 };
    for (size_t k = 0; k < LEN(all); k++)
        for (size_t i = 0; i < LEN(eta); i++) {
            mscope_rec_band b = band(1, eta[i], 0.1, 1, 1);
            before.regime = all[k];
            mscope_verdict_after(&b, NULL, &before, &now);
            assert_int_equal(now.regime, all[i]);
        }
    mscope_rec_band b = band(1, 1, 0.1, NAN, NAN);
    before.regime = MSCOPE_REGIME_HEAVY_BALL;
    mscope_verdict_after(&b, NULL, &before, &before);      /* in place; nothing known is never filled from before */
    assert_int_equal(before.regime, MSCOPE_REGIME_UNKNOWN);
}

/* One sample and no errors, absurd errors: an answer, finite or NaN, never a crash; confidence within [0, 1). */
static void test_verdict_survives_odd_errors(void **state)
{
    static const double odd[] = { NAN, 0, 1e-300, 1, 1e300, INFINITY, -1 };
    mscope_verdict v;

    (void)state;
    for (size_t i = 0; i < LEN(odd); i++)
        for (size_t j = 0; j < LEN(odd); j++)
            for (int n = 0; n < 4; n++) {
                mscope_rec_band b = band(0.3, 1, 0.1, 0.2, 0.3);
                b.p = 0.1, b.batch = 4, b.d = 8;
                b.H1_se = odd[i], b.H2_se = odd[j];
                b.h_samples = n;
                mscope_verdict_band(&b, &v);
                CHECK(v.confidence >= 0 && v.confidence < 1 && v.why[0] != 0, "%g %g %d", odd[i], odd[j], n);
            }
}

/* Without momentum there is nothing to measure along it. */
static void test_momentum_zero_is_plain_sgd(void **state)
{
    mscope_rec_band b = band(0.5, 0.3, 1, NAN, NAN);
    mscope_verdict v;
    (void)state;

    mscope_verdict_band(&b, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_SGD);
    assert_string_equal(v.why, "plain SGD at rate 0.3: momentum is 0");
    b.eps = 0.9;
    mscope_verdict_band(&b, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_steep_row_is_heard),
        cmocka_unit_test(test_verdict_arithmetic),
        cmocka_unit_test(test_verdict_labels),
        cmocka_unit_test(test_verdict_unknown_is_a_verdict),
        cmocka_unit_test(test_curvature_of_isotropic_rows_is_sharpened),
        cmocka_unit_test(test_curvature_of_other_rows_is_left_as_measured),
        cmocka_unit_test(test_verdict_confidence_is_the_errors_carried_through),
        cmocka_unit_test(test_verdict_unstable_needs_evidence),
        cmocka_unit_test(test_verdict_hears_the_record),
        cmocka_unit_test(test_verdict_sticks_on_a_border),
        cmocka_unit_test(test_verdict_survives_odd_errors),
        cmocka_unit_test(test_momentum_zero_is_plain_sgd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
