/* test_bench_pairs.c - the bigram experiment of the authors of 2605.28961: its gradient, its samples, its bins */
#include "harness.h"

#include <unistd.h>

#include "bench/claims/models.h"
#include "bench/schedules.h"

enum { V = 40 };

static char path[] = "/tmp/mscope-pairs-XXXXXX";

/* Words by a power law, each mostly followed by the next but one. */
static void write_text(void)
{
    gsl_rng *r = mscope_bench_rng(5, 1);
    const int fd = mkstemp(path);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    assert_true(r != NULL && f != NULL);
    for (int i = 0, word = 0; i < 60000; i++) {
        word = gsl_rng_uniform(r) < 0.5 ? (word + 2) % 60 : (int)(60 * pow(gsl_rng_uniform(r), 3));
        fprintf(f, "w%c%c ", 'a' + word / 20, 'a' + word % 20);
    }
    fclose(f);
    gsl_rng_free(r);
    assert_int_equal(setenv("MOMENTSCOPE_TEXT", path, 1), 0);
}

static void *open_pairs(double batch)
{
    const mscope_model_value values[] = { { "words", V }, { "d", 6 }, { "batch", batch }, { NULL, 0 } };
    void *self = mscope_model_open(mscope_workload_find("bigram-pairs"), values, 7);
    assert_non_null(self);
    return self;
}

static mscope_bench_summary after(double batch, double eta, int steps)
{
    const mscope_workload *w = mscope_workload_find("bigram-pairs");
    void *self = open_pairs(batch);
    mscope_bench_summary s;
    assert_int_equal(mscope_model_sgd(w, self, eta, (uint64_t)steps), 0);
    w->summary(self, &s);
    w->fini(self);
    return s;
}

/* Without momentum m is the gradient: along it the exact loss falls by eta |m|^2 to first order. */
static void test_the_gradient_is_the_slope_of_the_loss(void **state)
{
    const double eta = 1e-4;
    const mscope_bench_summary before = after(0, 0, 0), then = after(0, eta, 1);
    const double slope = (before.total.risk - then.total.risk) / eta;

    (void)state;
    CHECK(fabs(slope / then.total.stat[1] - 1) < 1e-3, "slope %g, |gradient|^2 %g", slope, then.total.stat[1]);
    CHECK(before.total.risk > log(V) && before.total.risk < log(V) + 1, "%g at the start", before.total.risk);
}

/* A million samples are the law: one step of them goes where its expectation goes. */
static void test_samples_follow_the_law(void **state)
{
    const mscope_bench_summary law = after(0, 5, 3), drawn = after(1e6, 5, 3), few = after(100, 5, 3);

    (void)state;
    CHECK(fabs(drawn.total.risk / law.total.risk - 1) < 2e-3, "%g, %g", drawn.total.risk, law.total.risk);
    for (size_t b = 0; b < law.bands; b++)
        CHECK(fabs(drawn.band[b].risk / law.band[b].risk - 1) < 1e-2, "bin %zu: %g, %g", b, drawn.band[b].risk,
              law.band[b].risk);
    CHECK(few.total.risk > law.total.risk, "noise of a hundred samples lowered the loss: %g", few.total.risk);
}

/* Eight equal steps of ln rank, from the most frequent word alone; rounded edges that meet are one. */
static void test_bins_are_of_rank(void **state)
{
    const mscope_bench_summary s = after(0, 0, 0);
    double rows = 0, p = 0, risk = 0;

    (void)state;
    assert_true(s.bands >= 5 && s.bands <= 8);
    assert_true(s.band[0].rows == 1);
    for (size_t b = 0; b < s.bands; b++) {
        rows += s.band[b].rows;
        p += s.band[b].p * s.band[b].rows;
        risk += s.band[b].risk;
        assert_true(b == 0 || s.band[b].p < s.band[b - 1].p);
    }
    CHECK(rows == V && fabs(p - 1) < 1e-12 && fabs(risk / s.total.risk - 1) < 1e-12, "%g rows, p %g", rows, p);
}

static void test_it_learns_under_momentum_and_adam(void **state)
{
    static const char *const names[] = { "constant", "adam" };
    const mscope_workload *w = mscope_workload_find("bigram-pairs");

    (void)state;
    for (int k = 0; k < 2; k++) {
        mscope_bench_schedule schedule = { .rule = mscope_bench_rule_find(names[k]), .steps = 1500, .dim = 1 };
        void *self = open_pairs(64);
        mscope_bench_summary s;
        for (size_t i = 0; i < MSCOPE_RULE_PARAMS; i++)
            schedule.param[i] = mscope_bench_rule_params[i].value;
        schedule.param[MSCOPE_RULE_ETA] = k == 0 ? 4 : 0.02;
        for (uint64_t t = 0; t < 1500; t++) {
            mscope_bench_step step = { .t = t, .schedule = &schedule };
            mscope_bench_rates_at(&schedule, (double)t, &step.all);
            assert_int_equal(w->step(self, &step), 0);
        }
        w->summary(self, &s);
        CHECK(s.total.risk < w->target(self, s.bands) + 0.3, "%s: %g, target %g", names[k], s.total.risk,
              w->target(self, s.bands));
        NOTE("%s: %.3f nats, target %.3f", names[k], s.total.risk, w->target(self, s.bands));
        w->fini(self);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_gradient_is_the_slope_of_the_loss),
        cmocka_unit_test(test_samples_follow_the_law),
        cmocka_unit_test(test_bins_are_of_rank),
        cmocka_unit_test(test_it_learns_under_momentum_and_adam),
    };
    write_text();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
