/* test_stage.c - the first stage of a walk: how far it may go, when it stays, and bounds that no setting passes */
#include "harness.h"

#include "diagnose/bounds.h"
#include "diagnose/stage.h"

enum { BANDS = 12, WIDTH = 64 };

/* Records of a Zipf vocabulary of least squares by octaves: every row has this error, labels this variance. */
typedef struct vocabulary {
    mscope_rec_band band[BANDS];
    const mscope_rec_band *at[BANDS];
    mscope_measured m;
    mscope_margin margin;
} vocabulary;

static void draw(vocabulary *v, double batch, mscope_setting s, double error, double label)
{
    memset(v, 0, sizeof *v);
    for (int k = 0; k < BANDS; k++) {
        mscope_rec_band *r = &v->band[k];
        const int rows = 1 << k;
        double p = 0;
        for (int n = rows; n < 2 * rows; n++)
            p += 1 / (8.895 * n * rows);
        *r = (mscope_rec_band){ .band = (uint64_t)k + 3, .rows = (uint64_t)rows, .p = p, .d = WIDTH, .batch = batch,
                                .eta = s.eta, .eps = s.eps, .h_samples = 64 };
        r->P = -expm1(batch * log1p(-p));
        r->updates = (uint64_t)(1e6 * rows * r->P);
        r->H1 = p / r->P;
        r->H2 = p * ((WIDTH + 2 - p) / batch + p) / r->P;
        r->H1_se = 0.05 * r->H1;
        r->retention = (r->P + (1 - r->P) * s.eps) / s.eps;
        r->R = r->U = r->g2 = r->growth = NAN;
        r->U_run = error / (batch * batch);
        r->U_run_se = 0.05 * r->U_run;
        r->U_run_updates = 1000;
        r->g2_run = ((WIDTH + 2 - p) * error + WIDTH * label) / (batch * batch);
        r->noise_share = r->curvature_share = 1.0 / BANDS;
        v->at[k] = r;
    }
    v->margin = (mscope_margin){ .standing = MSCOPE_STANDING_STABLE, .H_se = 0.01, .noise_part = 0.3, .burst = 1 };
}

static mscope_stage ask(vocabulary *v, double H)
{
    const mscope_measured_options o = { .spread = 1, .margin = H > 0 ? &v->margin : NULL };
    mscope_stage s;

    v->margin.H = H;
    assert_int_equal(mscope_measured_take(v->at, BANDS, &o, &v->m), 1);
    mscope_stage_of(&v->m, o.margin, &s);
    return s;
}

static void test_no_further_than_the_evidence_reaches(void **state)
{
    int moved = 0;

    (void)state;
    for (int k = 0; k < 24; k++) {
        const double batch = (double[]){ 64, 1024, 16384 }[k % 3], eps = (double[]){ 0.02, 0.1 }[k / 3 % 2],
                     H = (double[]){ 0.05, 0.2, 0.4, 0 }[k / 6];
        vocabulary v;
        draw(&v, batch, (mscope_setting){ 0.002 * batch, eps }, 0.5, k % 2 ? 0.05 : 0);
        const mscope_stage s = ask(&v, H);
        moved += s.kind != MSCOPE_PLAN_NOW;
        CHECK(!(s.H_then > 0.5) && !s.rescue, "case %d: H %g", k, s.H_then);
        for (int i = 0; i < BANDS; i++) {
            const double f = s.setting[i].eta / (0.002 * batch), g = s.setting[i].eps / eps,
                         next = i + 1 < BANDS ? s.setting[i + 1].eta / s.setting[i].eta : 1;
            CHECK(f > 0.4999 && f < 2.0001 && g > 0.4999 && g < 2.0001 && next > 0.4999 && next < 2.0001,
                  "case %d, band %d: %g %g %g", k, i, f, g, next);
        }
        if (s.kind != MSCOPE_PLAN_NOW)
            CHECK(s.worst < 0.97 && s.left_then < s.left_now && s.steps >= 8 * v.m.retention[0], "case %d", k);
    }
    NOTE("%d of 24 advised to move", moved);
    assert_true(moved >= 8);
}

static void test_tables_that_move_together_share_the_reach(void **state)
{
    vocabulary v;
    mscope_setting up[MSCOPE_SEARCH_BANDS];

    (void)state;
    draw(&v, 1024, (mscope_setting){ 2, 0.1 }, 0.5, 0);
    const mscope_stage alone = ask(&v, 0.2);
    for (int i = 0; i < BANDS; i++)
        up[i] = (mscope_setting){ i < 6 ? 4 : 2, 0.1 };
    CHECK(fabs(mscope_stage_H(&v.m, &v.margin, up) - 0.3) < 1e-9, "%g", mscope_stage_H(&v.m, &v.margin, up));
    for (int i = 0; i < BANDS; i++)          /* the other half of H is another table's, which may follow */
        v.band[i].noise_share = v.band[i].curvature_share = 0.5 / BANDS;
    (void)ask(&v, 0.2);
    CHECK(fabs(mscope_stage_H(&v.m, &v.margin, up) - 0.35) < 1e-9, "%g", mscope_stage_H(&v.m, &v.margin, up));
    const mscope_stage near = ask(&v, 0.45);
    double farthest = 0;
    CHECK(near.H_then <= 0.5, "%g", near.H_then);
    for (int i = 0; i < BANDS; i++)
        farthest = fmax(farthest, alone.setting[i].eta);
    CHECK(farthest > 3.9, "%g", farthest);
}

static void test_it_stays_where_it_may_lose(void **state)
{
    vocabulary v;
    mscope_stage s;

    (void)state;
    draw(&v, 1024, (mscope_setting){ 2, 0.1 }, 0.5, 0);
    for (int i = 0; i < BANDS; i++)
        v.band[i].U_run_se = 2 * v.band[i].U_run;
    s = ask(&v, 0.2);
    CHECK(s.kind == MSCOPE_PLAN_NOW && strstr(s.why, "agree beyond chance") != NULL, "%s", s.why);
    for (int i = 0; i < BANDS; i++)
        v.band[i].U_run = NAN;
    s = ask(&v, 0.2);
    CHECK(s.kind == MSCOPE_PLAN_NOW && strstr(s.why, "send the single gradients") != NULL, "%s", s.why);
    draw(&v, 1024, (mscope_setting){ 2, 0.1 }, 0.5, 0);
    v.band[3].growing = 1;
    s = ask(&v, 0.2);
    CHECK(s.kind == MSCOPE_PLAN_NOW && strstr(s.why, "grows") != NULL, "%s", s.why);
    /* one band is known, and has much label noise: that of the others may be as much */
    draw(&v, 64, (mscope_setting){ 0.2, 0.1 }, 0.01, 5);
    for (int i = 1; i < BANDS; i++)
        v.band[i].U_run_se = 2 * v.band[i].U_run;
    s = ask(&v, 0.1);
    for (int i = 2; i < BANDS; i++)
        CHECK(s.setting[i].eta <= 0.2 * 1.0001, "band %d goes up to %g", i, s.setting[i].eta);
    /* rows by themselves at half of their limit, and no record of all that moves together */
    draw(&v, 1024, (mscope_setting){ 15, 0.1 }, 0.5, 0);
    s = ask(&v, 0);
    for (int i = 0; i < BANDS; i++)
        CHECK(s.setting[i].eta <= 15 * 1.0001, "band %d goes up to %g", i, s.setting[i].eta);
}

static void test_near_the_limit_it_goes_down(void **state)
{
    vocabulary v;

    (void)state;
    for (int k = 0; k < 2; k++) {
        draw(&v, 1024, (mscope_setting){ 2, 0.1 }, 0.5, 0);
        v.margin.standing = k ? MSCOPE_STANDING_UNSTABLE : MSCOPE_STANDING_NEAR;
        const mscope_stage s = ask(&v, k ? 1.6 : 0.85);
        CHECK(s.rescue && s.kind == MSCOPE_PLAN_ETA && s.H_then <= (k ? 0.81 : 0.5), "H %g", s.H_then);
        CHECK(s.steps <= 8 * v.m.retention[BANDS - 1] + 1, "case %d: look again after %g", k, s.steps);
        v.margin.H_se = 0.3;
        v.margin.close = 0.6;
        CHECK(!ask(&v, k ? 1.1 : 0.85).rescue, "case %d: H is coarse", k);
        v.margin.close = 0.95;
        CHECK(ask(&v, k ? 1.1 : 0.85).rescue, "case %d: H is coarse, but very likely", k);
        v.margin.doubted = 1;
        CHECK(!ask(&v, k ? 1.6 : 0.85).rescue, "case %d: momentum does not grow", k);
    }
}

/* A record that does not know H: near a saddle what one row needs may not be what all need. */
static void test_without_H_it_stays(void **state)
{
    vocabulary v;

    (void)state;
    draw(&v, 1024, (mscope_setting){ 10, 0.1 }, 0.5, 0);
    CHECK(ask(&v, 0.1).kind != MSCOPE_PLAN_NOW, "with H %g it moves", 0.1);
    v.margin.standing = MSCOPE_STANDING_UNKNOWN;
    const mscope_stage s = ask(&v, 0.1);
    CHECK(s.kind == MSCOPE_PLAN_NOW && strstr(s.why, "saddle") != NULL, "%s", s.why);
}

/* The bounds against the maps of theory.h, and against what is known of them. */
static void test_bounds(void **state)
{
    vocabulary v;
    mscope_bounds b;
    double most = 1;

    (void)state;
    for (int k = 0; k < 10; k++) {
        const double batch = 64 * pow(2, k), eta = 0.01 * batch * pow(1.3, k);
        draw(&v, batch, (mscope_setting){ eta, 0.1 }, 0.5, 0);
        (void)ask(&v, 0);
        mscope_bounds_of(&v.m, &b);
        const double spread = v.band[0].p - v.band[BANDS - 1].p;
        CHECK(fabs(b.batch_table * spread / (WIDTH + 2) - 1) < 0.02, "batch %g: %g", batch, b.batch_table);
        for (int i = 0; i < BANDS; i++) {
            const mscope_ls ls = { .d = WIDTH, .p = v.band[i].p, .batch = batch, .eps = 1, .eta = eta };
            mscope_row row;
            double plain, best = 0;
            assert_int_equal(mscope_row_from_ls(&ls, &row), MSCOPE_OK);
            const double Hn = eta * (WIDTH + 2 - v.band[i].p) / (2 * batch);
            CHECK(fabs(b.noise[i] - Hn) < 1e-6 * Hn, "%g, not %g", b.noise[i], Hn);
            row.beta = 0;
            if (mscope_row_rate(&row, &plain) != MSCOPE_OK || !(plain > 0))
                continue;
            for (int e = 0; e < 300; e++) {
                double rate;
                row.eps = pow(10, -e / 75.0);
                row.beta = 1 - row.eps;
                if (mscope_row_rate(&row, &rate) == MSCOPE_OK)
                    best = fmax(best, rate / plain);
            }
            CHECK(best < b.momentum[i] * 1.01, "batch %g, band %d: %g, said %g", batch, i, best, b.momentum[i]);
            CHECK(best > b.momentum[i] * 0.99, "batch %g, band %d: %g, said %g", batch, i, best, b.momentum[i]);
            if (eta * v.m.h1[i] < 0.001)
                CHECK(b.momentum[i] <= 2 && (b.noise[i] < 1.0 / 3 || b.momentum[i] < 1.01), "%g", b.momentum[i]);
            most = fmax(most, b.momentum[i]);
        }
    }
    NOTE("momentum is worth at most %.3f times in 120 rows", most);
    assert_true(most > 1.3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_further_than_the_evidence_reaches),
        cmocka_unit_test(test_tables_that_move_together_share_the_reach),
        cmocka_unit_test(test_it_stays_where_it_may_lose),
        cmocka_unit_test(test_near_the_limit_it_goes_down),
        cmocka_unit_test(test_without_H_it_stays),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests_name("stage", tests, NULL, NULL);
}
