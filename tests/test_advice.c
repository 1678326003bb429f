/* test_advice.c - steps by brute force, plans that keep their promises, bands from records, words */
#include "harness.h"

#include <cjson/cJSON.h>

#include "diagnose/counsel.h"

static double near(double a, double b)
{
    return fabs(a - b) / fmax(fabs(a), fabs(b));
}

/* A Zipf vocabulary of 4096 rows and width 64 by octaves of rank. */
static void zipf(double batch, double noise, int by_rows, mscope_model *m)
{
    const double one[] = { 1 }, d[] = { 64 };

    memset(m, 0, sizeof *m);
    for (int j = 1; j < 4096; j *= 2) {
        mscope_ls ls = { .d = 64, .batch = batch, .eps = 1, .noise = noise };
        mscope_risk_band b;
        for (int k = j; k < 2 * j; k++)
            ls.p += 1 / (8.895 * k * j);
        assert_int_equal(mscope_risk_block(&ls, 1, one, d, j, by_rows, &b), MSCOPE_OK);
        assert_int_equal(mscope_model_add(m, &b, 0), MSCOPE_OK);
    }
}

static double start_risk(const mscope_model *m)
{
    double sum = 0;

    for (size_t i = 0; i < m->parts; i++)
        sum += m->part[i].weight * m->part[i].h1[0] * m->part[i].R0[0];
    return sum;
}

/* The same risk by theory.h alone. */
static double brute_risk(const mscope_model *m, const mscope_setting *by_band, double n)
{
    double sum = 0;

    for (size_t i = 0; i < m->parts; i++) {
        mscope_row row = mscope_risk_row(&m->part[i], 0, by_band[m->band_of[i]]);
        double x[3] = { m->part[i].R0[0], 0, 0 };
        assert_int_equal(mscope_row_advance(&row, MSCOPE_CLOCK_STEP, n, x), MSCOPE_OK);
        sum += m->part[i].weight * m->part[i].h1[0] * x[0];
    }
    return sum;
}

static void test_steps_are_where_the_risk_crosses(void **state)
{
    static const double batch[] = { 16, 1024, 65536 };
    mscope_model m;

    (void)state;
    for (int k = 0; k < 12; k++) {
        mscope_setting all[MSCOPE_SEARCH_BANDS];
        zipf(batch[k % 3], k % 2 ? 0.02 : 0, k % 4 > 1, &m);
        double eps = pow(10, -0.3 * k), top = mscope_model_eta_max(&m, -1, eps), risk = start_risk(&m);
        for (size_t i = 0; i < m.bands; i++)
            all[i] = (mscope_setting){ (k % 2 ? 0.02 : 0.4) * top, eps };
        double n = mscope_model_steps(&m, all, 0.1 * risk, 1e9);
        CHECK(n < 1e9, "case %d never gets there", k);
        double before = brute_risk(&m, all, ceil(n) - 1), after = brute_risk(&m, all, ceil(n));
        CHECK(before > 0.1 * risk && after <= 0.1 * risk * (1 + 1e-9), "case %d: %a steps, risk %a then %a of target",
              k, n, before / (0.1 * risk), after / (0.1 * risk));
    }
}

static void test_steps_give_up(void **state)
{
    mscope_model m;
    mscope_setting all[MSCOPE_SEARCH_BANDS];

    (void)state;
    zipf(64, 0.05, 0, &m);
    double risk = start_risk(&m), top = mscope_model_eta_max(&m, -1, 0.1);
    for (int k = 0; k < 3; k++) {
        for (size_t i = 0; i < m.bands; i++)    /* unstable; held up by label noise; out of time */
            all[i] = (mscope_setting){ (k == 0 ? 1.01 : k == 1 ? 0.9 : 0.01) * top, 0.1 };
        assert_true(isinf(mscope_model_steps(&m, all, 0.01 * risk, k == 2 ? 100 : 1e9)));
    }
    for (size_t i = 0; i < m.bands; i++)
        all[i] = (mscope_setting){ 0.1 * top, 0.1 };
    assert_true(mscope_model_steps(&m, all, 2 * risk, 1e9) <= 0);
}

static void test_plans_keep_their_promises(void **state)
{
    static const double batch[] = { 64, 1024, 16384, 262144 };
    double slowest = 0;

    (void)state;
    for (int k = 0; k < 8; k++) {
        mscope_model m;
        mscope_advice a;
        zipf(batch[k / 2], k % 2 ? 0.05 : 0, 0, &m);
        mscope_setting now = { mscope_model_eta_max(&m, -1, 0.1) / 20, 0.1 };
        assert_int_equal(mscope_advise(&m, now, 0.02, &a), MSCOPE_OK);
        CHECK(a.best != MSCOPE_PLAN_NOW, "batch %g: nothing better than a twentieth of eta_max", batch[k / 2]);
        CHECK(a.plan[a.best].steps < a.plan[MSCOPE_PLAN_NOW].steps, "batch %g", batch[k / 2]);
        for (int p = 1; p < MSCOPE_PLANS; p++) {
            if (!(a.plan[p].steps < INFINITY))
                continue;
            double n = a.plan[p].steps, risk = brute_risk(&m, a.plan[p].setting, ceil(n));
            CHECK(risk <= a.target * (1 + 1e-9) && a.plan[p].H <= 0.8 + 1e-9, "batch %g, %s: risk %a of target, H %a",
                  batch[k / 2], mscope_plan_name((enum mscope_plan_kind)p), risk / a.target, a.plan[p].H);
            CHECK(n <= a.plan[MSCOPE_PLAN_NOW].steps, "batch %g, %s is slower than now", batch[k / 2],
                  mscope_plan_name((enum mscope_plan_kind)p));
        }
        double single = fmin(a.plan[MSCOPE_PLAN_SINGLE].steps, a.plan[MSCOPE_PLAN_ETA].steps);
        slowest = fmax(slowest, a.plan[a.best].steps / single);
        CHECK(a.plan[MSCOPE_PLAN_ETA_EACH].steps <= 1.02 * a.plan[MSCOPE_PLAN_BETA_EACH].steps,
              "batch %g: an eta each %a, a beta each %a", batch[k / 2], a.plan[MSCOPE_PLAN_ETA_EACH].steps,
              a.plan[MSCOPE_PLAN_BETA_EACH].steps);
    }
    NOTE("advised over best single, worst of 8: %.3f", slowest);
    assert_true(slowest <= 1.05);
}

/* What is known of the same vocabulary: 232 steps with an eta each, a sixth fewer than the best single, B = 16384. */
static void test_known_vocabulary(void **state)
{
    mscope_model m;
    mscope_advice a;

    (void)state;
    zipf(16384, 0, 0, &m);
    assert_int_equal(mscope_advise(&m, (mscope_setting){ 60, 0.1 }, 0.01, &a), MSCOPE_OK);
    assert_int_equal(a.best, MSCOPE_PLAN_ETA_EACH);
    CHECK(near(a.plan[a.best].steps, 232) < 0.05 && near(a.plan[MSCOPE_PLAN_SINGLE].steps, 264) < 0.05, "%a %a",
          a.plan[a.best].steps, a.plan[MSCOPE_PLAN_SINGLE].steps);
    for (size_t i = 0; i < a.bands; i++)
        assert_true(a.plan[a.best].setting[i].eps >= 1);
}

static void test_the_best_setting_is_left_alone(void **state)
{
    mscope_model m;
    mscope_advice a, again;

    (void)state;
    zipf(64, 0, 0, &m);                      /* noise-limited: one eta serves everybody */
    assert_int_equal(mscope_advise(&m, (mscope_setting){ 0.1, 0.1 }, 0.01, &a), MSCOPE_OK);
    assert_int_equal(mscope_advise(&m, a.plan[MSCOPE_PLAN_SINGLE].setting[0], 0.01, &again), MSCOPE_OK);
    assert_int_equal(again.best, MSCOPE_PLAN_NOW);
    assert_true(again.gain == 1);
}

static void test_an_unstable_setting_is_rescued(void **state)
{
    mscope_model m;
    mscope_advice a;

    (void)state;
    zipf(1024, 0, 0, &m);
    assert_int_equal(mscope_advise(&m, (mscope_setting){ 2 * mscope_model_eta_max(&m, -1, 0.1), 0.1 }, 0.1, &a),
                     MSCOPE_OK);
    assert_true(isinf(a.plan[MSCOPE_PLAN_NOW].steps) && isinf(a.gain) && a.best != MSCOPE_PLAN_NOW);
    assert_true(a.plan[a.best].H <= 0.8 + 1e-9);
}

/* delta = 1 in every band, which is never a plan: at the best single's eta, and at any other of a sweep. */
static void test_delta_one_is_slower(void **state)
{
    static const double batch[] = { 64, 1024, 16384 };

    (void)state;
    for (int k = 0; k < 3; k++) {
        mscope_model m;
        mscope_advice a;
        double fastest = INFINITY;
        zipf(batch[k], 0, 0, &m);
        assert_int_equal(mscope_advise(&m, (mscope_setting){ mscope_model_eta_max(&m, -1, 0.1) / 20, 0.1 }, 0.01, &a),
                         MSCOPE_OK);
        double eta0 = a.plan[MSCOPE_PLAN_SINGLE].setting[0].eta;
        for (double eta = eta0 / 200; eta < 20 * eta0; eta *= 1.4) {
            mscope_setting s[MSCOPE_SEARCH_BANDS];
            for (size_t i = 0; i < m.bands; i++) {
                /* rho = eps/(P + Q eps) = x = eta h1/P, so eps = x P/(1 - x Q) */
                double P = m.part[i].P, x = eta * m.part[i].h1[0] / P;
                s[i] = (mscope_setting){ eta, x * (1 - P) < 1 ? fmin(1, x * P / (1 - x * (1 - P))) : 1 };
            }
            fastest = fmin(fastest, mscope_model_steps(&m, s, a.target, 1e9));
        }
        NOTE("batch %g: delta = 1 in every band, best eta: %.2f times the steps of the best single", batch[k],
             fastest / a.plan[MSCOPE_PLAN_SINGLE].steps);
        assert_true(fastest > 1.2 * a.plan[MSCOPE_PLAN_SINGLE].steps);
    }
}

static void test_batch_trades_steps_for_samples(void **state)
{
    mscope_model m;
    mscope_batch_plan p[MSCOPE_BATCH_PLANS];

    (void)state;
    zipf(64, 0, 0, &m);
    int best = mscope_advise_batch(&m, 0.05 * start_risk(&m), p);
    CHECK(best >= MSCOPE_BATCH_PLANS / 2, "%d", best);
    CHECK(near(p[0].samples, p[4].samples) < 0.05 && p[4].factor == 1, "%a %a", p[0].samples, p[4].samples);
    for (int k = 1; k < MSCOPE_BATCH_PLANS; k++)
        CHECK(p[k].steps < p[k - 1].steps * 1.01 && p[k].samples > p[k - 1].samples * 0.99, "%d", k);
}

static void test_reference_rules_are_what_they_say(void **state)
{
    mscope_model m;
    mscope_rules r;
    mscope_setting now = { 4, 0.02 };

    (void)state;
    zipf(1024, 0, 0, &m);
    mscope_advise_rules(&m, now, 0.1 * start_risk(&m), &r);
    assert_true(near(r.two_thirds_eps, pow(4 * 0.02, 2.0 / 3)) < 1e-12);
    for (size_t i = 0; i < m.bands; i++)
        CHECK(near(r.critical[i].eps, fmin(1, 4 * 4 * m.part[i].h1[0])) < 1e-9, "band %zu", i);
    assert_true(r.two_thirds_steps > 0 && r.critical_steps > 0);
}

/* -- from records ---------------------------------------------------------------------------------------- */

static mscope_rec_band record(const mscope_risk_band *b, unsigned band, double batch, mscope_setting s)
{
    mscope_rec_band r = {
        .band = band, .step = 1000, .rows = (uint64_t)b->rows, .d = 64, .batch = batch, .eta = s.eta, .eps = s.eps
    };

    snprintf(r.table, sizeof r.table, "words");
    snprintf(r.h_source, sizeof r.h_source, "probe");
    snprintf(r.r_source, sizeof r.r_source, "none: no reference was set");
    r.p = b->p;
    r.P = b->P;
    r.updates = (uint64_t)(1e6 * b->rows * b->P);
    r.H1 = b->h1[0] / b->P;
    r.H2 = b->h1[0] * (b->h1[0] + b->excess[0]) / b->P;
    r.H1_se = 0.1 * r.H1;
    r.H2_se = 0.1 * r.H2;
    r.h_samples = 64;
    r.R = r.C = r.g2 = r.U = r.U_se = r.gm = r.gm_se = NAN;
    r.U_run = r.U_run_se = r.g2_run = r.growth = r.curvature_share = r.noise_share = NAN;
    return r;
}

static size_t records(const mscope_model *m, double batch, mscope_setting s, mscope_rec_band *r,
                      const mscope_rec_band **at)
{
    for (size_t i = 0; i < m->parts; i++) {
        r[i] = record(&m->part[i], (unsigned)i + 3, batch, s);
        at[i] = &r[i];
    }
    return m->parts;
}

static const mscope_measured_options isotropic = { .spread = 1 };

static void test_records_give_the_bands_back(void **state)
{
    mscope_model m;
    mscope_rec_band r[MSCOPE_SEARCH_BANDS];
    const mscope_rec_band *at[MSCOPE_SEARCH_BANDS];
    mscope_measured out;
    double worst = 0, widest = 0;

    (void)state;
    zipf(1024, 0, 0, &m);
    size_t n = records(&m, 1024, (mscope_setting){ 4, 0.1 }, r, at);
    assert_int_equal(mscope_measured_take(at, n, &isotropic, &out), 1);
    assert_int_equal(out.bands, n);
    assert_int_equal(out.source, MSCOPE_ERROR_NONE);
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst,
                     fmax(near(out.band[i].h1[0], m.part[i].h1[0]), near(out.band[i].excess[0], m.part[i].excess[0])));
        assert_true(out.band[i].R0[0] == 1 && out.band[i].noise2[0] == 0 && out.number[i] == i + 3);
    }
    assert_true(worst < 1e-9 && near(out.covered, 1) < 1e-12);
    /* with a spread the mean curvature and the measured H2 stay */
    const mscope_measured_options spread = { .spread = 23 };
    assert_int_equal(mscope_measured_take(at, n, &spread, &out), 1);
    for (size_t i = 0; i < n; i++) {
        const mscope_risk_band *b = &out.band[i];
        double mean = 0, s2 = 0;
        for (int j = 0; j < b->groups; j++) {
            mean += b->h1[j] / b->groups;
            s2 += (b->h1[j] * b->h1[j]) / b->groups;
            for (int k = 0; k < b->groups; k++)
                s2 += b->share[j] * b->h1[k] / b->groups;
        }
        CHECK(near(mean, m.part[i].h1[0]) < 1e-9 && near(s2, r[i].P * r[i].H2) < 0.01, "band %zu: %a %a", i, mean, s2);
        /* bands whose H2 leaves no room for it get less of a spread */
        widest = fmax(widest, b->h1[0] / b->h1[b->groups - 1]);
        assert_true(b->h1[0] / b->h1[b->groups - 1] < 23 * (1 + 1e-9));
    }
    assert_true(near(widest, 23) < 1e-9);
}

static void test_no_curvature_no_advice(void **state)
{
    mscope_model m;
    mscope_rec_band r[MSCOPE_SEARCH_BANDS];
    const mscope_rec_band *at[MSCOPE_SEARCH_BANDS];
    mscope_counsel c;
    char *text = NULL;
    size_t len = 0;

    (void)state;
    zipf(1024, 0, 0, &m);
    size_t n = records(&m, 1024, (mscope_setting){ 4, 0.1 }, r, at);
    for (size_t i = 0; i < n; i++) {
        r[i].H2 = NAN;
        if (i % 2) {
            r[i].H1 = NAN;
            snprintf(r[i].h_source, sizeof r[i].h_source, "none: no probe was sent");
        }
    }
    assert_int_equal(mscope_counsel_of(at, n, &isotropic, 0.1, &c), 0);
    FILE *to = open_memstream(&text, &len);
    mscope_counsel_say(&c, to);
    fclose(to);
    CHECK(strstr(text, "no advice") != NULL && strstr(text, "probe") != NULL, "%s", text);
    free(text);
    assert_int_equal(mscope_counsel_of(at, 0, &isotropic, 0.1, &c), 0);
    /* one band without a probe among many does not hinder */
    n = records(&m, 1024, (mscope_setting){ 4, 0.1 }, r, at);
    r[n - 1].H1 = r[n - 1].H2 = NAN;
    assert_int_equal(mscope_counsel_of(at, n, &isotropic, 0.1, &c), 1);
    assert_int_equal(c.measured.bands, n - 1);
    assert_true(c.measured.covered > 0.8 && c.measured.covered < 1);
}

static void test_error_and_noise_where_they_are_measured(void **state)
{
    mscope_model m;
    mscope_rec_band r[MSCOPE_SEARCH_BANDS];
    const mscope_rec_band *at[MSCOPE_SEARCH_BANDS];
    mscope_measured out;
    const double R = 0.4, noise = 0.3;

    (void)state;
    zipf(4096, 0, 0, &m);
    size_t n = records(&m, 4096, (mscope_setting){ 4, 0.1 }, r, at);
    for (size_t i = 0; i < n; i++) {
        double pB = r[i].p * r[i].batch, h1 = m.part[i].h1[0];
        /* gradients as sent: x (<x,e> + noise)/B, x gated and Gaussian */
        r[i].U = h1 * h1 * R / (pB * pB);
        r[i].U_se = 0.1 * r[i].U;
        r[i].U_updates = 1000;
        r[i].g2 = h1 * (m.part[i].excess[0] * R + 64 * noise / r[i].batch) / pB;
    }
    assert_int_equal(mscope_measured_take(at, n, &isotropic, &out), 1);
    assert_int_equal(out.source, MSCOPE_ERROR_AGREEMENT);
    for (size_t i = 0; i < n; i++) {
        mscope_ls ls = { .d = 64, .p = r[i].p, .batch = 4096, .eps = 1, .noise = noise };
        mscope_row row;
        assert_int_equal(mscope_row_from_ls(&ls, &row), MSCOPE_OK);
        CHECK(near(out.band[i].R0[0], R) < 1e-9 && near(out.band[i].noise2[0], row.noise2) < 1e-6,
              "band %zu: R %a, noise %a not %a", i, out.band[i].R0[0], out.band[i].noise2[0], row.noise2);
    }
    for (size_t i = 0; i < n; i++)           /* nothing stands out: nothing is known */
        r[i].U_se = 10 * r[i].U;
    assert_int_equal(mscope_measured_take(at, n, &isotropic, &out), 1);
    assert_int_equal(out.source, MSCOPE_ERROR_NONE);
    assert_true(out.band[0].R0[0] == 1 && out.band[0].noise2[0] == 0);
    for (size_t i = 0; i < n; i++)           /* a reference goes first */
        r[i].R = 0.7 * (double)r[i].rows;
    assert_int_equal(mscope_measured_take(at, n, &isotropic, &out), 1);
    assert_int_equal(out.source, MSCOPE_ERROR_REFERENCE);
    assert_true(near(out.band[2].R0[0], 0.7) < 1e-12);
    for (size_t i = 0; i < n; i++)           /* theta as it was is no optimum */
        snprintf(r[i].r_source, sizeof r[i].r_source, "initial: theta at attach");
    assert_int_equal(mscope_measured_take(at, n, &isotropic, &out), 1);
    assert_int_equal(out.source, MSCOPE_ERROR_NONE);
    for (size_t i = 0; i < n; i++) {
        snprintf(r[i].r_source, sizeof r[i].r_source, "the optimum");
        r[i].R = 0;
    }
    assert_int_equal(mscope_measured_take(at, n, &isotropic, &out), 0);
    assert_non_null(strstr(out.why, "reference"));
}

/* Frequent rows are learnt and tell it, rare ones are not and do not: bounds that hold the truth. */
static void test_errors_of_rare_rows_are_bounded_and_not_invented(void **state)
{
    static const double label[] = { 0, 0.05 };

    (void)state;
    for (int k = 0; k < 2; k++) {
        mscope_model m;
        mscope_rec_band r[MSCOPE_SEARCH_BANDS];
        const mscope_rec_band *at[MSCOPE_SEARCH_BANDS];
        mscope_measured out;
        zipf(512, label[k], 0, &m);
        const size_t n = records(&m, 512, (mscope_setting){ 4, 0.1 }, r, at);
        for (size_t i = 0; i < n; i++) {
            const double pB = r[i].p * 512, h1 = m.part[i].h1[0], R = i < 4 ? 0.01 * (double)(i + 1) : 0.8;
            r[i].U_run = h1 * h1 * R / (pB * pB);
            r[i].U_run_se = (i < 4 ? 0.05 : 5) * r[i].U_run;
            r[i].U_run_updates = 1000;
            r[i].g2_run = h1 * (m.part[i].excess[0] * R + 64 * label[k] / 512) / pB;
            r[i].U = r[i].U_se = r[i].g2 = 1e9;              /* the last window alone is not asked */
        }
        assert_int_equal(mscope_measured_take(at, n, &isotropic, &out), 1);
        assert_int_equal(out.source, MSCOPE_ERROR_AGREEMENT);
        for (size_t i = 0; i < n; i++) {
            const double R = i < 4 ? 0.01 * (double)(i + 1) : 0.8;
            CHECK(out.R_low[i] <= R && R <= out.R_high[i] * (1 + 1e-9), "label %g, band %zu: %g in [%g, %g]",
                  label[k], i, R, out.R_low[i], out.R_high[i]);
            /* the precise small error of the frequent rows is no estimate of the others */
            CHECK(i < 4 || out.R_low[i] > 0.5, "label %g, band %zu: at least %g", label[k], i, out.R_low[i]);
            CHECK(i < 4 || out.label[i] <= 0, "band %zu: label noise is not seen there", i);
        }
        CHECK(near(out.noise_scale[0], r[0].g2_run / (r[0].p * r[0].U_run)) < 1e-12 && isnan(out.noise_scale[n - 1]),
              "%g %g", out.noise_scale[0], out.noise_scale[n - 1]);
    }
}

/* A row alone looks unstable because H2 holds the spread of its curvature; all that moves together is far from it. */
static void test_a_false_H_makes_no_conflict(void **state)
{
    mscope_model m;
    mscope_rec_band r[MSCOPE_SEARCH_BANDS];
    const mscope_rec_band *at[MSCOPE_SEARCH_BANDS];
    mscope_counsel c;
    mscope_margin margin = { .standing = MSCOPE_STANDING_STABLE, .H = 0.2, .H_se = 0.02, .noise_part = 0.5,
                             .burst = 1 };
    mscope_measured_options o = { .spread = 1 };

    (void)state;
    zipf(64, 0, 0, &m);
    const size_t n = records(&m, 64, (mscope_setting){ 0.4, 0.1 }, r, at);
    r[4].H2 *= 30;
    assert_int_equal(mscope_counsel_of(at, n, &o, 0.1, &c), 1);
    CHECK(c.conflict.cost >= 1, "believed, it rules out every beta: %g", c.conflict.cost);
    o.margin = &margin;
    assert_int_equal(mscope_counsel_of(at, n, &o, 0.1, &c), 1);
    CHECK(!c.price.flag && c.conflict.cost < 0.5, "%g, gain %g", c.conflict.cost, c.price.gain_own);
    o.margin = NULL;
    for (size_t i = 0; i < n; i++)
        r[i].growth = 0;
    assert_int_equal(mscope_counsel_of(at, n, &o, 0.1, &c), 1);
    CHECK(!c.price.flag && c.conflict.cost < 0.75, "momentum does not grow: %g", c.conflict.cost);
}

/* Rows with curvatures 23 : 1, of which records tell one mean and one mean square; eta at a quarter of its limit. */
static void uneven(double batch, int by_rows, mscope_model *truth, mscope_setting *now, mscope_rec_band *r,
                   const mscope_rec_band **at)
{
    const double h[] = { 2.73, 0.88, 0.27, 0.12 }, mult[] = { 16, 16, 16, 16 };

    memset(truth, 0, sizeof *truth);
    for (int j = 1; j < 4096; j *= 2) {
        mscope_ls ls = { .batch = batch, .eps = 1 };
        mscope_risk_band b;
        for (int n = j; n < 2 * j; n++)
            ls.p += 1 / (8.895 * n * j);
        assert_int_equal(mscope_risk_block(&ls, 4, h, mult, j, by_rows, &b), MSCOPE_OK);
        assert_int_equal(mscope_model_add(truth, &b, 0), MSCOPE_OK);
    }
    *now = (mscope_setting){ mscope_model_eta_max(truth, -1, 0.1) / 4, 0.1 };
    for (size_t i = 0; i < truth->parts; i++) {
        mscope_risk_band even = truth->part[i];
        double h1 = 0, s2 = 0;
        for (int j = 0; j < 4; j++) {
            h1 += even.h1[j] / 4;
            s2 += even.h1[j] * (even.h1[j] + even.excess[j]) / 4;
            for (int q = 0; q < 4; q++)
                s2 += even.share[j] * even.h1[q] / 4;
        }
        even.groups = 1;
        even.h1[0] = h1;
        even.excess[0] = (s2 - h1 * h1) / h1;
        r[i] = record(&even, (unsigned)i + 3, batch, *now);
        at[i] = &r[i];
    }
}

static double share_of_start(const mscope_model *m, double share)
{
    double sum = 0;

    for (size_t i = 0; i < m->parts; i++)
        for (int j = 0; j < m->part[i].groups; j++)
            sum += share * m->part[i].weight * m->part[i].h1[j] * m->part[i].R0[j];
    return sum;
}

static void test_anisotropic_rows_seen_through_two_numbers(void **state)
{
    static const double batch[] = { 64, 1024, 16384 };

    (void)state;
    for (int k = 0; k < 3; k++) {
        mscope_model truth;
        mscope_rec_band r[MSCOPE_SEARCH_BANDS];
        const mscope_rec_band *at[MSCOPE_SEARCH_BANDS];
        mscope_setting now, single, all[MSCOPE_SEARCH_BANDS];
        mscope_counsel c;
        uneven(batch[k], 0, &truth, &now, r, at);
        const double target = share_of_start(&truth, 0.05);
        for (size_t i = 0; i < truth.bands; i++)
            all[i] = now;
        double n_now = mscope_model_steps(&truth, all, target, 1e9);
        mscope_search s = { &truth, target, 1e9, 0.95 };
        double n_single = mscope_search_single(&s, &single);
        assert_int_equal(mscope_counsel_of(at, truth.parts, &isotropic, 0.05, &c), 1);
        assert_true(c.doubted && c.advice.best != MSCOPE_PLAN_NOW);
        double n = mscope_model_steps(&truth, c.advice.plan[c.advice.best].setting, target, 1e9);
        NOTE("batch %g: now %.0f (second reading %.0f), best single %.0f, advised %.0f (second reading %.0f)", batch[k],
             n_now, c.uneven[MSCOPE_PLAN_NOW], n_single, n, c.uneven[c.advice.best]);
        CHECK(n < n_now && n <= 1.05 * n_single, "batch %g: %a steps, now %a, best single %a", batch[k], n, n_now,
              n_single);
        CHECK(near(c.uneven[MSCOPE_PLAN_NOW], n_now) < 0.25 && near(c.uneven[c.advice.best], n) < 0.25, "batch %g",
              batch[k]);
    }
}

/* A stability record tells the spread of curvature from noise. Then the gain of a beta for each band is that of the
 * true rows; without one, all of H2 counts as noise, and nothing is promised. */
static void test_spread_is_no_noise(void **state)
{
    static const double batch[] = { 64, 65536 };

    (void)state;
    for (int k = 0; k < 2; k++) {
        mscope_model truth;
        mscope_rec_band r[MSCOPE_SEARCH_BANDS];
        const mscope_rec_band *at[MSCOPE_SEARCH_BANDS];
        mscope_setting now, single, own[MSCOPE_SEARCH_BANDS];
        mscope_counsel c;
        uneven(batch[k], 1, &truth, &now, r, at);
        const mscope_margin margin = { .standing = MSCOPE_STANDING_STABLE, .H = 0.25, .H_se = 0.01, .burst = 1,
                                       .noise_part = now.eta * (64 + 2 * 2.1) / batch[k] / 2 / 0.25 };
        const mscope_measured_options by_rows = { .spread = 1, .by_rows = 1 },
                                      with = { .spread = 1, .by_rows = 1, .margin = &margin };
        const mscope_search s = { &truth, share_of_start(&truth, 0.05), 1e9, 0.8 };
        const double gain = mscope_search_single(&s, &single) / mscope_search_beta_eta(&s, own);
        assert_int_equal(mscope_counsel_of(at, truth.parts, &with, 0.05, &c), 1);
        NOTE("batch %g: a beta for each band wins %.3f times, told %.3f", batch[k], gain, c.price.gain_own);
        CHECK(near(c.price.gain_own, gain) < 0.15 && c.price.flag == (k == 1), "batch %g: %g, told %g", batch[k], gain,
              c.price.gain_own);
        assert_int_equal(mscope_counsel_of(at, truth.parts, &by_rows, 0.05, &c), 1);
        CHECK(!c.price.flag, "batch %g: told %g without a stability record", batch[k], c.price.gain_own);
    }
}

static void test_words_and_json(void **state)
{
    mscope_model m;
    mscope_rec_band r[MSCOPE_SEARCH_BANDS];
    const mscope_rec_band *at[MSCOPE_SEARCH_BANDS];
    mscope_counsel c;
    char *text = NULL, *json = NULL;
    size_t len = 0;

    (void)state;
    zipf(16384, 0, 0, &m);
    size_t n = records(&m, 16384, (mscope_setting){ 40, 0.1 }, r, at);
    assert_int_equal(mscope_counsel_of(at, n, &isotropic, 0.1, &c), 1);
    FILE *to = open_memstream(&text, &len);
    mscope_counsel_say(&c, to);
    mscope_counsel_explain(&c, to);
    fclose(to);
    CHECK(strstr(text, "advice: stay; nothing tells how far rows are from their optimum") != NULL, "%s", text);
    assert_non_null(strstr(text, "C* = "));
    assert_non_null(strstr(text, "for reference, no advice"));
    assert_non_null(strstr(text, "critical batch"));
    assert_non_null(strstr(text, "momentum is worth at most"));
    assert_null(strstr(text, "delta"));
    free(text);
    to = open_memstream(&json, &len);
    mscope_counsel_json(&c, "words", to);
    fclose(to);
    cJSON *o = cJSON_Parse(json);
    assert_non_null(o);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "plans")), MSCOPE_PLANS);
    assert_string_equal(cJSON_GetObjectItem(o, "advised")->valuestring, "stay");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(cJSON_GetObjectItem(o, "bounds"), "bands")), n);
    assert_true(cJSON_GetObjectItem(cJSON_GetObjectItem(o, "stage"), "look_again")->valuedouble > 1);
    cJSON_Delete(o);
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_are_where_the_risk_crosses),
        cmocka_unit_test(test_steps_give_up),
        cmocka_unit_test(test_plans_keep_their_promises),
        cmocka_unit_test(test_known_vocabulary),
        cmocka_unit_test(test_the_best_setting_is_left_alone),
        cmocka_unit_test(test_an_unstable_setting_is_rescued),
        cmocka_unit_test(test_delta_one_is_slower),
        cmocka_unit_test(test_batch_trades_steps_for_samples),
        cmocka_unit_test(test_reference_rules_are_what_they_say),
        cmocka_unit_test(test_records_give_the_bands_back),
        cmocka_unit_test(test_no_curvature_no_advice),
        cmocka_unit_test(test_error_and_noise_where_they_are_measured),
        cmocka_unit_test(test_errors_of_rare_rows_are_bounded_and_not_invented),
        cmocka_unit_test(test_a_false_H_makes_no_conflict),
        cmocka_unit_test(test_anisotropic_rows_seen_through_two_numbers),
        cmocka_unit_test(test_spread_is_no_noise),
        cmocka_unit_test(test_words_and_json),
    };

    return cmocka_run_group_tests_name("advice", tests, NULL, NULL);
}
