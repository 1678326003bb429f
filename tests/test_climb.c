/* test_climb.c - the warning before the loss: what climbs is told, what learns or floats is not; pulses of the core */
#include "harness.h"

#include "daemon/climb.h"

#define EPS 0.1

/* Readings with these <G, m>, |G|^2 and growth of R each. Returns the first one that told, 0: none. */
static int climbs(mscope_climb *c, double gm, double g2, double growth, int readings)
{
    double R = 1.0;
    int told = 0;

    memset(c, 0, sizeof *c);
    for (int k = 1; k <= readings; k++) {
        R *= 1.0 + growth;
        mscope_climb_pulse(c, 4, 0.1 * gm, 0.5 * g2);
        mscope_climb_pulse(c, 7, 0.9 * gm, 0.5 * g2);
        if (mscope_climb_read(c, R, R, EPS, MSCOPE_CLIMB_KEPT) && told == 0)
            told = k;
    }
    return told;
}

static void test_outward_and_uphill_is_told(void **state)
{
    mscope_climb c;
    int told;

    (void)state;
    told = climbs(&c, -0.1, 1, 0.03, 100);           /* w = 1.8: all growth counts, 16 x 0.029 */
    CHECK(told == 17 && c.climbing && c.band == 7, "told at %d, band %u", told, c.band);
    CHECK(fabs(mscope_climb_sum(&c) - 16 * 0.03 / 1.03) < 1e-12, "%g", mscope_climb_sum(&c));
    told = climbs(&c, -0.1 / 12, 1, 0.03, 100);      /* w = 0.15: half of it, which is not enough */
    CHECK(told == 0 && fabs(mscope_climb_sum(&c) - 8 * 0.03 / 1.03) < 1e-9, "%d, %g", told, mscope_climb_sum(&c));
}

static void test_learning_and_floating_are_not(void **state)
{
    mscope_climb c;

    (void)state;
    assert_int_equal(climbs(&c, 0.1, 1, 0.2, 100), 0);       /* rows grow downhill */
    assert_true(mscope_climb_sum(&c) == 0.0);
    assert_int_equal(climbs(&c, -0.1, 1, 0, 100), 0);        /* uphill, but the rows stay */
    assert_int_equal(climbs(&c, 0, 0, 0.2, 100), 0);         /* no gradient at all */
    assert_int_equal(climbs(&c, NAN, 1, 0.2, 100), 0);
}

static void test_alert_ends_and_comes_again(void **state)
{
    mscope_climb c;
    double R = 1.0;
    int told = 0;

    (void)state;
    memset(&c, 0, sizeof c);
    assert_true(isnan(mscope_climb_sum(&c)));
    for (int k = 0; k < 120; k++) {
        const int calm = k >= 40 && k < 80;

        if (calm)
            assert_int_equal(told, 1);
        R *= calm ? 1.0 : 1.03;
        mscope_climb_pulse(&c, 2, calm ? 0.1 : -0.1, 1);
        told += mscope_climb_read(&c, R, R, EPS, MSCOPE_CLIMB_KEPT);
        if (k == 79)
            assert_false(c.climbing);
    }
    assert_int_equal(told, 2);
    c.placed = 0;                                    /* rows were put elsewhere: that jump is no growth */
    (void)mscope_climb_read(&c, 1e6, 1, EPS, MSCOPE_CLIMB_KEPT);
    assert_true(mscope_climb_sum(&c) < 1);
}

static void test_pace(void **state)
{
    (void)state;
    assert_true(mscope_climb_every(1) == 1 && mscope_climb_every(0.1) == 2 && mscope_climb_every(1e-3) == 250);
    assert_true(mscope_climb_every(0) == 1000000000u && mscope_climb_every(NAN) == 1000000000u);
}

/* -- pulses of the core ---------------------------------------------------------------------- */

enum { ROWS = 6, DIM = 3 };

static mscope_table *table_of(void *mem, size_t len)
{
    mscope_table_config cfg = { .rows = ROWS, .dim = DIM, .state = MSCOPE_STATE_F64,
                                .statistics = MSCOPE_STATISTICS_DOUBLE, .history = 64, .capacity = 8 };
    mscope_table *t = NULL;

    if (mscope_table_init(&t, &cfg, mem, len) != 0)
        fail_msg("no table");
    return t;
}

static void test_pulse_sums_and_starts_again(void **state)
{
    static unsigned char mem[1 << 20] __attribute__((aligned(64)));
    mscope_table *t = table_of(mem, sizeof mem);
    const mscope_step step = { .eta = 0.1, .eps = 0.25, .batch = 2 };
    double m[ROWS][DIM] = { { 0 } }, gm = 0, g2 = 0, top = 0, got_gm = 0, got_g2 = 0, got_top = 0, updates = 0;
    uint32_t row = 0, got_row = 99;

    (void)state;
    rng_seed(5);
    for (int k = 0; k < 20; k++) {
        uint32_t rows[2] = { (uint32_t)(rng_uniform() * 3), 3 + (uint32_t)(rng_uniform() * 3) };
        double g[2][DIM];
        mscope_pulse p;

        gm = g2 = top = got_gm = got_g2 = got_top = updates = 0;
        for (int i = 0; i < 2; i++)
            for (int d = 0; d < DIM; d++)
                g[i][d] = rng_normal();
        assert_int_equal(mscope_table_step_begin(t, &step), 0);
        assert_int_equal(mscope_table_pulse(t, 0, &p), MSCOPE_ESTATE);
        assert_int_equal(mscope_table_apply(t, rows, g, NULL, 2), 0);
        assert_int_equal(mscope_table_step_end(t), 0);
        for (uint32_t r = 0; r < ROWS; r++)
            for (int d = 0; d < DIM; d++) {
                int i = r == rows[0] ? 0 : r == rows[1] ? 1 : -1;

                if (i >= 0) {
                    gm += g[i][d] * m[r][d];
                    g2 += g[i][d] * g[i][d];
                }
                m[r][d] = 0.75 * m[r][d] + (i >= 0 ? 0.25 * g[i][d] : 0);
            }
        for (int i = 0; i < 2; i++) {
            double v = 0;
            for (int d = 0; d < DIM; d++)
                v += m[rows[i]][d] * m[rows[i]][d];
            row = v > top ? rows[i] : row;
            top = fmax(top, v);
        }
        for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
            assert_int_equal(mscope_table_pulse(t, b, &p), 0);
            got_gm += p.gm;
            got_g2 += p.g2;
            updates += p.updates;
            if (p.updates > 0 && p.top > got_top) {
                got_top = p.top;
                got_row = (uint32_t)p.top_row;
            }
            assert_int_equal(mscope_table_pulse(t, b, &p), 0);
            assert_true(p.updates == 0 && p.gm == 0 && p.g2 == 0 && p.top == 0);
        }
        CHECK(updates == 2 && got_row == row, "%g updates, row %u, expected %u", updates, got_row, row);
        CHECK(fabs(got_gm - gm) < 1e-12 && fabs(got_g2 - g2) < 1e-12 && fabs(got_top - top) < 1e-12,
              "gm %g %g, g2 %g %g, top %g %g", got_gm, gm, got_g2, g2, got_top, top);
    }
    assert_int_equal(mscope_table_pulse(t, MSCOPE_BANDS, &(mscope_pulse){ 0 }), MSCOPE_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outward_and_uphill_is_told),
        cmocka_unit_test(test_learning_and_floating_are_not),
        cmocka_unit_test(test_alert_ends_and_comes_again),
        cmocka_unit_test(test_pace),
        cmocka_unit_test(test_pulse_sums_and_starts_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
