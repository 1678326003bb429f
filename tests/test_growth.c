/* test_growth.c - growth of momentum by the record alone: what is told, how soon, and what must not be */
#include "harness.h"

#include "daemon/growth.h"

enum { RETENTION = 20, EVERY = 5 };

/* One run: v behind a floor of noise with the memory of the momentum, times e^(rate) a step from `from` on.
 * Returns the step at which growth was told, 0: never. */
static uint64_t run(double rate, uint64_t from, uint64_t steps, double spread)
{
    const double keep = exp(-1.0 * EVERY / RETENTION);
    double noise = 0, grown = 0;
    mscope_growth g;
    uint64_t told = 0;

    memset(&g, 0, sizeof g);
    for (uint64_t k = EVERY; k <= steps; k += EVERY) {
        double risen = 1 - exp(-2.0 * (double)k / RETENTION);            /* from m = 0 */

        noise = keep * noise + sqrt(1 - keep * keep) * rng_normal();
        grown += k > from ? rate * EVERY : 0;
        if (mscope_growth_read(&g, k, risen * exp(spread * noise + grown), RETENTION, 1) && told == 0)
            told = k;
    }
    return told;
}

static void test_quiet_runs_are_quiet(void **state)
{
    int told = 0;

    (void)state;
    rng_seed(3);
    for (int i = 0; i < 200; i++)
        told += run(0, 0, 10000, 0.1 + 0.4 * rng_uniform()) != 0;
    NOTE("%d of 200 stationary runs of 10000 steps were called growing", told);
    assert_true(told <= 2);
}

static void test_growth_is_told_before_it_is_thousandfold(void **state)
{
    static const double folds[] = { 0.3, 0.5, 1, 2 };            /* e-folds of v a retention time */
    int before = 0, runs = 0;

    (void)state;
    rng_seed(4);
    for (size_t i = 0; i < LEN(folds); i++)
        for (int n = 0; n < 25; n++, runs++) {
            const double rate = folds[i] / RETENTION;
            uint64_t told = run(rate, 1000, 1000 + (uint64_t)(log(1000) / rate), 0.3);

            before += told > 1000;
        }
    NOTE("%d of %d growing runs were told before v had grown 1000-fold", before, runs);
    assert_true(before >= runs * 9 / 10);
}

static void test_rate_is_the_slope(void **state)
{
    mscope_growth g;

    (void)state;
    memset(&g, 0, sizeof g);
    assert_true(isnan(mscope_growth_rate(&g)));
    for (uint64_t k = 1; k < 1000; k++)
        (void)mscope_growth_read(&g, k, exp(0.003 * (double)k), RETENTION, 1);
    CHECK(fabs(mscope_growth_rate(&g) - 0.003) < 2e-5, "%g", mscope_growth_rate(&g));
}

static void test_what_says_nothing(void **state)
{
    mscope_growth g, was;

    (void)state;
    memset(&g, 0, sizeof g);
    was = g;
    assert_int_equal(mscope_growth_read(&g, 5, 0, RETENTION, 1), 0);
    assert_int_equal(mscope_growth_read(&g, 5, NAN, RETENTION, 1), 0);
    assert_int_equal(mscope_growth_read(&g, 5, 1, NAN, 1), 0);
    assert_memory_equal(&g, &was, sizeof g);
    for (uint64_t k = 1; k < 1000; k++)
        assert_int_equal(mscope_growth_read(&g, k, 1, RETENTION, 1), 0);
    assert_int_equal(mscope_growth_read(&g, 1000, INFINITY, RETENTION, 1), 0);
    assert_int_equal(mscope_growth_read(&g, 1001, INFINITY, RETENTION, 1), 1);      /* two readings running */
    assert_int_equal(mscope_growth_read(&g, 1002, INFINITY, RETENTION, 1), 0);      /* told once */
    assert_true(g.growing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet_runs_are_quiet),
        cmocka_unit_test(test_growth_is_told_before_it_is_thousandfold),
        cmocka_unit_test(test_rate_is_the_slope),
        cmocka_unit_test(test_what_says_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
