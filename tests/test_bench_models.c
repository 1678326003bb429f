/* test_bench_models.c - uv, pca, gmm, xor, multi-index: one seed one run, gradients, fixed points, laws of the short
 * cuts; names of parameters */
#include "harness.h"

#include "bench/claims/models.h"
#include "bench/schedules.h"

#define SEED 7

static const char *const names[] = { "uv", "pca", "gmm", "xor", "multi-index" };

static double risk_after(const mscope_workload *w, const mscope_model_value *values, uint64_t seed, double eta,
                         uint64_t steps)
{
    mscope_bench_summary s;
    void *self = mscope_model_open(w, values, seed);

    assert_non_null(self);
    assert_int_equal(mscope_model_sgd(w, self, eta, steps), 0);
    w->summary(self, &s);
    w->fini(self);
    return s.total.risk;
}

static void test_models_follow_their_seed(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(names); i++) {
        const mscope_workload *w = mscope_workload_find(names[i]);
        assert_non_null(w);
        const double one = risk_after(w, NULL, SEED, 1e-3, 50), again = risk_after(w, NULL, SEED, 1e-3, 50);
        CHECK(one == again, "%s: seed %d: %a, %a", names[i], SEED, one, again);
        CHECK(one != risk_after(w, NULL, SEED + 1, 1e-3, 50), "%s: another seed, the same risk %a", names[i], one);
    }
}

/* A name in both tables would be ambiguous in --grid, and compare could not tell a problem from a setting. */
static void test_no_parameter_is_a_workloads_and_a_schedules(void **state)
{
    (void)state;
    for (size_t i = 0; mscope_workloads[i] != NULL; i++)
        for (const mscope_bench_param *p = mscope_workloads[i]->params; p->name != NULL; p++)
            CHECK(mscope_bench_param_index(mscope_bench_rule_params, p->name) < 0 && strcmp(p->name, "beta") != 0,
                  "%s: '%s' is a schedule's parameter too", mscope_workloads[i]->name, p->name);
}

static void test_models_refuse_nothing_small(void **state)
{
    static const mscope_model_value uv[] = { { "n", 1 }, { "samples", 1 }, { NULL, 0 } },
                                    pca[] = { { "n", 4 }, { "k", 3 }, { NULL, 0 } },
                                    literal[] = { { "n", 4 }, { "literal", 1 }, { NULL, 0 } },
                                    gmm[] = { { "n", 2 }, { "width", 1 }, { NULL, 0 } },
                                    multi[] = { { "n", 2 }, { "d", 1 }, { "index", 3 }, { NULL, 0 } };
    static const struct {
        const char *name;
        const mscope_model_value *values;
    } small[] = { { "uv", uv },   { "pca", pca }, { "pca", literal },
                  { "gmm", gmm }, { "xor", gmm }, { "multi-index", multi } };

    (void)state;
    for (size_t i = 0; i < LEN(small); i++)
        CHECK(isfinite(risk_after(mscope_workload_find(small[i].name), small[i].values, SEED, 1e-3, 20)), "%s",
              small[i].name);
}

/* A step moves |theta|^2 by -2 eta theta.grad. Linear and ReLU networks are homogeneous of degree 2 and y = 0: then
 * theta.grad = 4 loss. tanh: the loss falls. */
static void test_uv_descends_as_its_gradient(void **state)
{
    const mscope_workload *w = mscope_workload_find("uv");
    const double eta = 1e-4;
    double worst = 0;

    (void)state;
    for (int activation = 0; activation < 3; activation++) {
        const mscope_model_value values[] = { { "noise", 0 }, { "activation", activation }, { NULL, 0 } };
        void *self = mscope_model_open(w, values, SEED);
        assert_non_null(self);
        const double norm = mscope_model_stat(w, self, 0), loss = mscope_model_stat(w, self, 1);
        assert_int_equal(mscope_model_sgd(w, self, eta, 1), 0);
        const double moved = (mscope_model_stat(w, self, 0) - norm) / -eta, after = mscope_model_stat(w, self, 1);
        w->fini(self);
        CHECK(after < loss, "activation %d: loss %a, then %a", activation, loss, after);
        if (activation != 1)
            worst = fmax(worst, fabs(moved / (8 * loss) - 1));
    }
    /* Left out: eta |grad|^2 against 8 loss; |grad|^2 <= 2 loss tr H / n, tr H = O(20). */
    CHECK(worst < 40 * eta, "theta.grad = 4 loss to %g", worst);
    NOTE("uv: theta.grad = 4 loss to %.1e", worst);
}

/* Means over runs of (m, r2) after the same steps, by vectors and by four coordinates, with momentum on. */
static void pca_means(double literal, double eps, size_t runs, double mean[3], double error[3])
{
    const mscope_workload *w = mscope_workload_find("pca");
    const mscope_model_value values[] = { { "n", 40 },       { "start", 3 },        { "lambda", 1.5 },
                                          { "literal", literal }, { NULL, 0 } };
    double *x = malloc(3 * runs * sizeof *x);

    assert_non_null(x);
    for (size_t r = 0; r < runs; r++) {
        mscope_bench_step s = { .all = { .eta = 1.0 / 40, .eps = eps, .gain = eps } };
        void *self = mscope_model_open(w, values, SEED + 2 * r + (literal > 0));
        for (s.t = 0; s.t < 30; s.t++)
            assert_int_equal(w->step(self, &s), 0);
        const double m = mscope_model_stat(w, self, 0), r2 = mscope_model_stat(w, self, 1);
        x[r] = m;
        x[runs + r] = r2;
        x[2 * runs + r] = m * m;
        w->fini(self);
    }
    for (int i = 0; i < 3; i++)
        mean[i] = mscope_mean(x + (size_t)i * runs, runs, &error[i]);
    free(x);
}

static void test_pca_four_coordinates_have_the_law_of_vectors(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        const double eps = k == 0 ? 1 : 0.3;
        double a[3], b[3], ea[3], eb[3], worst = 0;
        pca_means(0, eps, 6000, a, ea);
        pca_means(1, eps, 6000, b, eb);
        for (int i = 0; i < 3; i++)
            worst = fmax(worst, fabs(a[i] - b[i]) / sqrt(ea[i] * ea[i] + eb[i] * eb[i]));
        /* six normal deviates: 4 is passed by chance once in 2600 seeds */
        CHECK(worst < 4, "eps %g: m %g %g, r2 %g %g, m2 %g %g", eps, a[0], b[0], a[1], b[1], a[2], b[2]);
        NOTE("pca: eps %g, means of m, r2, m^2 within %.1f standard errors", eps, worst);
    }
}

/* gmm without noise in the clusters and in a good run: sum of v^2 of each side -> -logit(2 alpha), from any seed. */
static void test_gmm_reaches_its_fixed_points(void **state)
{
    const mscope_model_value values[] = { { "n", 4 }, { "lambda", 1e12 }, { NULL, 0 } };
    const mscope_workload *w = mscope_workload_find("gmm");
    const double level = log(0.8 / 0.2);
    int good = 0, bad = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 24; seed++) {
        void *self = mscope_model_open(w, values, seed);
        assert_int_equal(mscope_model_sgd(w, self, 2e-3, 100000), 0);
        const double margin = mscope_model_stat(w, self, 1), v2 = mscope_model_stat(w, self, 2);
        if (mscope_model_stat(w, self, 0) > 0) {
            good++;
            /* the label's noise moves v^2 by sqrt(eta): 0.1 is twice what these seeds show */
            CHECK(fabs(margin - level) < 0.1, "seed %d: margin %g, not %g", (int)seed, margin, level);
        } else {
            bad++;
            CHECK(fabs(v2 - level) < 0.1 && margin < 0.1, "seed %d: v2 %g, margin %g", (int)seed, v2, margin);
        }
        w->fini(self);
    }
    CHECK(good >= 4 && bad >= 4, "%d of 24 succeed", good);
    NOTE("gmm: %d of 24 starts succeed", good);
}

/* From theta = 0 one step of the full batch shows |g|^2 in the norm; the risk falls by eta |g|^2 / n to first order. */
static void test_multi_index_gradient_is_the_slope(void **state)
{
    const mscope_workload *w = mscope_workload_find("multi-index");
    const double eta = 1e-5, n = 64, held = 2 * 16;

    (void)state;
    for (int nonlinear = 0; nonlinear < 2; nonlinear++) {
        const mscope_model_value values[] = { { "n", n },      { "d", 16 },   { "index", 2 },
                                              { "exponent", 1 }, { "clocks", 0 }, { "start", 0 },
                                              { "nonlinear", nonlinear }, { NULL, 0 } };
        void *self = mscope_model_open(w, values, SEED);
        assert_non_null(self);
        const double before = mscope_model_stat(w, self, 2);
        assert_int_equal(mscope_model_sgd(w, self, eta, 1), 0);
        const double square = mscope_model_stat(w, self, 1) * held / (eta * eta);
        const double slope = (before - mscope_model_stat(w, self, 2)) / eta;
        w->fini(self);
        /* curvature: eta times 4 (tanh's 2, squared) times the largest eigenvalue of sum x x^T, 9 here; float32 adds
         * 1e-4 */
        CHECK(fabs(slope / (square / n) - 1) < 1e-3, "nonlinear %d: %g, %g", nonlinear, slope, square / n);
    }
}

/* Full batch: the three clocks differ by their noise only; a subset of all n samples is gradient descent. */
static void test_multi_index_full_batch_is_gradient_descent(void **state)
{
    const mscope_workload *w = mscope_workload_find("multi-index");
    const mscope_model_value values[] = { { "n", 64 },      { "d", 16 },        { "index", 2 }, { "exponent", 1 },
                                          { "clocks", 0 }, { "nonlinear", 1 }, { "start", 1 }, { NULL, 0 } };
    double last = INFINITY;

    (void)state;
    void *self = mscope_model_open(w, values, SEED);
    assert_non_null(self);
    for (int i = 0; i < 50; i++) {
        mscope_bench_summary s;
        w->summary(self, &s);
        CHECK(s.total.risk < last, "step %d: risk %a after %a", i, s.total.risk, last);
        last = s.total.risk;
        assert_int_equal(mscope_model_sgd(w, self, 0.05, 1), 0);
    }
    w->fini(self);
    const mscope_model_value none[] = { { "kappabar", 1e-3 }, { "clocks", 0 }, { NULL, 0 } };
    assert_null(mscope_model_open(w, none, SEED));
}

static void test_intervals_and_slopes(void **state)
{
    const double x[] = { 1, 2, 3, 4 }, y[] = { 3, 5, 7, 9 };
    double low, high, error;

    (void)state;
    assert_true(fabs(mscope_slope(x, y, 4, &error) - 2) < 1e-12 && error < 1e-12);
    assert_true(fabs(mscope_mean(x, 4, &error) - 2.5) < 1e-12 && fabs(error - sqrt(5.0 / 12)) < 1e-12);
    mscope_wilson(0, 10, &low, &high);            /* Wilson 1927: [0, z^2 / (n + z^2)] */
    assert_true(fabs(low) < 1e-12 && fabs(high - 3.8414588 / 13.8414588) < 1e-7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models_follow_their_seed),
        cmocka_unit_test(test_no_parameter_is_a_workloads_and_a_schedules),
        cmocka_unit_test(test_models_refuse_nothing_small),
        cmocka_unit_test(test_uv_descends_as_its_gradient),
        cmocka_unit_test(test_pca_four_coordinates_have_the_law_of_vectors),
        cmocka_unit_test(test_gmm_reaches_its_fixed_points),
        cmocka_unit_test(test_multi_index_gradient_is_the_slope),
        cmocka_unit_test(test_multi_index_full_batch_is_gradient_descent),
        cmocka_unit_test(test_intervals_and_slopes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
