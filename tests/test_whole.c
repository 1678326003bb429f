/* test_whole.c - a step in one call is check, begin, apply and end; its 64-bit indices are checked; a refused
 * step leaves nothing behind */
#include "harness.h"

#define ROWS 300
#define DIM 6
#define MOST 64

static mscope_table_config config(void)
{
    return (mscope_table_config){ .rows = ROWS, .dim = DIM, .form = MSCOPE_FORM_TORCH, .capacity = MOST,
                                  .history = 16 };
}

/* The same stream through both ways: duplicates, silent rows, a moving schedule with both kinds of decay. */
static void test_one_call_is_four(void **state)
{
    mscope_table_config cfg = config();
    uint32_t narrow[MOST];
    int64_t wide[MOST];
    float g[MOST * DIM];
    void *mem[2];
    mscope_table *t[2] = { new_table(&cfg, &mem[0]), new_table(&cfg, &mem[1]) };
    mscope_band band[2];

    (void)state;
    rng_seed(7);
    for (int k = 0; k < 200; k++) {
        const mscope_step s = { .eta = 0.05, .eps = k % 7 ? 0.1 : 0.03, .batch = 8, .weight_decay = k > 60 ? 1e-3 : 0.0,
                                .decoupled_decay = k > 120 ? 1e-2 : 0.0 };
        size_t n = rng_u64() % MOST, late, behind;

        for (size_t i = 0; i < n; i++) {
            double u = rng_uniform();

            wide[i] = narrow[i] = (uint32_t)(u * u * u * ROWS);
        }
        for (size_t i = 0; i < n * DIM; i++)
            g[i] = (float)rng_normal();
        assert_int_equal(mscope_table_touch(t[0], narrow, n / 2), MSCOPE_OK);
        assert_int_equal(mscope_table_touch64(t[1], wide, n / 2), MSCOPE_OK);
        behind = mscope_table_late(t[0], narrow, n);
        assert_int_equal(mscope_table_step_begin(t[0], &s), MSCOPE_OK);
        assert_int_equal(mscope_table_apply(t[0], narrow, g, NULL, n), MSCOPE_OK);
        assert_int_equal(mscope_table_step_end(t[0]), MSCOPE_OK);
        assert_int_equal(mscope_table_step64(t[1], &s, wide, g, n, &late), MSCOPE_OK);
        assert_true(late <= behind && (late > 0) == (behind > 0));      /* a row that is listed twice is late once */
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mscope_table_settle(t[i]), MSCOPE_OK);
        assert_int_equal(mscope_table_band(t[i], 3, &band[i]), MSCOPE_OK);
    }
    assert_memory_equal(mscope_table_theta(t[0]), mscope_table_theta(t[1]), ROWS * DIM * sizeof(float));
    assert_memory_equal(mscope_table_momentum(t[0]), mscope_table_momentum(t[1]), ROWS * DIM * sizeof(float));
    assert_true(band[0].rows == band[1].rows && band[0].V == band[1].V && band[0].p == band[1].p && band[0].rows > 0);
    free(mem[0]);
    free(mem[1]);
}

static void refused(mscope_table *t, int code, const char *field, const mscope_step *s, const int64_t *rows,
                    const float *g, size_t n)
{
    uint64_t steps = mscope_table_steps(t);
    float before[ROWS * DIM];

    memcpy(before, mscope_table_theta(t), sizeof before);
    assert_int_equal(mscope_table_step64(t, s, rows, g, n, NULL), code);
    assert_string_equal(mscope_table_fault(t)->field, field);
    assert_int_equal(mscope_table_steps(t), steps);
    assert_memory_equal(before, mscope_table_theta(t), sizeof before);
}

static void test_a_refused_step_changes_nothing(void **state)
{
    mscope_table_config cfg = config();
    const mscope_step good = { .eta = 0.1, .eps = 0.1, .batch = 1 }, bad = { .eta = -1.0, .eps = 0.1, .batch = 1 };
    const int64_t rows[2] = { 3, ROWS - 1 };
    const int64_t wrong[4][2] = { { 3, ROWS }, { -1, 3 }, { 3, INT64_MIN }, { 1LL << 32, 3 } };
    float g[2 * DIM] = { 1 }, nan[2 * DIM] = { 0 };
    void *mem;
    mscope_table *t = new_table(&cfg, &mem);

    (void)state;
    nan[DIM + 1] = NAN;
    assert_int_equal(mscope_table_step64(t, &good, rows, g, 2, NULL), MSCOPE_OK);
    for (int i = 0; i < 4; i++) {
        refused(t, MSCOPE_EINDEX, "row", &good, wrong[i], g, 2);
        assert_int_equal(mscope_table_fault(t)->at, i == 1 || i == 3 ? 0 : 1);
        assert_int_equal(mscope_table_touch64(t, wrong[i], 2), MSCOPE_EINDEX);
    }
    refused(t, MSCOPE_ENONFINITE, "gradient", &good, rows, nan, 2);
    refused(t, MSCOPE_EINVAL, "eta", &bad, rows, g, 2);
    refused(t, MSCOPE_EINVAL, "n", &good, rows, g, MOST + 1);
    refused(t, MSCOPE_EINVAL, "rows", &good, NULL, g, 2);
    refused(t, MSCOPE_EINVAL, "gradient", &good, rows, NULL, 2);
    assert_int_equal(mscope_table_step64(t, &good, NULL, NULL, 0, NULL), MSCOPE_OK);
    assert_int_equal(mscope_table_step_begin(t, &good), MSCOPE_OK);
    refused(t, MSCOPE_ESTATE, "a step inside a step", &good, rows, g, 2);
    assert_int_equal(mscope_table_touch64(t, rows, 2), MSCOPE_ESTATE);
    assert_int_equal(mscope_table_step_end(t), MSCOPE_OK);
    free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_call_is_four),
        cmocka_unit_test(test_a_refused_step_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
