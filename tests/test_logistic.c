/* test_logistic.c - identities of the rare-class logistic theory, and its limits at large d */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mscope/theory.h"

#define LEN(a) (sizeof(a) / sizeof *(a))
#define OK(call) assert_int_equal(call, MSCOPE_OK)

static void close_to(const char *what, double got, double want, double rtol, double size)
{
    if (!(fabs(got - want) <= rtol * size))
        fail_msg("%s: got %a (%.17g), want %a (%.17g), size %g, error/size %.3g", what, got, got,
                 want, want, size, fabs(got - want) / size);
}

/* at the optimum the classes balance: A + B = 0, f = 0, D0 = A */
static void test_calibration_at_the_optimum(void **state)
{
    static const double ps[] = { 1e-12, 1e-6, 1e-3, 0.1, 0.5, 0.9, 0.999999 },
                        rs[] = { 0, 0.3, 1, 2, 4 };

    (void)state;
    for (size_t i = 0; i < LEN(ps); i++)
        for (size_t j = 0; j < LEN(rs); j++) {
            mscope_lr lr = { .d = 50, .p = ps[i], .batch = 7, .eps = 1, .r = rs[j] };
            mscope_lr_coeffs k;
            double kl;
            OK(mscope_lr_coefficients(&lr, MSCOPE_LR_EXACT, 0.0, 0.0, &k));
            close_to("A + B", k.A + k.B, 0.0, 1e-13, k.A);
            close_to("D0 = A", k.D0, k.A, 1e-13, k.A);
            close_to("f", k.f, 0.0, 1e-13, k.A * (1 + rs[j]));
            OK(mscope_lr_kl(&lr, 0.0, 0.0, &kl));
            assert_true(kl == 0.0);
        }
}

/* KL ~ (p/2) [(1 + r^2) s^2 + R] (204), and the sparse limit KL/p -> G, each where it holds */
static void test_divergence_in_its_two_limits(void **state)
{
    static const double rs[] = { 0.5, 1.0, 2.0 };

    (void)state;
    for (size_t i = 0; i < LEN(rs); i++) {
        double r = rs[i], s = 1e-6, R = 4e-12, kl, alpha, G;
        mscope_lr lr = { .d = 50, .p = 1e-9, .batch = 7, .eps = 1, .r = r };
        OK(mscope_lr_kl(&lr, s, R, &kl));
        close_to("small errors", kl, 0.5e-9 * ((1 + r * r) * s * s + R), 1e-4, kl);
        OK(mscope_lr_kl(&lr, -0.4, 0.3, &kl));
        OK(mscope_lr_sparse_kl(r, -0.4, 0.3, &alpha, &G));
        close_to("rare class", kl / lr.p, G, 1e-5, G);
    }
}

static void test_exact_law_becomes_the_sparse_one(void **state)
{
    mscope_lr lr = { .d = 50, .batch = 1e6, .eps = 0.1, .eta = 0.5, .r = 1.0 };
    double last = INFINITY;

    (void)state;
    for (lr.p = 1e-2; lr.p > 1e-8; lr.p /= 100) {
        double x[5] = { -0.3, 0.1 * lr.p, 0.4, lr.p * lr.p, 0.2 * lr.p }, a[5], b[5], off;
        OK(mscope_lr_drift(&lr, MSCOPE_LR_EXACT, x, a));
        OK(mscope_lr_drift(&lr, MSCOPE_LR_SPARSE, x, b));
        off = fabs(a[2] / b[2] - 1.0);
        assert_true(off < 0.2 * last);
        last = off;
    }
}

static void test_fixed_point_is_a_zero_of_the_drift(void **state)
{
    static const mscope_lr cases[] = {
        { 100, 0.00398107, 1585, 0.158489, 0, 9.50936, 2.0, NULL },
        { 1000, 0.001, 63096, 0.0039810700, 0, 1.19432, 1.0, NULL },
        { 64, 0.3, 200, 0.5, 0, 0.9, 0.7, NULL },
        { 20, 0.9, 50, 1.0, 0, 0.2, 1.0, NULL },
        { 30, 1e-5, 1e7, 0.01, 0, 3.0, 3.0, NULL },
        { 100, 0.1, 1000, 1e-6, 0, 1.0, 0.0, NULL },
    };

    (void)state;
    for (size_t i = 0; i < LEN(cases); i++)
        for (int law = 0; law <= 1; law++) {
            double x[5], dx[5];
            OK(mscope_lr_fixed_point(&cases[i], (enum mscope_lr_law)law, x));
            OK(mscope_lr_drift(&cases[i], (enum mscope_lr_law)law, x, dx));
            close_to("s'", dx[0], 0.0, 1e-12, cases[i].eta * cases[i].eps * cases[i].p);
            close_to("u'", dx[1], 0.0, 1e-12, cases[i].eps * cases[i].p);
            close_to("R'", dx[2], 0.0, 1e-10, cases[i].eta * cases[i].eta * x[3]);
            close_to("V'", dx[3], 0.0, 1e-10, cases[i].eps * x[3]);
            close_to("C'", dx[4], 0.0, 1e-10, cases[i].eta * x[3]);
        }
}

static void test_limit_floor_solves_its_equations(void **state)
{
    static const double etas[] = { 0, 1e-9, 1e-3, 0.1, 0.6, 2, 7 }, rs[] = { 0, 0.5, 1, 2, 5 };

    (void)state;
    for (size_t i = 0; i < LEN(etas); i++)
        for (size_t j = 0; j < LEN(rs); j++) {
            double e = etas[i], r = rs[j], x[5] = { 0 }, dx[5], h = 1e-6;
            mscope_prefactors f = { 1.0, 1.0, 1.0, e };
            mscope_lr_floor fl;
            OK(mscope_lr_limit_floor(e, r, &fl));
            close_to("alpha", fl.alpha, exp(fl.s * r + 0.5 * (fl.s * fl.s + fl.R)), 1e-14,
                     fl.alpha);
            close_to("G", fl.G, fl.alpha - 1.0 - fl.s * r, 1e-15, fl.alpha + fabs(fl.s * r));
            close_to("implicit floor", fl.R_implicit,
                     0.5 * e * exp(-fl.R_implicit / (2 * (1 + r * r))), 1e-15, e);
            close_to("trace", fl.rate[0] + fl.rate[1], fl.jacobian[0] + fl.jacobian[3], 1e-14,
                     10 * fl.alpha * 26);
            if (e == 0.0)
                continue;
            x[0] = fl.s;
            x[2] = fl.R;
            OK(mscope_lr_limit_drift("D", &f, r, x, dx));
            close_to("s' at the floor", dx[0], 0.0, 1e-14, e * (1 + r));
            close_to("R' at the floor", dx[2], 0.0, 1e-14, e * (1 + e));
            for (int c = 0; c < 2; c++) { /* Jacobian column by central differences */
                double up[5] = { fl.s, 0, fl.R, 0, 0 }, down[5] = { fl.s, 0, fl.R, 0, 0 }, a[5],
                       b[5];
                up[2 * c] += h;
                down[2 * c] -= h;
                if (down[2] < 0.0)
                    continue;
                OK(mscope_lr_limit_drift("D", &f, r, up, a));
                OK(mscope_lr_limit_drift("D", &f, r, down, b));
                close_to("ds'", (a[0] - b[0]) / (2 * h) / e, fl.jacobian[c], 1e-7,
                         1 + fabs(fl.jacobian[c]));
                close_to("dR'", (a[2] - b[2]) / (2 * h) / e, fl.jacobian[2 + c], 1e-7,
                         1 + fabs(fl.jacobian[2 + c]));
            }
        }
}

/* V = y^2, R = x^2, C = xy closes the flow without multiplicative noise (242) */
static void test_limit_above_is_a_square(void **state)
{
    mscope_prefactors f = { 0.7, 1.0, 0.5, 0.9 };
    double x[5] = { -0.5, 0.0, 0.4, 0.0, 0.0 };

    (void)state;
    OK(mscope_lr_limit_flow("A", &f, 1.0, 3.0, x));
    close_to("C^2 = R V", x[4] * x[4], x[2] * x[3], 1e-9, x[2] * x[3] + 1e-6);
}

static void limit_case(const char *region, double kappa, double sigma, double gamma, double tol)
{
    mscope_exponents e = { kappa, sigma, gamma, 0.0 };
    mscope_prefactors f = { 0.7, 1.4, 0.6, 0.5 };
    double tau = 1.5, d = 1e9, x[5] = { -0.4, 0.0, 0.3, 0.0, 0.0 }, y[5], steps;
    mscope_atlas atlas;
    mscope_ls ls;
    mscope_lr lr;

    memcpy(y, x, sizeof y);
    OK(mscope_classify(&e, &atlas));
    assert_string_equal(atlas.lr_region, region);
    OK(mscope_coscale(&e, &f, d, &ls, NULL));
    lr =
        (mscope_lr){ .d = d, .p = ls.p, .batch = ls.batch, .eps = ls.eps, .eta = ls.eta, .r = 1.0 };
    steps = tau * pow(d, region[0] == 'D' ? 1.0 - sigma + kappa : gamma);
    OK(mscope_lr_flow(&lr, MSCOPE_LR_SPARSE, steps, y));
    OK(mscope_lr_limit_flow(region, &f, 1.0, tau, x));
    close_to(region, y[0], x[0], tol, 1.0);
    close_to(region, y[2], x[2], tol, 1.0);
    if (region[0] == 'D')
        return;
    close_to(region, y[1] / ls.p, x[1], tol, 1.0);
    close_to(region, y[3] / (ls.p * ls.p), x[3], tol, 1.0);
    close_to(region, y[4] / ls.p, x[4], tol, 1.0);
}

static void test_regions_reach_their_limits(void **state)
{
    (void)state;
    limit_case("A", 0.3, 1.8, 0.4, 1e-3);
    limit_case("C", 1.0, 1.6, 0.9, 1e-3);
    limit_case("E", 1.0, 1.6, 0.4, 1e-3);
    limit_case("D", 1.0, 1.4, 0.3, 5e-3);
}

static void test_flow_and_iteration_agree_for_small_eps(void **state)
{
    mscope_lr lr = { .d = 200, .p = 0.05, .batch = 500, .eps = 1e-4, .eta = 1e-3, .r = 1.0 };
    double a[5] = { -0.4, 0, 0.3, 0, 0 }, b[5] = { -0.4, 0, 0.3, 0, 0 };

    (void)state;
    OK(mscope_lr_flow(&lr, MSCOPE_LR_EXACT, 2000, a));
    OK(mscope_lr_iterate(&lr, MSCOPE_LR_EXACT, 2000, b));
    for (int i = 0; i < 5; i++)
        close_to("flow and steps", a[i], b[i], 2e-3, fabs(b[i]) + 1e-9);
}

static void test_refusals(void **state)
{
    static const struct {
        mscope_lr lr;
        const char *field;
    } bad[] = {
        { { 0, 0.1, 1, 0.1, 0, 0.1, 1, NULL }, "d" },    { { 9, 0.0, 1, 0.1, 0, 0.1, 1, NULL }, "p" },
        { { 9, 1.0, 1, 0.1, 0, 0.1, 1, NULL }, "p" },    { { 9, 0.1, 0, 0.1, 0, 0.1, 1, NULL }, "B" },
        { { 9, 0.1, 1, 0.0, 0, 0.1, 1, NULL }, "eps" },  { { 9, 0.1, 1, 0.1, 0.5, 0.1, 1, NULL }, "beta" },
        { { 9, 0.1, 1, 0.1, 0, -0.1, 1, NULL }, "eta" }, { { 9, 0.1, 1, 0.1, 0, 0.1, -1, NULL }, "r" },
    };
    mscope_lr lr = { 9, 0.1, 1, 0.1, 0, 0.1, 1, NULL };
    mscope_lr_coeffs k;
    mscope_prefactors f = { 1, 1, 1, 1 };
    double x[5] = { 0, 0, -1, 0, 0 }, kl;

    (void)state;
    for (size_t i = 0; i < LEN(bad); i++) {
        mscope_bad why = { NULL, 0, NULL };
        assert_int_equal(mscope_lr_check(&bad[i].lr, &why), MSCOPE_EINVAL);
        assert_string_equal(why.field, bad[i].field);
    }
    assert_int_equal(mscope_lr_coefficients(&lr, MSCOPE_LR_EXACT, 0, -1, &k), MSCOPE_EINVAL);
    assert_int_equal(mscope_lr_coefficients(&lr, MSCOPE_LR_EXACT, NAN, 0, &k), MSCOPE_EINVAL);
    assert_int_equal(mscope_lr_kl(&lr, 1e9, 0, &kl), MSCOPE_EINVAL);
    assert_int_equal(mscope_lr_flow(&lr, MSCOPE_LR_EXACT, 1, x), MSCOPE_EINVAL);
    assert_int_equal(mscope_lr_iterate(&lr, MSCOPE_LR_EXACT, 0.5, x), MSCOPE_EINVAL);
    assert_int_equal(mscope_lr_limit_drift("none", &f, 1, x, x), MSCOPE_ENOTSUP);
    assert_int_equal(mscope_lr_limit_drift("", &f, 1, x, x), MSCOPE_ENOTSUP);
    lr.eta = 1e6; /* the flow leaves the finite numbers and says so, the state is as it was */
    x[2] = 1.0;
    assert_true(mscope_lr_flow(&lr, MSCOPE_LR_SPARSE, 1e4, x) < 0);
    assert_true(x[2] == 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calibration_at_the_optimum),
        cmocka_unit_test(test_divergence_in_its_two_limits),
        cmocka_unit_test(test_exact_law_becomes_the_sparse_one),
        cmocka_unit_test(test_fixed_point_is_a_zero_of_the_drift),
        cmocka_unit_test(test_limit_floor_solves_its_equations),
        cmocka_unit_test(test_limit_above_is_a_square),
        cmocka_unit_test(test_regions_reach_their_limits),
        cmocka_unit_test(test_flow_and_iteration_agree_for_small_eps),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
