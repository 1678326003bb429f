/* test_conflict.c - coupled maps of anisotropic rows against theory.h and literal vectors; C* by its identities */
#include "harness.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>

#include "diagnose/conflict.h"
#include "diagnose/search.h"

static double near(double a, double b)
{
    return fabs(a - b) / fmax(fabs(a), fabs(b));
}

static mscope_risk_band block(double p, double batch, double noise, int groups, const double *h, double d)
{
    mscope_ls ls = { .d = d, .p = p, .batch = batch, .eps = 1, .noise = noise };
    mscope_risk_band b;
    double mult[MSCOPE_RISK_GROUPS];

    for (int j = 0; j < groups; j++)
        mult[j] = d / groups;
    assert_int_equal(mscope_risk_block(&ls, groups, h, mult, 1, 0, &b), MSCOPE_OK);
    return b;
}

static mscope_row plain(double p, double batch, double noise, double d, mscope_setting s)
{
    mscope_ls ls = { .d = d, .p = p, .batch = batch, .eps = s.eps, .eta = s.eta, .noise = noise };
    mscope_row row;

    assert_int_equal(mscope_row_from_ls(&ls, &row), MSCOPE_OK);
    return row;
}

static const struct {
    double p, batch, eps, share_of_max;
} settings[] = {
    { 0.3, 4, 0.1, 0.5 },   { 0.01, 64, 0.05, 0.9 },     { 1e-4, 1024, 1, 0.5 },    { 0.1, 16384, 0.01, 0.02 },
    { 1e-3, 1e5, 1e-3, 0.3 }, { 0.05, 256, 0.3, 1.1 },
};

/* Four groups of equal curvature are one isotropic row: coupling and own noise add up to (d+2-p)/B. */
static void test_equal_groups_are_an_isotropic_row(void **state)
{
    const double one[] = { 1, 1, 1, 1, 1, 1, 1, 1 };
    double worst = 0;

    (void)state;
    for (size_t i = 0; i < LEN(settings); i++) {
        mscope_risk_band b = block(settings[i].p, settings[i].batch, 0.1, 4, one, 32);
        mscope_setting s = { 1, settings[i].eps };
        mscope_row row = plain(settings[i].p, settings[i].batch, 0.1, 32, s);
        double top, rate, x[3], y[3] = { 1, 0, 0 };
        assert_int_equal(mscope_row_eta_max(&row, &top), 0);
        worst = fmax(worst, near(top, mscope_risk_eta_max(&b, s.eps)));
        s.eta = row.eta = settings[i].share_of_max * top;
        assert_int_equal(mscope_row_rate(&row, &rate), 0);
        worst = fmax(worst, near(rate, mscope_risk_rate(&b, s)));
        mscope_flow *f = mscope_flow_open(&b, s);
        assert_non_null(f);
        mscope_flow_errors(f, 37, x, NULL);
        assert_int_equal(mscope_row_advance(&row, MSCOPE_CLOCK_STEP, 37, y), 0);
        worst = fmax(worst, near(x[0], y[0]));
        if (s.eps < 1)
            worst = fmax(worst, fmax(near(x[1], y[1]), near(x[2], y[2])));
        mscope_flow_close(f);
    }
    NOTE("equal groups against theory.h: worst relative difference %.1e", worst);
    assert_true(worst < 1e-8);
}

/* eta_max is where the rate changes sign, and the rate is the slope that powers settle to. */
static void test_rate_and_eta_max_of_anisotropic_rows(void **state)
{
    const double h[] = { 2.5, 0.9, 0.4, 0.2 };
    double worst = 0;

    (void)state;
    for (size_t i = 0; i < LEN(settings); i++) {
        mscope_risk_band b = block(settings[i].p, settings[i].batch, 0, 4, h, 40);
        double top = mscope_risk_eta_max(&b, settings[i].eps);
        mscope_setting under = { top * (1 - 1e-6), settings[i].eps }, over = { top * (1 + 1e-6), settings[i].eps };
        CHECK(mscope_risk_rate(&b, under) > 0 && mscope_risk_rate(&b, over) < 0, "case %zu: %a %a", i,
              mscope_risk_rate(&b, under), mscope_risk_rate(&b, over));
        mscope_setting s = { settings[i].share_of_max * top, settings[i].eps };
        if (settings[i].p * settings[i].batch > 50)
            continue;                        /* oscillating groups decay alike: no slope to read off */
        double rate = mscope_risk_rate(&b, s), n = ceil(8 / fabs(rate));
        mscope_flow *f = mscope_flow_open(&b, s);
        assert_non_null(f);
        double slope = log(mscope_flow_risk(f, n) / mscope_flow_risk(f, 2 * n)) / n;
        mscope_flow_close(f);
        worst = fmax(worst, near(slope, rate));
    }
    NOTE("rate against powers of the coupled map: worst %.1e", worst);
    assert_true(worst < 0.05);                /* a tail exp(-8 gap) of the next mode is left */
}

/* Literal x = s sqrt(h) z, momentum, label noise: R of each group, V and C after a number of steps. */
static void test_coupled_map_against_literal_vectors(void **state)
{
    enum { D = 6, RUNS = 60000, STEPS = 12, B = 3 };
    const double h[] = { 2, 0.8, 0.2 }, p = 0.4, noise = 0.3;
    mscope_risk_band b = block(p, B, noise, 3, h, D);
    double worst = 0;
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);

    (void)state;
    gsl_rng_set(rng, 20260101);
    for (int with = 0; with < 2; with++) {
        mscope_setting s = { with ? 0.35 : 0.12, with ? 0.25 : 1 };
        double sum[5] = { 0 }, sum2[5] = { 0 }, x[3], R[MSCOPE_RISK_GROUPS];
        for (int run = 0; run < RUNS; run++) {
            double e[D], m[D] = { 0 }, out[5] = { 0 };
            for (int c = 0; c < D; c++)
                e[c] = (gsl_rng_get(rng) & 1 ? 1 : -1) / sqrt(D);
            for (int k = 0; k < STEPS; k++) {
                double g[D] = { 0 };
                for (int n = 0; n < B; n++) {
                    double z[D], y = 0;
                    if (gsl_rng_uniform(rng) >= p)
                        continue;
                    for (int c = 0; c < D; c++) {
                        z[c] = sqrt(h[c / 2]) * gsl_ran_gaussian_ziggurat(rng, 1);
                        y += z[c] * e[c];
                    }
                    y += gsl_ran_gaussian_ziggurat(rng, sqrt(noise));
                    for (int c = 0; c < D; c++)
                        g[c] += z[c] * y / B;
                }
                for (int c = 0; c < D; c++) {
                    m[c] = (1 - s.eps) * m[c] + s.eps * g[c];
                    e[c] -= s.eta * m[c];
                }
            }
            for (int c = 0; c < D; c++) {
                out[c / 2] += e[c] * e[c];
                out[3] += m[c] * m[c];
                out[4] += e[c] * m[c];
            }
            for (int q = 0; q < 5; q++) {
                sum[q] += out[q];
                sum2[q] += out[q] * out[q];
            }
        }
        mscope_flow *f = mscope_flow_open(&b, s);
        assert_non_null(f);
        mscope_flow_errors(f, STEPS, x, R);
        mscope_flow_close(f);
        for (int q = 0; q < (with ? 5 : 3); q++) {
            double mean = sum[q] / RUNS, se = sqrt((sum2[q] / RUNS - mean * mean) / RUNS);
            double z = (mean - (q < 3 ? R[q] : x[q - 2])) / se;
            CHECK(fabs(z) < 3.5, "momentum %d, number %d: sampled %a, map %a, z %.2f", with, q, mean,
                  q < 3 ? R[q] : x[q - 2], z);
            worst = fmax(worst, fabs(z));
        }
    }
    gsl_rng_free(rng);
    NOTE("coupled map against %d literal runs, 8 numbers: worst |z| %.2f", RUNS, worst);
}

static void test_octave_keeps_rows_and_mean(void **state)
{
    const double one[] = { 1 };

    (void)state;
    for (double p = 0.0101; p < 0.9; p *= 1.37) {
        mscope_risk_band b = block(p, 64, 0, 1, one, 8), out[3];
        b.rows = b.weight = 10;
        assert_int_equal(mscope_risk_octave(&b, out), 3);
        double rows = 0, mean = 0;
        for (int i = 0; i < 3; i++) {
            rows += out[i].rows;
            mean += out[i].rows * out[i].p / 10;
            CHECK(near(out[i].weight, out[i].rows) < 1e-12 && near(out[i].h1[0], out[i].p) < 1e-12, "part %d", i);
        }
        CHECK(near(rows, 10) < 1e-9 && near(mean, p) < 1e-6 && out[0].p >= p && out[2].p <= p, "p %a: rows %a, mean %a",
              p, rows, mean);
        b.rows = b.weight = 1;
        assert_int_equal(mscope_risk_octave(&b, out), 1);
    }
}

/* -- C* ------------------------------------------------------------------------------------------------ */

static int zipf(double batch, int by_rows, mscope_risk_band *b, double *w)
{
    const double one[] = { 1 };
    int n = 0;

    for (int j = 1; j <= 4096; n++) {        /* octaves of rank are octaves of p */
        double rows = j, sum = 0;
        for (int k = j; k < 2 * j && k <= 4096; k++)
            sum += 1 / (8.895 * k);
        if (j == 4096)
            rows = 1;
        b[n] = block(sum / rows, batch, 0, 1, one, 64);
        b[n].rows = rows;
        b[n].weight = by_rows ? rows / b[n].p : rows;
        w[n] = by_rows ? rows : rows * b[n].p;
        j *= 2;
    }
    return n;
}

static void test_equal_bands_have_no_conflict(void **state)
{
    const double one[] = { 1 }, w[] = { 3, 1 };
    mscope_risk_band b[2] = { block(0.01, 4096, 0, 1, one, 64), block(0.01, 4096, 0, 1, one, 64) };
    mscope_conflict c;

    (void)state;
    assert_int_equal(mscope_conflict_of(b, 2, w, (mscope_setting){ 30, 0.01 }, &c), MSCOPE_OK);
    CHECK(c.cost < 1e-6 && c.misfit > 0.01 && near(c.misfit, c.cost_now - c.cost) < 1e-9, "%a %a", c.cost,
          c.misfit);
    /* retuned to the best beta nothing is left to win */
    assert_int_equal(mscope_conflict_of(b, 2, w, (mscope_setting){ 30, c.eps_best }, &c), MSCOPE_OK);
    CHECK(c.misfit < 1e-6, "%a", c.misfit);
}

static void test_a_band_that_grows_at_every_beta_costs_all(void **state)
{
    const double one[] = { 1 }, w[] = { 1e-3, 1 };
    mscope_risk_band b[2] = { block(0.01, 64, 0, 1, one, 64), block(0.01, 65536, 0, 1, one, 64) };
    mscope_conflict c;

    (void)state;
    assert_int_equal(mscope_conflict_of(b, 2, w, (mscope_setting){ 30, 0.1 }, &c), MSCOPE_OK);
    assert_true(c.cost == 1 && c.cost_now == 1);
}

static void test_cost_is_a_share_of_what_weights_sum_to(void **state)
{
    mscope_risk_band b[MSCOPE_SEARCH_BANDS];
    double w[MSCOPE_SEARCH_BANDS], last = 0;
    int n = zipf(262144, 1, b, w);

    (void)state;
    for (double eta = 10; eta < 4000; eta *= 1.9) {
        mscope_conflict c, scaled;
        double w10[MSCOPE_SEARCH_BANDS];
        for (int i = 0; i < n; i++)
            w10[i] = 10 * w[i];
        assert_int_equal(mscope_conflict_of(b, (size_t)n, w, (mscope_setting){ eta, 0.02 }, &c), MSCOPE_OK);
        assert_int_equal(mscope_conflict_of(b, (size_t)n, w10, (mscope_setting){ eta, 0.02 }, &scaled), MSCOPE_OK);
        CHECK(c.cost >= 0 && c.cost <= c.cost_now && c.cost_now <= 1 && near(c.cost, scaled.cost) < 1e-9, "eta %g: %a",
              eta, c.cost);
        last = c.cost;
    }
    CHECK(last > 0.75, "%a", last);
}

/* C* at both ends: own betas win 4 times there, nothing here. */
static void test_cost_tells_large_batch_from_small(void **state)
{
    mscope_risk_band b[MSCOPE_SEARCH_BANDS];
    double w[MSCOPE_SEARCH_BANDS];

    (void)state;
    for (int large = 0; large < 2; large++) {
        int n = zipf(large ? 262144 : 64, 1, b, w);
        mscope_model m = { 0 };
        double risk = 0;
        for (int i = 0; i < n; i++) {
            assert_int_equal(mscope_model_add(&m, &b[i], 0), MSCOPE_OK);
            risk += b[i].weight * b[i].h1[0];
        }
        mscope_search s = { &m, 0.01 * risk, 1e8, 0.95 };
        mscope_setting single, own[MSCOPE_SEARCH_BANDS];
        double gain = mscope_search_single(&s, &single) / mscope_search_beta_eta(&s, own);
        mscope_conflict c;
        assert_int_equal(mscope_conflict_of(b, (size_t)n, w, own[0], &c), MSCOPE_OK);
        CHECK((c.cost > 0.75) == large && (gain > 2) == large, "large %d: C* %a, gain %a", large, c.cost, gain);
    }
}

static void test_bad_inputs_are_refused(void **state)
{
    const double one[] = { 1 }, w[] = { 1 }, nothing[] = { 0 };
    mscope_risk_band b = block(0.01, 64, 0, 1, one, 64);
    mscope_conflict c = { .cost = 7 };

    (void)state;
    assert_int_equal(mscope_conflict_of(&b, 0, w, (mscope_setting){ 1, 0.1 }, &c), MSCOPE_EINVAL);
    assert_int_equal(mscope_conflict_of(&b, 1, nothing, (mscope_setting){ 1, 0.1 }, &c), MSCOPE_EINVAL);
    assert_int_equal(mscope_conflict_of(&b, 1, w, (mscope_setting){ 0, 0.1 }, &c), MSCOPE_EINVAL);
    assert_int_equal(mscope_conflict_of(&b, 1, w, (mscope_setting){ 1, 1.5 }, &c), MSCOPE_EINVAL);
    assert_true(c.cost == 7);
}

static void test_occupancy_sums_to_one(void **state)
{
    const enum mscope_regime r[] = { MSCOPE_REGIME_SGD, MSCOPE_REGIME_HEAVY_BALL, MSCOPE_REGIME_SGD };
    const double updates[] = { 10, 30, 60 }, rows[] = { 8, 1, 1 };
    double a[MSCOPE_REGIME_UNSTABLE + 1], n[MSCOPE_REGIME_UNSTABLE + 1];

    (void)state;
    mscope_occupancy(r, updates, rows, 3, a, n);
    assert_true(near(a[MSCOPE_REGIME_SGD], 0.7) < 1e-12 && near(a[MSCOPE_REGIME_HEAVY_BALL], 0.3) < 1e-12);
    assert_true(near(n[MSCOPE_REGIME_SGD], 0.9) < 1e-12 && near(n[MSCOPE_REGIME_HEAVY_BALL], 0.1) < 1e-12);
    mscope_occupancy(r, updates, rows, 0, a, n);
    assert_true(a[MSCOPE_REGIME_SGD] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_groups_are_an_isotropic_row),
        cmocka_unit_test(test_rate_and_eta_max_of_anisotropic_rows),
        cmocka_unit_test(test_coupled_map_against_literal_vectors),
        cmocka_unit_test(test_octave_keeps_rows_and_mean),
        cmocka_unit_test(test_equal_bands_have_no_conflict),
        cmocka_unit_test(test_a_band_that_grows_at_every_beta_costs_all),
        cmocka_unit_test(test_cost_is_a_share_of_what_weights_sum_to),
        cmocka_unit_test(test_cost_tells_large_batch_from_small),
        cmocka_unit_test(test_bad_inputs_are_refused),
        cmocka_unit_test(test_occupancy_sums_to_one),
    };

    return cmocka_run_group_tests_name("conflict", tests, NULL, NULL);
}
