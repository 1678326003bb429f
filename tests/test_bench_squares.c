/* test_bench_squares.c - adam, adana and dana-star against a few lines of each, under every semantics; 1 - beta that
 * falls with eta */
#include "harness.h"

#include "bench/schedules.h"
#include "bench/workloads/rows.h"

enum { ROWS = 6, DIM = 3, STEPS = 400 };

static mscope_bench_schedule schedule(const char *name, double steps)
{
    mscope_bench_schedule s = { .rule = mscope_bench_rule_find(name), .steps = steps, .dim = 1, .batch = 1 };
    assert_non_null(s.rule);
    for (size_t i = 0; i < MSCOPE_RULE_PARAMS; i++)
        s.param[i] = mscope_bench_rule_params[i].value;
    return s;
}

/* Row j is active with probability 2^-j; the gradients do not depend on theta, so every rule sees the same. */
static size_t draw(gsl_rng *r, uint32_t *row, double *g)
{
    size_t n = 0;
    for (uint32_t j = 0; j < ROWS; j++)
        if (gsl_rng_uniform(r) < pow(2, -(double)j)) {
            for (size_t i = 0; i < DIM; i++)
                g[n * DIM + i] = 0.3 + mscope_bench_normal(r);
            row[n++] = j;
        }
    return n;
}

/* ---- one coordinate, written from the sources: t counts from 1 ------------------------------------------------ */

struct coordinate {
    double theta, m, v, tau;
};

static void adam(struct coordinate *c, double g, double t)
{
    c->m = 0.9 * c->m + 0.1 * g;
    c->v = 0.999 * c->v + 0.001 * g * g;
    c->theta -= 0.1 * (c->m / (1 - pow(0.9, t))) / (sqrt(c->v / (1 - pow(0.999, t))) + 1e-8);
}

static void adana(struct coordinate *c, double g, double t)
{
    const double a = 8 / (8 + t);
    c->m += a * (g - c->m);
    c->v = (1 - a) * c->v + a * g * g;
    const double norm = 1 / (sqrt(c->v) + 1e-8), factor = pow(1 + t, 0.15) * fabs(c->m) * norm;
    c->theta -= 0.1 * (g * norm + (c->m > 0 ? factor : -factor) + c->m * norm);
}

static void dana_star(struct coordinate *c, double g, double t)
{
    const double a = 8 / (8 + t);
    c->m = (1 - a) * c->m + a * g;
    c->v = (1 - a) * c->v + a * g * g;
    c->tau = (1 - a) * c->tau + a * fabs(g) / (fabs(g) + sqrt(c->v) + 1e-8);
    const double half = fmin(c->tau, 0.5), activity = fmax(half / (1 - half), 1 / (1 + t));
    const double norm = sqrt(activity) / (sqrt(c->v) + 1e-8);
    const double clip = fmin(1, sqrt(c->v) / (sqrt(activity) * fabs(g) + 1e-8));
    c->theta -= 0.1 * g * norm * clip;
    c->theta -= 0.1 * pow(1 + fmax(c->tau * t, 1), 0.15) * c->m * norm;
}

static const struct {
    const char *name;
    void (*move)(struct coordinate *c, double g, double t);
} rules[] = { { "adam", adam }, { "adana", adana }, { "dana-star", dana_star } };

/* ---- tables of rows under a semantics, against these ------------------------------------------------------------- */

static void advance(size_t k, enum mscope_bench_semantics semantics, struct coordinate (*want)[DIM], double *own,
                    const uint32_t *row, const double *g, size_t n, double t)
{
    static const double silent[DIM] = { 0 };
    for (uint32_t j = 0, at = 0; j < ROWS; j++) {
        const int active = at < n && row[at] == j;
        const double *gj = active ? g + (size_t)at++ * DIM : silent;
        own[j] += active;
        for (size_t i = 0; (active || semantics <= MSCOPE_BENCH_DENSE) && i < DIM; i++)
            rules[k].move(&want[j][i], gj[i], semantics == MSCOPE_BENCH_ROW_CLOCK ? own[j] : t);
    }
}

static double against_lines(size_t k, enum mscope_bench_semantics semantics)
{
    static const uint32_t first[] = { 0, 2, ROWS };
    struct coordinate want[ROWS][DIM] = { { { 0 } } };
    double own[ROWS] = { 0 }, g[ROWS * DIM], worst = 0;
    const mscope_bench_schedule s = schedule(rules[k].name, STEPS);
    gsl_rng *r = mscope_bench_rng(3, 1);
    mscope_bench_rows rows;
    uint32_t row[ROWS];

    assert_non_null(r);
    assert_int_equal(mscope_bench_rows_open(&rows, ROWS, DIM, 2, first), 0);
    for (uint64_t t = 0; t < STEPS; t++) {
        mscope_bench_step step = { .t = t, .semantics = semantics, .schedule = &s };
        const size_t n = draw(r, row, g);
        mscope_bench_rates_at(&s, (double)t, &step.all);
        assert_int_equal(mscope_bench_rows_touch(&rows, row, n), 0);
        assert_int_equal(mscope_bench_rows_step(&rows, &step, row, g, n), 0);
        advance(k, semantics, want, own, row, g, n, (double)t + 1);
    }
    assert_int_equal(mscope_bench_rows_settle(&rows), 0);
    for (size_t j = 0; j < ROWS; j++)
        for (size_t i = 0; i < DIM; i++)
            worst = fmax(worst, fabs(rows.theta[j * DIM + i] / want[j][i].theta - 1));
    mscope_bench_rows_close(&rows);
    gsl_rng_free(r);
    return worst;
}

static void test_rows_move_as_the_rule_says(void **state)
{
    (void)state;
    for (size_t k = 0; k < LEN(rules); k++)
        for (int s = MSCOPE_BENCH_CATCHUP; s <= MSCOPE_BENCH_ROW_CLOCK; s++) {
            const double off = against_lines(k, (enum mscope_bench_semantics)s);
            /* 400 steps of a few roundings each; beta^t by powers loses 1e-16 t */
            CHECK(off < 1e-11, "%s, semantics %d: off by %g", rules[k].name, s, off);
        }
}

/* Far out, with one gradient of both signs in turn, Adam stands still, and with one of one sign it moves eta a step. */
static void test_adam_moves_by_eta(void **state)
{
    const mscope_bench_schedule s = schedule("adam", 1000);
    const uint32_t first[] = { 0, 1 }, row = 0;
    mscope_bench_rows rows;

    (void)state;
    assert_int_equal(mscope_bench_rows_open(&rows, 1, 1, 1, first), 0);
    for (uint64_t t = 0; t < 1000; t++) {
        mscope_bench_step step = { .t = t, .semantics = MSCOPE_BENCH_DENSE, .schedule = &s };
        const double g = 1e-3;
        mscope_bench_rates_at(&s, (double)t, &step.all);
        assert_int_equal(mscope_bench_rows_step(&rows, &step, &row, &g, 1), 0);
    }
    CHECK(fabs(rows.theta[0] / (-1000 * 0.1) - 1) < 2e-5, "1000 steps of eta 0.1 came to %g", rows.theta[0]);
    mscope_bench_rows_close(&rows);
}

static void test_co_scheduled_beta(void **state)
{
    static const char *const names[] = { "cosine", "step", "inv-t", "wsd", "wsd-sqrt" };

    (void)state;
    for (size_t i = 0; i < LEN(names); i++)
        for (double t = 0; t < 100; t += 7) {
            mscope_bench_schedule s = schedule(names[i], 100);
            mscope_bench_rates fixed, co;
            s.param[MSCOPE_RULE_WARMUP] = 0;
            mscope_bench_rates_at(&s, t, &fixed);
            s.param[MSCOPE_RULE_CO] = 1;
            mscope_bench_rates_at(&s, t, &co);
            const double decay = fixed.eta / s.param[MSCOPE_RULE_ETA], eps = fmax(0.1 * decay, 0.001);
            CHECK(co.eta == fixed.eta && fabs(co.eps / eps - 1) < 1e-12 && co.gain == co.eps,
                  "%s at %g: eps %g, not %g", names[i], t, co.eps, eps);
            CHECK(fixed.eps == 0.1, "%s at %g: co 0, but eps %g", names[i], t, fixed.eps);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_move_as_the_rule_says),
        cmocka_unit_test(test_adam_moves_by_eta),
        cmocka_unit_test(test_co_scheduled_beta),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
