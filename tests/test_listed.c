/* test_listed.c - a table that counts nothing moves as one that counts; late rows; active rows of a dense gradient */
#include "harness.h"

#define ROWS 700
#define DIM 5
#define MOST 400

/* The same stream for every table: duplicates, touches before some steps, rows silent for longer than the history. */
static void run(enum mscope_state state, enum mscope_statistics statistics, unsigned char *theta, unsigned char *m)
{
    mscope_table_config cfg = { .rows = ROWS, .dim = DIM, .state = state, .form = MSCOPE_FORM_TORCH, .capacity = MOST,
                                .history = 16, .acf_rows = 2, .statistics = statistics };
    size_t cells = (size_t)ROWS * DIM;
    size_t theta_size = state == MSCOPE_STATE_F64 ? 8 : 4, m_size = state == MSCOPE_STATE_F32 ? 4 : 8;
    uint32_t rows[MOST];
    double g[MOST * DIM];
    mscope_band band;
    void *mem;
    mscope_table *t = new_table(&cfg, &mem);

    rng_seed(5);
    for (int k = 0; k < 300; k++) {
        const mscope_step s = { .eta = 0.05, .eps = k % 9 ? 0.1 : 0.02, .batch = 8,
                                .weight_decay = k > 150 ? 1e-3 : 0.0 };
        size_t n = rng_u64() % MOST;

        for (size_t i = 0; i < n; i++) {
            double u = rng_uniform();

            rows[i] = (uint32_t)(u * u * u * u * ROWS);
        }
        for (size_t i = 0; i < n * DIM; i++)
            if (state == MSCOPE_STATE_F64)
                g[i] = rng_normal();
            else
                ((float *)(void *)g)[i] = (float)rng_normal();
        assert_int_equal(mscope_table_touch(t, rows, n / (size_t)(1 + k % 3)), MSCOPE_OK);
        assert_int_equal(mscope_table_late(t, rows, n / (size_t)(1 + k % 3)), 0);
        assert_int_equal(mscope_table_step_begin(t, &s), MSCOPE_OK);
        assert_int_equal(mscope_table_apply(t, rows, g, NULL, n), MSCOPE_OK);
        assert_int_equal(mscope_table_step_end(t), MSCOPE_OK);
    }
    assert_int_equal(mscope_table_settle(t), MSCOPE_OK);
    memcpy(theta, mscope_table_theta(t), cells * theta_size);
    memcpy(m, mscope_table_momentum(t), cells * m_size);
    assert_int_equal(mscope_table_band(t, MSCOPE_BAND_SILENT, &band), MSCOPE_OK);
    assert_int_equal(band.rows == ROWS, statistics == MSCOPE_STATISTICS_OFF);
    if (statistics == MSCOPE_STATISTICS_OFF)
        assert_true(band.window.updates == 0.0 && band.fade.gaps == 0.0 && isnan(band.V));
    free(mem);
}

static void test_counting_moves_nothing(void **state)
{
    (void)state;
    for (int s = MSCOPE_STATE_F32; s <= MSCOPE_STATE_F64; s++) {
        static unsigned char theta[2][ROWS * DIM * 8], m[2][ROWS * DIM * 8];

        memset(theta, 0, sizeof theta);
        memset(m, 0, sizeof m);
        run((enum mscope_state)s, MSCOPE_STATISTICS_NONE, theta[0], m[0]);
        run((enum mscope_state)s, MSCOPE_STATISTICS_OFF, theta[1], m[1]);
        assert_memory_equal(theta[0], theta[1], sizeof theta[0]);
        assert_memory_equal(m[0], m[1], sizeof m[0]);
    }
}

static void test_late_rows_are_those_behind_now(void **state)
{
    mscope_table_config cfg = { .rows = 8, .dim = 2, .form = MSCOPE_FORM_TORCH, .capacity = 8 };
    const mscope_step s = { .eta = 0.1, .eps = 0.1, .batch = 1 };
    const uint32_t all[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, UINT32_MAX }, some[] = { 2, 5, 5 };
    const float g[6] = { 1, 1, 1, 1, 1, 1 };
    void *mem;
    mscope_table *t = new_table(&cfg, &mem);

    (void)state;
    assert_int_equal(mscope_table_late(t, all, LEN(all)), 0);
    assert_int_equal(mscope_table_step_begin(t, &s), MSCOPE_OK);
    assert_int_equal(mscope_table_apply(t, some, g, NULL, LEN(some)), MSCOPE_OK);
    assert_int_equal(mscope_table_step_end(t), MSCOPE_OK);
    assert_int_equal(mscope_table_late(t, all, LEN(all)), 6);
    assert_int_equal(mscope_table_late(t, some, LEN(some)), 0);
    assert_int_equal(mscope_table_touch(t, all, 2), MSCOPE_OK);
    assert_int_equal(mscope_table_late(t, all, LEN(all)), 4);
    assert_int_equal(mscope_table_settle(t), MSCOPE_OK);
    assert_int_equal(mscope_table_late(t, all, LEN(all)), 0);
    free(mem);
}

static void check_active(enum mscope_state state, uint32_t dim)
{
    mscope_table_config cfg = { .rows = 9, .dim = dim, .state = state, .capacity = 9 };
    double d[9 * 7] = { 0 };
    float f[9 * 7] = { 0 };
    const uint32_t last = dim - 1;
    uint32_t rows[9] = { 99, 99, 99, 99 };
    size_t n = 77;
    void *mem;
    mscope_table *t = new_table(&cfg, &mem);
    const void *g = state == MSCOPE_STATE_F64 ? (const void *)d : f;

    d[1 * dim + last] = -0.0;                /* no movement */
    d[2 * dim + last] = 5e-324;
    d[5 * dim] = NAN;
    d[8 * dim + last] = -INFINITY;
    for (size_t i = 0; i < LEN(f); i++)
        f[i] = (float)d[i];
    f[2 * dim + last] = 1e-45f;
    assert_int_equal(mscope_table_active(t, g, rows, 3, &n), MSCOPE_OK);
    assert_int_equal(n, 3);
    assert_true(rows[0] == 2 && rows[1] == 5 && rows[2] == 8 && rows[3] == 99);
    assert_int_equal(mscope_table_active(t, g, rows, 2, &n), MSCOPE_ENOMEM);
    assert_int_equal(n, 2);
    free(mem);
}

static void test_active_rows_of_a_dense_gradient(void **state)
{
    (void)state;
    for (uint32_t dim = 1; dim <= 7; dim++) {
        check_active(MSCOPE_STATE_F32, dim);
        check_active(MSCOPE_STATE_F64, dim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counting_moves_nothing),
        cmocka_unit_test(test_late_rows_are_those_behind_now),
        cmocka_unit_test(test_active_rows_of_a_dense_gradient),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
