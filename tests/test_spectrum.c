/* test_spectrum.c - modes of synthetic autocorrelations: exact ones, noisy ones, and those nothing can be read from */
#include "harness.h"

#include "diagnose/spectrum.h"

#define PI 3.14159265358979323846

/* a(s) of two modes e^{-decay1 s}, e^{-decay2 s}, or with omega > 0 one decaying cosine. */
static mscope_rec_acf acf(double decay1, double decay2, double omega, uint64_t stride, double noise)
{
    mscope_rec_acf a;

    memset(&a, 0, sizeof a);
    a.stride = stride;
    a.references = 64;
    a.a.n = MSCOPE_ACF_LAGS;
    for (uint32_t j = 0; j < a.a.n; j++) {
        double s = (double)(j * stride);
        a.a.at[j] = 3e-7 * (omega > 0 ? exp(-decay1 * s) * cos(omega * s + 0.3) / cos(0.3)
                                      : 0.7 * exp(-decay1 * s) + 0.3 * exp(-decay2 * s));
        a.a.at[j] += 3e-7 * noise * (j > 0) * rng_normal();
    }
    return a;
}

static void test_pair_is_read_exactly(void **state)
{
    static const double omegas[] = { 0.001, 0.01, 0.1, 0.5 }, zetas[] = { 0.02, 0.2, 0.5, 0.8 };

    (void)state;
    for (size_t i = 0; i < LEN(omegas); i++)
        for (size_t j = 0; j < LEN(zetas); j++) {
            double w = omegas[i], decay = zetas[j] / sqrt(1 - zetas[j] * zetas[j]) * w;
            mscope_rec_acf a = acf(decay, 0, w, (uint64_t)ceil(0.12 / w), 0);
            mscope_modes m;
            assert_int_equal(mscope_modes_of(&a, &m), 0);
            CHECK(m.kind == MSCOPE_MODES_PAIR && fabs(m.omega / w - 1) < 1e-6 && fabs(m.zeta / zetas[j] - 1) < 1e-6,
                  "omega %a read as %a, zeta %a as %a", w, m.omega, zetas[j], m.zeta);
            if (zetas[j] <= 0.2)
                CHECK(fabs(m.peak / w - 1) < 0.4, "peak %g of %g", m.peak, w);
        }
}

static void test_real_modes_are_not_called_a_pair(void **state)
{
    mscope_modes m;
    mscope_rec_acf a = acf(0.01, 0.06, 0, 3, 0);

    (void)state;
    assert_int_equal(mscope_modes_of(&a, &m), 0);
    assert_int_equal(m.kind, MSCOPE_MODES_REAL);
    assert_true(m.omega == 0 && fabs(m.zeta - 0.035 / sqrt(0.01 * 0.06)) < 1e-6 && m.peak == 0);
    a = acf(0.02, 0.02, 0, 3, 0);            /* one mode only */
    assert_int_equal(mscope_modes_of(&a, &m), 0);
    assert_int_equal(m.kind, MSCOPE_MODES_ONE);
    int pairs = 0;
    rng_seed(21);
    for (int i = 0; i < 200; i++) {
        a = acf(0.01, 0.1, 0, 3, 0.02);
        assert_int_equal(mscope_modes_of(&a, &m), 0);
        pairs += m.kind == MSCOPE_MODES_PAIR && m.zeta < 0.5;
    }
    NOTE("two real modes in 2 %% noise called oscillating: %d of 200", pairs);
    CHECK(pairs <= 2, "%d", pairs);
}

static void test_pair_survives_noise(void **state)
{
    double worst = 0;
    int far_off = 0;

    (void)state;
    rng_seed(22);
    for (int i = 0; i < 200; i++) {
        mscope_rec_acf a = acf(0.015, 0, 0.06, 4, 0.03);
        mscope_modes m;
        assert_int_equal(mscope_modes_of(&a, &m), 0);
        double off = m.kind == MSCOPE_MODES_PAIR ? fabs(m.omega / 0.06 - 1) : 1;
        worst = fmax(worst, off);
        far_off += off > 0.05;
    }
    NOTE("omega in 3 %% noise: worst error %.3f, beyond 5 %% in %d of 200", worst, far_off);
    CHECK(far_off <= 10, "%d", far_off);
}

static void test_what_cannot_be_read_is_unknown(void **state)
{
    mscope_rec_acf good = acf(0.01, 0.06, 0.1, 3, 0), a;
    mscope_modes m;

    (void)state;
    a = good, a.references = 3;
    assert_int_equal(mscope_modes_of(&a, &m), 0);
    assert_int_equal(m.kind, MSCOPE_MODES_UNKNOWN);
    assert_string_equal(m.why, "3 completed references, at least 4 are needed");
    assert_true(isnan(m.omega) && isnan(m.zeta));
    a = good, a.a.n = 4;
    assert_int_equal(mscope_modes_of(&a, &m), 0);
    assert_int_equal(m.kind, MSCOPE_MODES_UNKNOWN);
    static const double bad[] = { NAN, INFINITY, 0, -1 };
    for (size_t i = 0; i < LEN(bad); i++) {
        a = good, a.a.at[i < 2 ? 5 : 0] = bad[i];
        assert_int_equal(mscope_modes_of(&a, &m), 0);
        assert_int_equal(m.kind, MSCOPE_MODES_UNKNOWN);
        assert_true(m.why[0] != '\0');
    }
    a = acf(0, 0, 0, 3, 0);                  /* does not decay */
    assert_int_equal(mscope_modes_of(&a, &m), 0);
    assert_int_equal(m.kind, MSCOPE_MODES_UNKNOWN);
    memset(&a, 0, sizeof a);
    assert_int_equal(mscope_modes_of(&a, &m), 0);
    assert_int_equal(m.kind, MSCOPE_MODES_UNKNOWN);
}

static void test_words_confirm_or_contradict(void **state)
{
    static const struct {
        double omega, zeta, m_omega, m_zeta;
        enum mscope_modes_kind kind;
        enum mscope_agreement want;
    } rows[] = {
        { 0.21, 0.1, 0.2, 0.12, MSCOPE_MODES_PAIR, MSCOPE_AGREES },
        { 0.21, 0.1, 0.12, 0.5, MSCOPE_MODES_PAIR, MSCOPE_AGREES }, /* anisotropic rows dephase */
        { 0.21, 0.1, 0.08, 0.5, MSCOPE_MODES_PAIR, MSCOPE_CONTRADICTS },
        { 0, 3, 0.1, 0.2, MSCOPE_MODES_PAIR, MSCOPE_CONTRADICTS },
        { 0, 1.2, 0.1, 0.9, MSCOPE_MODES_PAIR, MSCOPE_AGREES },
        { 0.21, 0.1, 0, 1.5, MSCOPE_MODES_REAL, MSCOPE_CONTRADICTS },
        { 0, 3, 0, 1.5, MSCOPE_MODES_REAL, MSCOPE_AGREES },
        { 0, 3, 0, NAN, MSCOPE_MODES_ONE, MSCOPE_AGREES },
        { NAN, NAN, 0.1, 0.2, MSCOPE_MODES_PAIR, MSCOPE_NO_WORD },
        { NAN, NAN, 0, 2, MSCOPE_MODES_REAL, MSCOPE_NO_WORD },
        { 0.2, 0.1, NAN, NAN, MSCOPE_MODES_UNKNOWN, MSCOPE_NO_WORD },
        { 2.9, 0.1, 0.1, 0.2, MSCOPE_MODES_PAIR, MSCOPE_NO_WORD }, /* faster than the lags can show */
    };
    char said[MSCOPE_TEXT_MAX + 1];

    (void)state;
    for (size_t i = 0; i < LEN(rows); i++) {
        mscope_verdict v = { .omega = rows[i].omega, .zeta = rows[i].zeta };
        mscope_modes m = { .kind = rows[i].kind, .omega = rows[i].m_omega, .zeta = rows[i].m_zeta, .nyquist = PI / 3,
                           .references = 16 };
        enum mscope_agreement got = mscope_modes_against(&m, &v, said, sizeof said);
        CHECK(got == rows[i].want, "row %zu: %d, %s", i, (int)got, said);
        assert_true((strstr(said, "agrees") != NULL) == (got == MSCOPE_AGREES));
        assert_true((strstr(said, "contradicts") != NULL) == (got == MSCOPE_CONTRADICTS));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair_is_read_exactly),
        cmocka_unit_test(test_real_modes_are_not_called_a_pair),
        cmocka_unit_test(test_pair_survives_noise),
        cmocka_unit_test(test_what_cannot_be_read_is_unknown),
        cmocka_unit_test(test_words_confirm_or_contradict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
