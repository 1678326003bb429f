/* test_read_forms.c - tables whose rows the trainer moves: decay of m and of theta by clocks of their own, or none */
#include "harness.h"

enum { ROWS = 24, DIM = 2, STEPS = 3000 };

typedef struct model {               /* row by row, in long double                              */
    long double theta[ROWS], m[ROWS];
    uint64_t last[ROWS];
    double gaps;
    long double fade, theta2;        /* sums over gaps                                           */
    long double kept[ROWS], kept2[ROWS];    /* products since the last update of m, of theta^2   */
} model;

static mscope_table *table_of(enum mscope_form form, uint32_t history, void **mem)
{
    const mscope_table_config cfg = { .rows = ROWS, .dim = DIM, .state = MSCOPE_STATE_F64, .form = form,
                                      .capacity = ROWS, .history = history };
    const size_t len = mscope_table_mem(&cfg);
    mscope_table *t = NULL;

    *mem = aligned_alloc(64, (len + 63) / 64 * 64);
    assert_non_null(*mem);
    assert_int_equal(mscope_table_init(&t, &cfg, *mem, len), MSCOPE_OK);
    return t;
}

static mscope_step schedule(uint64_t k)
{
    return (mscope_step){ .eta = 3.0, .eps = k % 7 == 0 ? 0.5 : 0.03, .decoupled_decay = 0.001 + 0.01 * (double)(k % 3),
                          .batch = 4 };
}

static void move(model *x, const mscope_step *s, int frozen, uint64_t k, const uint32_t *rows, size_t n)
{
    for (uint32_t r = 0; r < ROWS; r++) {
        int active = 0;

        for (size_t i = 0; i < n; i++)
            active |= rows[i] == r;
        if (frozen && !active)
            continue;
        x->kept[r] *= 1 - (long double)s->eps;
        x->kept2[r] *= 1 - (long double)s->decoupled_decay;
        x->m[r] *= 1 - (long double)s->eps;
        x->theta[r] *= sqrtl(1 - (long double)s->decoupled_decay);
        if (!active)
            continue;
        if (x->last[r] > 0) {
            x->gaps += 1;
            x->fade += 1 - x->kept[r];
            x->theta2 += 1 - x->kept2[r];
        }
        x->last[r] = k;
        x->kept[r] = x->kept2[r] = 1;
    }
}

static void put(mscope_table *t, model *x, const uint32_t *rows, size_t n)
{
    double theta[ROWS * DIM] = { 0 }, m[ROWS * DIM] = { 0 };

    for (size_t i = 0; i < n; i++) {
        x->theta[rows[i]] = theta[i * DIM] = rng_uniform();
        x->m[rows[i]] = m[i * DIM] = rng_uniform();
    }
    assert_int_equal(mscope_table_rows_put(t, rows, n, theta, m), MSCOPE_OK);
}

static void compare(mscope_table *t, const model *x, int fades)
{
    double R = 0, V = 0, gaps = 0, fade = 0, theta2 = 0;
    long double wanted_R = 0, wanted_V = 0;
    mscope_band b;

    for (unsigned i = 0; i < MSCOPE_BANDS; i++) {
        assert_int_equal(mscope_table_band(t, i, &b), MSCOPE_OK);
        R += b.R;
        V += b.V;
        gaps += b.fade.gaps;
        fade += b.fade.first;
        theta2 += b.fade.theta2;
    }
    for (uint32_t r = 0; r < ROWS; r++) {
        wanted_R += x->theta[r] * x->theta[r];
        wanted_V += x->m[r] * x->m[r];
    }
    assert_true(fabsl(R - wanted_R) <= 1e-12L * wanted_R);
    assert_true(fabsl(V - wanted_V) <= 1e-12L * wanted_V + 1e-300L);
    if (!fades || x->gaps > gaps + 0.5)      /* old ones have begun to count less */
        return;
    assert_true(fabs(gaps - x->gaps) < 0.5);
    assert_true(fabsl(fade - x->fade) <= 1e-11L * (x->fade + 1));
    assert_true(fabsl(theta2 - x->theta2) <= 1e-11L * (x->theta2 + 1));
}

static void follow(enum mscope_form form, uint32_t history)
{
    void *mem;
    mscope_table *t = table_of(form, history, &mem);
    model x = { .gaps = 0 };

    for (uint64_t k = 1; k <= STEPS; k++) {
        const mscope_step s = schedule(k);
        const double none[ROWS * DIM] = { 0 };
        uint32_t rows[ROWS];
        size_t n = 0;

        for (uint32_t r = 0; r < ROWS; r++)  /* row r once in 2^(r/3) steps */
            if (rng_u64() % (1u << r / 3) == 0)
                rows[n++] = r;
        assert_int_equal(mscope_table_step_begin(t, &s), MSCOPE_OK);
        assert_int_equal(mscope_table_apply(t, rows, none, NULL, n), MSCOPE_OK);
        assert_int_equal(mscope_table_step_end(t), MSCOPE_OK);
        move(&x, &s, form == MSCOPE_FORM_FROZEN, k, rows, n);
        put(t, &x, rows, n);
        if (k % 50 == 0)
            compare(t, &x, history >= STEPS);
    }
    free(mem);
}

static void test_silent_rows_decay_by_two_clocks(void **state)
{
    (void)state;
    follow(MSCOPE_FORM_READ, 64);            /* some gaps are longer: fades are then those of the last steps */
    follow(MSCOPE_FORM_READ, 4096);
}

static void test_frozen_rows_stand_still(void **state)
{
    (void)state;
    follow(MSCOPE_FORM_FROZEN, 64);
    follow(MSCOPE_FORM_FROZEN, 4096);
}

static void test_the_pulse_is_that_of_the_rows_put(void **state)
{
    const uint32_t rows[] = { 3, 5 };
    const double none[2 * DIM] = { 0 }, theta[2 * DIM] = { 1, 0, 1, 0 }, m[2 * DIM] = { 0.5, 0, 2, 0 };
    const mscope_step s = schedule(1);
    mscope_pulse p;
    double top = 0, row = -1;
    void *mem;
    mscope_table *t = table_of(MSCOPE_FORM_READ, 64, &mem);
    (void)state;

    assert_int_equal(mscope_table_step_begin(t, &s), MSCOPE_OK);
    assert_int_equal(mscope_table_apply(t, rows, none, NULL, 2), MSCOPE_OK);
    assert_int_equal(mscope_table_step_end(t), MSCOPE_OK);
    assert_int_equal(mscope_table_rows_put(t, rows, 2, theta, m), MSCOPE_OK);
    for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
        assert_int_equal(mscope_table_pulse(t, b, &p), MSCOPE_OK);
        if (p.top > top) {
            top = p.top;
            row = p.top_row;
        }
    }
    assert_true(top == 4.0 && row == 5.0);
    free(mem);
}

static void test_what_is_refused_changes_nothing(void **state)
{
    static const struct {
        const char *field;
        mscope_step step;
    } bad[] = {
        { "weight_decay", { .eps = 0.1, .weight_decay = 0.1, .batch = 1 } },
        { "decoupled_decay", { .eps = 0.1, .decoupled_decay = 1.1, .batch = 1 } },
        { "decoupled_decay", { .eps = 0.1, .decoupled_decay = -0.1, .batch = 1 } },
        { "dampening", { .eps = 0.1, .dampening = 0.5, .batch = 1 } },
    };
    const uint32_t rows[] = { 1, 2 }, outside[] = { 1, ROWS };
    const double good[2 * DIM] = { 1, 0, 2, 0 }, nan[2 * DIM] = { 1, 0, NAN, 0 };
    const mscope_step s = schedule(1);
    mscope_table_row_info at;
    void *mem;
    mscope_table *t = table_of(MSCOPE_FORM_READ, 64, &mem);
    (void)state;

    for (size_t i = 0; i < LEN(bad); i++) {
        assert_int_equal(mscope_table_step_begin(t, &bad[i].step), MSCOPE_EINVAL);
        assert_string_equal(mscope_table_fault(t)->field, bad[i].field);
    }
    assert_int_equal(mscope_table_rows_put(t, outside, 2, good, good), MSCOPE_EINDEX);
    assert_int_equal(mscope_table_rows_put(t, rows, 2, nan, good), MSCOPE_ENONFINITE);
    assert_int_equal(mscope_table_rows_put(t, rows, 2, good, nan), MSCOPE_ENONFINITE);
    assert_int_equal(mscope_table_rows_put(t, rows, 2, good, NULL), MSCOPE_EINVAL);
    assert_int_equal(mscope_table_rows_put(t, rows, ROWS + 1, good, good), MSCOPE_EINVAL);
    assert_int_equal(mscope_table_step_begin(t, &s), MSCOPE_OK);
    assert_int_equal(mscope_table_rows_put(t, rows, 2, good, good), MSCOPE_ESTATE);
    assert_int_equal(mscope_table_step_end(t), MSCOPE_OK);
    assert_int_equal(mscope_table_row(t, 1, &at), MSCOPE_OK);
    assert_true(at.r == 0.0 && at.v == 0.0 && at.active == 0);
    free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silent_rows_decay_by_two_clocks),
        cmocka_unit_test(test_frozen_rows_stand_still),
        cmocka_unit_test(test_the_pulse_is_that_of_the_rows_put),
        cmocka_unit_test(test_what_is_refused_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
