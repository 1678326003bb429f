/* test_activity.c - what a table learns about how often its rows are active: fade over gaps, rates that follow */
#include "harness.h"

typedef struct bench {
    void *mem;
    mscope_table *t;
} bench;

static bench table_of(uint32_t rows)
{
    const mscope_table_config cfg = { .rows = rows, .dim = 1, .capacity = rows, .history = 1024 };
    const size_t len = mscope_table_mem(&cfg);
    bench b = { aligned_alloc(64, (len + 63) / 64 * 64), NULL };

    assert_non_null(b.mem);
    assert_int_equal(mscope_table_init(&b.t, &cfg, b.mem, len), MSCOPE_OK);
    return b;
}

static void step(mscope_table *t, double eps, const uint32_t *rows, size_t n)
{
    const mscope_step s = { .eta = 0.1, .eps = eps, .batch = 1 };
    float g[64];

    for (size_t i = 0; i < LEN(g); i++)
        g[i] = 1;
    assert_true(n <= LEN(g));
    if (rng_u64() & 1)                       /* a row that is read first has no span left to catch up */
        assert_int_equal(mscope_table_touch(t, rows, n), MSCOPE_OK);
    assert_int_equal(mscope_table_step_begin(t, &s), MSCOPE_OK);
    if (n > 0)
        assert_int_equal(mscope_table_apply(t, rows, g, NULL, n), MSCOPE_OK);
    assert_int_equal(mscope_table_step_end(t), MSCOPE_OK);
}

static mscope_fade fade_of(mscope_table *t)
{
    mscope_fade sum = { 0 };
    mscope_band b;

    for (unsigned i = 0; i < MSCOPE_BANDS; i++) {
        assert_int_equal(mscope_table_band(t, i, &b), MSCOPE_OK);
        sum.gaps += b.fade.gaps;
        sum.first += b.fade.first;
        sum.second += b.fade.second;
    }
    return sum;
}

/* 64 rows behind gates whose active runs are `burst` long. The truth is the mean over the law of the gaps. */
static void bursty(double P, double burst, double eps)
{
    enum { ROWS = 64, STEPS = 20000 };
    const double leave = 1 / burst, enter = leave * P / (1 - P);
    double q = leave, left = 1 - eps, fade = (1 - leave) * eps;
    bench b = table_of(ROWS);
    int on[ROWS] = { 0 };

    for (; q > 1e-12; q *= 1 - enter) {
        left *= 1 - eps;
        fade += q * enter * (1 - left);
    }
    for (int k = 0; k < STEPS; k++) {
        uint32_t rows[ROWS];
        size_t n = 0;

        for (uint32_t r = 0; r < ROWS; r++) {
            on[r] = rng_uniform() < (on[r] ? 1 - leave : enter);
            if (on[r])
                rows[n++] = r;
        }
        step(b.t, eps, rows, n);
    }
    mscope_fade f = fade_of(b.t);
    double retention = f.gaps / f.first;
    CHECK(fabs(retention * fade - 1) < 0.05, "P %g burst %g eps %g: retention %g, truth %g, independent %g", P, burst,
          eps, retention, 1 / fade, (P + (1 - P) * eps) / eps);
    free(b.mem);
}

static void test_retention_of_bursty_rows(void **state)
{
    static const double P[] = { 0.02, 0.1 }, burst[] = { 2, 10, 50 }, eps[] = { 0.1, 0.02 };

    (void)state;
    rng_seed(11);
    for (size_t i = 0; i < LEN(P) * LEN(burst) * LEN(eps); i++)
        bursty(P[i % 2], burst[i / 2 % 3], eps[i / 6]);
}

/* By hand: gaps of 1 and 3 steps under a moving eps. The gap before the first update does not count. One over a seek is
 * as long as the steps that were seen. */
static void test_fade_of_a_schedule(void **state)
{
    const uint32_t row = 0;
    bench b = table_of(4);
    mscope_fade f;

    (void)state;
    rng_seed(1);
    step(b.t, 0.5, NULL, 0);
    step(b.t, 0.5, &row, 1);
    step(b.t, 0.25, &row, 1);
    step(b.t, 0.1, NULL, 0);
    step(b.t, 0.2, NULL, 0);
    step(b.t, 0.3, &row, 1);
    f = fade_of(b.t);
    const double one = 0.25, three = 1 - 0.9 * 0.8 * 0.7;
    assert_true(f.gaps == 2);
    CHECK(fabs(f.first - one - three) < 1e-15 && fabs(f.second - one * one - three * three) < 1e-15, "%g %g", f.first,
          f.second);
    step(b.t, 0.3, NULL, 0);
    assert_int_equal(mscope_table_seek(b.t, 100), MSCOPE_OK);
    step(b.t, 0.3, &row, 1);
    assert_true(fade_of(b.t).gaps == 3);
    assert_int_equal(mscope_table_seek(b.t, 200), MSCOPE_OK);
    step(b.t, 0.3, &row, 1);
    f = fade_of(b.t);
    assert_true(f.gaps == 4);
    CHECK(fabs(f.first - one - three - (1 - 0.7 * 0.7) - 0.3) < 1e-15, "%g", f.first);
    free(b.mem);
}

/* Mean P of 64 rows after `steps` steps of activity P each. */
static double rate_after(mscope_table *t, double P, int steps)
{
    double sum = 0;

    for (int k = 0; k < steps; k++) {
        uint32_t rows[64];
        size_t n = 0;

        for (uint32_t r = 0; r < 64; r++)
            if (rng_uniform() < P)
                rows[n++] = r;
        step(t, 0.1, rows, n);
    }
    for (uint32_t r = 0; r < 64; r++) {
        mscope_table_row_info info;

        assert_int_equal(mscope_table_row(t, r, &info), MSCOPE_OK);
        sum += info.P;
    }
    return sum / 64;
}

static void test_rates_follow_rows_that_appear_warm_and_cool(void **state)
{
    bench b = table_of(64);
    double late, cooled, warmed;

    (void)state;
    rng_seed(5);
    (void)rate_after(b.t, 0, 6000);
    late = rate_after(b.t, 0.175, 500);      /* 0.013 while the wait before the first update counted */
    CHECK(fabs(late / 0.175 - 1) < 0.1, "rows that appeared 500 steps ago: P %g, truth 0.175", late);
    (void)rate_after(b.t, 0.474, 6000);
    cooled = rate_after(b.t, 0.0064, 16000); /* 0.019 with a memory of 256 gaps */
    CHECK(fabs(cooled / 0.0064 - 1) < 0.25, "rows that cooled 16000 steps ago: P %g, truth 0.0064", cooled);
    warmed = rate_after(b.t, 0.3, 6000);
    CHECK(fabs(warmed / 0.3 - 1) < 0.1, "rows that warmed 6000 steps ago: P %g, truth 0.3", warmed);
    NOTE("P of rows that appeared, cooled, warmed: %.3g (0.175), %.3g (0.0064), %.3g (0.3)", late, cooled, warmed);
    free(b.mem);
}

static void test_rates_have_no_bias(void **state)
{
    bench b = table_of(64);
    double common, rare;

    (void)state;
    rng_seed(9);
    common = rate_after(b.t, 0.2, 20000);
    free(b.mem);
    b = table_of(64);
    rare = rate_after(b.t, 0.002, 60000);
    CHECK(fabs(common / 0.2 - 1) < 0.02, "P %g, truth 0.2", common);
    CHECK(fabs(rare / 0.002 - 1) < 0.1, "P %g, truth 0.002", rare);
    NOTE("P of rows that do not change: %.4g (0.2), %.3g (0.002)", common, rare);
    free(b.mem);
}

/* Two tables see the same active steps; one has silent steps between them that are declared unseen, by a run or by a
 * seek. Its rates must be those of the other to the bit. */
static void test_unseen_steps_are_no_silence(void **state)
{
    enum { ROWS = 16 };
    bench a = table_of(ROWS), b = table_of(ROWS);
    mscope_table_row_info x, y;

    (void)state;
    for (int k = 0; k < 4000; k++) {
        uint32_t rows[ROWS];
        size_t n = 0;

        for (uint32_t r = 0; r < ROWS; r++)
            if (rng_uniform() < 1.0 / (r + 1))
                rows[n++] = r;
        step(a.t, 0.1, rows, n);
        step(b.t, 0.1, rows, n);
        if (rng_uniform() < 0.3) {
            const unsigned lost = 1 + (unsigned)(rng_u64() % 9);
            for (unsigned i = 0; i < lost; i++)
                step(b.t, 0.1, NULL, 0);
            assert_int_equal(mscope_table_unseen(b.t, lost), MSCOPE_OK);
        }
        if (k % 1000 == 999)
            assert_int_equal(mscope_table_seek(b.t, mscope_table_steps(b.t) + 100000), MSCOPE_OK);
    }
    assert_true(mscope_table_steps(b.t) > mscope_table_steps(a.t) + 400000);
    for (uint32_t r = 0; r < ROWS; r++) {
        assert_int_equal(mscope_table_row(a.t, r, &x), MSCOPE_OK);
        assert_int_equal(mscope_table_row(b.t, r, &y), MSCOPE_OK);
        CHECK(x.p == y.p && x.P == y.P && x.band == y.band, "row %u: P %g against %g", r, y.P, x.P);
    }
    assert_int_equal(mscope_table_unseen(b.t, 4001), MSCOPE_EINVAL);
    assert_int_equal(mscope_table_unseen(b.t, 4000), MSCOPE_OK);
    free(a.mem);
    free(b.mem);
}

/* Most rows were seen once or never: the sums of P and p over the rows are still what the steps had. */
static void test_rates_of_rows_seen_once_add_up(void **state)
{
    enum { ROWS = 8192, EACH = 8 };
    static const int steps[] = { 100, 400, 3000 };

    (void)state;
    rng_seed(5);
    for (size_t i = 0; i < LEN(steps); i++) {
        bench b = table_of(ROWS);
        double P = 0;

        for (int k = 0; k < steps[i]; k++) {
            uint32_t rows[EACH];
            for (int r = 0; r < EACH; r++)
                rows[r] = (uint32_t)(ROWS / EACH * r) + (uint32_t)(rng_u64() % (ROWS / EACH));
            step(b.t, 0.1, rows, EACH);
        }
        assert_int_equal(mscope_table_resum(b.t), MSCOPE_OK);
        for (unsigned k = 0; k < MSCOPE_BANDS; k++) {
            mscope_band got;
            assert_int_equal(mscope_table_band(b.t, k, &got), MSCOPE_OK);
            P += got.rows * got.P;
        }
        printf("# note sum of P over %d rows after %d steps: %.3f of %d\n", ROWS, steps[i], P, EACH);
        CHECK(fabs(P / EACH - 1) < 0.04, "%d steps: %g of %d", steps[i], P, EACH);
        free(b.mem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unseen_steps_are_no_silence),
        cmocka_unit_test(test_rates_of_rows_seen_once_add_up),
        cmocka_unit_test(test_fade_of_a_schedule),
        cmocka_unit_test(test_retention_of_bursty_rows),
        cmocka_unit_test(test_rates_follow_rows_that_appear_warm_and_cool),
        cmocka_unit_test(test_rates_have_no_bias),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
