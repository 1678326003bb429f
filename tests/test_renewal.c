/* test_renewal.c - clocks as measured: against independent gaps, and against the exact jump map of bursty gates
 *
 * The truth of a gate that is a two-state Markov chain is the map of the moments in both states of the gate, step by
 * step: six numbers, no renewal argument. */
#include "harness.h"

#include "mscope/theory.h"

typedef struct gate {
    double stay, enter;              /* P(active | active), P(active | silent) */
} gate;

/* A gate of activity P whose runs of active steps are `burst` long in the mean. */
static gate gate_of(double P, double burst)
{
    double leave = 1.0 / burst;

    return (gate){ 1.0 - leave, leave * P / (1.0 - P) };
}

/* fade and fade2: the gap is 1 with probability stay, else 1 + a geometric number of steps. */
static void fades(const gate *g, double eps, double *fade, double *fade2)
{
    double p = 1.0 - g->stay, beta = 1.0 - eps, left = beta;

    *fade = g->stay * (1.0 - left);
    *fade2 = g->stay * (1.0 - left) * (1.0 - left);
    while (p > 1e-18) {
        left *= beta;
        *fade += p * g->enter * (1.0 - left);
        *fade2 += p * g->enter * (1.0 - left) * (1.0 - left);
        p *= 1.0 - g->enter;
    }
}

/* One step of the moments: 0..2 of active steps, 3..5 of silent ones. */
static void jump(const gate *g, const double D[9], const double S[9], const double x[6], double y[6])
{
    double into[6];

    for (int i = 0; i < 3; i++) {
        into[i] = g->stay * x[i] + g->enter * x[3 + i];
        into[3 + i] = (1 - g->stay) * x[i] + (1 - g->enter) * x[3 + i];
    }
    for (int i = 0; i < 3; i++) {
        y[i] = into[i];
        y[3 + i] = into[3 + i];
        for (int j = 0; j < 3; j++) {
            y[i] += S[3 * i + j] * into[j];
            y[3 + i] += D[3 * i + j] * into[3 + j];
        }
    }
}

/* ln of the growth of R over many steps of the jump map: its sign is that of ln of the spectral radius. */
static double growth(const mscope_row *row, const gate *g)
{
    double D[9], S[9], x[6] = { 1, 0, 0, 1, 0, 0 }, y[6], sum = 0;

    assert_int_equal(mscope_row_parts(row, D, S), MSCOPE_OK);
    for (int k = 0; k < 400000; k++) {
        double size;

        jump(g, D, S, x, y);
        size = y[0] + y[3];
        if (k >= 200000)
            sum += log(size);
        for (int i = 0; i < 6; i++)
            x[i] = y[i] / size;
    }
    return sum;
}

static mscope_row row_of(double P, double H1, double H2, double eps, double eta)
{
    mscope_row row;

    assert_int_equal(mscope_row_from_probe(P, H1, H2, eps, eta, 0, &row), MSCOPE_OK);
    return row;
}

static void test_independent_gaps_give_the_closed_forms(void **state)
{
    static const double P[] = { 1e-4, 0.02, 0.3, 0.9 }, eps[] = { 1e-6, 0.02, 0.5 }, H2[] = { 1.0, 3.0, 200.0 };
    double worst = 0;

    (void)state;
    for (size_t i = 0; i < LEN(P); i++)
        for (size_t k = 0; k < LEN(eps); k++)
            for (size_t j = 0; j < LEN(H2); j++) {
                mscope_row row = row_of(P[i], 1, H2[j], eps[k], 0.01);
                double beta = 1 - eps[k], x1 = P[i] + (1 - P[i]) * eps[k], x2 = P[i] + (1 - P[i]) * eps[k] * (1 + beta);
                double fade = eps[k] / x1, fade2 = 2 * fade - eps[k] * (1 + beta) / x2;
                mscope_feedback want, got;

                assert_int_equal(mscope_row_feedback(&row, &want), MSCOPE_OK);
                assert_int_equal(mscope_row_feedback_measured(&row, fade, fade2, &got), MSCOPE_OK);
                worst = fmax(worst, fabs(got.eta_max / want.eta_max - 1));
                CHECK(fabs(got.eta_max / want.eta_max - 1) < 1e-6, "P %g eps %g H2 %g: eta_max %g, %g", P[i], eps[k],
                      H2[j], got.eta_max, want.eta_max);
                CHECK(fabs(got.zeta / want.zeta - 1) < 1e-9, "zeta %g, %g", got.zeta, want.zeta);
            }
    NOTE("worst relative difference of eta_max: %.1e", worst);
}

static void test_bursty_gates_have_the_limit_of_the_jump_map(void **state)
{
    static const double burst[] = { 2, 10, 50 }, P[] = { 0.02, 0.1 }, eps[] = { 0.1, 0.02 }, H2[] = { 1.2, 17.0 };
    double most = 0;

    (void)state;
    for (size_t i = 0; i < LEN(burst) * LEN(P) * LEN(eps) * LEN(H2); i++) {
        const double b = burst[i % 3], p = P[i / 3 % 2], e = eps[i / 6 % 2], h = H2[i / 12];
        gate g = gate_of(p, b);
        mscope_row row = row_of(p, 1, h, e, 0.01);
        mscope_feedback f, independent;
        double fade, fade2, below, above;

        fades(&g, e, &fade, &fade2);
        assert_int_equal(mscope_row_feedback(&row, &independent), MSCOPE_OK);
        assert_int_equal(mscope_row_feedback_measured(&row, fade, fade2, &f), MSCOPE_OK);
        most = fmax(most, independent.eta_max / f.eta_max);
        row.eta = 0.995 * f.eta_max;
        below = growth(&row, &g);
        row.eta = 1.005 * f.eta_max;
        above = growth(&row, &g);
        CHECK(below < 0 && above > 0, "burst %g P %g eps %g H2 %g: eta_max %g, growth %g and %g", b, p, e, h, f.eta_max,
              below, above);
    }
    NOTE("independent gaps would put the limit up to %.1f times too high", most);
}

static void test_impossible_fades_are_refused(void **state)
{
    mscope_row row = row_of(0.1, 1, 2, 0.1, 0.1);
    mscope_feedback f;

    (void)state;
    assert_int_equal(mscope_row_feedback_measured(&row, 0, 0, &f), MSCOPE_EINVAL);
    assert_int_equal(mscope_row_feedback_measured(&row, 1.1, 1, &f), MSCOPE_EINVAL);
    assert_int_equal(mscope_row_feedback_measured(&row, 0.5, 0.2, &f), MSCOPE_EINVAL);
    assert_int_equal(mscope_row_feedback_measured(&row, 0.5, 0.6, &f), MSCOPE_EINVAL);
    assert_int_equal(mscope_row_feedback_measured(&row, NAN, 0.6, &f), MSCOPE_EINVAL);
    assert_int_equal(mscope_row_feedback_measured(&row, 1, 1, &f), MSCOPE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_independent_gaps_give_the_closed_forms),
        cmocka_unit_test(test_bursty_gates_have_the_limit_of_the_jump_map),
        cmocka_unit_test(test_impossible_fades_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
