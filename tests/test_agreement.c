/* test_agreement.c - U over many windows: its mean, its error, what it forgets */
#include "harness.h"

#include "daemon/agreement.h"

static mscope_window window(double mean, double sd, int n)
{
    mscope_window w;

    memset(&w, 0, sizeof w);
    for (int i = 0; i < n; i++) {
        const double u = mean + sd * rng_normal();
        w.u += u;
        w.u2 += u * u;
    }
    w.u_updates = n;
    w.s2 = 5.0 * n;
    w.s2_occurrences = n;
    return w;
}

/* Two updates a window do not stand out of their error; a thousand windows do, and the error covers. */
static void test_many_windows_tell_what_one_does_not(void **state)
{
    int outside = 0;

    (void)state;
    rng_seed(11);
    for (int run = 0; run < 200; run++) {
        mscope_agree_sums a;
        double mean, se;
        memset(&a, 0, sizeof a);
        for (uint64_t k = 1; k <= 1000; k++) {
            const mscope_window w = window(0.1, 1, 2);
            mscope_agreement_take(&a, 10 * k, &w, 64, 1e6);
        }
        assert_true(mscope_agreement_mean(&a, &mean, &se) > 1900);
        CHECK(se > 0.02 && se < 0.03, "%g", se);
        outside += fabs(mean - 0.1) > 1.96 * se;
        CHECK(fabs(a.s2 / a.occurrences - 5) < 1e-9, "%g", a.s2 / a.occurrences);
    }
    NOTE("%d of 200 means outside 1.96 standard errors", outside);
    assert_true(outside <= 20);
}

static void test_what_is_old_fades_and_another_batch_begins_anew(void **state)
{
    mscope_agree_sums a;
    mscope_window w = window(4, 0, 100);
    double mean, se;

    (void)state;
    memset(&a, 0, sizeof a);
    assert_true(mscope_agreement_mean(&a, &mean, &se) <= 0 && isnan(mean) && isnan(se));
    mscope_agreement_take(&a, 1000, &w, 64, 10000);
    w = window(1, 0, 100);
    mscope_agreement_take(&a, 2000, &w, 64, 10000);          /* half-life a tenth of 10000 */
    assert_true(fabs(mscope_agreement_mean(&a, &mean, &se) - 150) < 1e-9);
    CHECK(fabs(mean - 2) < 1e-12 && se > 0, "%g %g", mean, se);
    mscope_agreement_take(&a, 2010, &w, 512, NAN);
    assert_true(fabs(mscope_agreement_mean(&a, &mean, &se) - 100) < 1e-9 && fabs(mean - 1) < 1e-12);
    assert_true(a.half_life >= MSCOPE_AGREEMENT_SHORTEST && a.half_life <= MSCOPE_AGREEMENT_SHORTEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_windows_tell_what_one_does_not),
        cmocka_unit_test(test_what_is_old_fades_and_another_batch_begins_anew),
    };

    return cmocka_run_group_tests_name("agreement", tests, NULL, NULL);
}
