/* test_margin.c - how near a run is to its limit: standings, bursts, blame, and a record that contradicts them */
#include "harness.h"

#include "diagnose/margin.h"
#include "diagnose/verdict.h"
#include "mscope/theory.h"

static mscope_rec_stability record(double H, double se, double part)
{
    mscope_rec_stability r;

    memset(&r, 0, sizeof r);
    r.H = H;
    r.H_se = se;
    r.noise_part = part;
    r.eta = 2;
    r.eps = 0.1;
    r.curvature = 0.05;
    r.sharpness = 0.05;
    strcpy(r.h_source, "probe");
    return r;
}

/* A band of independent rows that learns slowly: sgd-like by itself. */
static mscope_rec_band band(double curvature, double noise)
{
    mscope_rec_band b;

    memset(&b, 0, sizeof b);
    b.rows = 10;
    b.P = 0.5;
    b.p = 0.1;
    b.batch = 32;
    b.d = 8;
    b.eta = 2;
    b.eps = 0.1;
    b.H1 = 0.002;
    b.H2 = 4e-5;
    b.H1_se = 2e-5;
    b.H2_se = 2e-6;
    b.h_samples = 1000;
    b.retention = 5.5;
    b.learning = 250;
    b.growth = NAN;
    b.curvature_share = curvature;
    b.noise_share = noise;
    return b;
}

static enum mscope_standing standing(double H, double se, double part)
{
    const mscope_rec_stability r = record(H, se, part);
    mscope_margin m;

    mscope_margin_of(&r, NULL, 0, NULL, &m);
    assert_true(m.confidence > 0 && m.confidence < 1);
    assert_true(strstr(m.why, "eta 2") != NULL);
    assert_true(fabs(m.eta_max - 2 / H) < 1e-12 / H);
    return m.standing;
}

static void test_standings_follow_H_and_its_doubts(void **state)
{
    (void)state;
    assert_int_equal(standing(0.5, 0.01, 0.1), MSCOPE_STANDING_STABLE);
    assert_int_equal(standing(0.9, 0.01, 0.1), MSCOPE_STANDING_NEAR);
    assert_int_equal(standing(1.5, 0.01, 0.1), MSCOPE_STANDING_UNSTABLE);
    assert_int_equal(standing(1.2, 0.4, 0.1), MSCOPE_STANDING_NEAR);     /* its error is too large */
    assert_int_equal(standing(1.2, 0.01, 0.9), MSCOPE_STANDING_NEAR);    /* noise decides: the estimate is coarse */
    assert_int_equal(standing(2.0, 0.01, 0.9), MSCOPE_STANDING_UNSTABLE);
}

static void test_stable_keeps_doubts_where_noise_decides(void **state)
{
    mscope_rec_stability r = record(0.4, 0.01, 0.9);
    mscope_margin m;
    (void)state;

    mscope_margin_of(&r, NULL, 0, NULL, &m);
    assert_int_equal(m.standing, MSCOPE_STANDING_STABLE);
    assert_true(m.confidence <= 0.55);
    r.H = 0.2;
    mscope_margin_of(&r, NULL, 0, NULL, &m);
    assert_true(m.confidence > 0.95);
    r = record(0.4, 0.01, 0.1);
    mscope_margin_of(&r, NULL, 0, NULL, &m);
    assert_true(m.confidence > 0.9);
}

static void test_unknown_says_why(void **state)
{
    mscope_rec_stability r = record(NAN, NAN, NAN);
    mscope_margin m;
    (void)state;

    strcpy(r.h_source, "none: fewer than 20 products");
    mscope_margin_of(&r, NULL, 0, NULL, &m);
    assert_int_equal(m.standing, MSCOPE_STANDING_UNKNOWN);
    assert_true(isnan(m.H) && m.confidence == 0);
    assert_string_equal(m.why, "stability unknown: fewer than 20 products");
    r = record(23, 43, 0.99);                /* an error larger than H: not "unstable with 96 %" */
    mscope_margin_of(&r, NULL, 0, NULL, &m);
    assert_int_equal(m.standing, MSCOPE_STANDING_UNKNOWN);
    assert_true(strstr(m.why, "H is 23 with a standard error of 43") != NULL);
}

/* A border is left only clearly: H .62 with noise begins as stable and stays near. */
static void test_hysteresis(void **state)
{
    const mscope_rec_stability near = record(0.9, 0.01, 0.9), less = record(0.53, 0.01, 0.9);
    mscope_margin m, alone;
    (void)state;

    mscope_margin_of(&less, NULL, 0, NULL, &alone);
    assert_int_equal(alone.standing, MSCOPE_STANDING_STABLE);
    mscope_margin_of(&near, NULL, 0, NULL, &m);
    mscope_margin_of(&less, NULL, 0, &m, &m);
    assert_int_equal(m.standing, MSCOPE_STANDING_NEAR);
}

static void test_quiet_momentum_contradicts_unstable(void **state)
{
    const mscope_rec_stability r = record(3, 0.01, 0.9);
    mscope_rec_band b = band(1, 1);
    const mscope_rec_band *bands[] = { &b };
    mscope_margin m;
    (void)state;

    b.growth = 0;
    mscope_margin_of(&r, bands, 1, NULL, &m);
    assert_true(m.rate > 0.1);
    assert_true(m.doubted && m.standing == MSCOPE_STANDING_STABLE && m.confidence == 0.5);
    assert_true(strstr(m.why, "does not grow") != NULL);
    b.growth = 0.9 * m.rate;
    mscope_margin_of(&r, bands, 1, NULL, &m);
    assert_true(!m.doubted && m.standing == MSCOPE_STANDING_UNSTABLE);
    b.growth = 0;
    b.growing = 1;
    mscope_margin_of(&r, bands, 1, NULL, &m);
    assert_int_equal(m.standing, MSCOPE_STANDING_UNSTABLE);
    strcpy(b.form, "read");
    mscope_margin_of(&r, bands, 1, NULL, &m);
    assert_int_equal(m.standing, MSCOPE_STANDING_UNSTABLE);
    b.growing = 0;                           /* Adam holds H near 1 and is not ruined by it */
    mscope_margin_of(&r, bands, 1, NULL, &m);
    assert_true(m.held && !m.doubted && m.standing == MSCOPE_STANDING_NEAR && m.rate == 0 && m.confidence > 0.99);
    assert_true(strstr(m.why, "may hold it there") != NULL);
    strcpy(b.form, "torch");
    b.growth = NAN;                          /* too short to tell */
    mscope_margin_of(&r, bands, 1, NULL, &m);
    assert_int_equal(m.standing, MSCOPE_STANDING_UNSTABLE);
    b.growth = 0;                            /* a readout holds the limit, and no band grows */
    b.noise_share = b.curvature_share = 0.01;
    mscope_rec_stability outside = r;
    outside.outside_noise = outside.outside_curvature = 0.99;
    mscope_margin_of(&outside, bands, 1, NULL, &m);
    assert_true(m.doubted);
}

/* One gated row where noise decides: the corrected H is the row's own with its measured gaps. */
static void test_bursts_are_those_of_the_row(void **state)
{
    mscope_feedback independent, measured;
    mscope_rec_band b = band(1, 1);
    const mscope_rec_band *bands[] = { &b };
    mscope_row row;
    mscope_margin m;
    (void)state;

    b.gaps = 1000;
    b.fade = 0.05;
    b.fade2 = 0.02;
    assert_int_equal(mscope_row_from_probe(b.P, b.H1, b.H2, b.eps, b.eta, 0, &row), 0);
    assert_int_equal(mscope_row_feedback(&row, &independent), 0);
    assert_int_equal(mscope_row_feedback_measured(&row, b.fade, b.fade2, &measured), 0);
    const double factor = independent.eta_max / measured.eta_max;
    assert_true(factor > 1.2);
    const mscope_rec_stability r = record(0.3, 0.01, 0.999);
    mscope_margin_of(&r, bands, 1, NULL, &m);
    assert_true(fabs(m.H / (0.3 * (1 + 0.999 * (factor - 1))) - 1) < 1e-9);
    b.noise_share = 0.5;                     /* half of the noise is elsewhere, and comes independently */
    mscope_margin_of(&r, bands, 1, NULL, &m);
    assert_true(fabs(m.burst / (0.5 + 0.5 * factor) - 1) < 1e-9);
    b.gaps = 10;
    mscope_margin_of(&r, bands, 1, NULL, &m);
    assert_true(m.burst == 1);
}

static void test_bands_that_hold_the_limit_are_named(void **state)
{
    const mscope_rec_stability r = record(2.5, 0.01, 0.9);
    mscope_rec_band holds = band(0.1, 0.7), other = band(0.1, 0.05), small[2];
    const mscope_rec_band *bands[] = { &holds, &other };
    mscope_verdict v;
    mscope_margin m;
    (void)state;

    mscope_margin_of(&r, bands, 2, NULL, &m);
    mscope_verdict_after(&holds, &m, NULL, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_UNSTABLE);
    assert_true(v.H == m.H && v.confidence == m.confidence && v.rate < 0);
    assert_string_equal(v.why, m.why);
    mscope_verdict_after(&other, &m, NULL, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_SGD);
    holds.H1 = holds.H2 = NAN;               /* no probe of its own: the limit is known all the same */
    mscope_verdict_after(&holds, &m, NULL, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_UNSTABLE);
    for (int i = 0; i < 2; i++) {            /* none has a fifth: the larger share is named */
        small[i] = band(0, i ? 0.02 : 0.1);
        bands[i] = &small[i];
    }
    mscope_margin_of(&r, bands, 2, NULL, &m);
    for (int i = 0; i < 2; i++) {
        mscope_verdict_after(&small[i], &m, NULL, &v);
        assert_int_equal(v.regime, i ? MSCOPE_REGIME_SGD : MSCOPE_REGIME_UNSTABLE);
    }
    small[0].noise_share = small[1].noise_share = 0;         /* all of it outside the tables */
    mscope_margin_of(&r, bands, 2, NULL, &m);
    mscope_verdict_after(&small[0], &m, NULL, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_SGD);
    m.standing = MSCOPE_STANDING_UNKNOWN;    /* measured, but not known yet: no verdict of the row alone in its place */
    m.H = NAN;
    small[0].H2 = 1;
    mscope_verdict_band(&small[0], &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_UNSTABLE);
    mscope_verdict_after(&small[0], &m, NULL, &v);
    assert_int_equal(v.regime, MSCOPE_REGIME_SGD);
    assert_true(isnan(v.H));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_standings_follow_H_and_its_doubts),
        cmocka_unit_test(test_stable_keeps_doubts_where_noise_decides),
        cmocka_unit_test(test_unknown_says_why),
        cmocka_unit_test(test_hysteresis),
        cmocka_unit_test(test_quiet_momentum_contradicts_unstable),
        cmocka_unit_test(test_bursts_are_those_of_the_row),
        cmocka_unit_test(test_bands_that_hold_the_limit_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
