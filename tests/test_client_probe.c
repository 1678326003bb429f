/* test_client_probe.c - the probe of a C trainer: its order of calls, what it refuses, and that it leaves no trace */
#include "harness.h"

#include "mscope/probe.h"

#define ROWS 16u
#define DIM 3u
#define BATCH 24u
#define EPS 0.1

/* -- allocations, counted ----------------------------------------------------------------------------- */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
static unsigned allocations, allowed = UINT32_MAX;

void *__wrap_malloc(size_t n)
{
    return allocations++ < allowed ? __real_malloc(n) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return allocations++ < allowed ? __real_calloc(n, size) : NULL;
}

void *__wrap_realloc(void *p, size_t n)
{
    return allocations++ < allowed ? __real_realloc(p, n) : NULL;
}

/* -- a trainer: each row its own linear regression, samples drawn from the first rows mostly ----------- */

struct batch {
    uint32_t row[BATCH];
    double x[BATCH][DIM], y[BATCH];
};

struct trainer {
    float theta[ROWS][DIM];
    double bias[1][DIM];
    mscope_probe *p;
};

static void draw(struct batch *b)
{
    for (uint32_t i = 0; i < BATCH; i++) {
        b->row[i] = (uint32_t)(rng_uniform() * rng_uniform() * ROWS);
        b->y[i] = rng_normal();
        for (uint32_t j = 0; j < DIM; j++)
            b->x[i][j] = rng_normal();
    }
}

struct gradient {
    uint32_t row[BATCH], n;
    float table[BATCH][DIM];
    double bias[1][DIM];
};

/* Of samples first, first + stride .. of the mean squared error over them. */
static void gradient(const struct trainer *t, const struct batch *b, uint32_t first, uint32_t stride,
                     struct gradient *g)
{
    *g = (struct gradient){ .n = 0 };
    const double share = (double)stride / BATCH;
    for (uint32_t i = first; i < BATCH; i += stride) {
        double off = -b->y[i];
        for (uint32_t j = 0; j < DIM; j++)
            off += b->x[i][j] * ((double)t->theta[b->row[i]][j] + t->bias[0][j]);
        g->row[g->n] = b->row[i];
        for (uint32_t j = 0; j < DIM; j++) {
            g->table[g->n][j] = (float)(share * off * b->x[i][j]);
            g->bias[0][j] += share * off * b->x[i][j];
        }
        g->n++;
    }
}

static void setup(struct trainer *t, uint64_t most_values)
{
    *t = (struct trainer){ .p = NULL };
    for (uint32_t i = 0; i < ROWS; i++)
        for (uint32_t j = 0; j < DIM; j++)
            t->theta[i][j] = (float)rng_normal();
    const mscope_probe_span span[] = {
        { .theta = t->theta, .value_type = MSCOPE_F32, .rows = ROWS, .dim = DIM, .table = 0, .rate = 0.2 },
        { .theta = t->bias, .value_type = MSCOPE_F64, .rows = 1, .dim = DIM, .table = -1, .rate = 0.05 },
    };
    assert_int_equal(mscope_probe_open(&t->p, span, 2, most_values), 0);
}

static mscope_probe_stats stats(const struct trainer *t)
{
    mscope_probe_stats s;

    mscope_probe_stats_get(t->p, &s);
    return s;
}

/* Both halves; factor: of a trainer that scales them wrongly. */
static void give(struct trainer *t, const struct batch *b, float factor)
{
    for (int half = 0; half < 2; half++) {
        struct gradient g;
        gradient(t, b, (uint32_t)half, 2, &g);
        for (uint32_t i = 0; i < BATCH * DIM; i++)
            (&g.table[0][0])[i] *= factor;
        assert_int_equal(mscope_probe_half(t->p, half, 0, g.row, g.table, g.n), 0);
        for (uint32_t j = 0; j < DIM; j++)
            g.bias[0][j] *= (double)factor;
        assert_int_equal(mscope_probe_half(t->p, half, 1, NULL, g.bias, 1), 0);
    }
}

/* What move returned. The step is of `of`, the halves are of `halves`. */
static int probe(struct trainer *t, const struct batch *of, const struct batch *halves, float factor)
{
    struct gradient g;

    assert_int_equal(mscope_probe_start(t->p), 0);
    give(t, halves, factor);
    gradient(t, of, 0, 1, &g);
    assert_int_equal(mscope_probe_check(t->p, 0, g.row, g.table, g.n), 0);
    assert_int_equal(mscope_probe_check(t->p, 1, NULL, g.bias, 1), 0);
    const int moved = mscope_probe_move(t->p);
    if (moved == 0) {
        give(t, halves, factor);
        mscope_probe_restore(t->p);
    }
    return moved;
}

static void step(struct trainer *t, const struct batch *b)
{
    struct gradient g;

    gradient(t, b, 0, 1, &g);
    for (uint32_t i = 0; i < g.n; i++)
        for (uint32_t j = 0; j < DIM; j++)
            t->theta[g.row[i]][j] -= 0.2f * g.table[i][j];
    for (uint32_t j = 0; j < DIM; j++)
        t->bias[0][j] -= 0.05 * g.bias[0][j];
}

/* -- tests --------------------------------------------------------------------------------------------- */

static void assert_fault(int code, const char *field, const char *value, const char *range)
{
    mscope_refusal f;

    mscope_client_fault(&f);
    CHECK(f.code == code && strcmp(f.field, field) == 0 && strstr(f.value, value) && strstr(f.range, range),
          "%d %s '%s' '%s'", f.code, f.field, f.value, f.range);
}

static void test_open_judges_every_field(void **state)
{
    static double theta[4];
    const mscope_probe_span good = { theta, MSCOPE_F64, 2, 2, 0, 1.0, 0.0, 0.0 };
    struct {
        mscope_probe_span span;
        const char *field, *value, *range;
    } bad[] = { { good, "theta", "NULL", "address" }, { good, "value_type", "18", "MSCOPE_F32" },
                { good, "rows", "0", "1 to 2147483648" }, { good, "dim", "0", "1 to" },
                { good, "table", "-1", "span 0" }, { good, "rate", "0", "above 0" }, { good, "rate", "nan", "above 0" },
                { good, "weight_decay", "-1", "0 or more" }, { good, "eps", "0.5", "0 in span 0" } };
    mscope_probe *p = NULL;

    (void)state;
    bad[0].span.theta = NULL;
    bad[1].span.value_type = MSCOPE_F16;
    bad[2].span.rows = 0;
    bad[3].span.dim = 0;
    bad[4].span.table = -1;
    bad[5].span.rate = 0.0;
    bad[6].span.rate = NAN;
    bad[7].span.weight_decay = -1.0;
    bad[8].span.eps = 0.5;
    for (size_t i = 0; i < LEN(bad); i++) {
        assert_int_equal(mscope_probe_open(&p, &bad[i].span, 1, 0), MSCOPE_EINVAL);
        assert_fault(MSCOPE_EINVAL, bad[i].field, bad[i].value, bad[i].range);
    }
    assert_int_equal(mscope_probe_open(&p, &good, 0, 0), MSCOPE_EINVAL);
    assert_int_equal(mscope_probe_open(&p, NULL, 1, 0), MSCOPE_EINVAL);
    assert_int_equal(mscope_probe_open(NULL, &good, 1, 0), MSCOPE_EINVAL);
    assert_int_equal(mscope_probe_open(&p, &good, 1, 1ull << 31), MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "most_values", "2147483648", "2147483647");
    unsigned left = 0;
    for (int rc = MSCOPE_ENOMEM; rc != 0; left++) {      /* without memory for one allocation, the next, .. */
        allocations = 0;
        allowed = left;
        rc = mscope_probe_open(&p, &good, 1, 0);
        allowed = UINT32_MAX;
        assert_true(rc == 0 || (rc == MSCOPE_ENOMEM && p == NULL));
    }
    assert_true(left > 10);
    mscope_probe_close(p);
    mscope_probe_close(NULL);
    mscope_probe_restore(NULL);
}

static void test_a_wrong_order_is_refused_and_changes_nothing(void **state)
{
    struct trainer t, was;
    struct batch b;
    struct gradient g;

    (void)state;
    rng_seed(5);
    setup(&t, 0);
    draw(&b);
    gradient(&t, &b, 0, 1, &g);
    was = t;
    assert_int_equal(mscope_probe_half(t.p, 0, 0, g.row, g.table, g.n), MSCOPE_ESTATE);
    assert_fault(MSCOPE_ESTATE, "mscope_probe_half", "before start", "between start and move");
    assert_int_equal(mscope_probe_check(t.p, 0, g.row, g.table, g.n), MSCOPE_ESTATE);
    assert_int_equal(mscope_probe_move(t.p), MSCOPE_ESTATE);
    assert_int_equal(mscope_probe_send(t.p, NULL, EPS), MSCOPE_ESTATE);
    assert_int_equal(probe(&t, &b, &b, 1), 1);           /* the first one gives the start */
    assert_int_equal(mscope_probe_half(t.p, 0, 0, g.row, g.table, g.n), MSCOPE_ESTATE);
    assert_fault(MSCOPE_ESTATE, "mscope_probe_half", "after a move that returned 1", "between start and move");
    assert_int_equal(mscope_probe_send(t.p, NULL, EPS), 1);

    assert_int_equal(mscope_probe_start(t.p), 0);
    assert_int_equal(mscope_probe_check(t.p, 0, g.row, g.table, g.n), 0);
    assert_int_equal(mscope_probe_move(t.p), MSCOPE_ESTATE);
    assert_fault(MSCOPE_ESTATE, "mscope_probe_move", "half 0 was not given", "both halves");
    assert_int_equal(mscope_probe_start(t.p), 0);
    give(&t, &b, 1);
    assert_int_equal(mscope_probe_move(t.p), MSCOPE_ESTATE);
    assert_fault(MSCOPE_ESTATE, "mscope_probe_move", "no span was checked", "check");
    assert_int_equal(mscope_probe_send(t.p, NULL, EPS), MSCOPE_ESTATE);
    assert_int_equal(mscope_probe_check(t.p, 0, g.row, g.table, g.n), 0);
    assert_int_equal(mscope_probe_move(t.p), 0);
    assert_int_equal(mscope_probe_check(t.p, 0, g.row, g.table, g.n), MSCOPE_ESTATE);
    assert_int_equal(mscope_probe_move(t.p), MSCOPE_ESTATE);
    assert_int_equal(mscope_probe_send(t.p, NULL, EPS), MSCOPE_ESTATE);
    assert_fault(MSCOPE_ESTATE, "mscope_probe_send", "after move", "after restore");
    assert_memory_not_equal(t.theta, was.theta, sizeof t.theta);
    give(&t, &b, 1);
    mscope_probe_restore(t.p);
    mscope_probe_restore(t.p);
    assert_memory_equal(t.theta, was.theta, sizeof t.theta);
    assert_int_equal(mscope_probe_half(t.p, 0, 0, g.row, g.table, g.n), MSCOPE_ESTATE);
    assert_int_equal(mscope_probe_send(t.p, NULL, 0.0), MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "eps", "0", "above 0");
    assert_int_equal(stats(&t).last.values, 0);
    assert_int_equal(mscope_probe_send(t.p, NULL, EPS), 1);
    assert_true(stats(&t).last.values > 0);
    assert_int_equal(mscope_probe_send(t.p, NULL, EPS), MSCOPE_ESTATE);
    mscope_probe_close(t.p);
}

static void test_arguments_are_judged_before_anything_changes(void **state)
{
    struct trainer t;
    struct batch b;
    struct gradient g;
    const uint32_t far[2] = { 1, ROWS };

    (void)state;
    rng_seed(6);
    setup(&t, 0);
    draw(&b);
    gradient(&t, &b, 0, 1, &g);
    assert_int_equal(mscope_probe_start(NULL), MSCOPE_EINVAL);
    assert_int_equal(mscope_probe_half(NULL, 0, 0, g.row, g.table, g.n), MSCOPE_EINVAL);
    assert_int_equal(mscope_probe_check(NULL, 0, g.row, g.table, g.n), MSCOPE_EINVAL);
    assert_int_equal(mscope_probe_move(NULL), MSCOPE_EINVAL);
    assert_int_equal(mscope_probe_send(NULL, NULL, EPS), MSCOPE_EINVAL);
    assert_int_equal(mscope_probe_start(t.p), 0);
    assert_int_equal(mscope_probe_half(t.p, 2, 0, g.row, g.table, g.n), MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "half", "2", "0 or 1");
    assert_int_equal(mscope_probe_half(t.p, 0, 2, g.row, g.table, g.n), MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "span", "2", "number of spans");
    assert_int_equal(mscope_probe_half(t.p, 0, 0, far, g.table, 2), MSCOPE_EINDEX);
    assert_fault(MSCOPE_EINDEX, "row", "16 of span 0", "below");
    assert_int_equal(mscope_probe_check(t.p, 0, NULL, g.table, 3), MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "n", "3", "rows");
    assert_int_equal(mscope_probe_half(t.p, 0, 0, g.row, NULL, 2), MSCOPE_EINVAL);
    assert_int_equal(stats(&t).values, 0);
    assert_int_equal(mscope_probe_move(t.p), MSCOPE_ESTATE);
    mscope_probe_close(t.p);
}

static void assert_refused(struct trainer *t, const struct batch *of, const struct batch *halves, float factor,
                           const char *text, const char *value)
{
    const mscope_probe_stats was = stats(t);
    float theta[ROWS][DIM];

    memcpy(theta, t->theta, sizeof theta);
    assert_int_equal(probe(t, of, halves, factor), 1);
    assert_memory_equal(theta, t->theta, sizeof theta);
    assert_int_equal(mscope_probe_send(t->p, NULL, EPS), 1);
    const mscope_probe_stats s = stats(t);
    assert_int_equal(s.refused, was.refused + 1);
    assert_int_equal(s.left_out, was.left_out);
    assert_int_equal(s.sent, 0);
    CHECK(strstr(s.refusal.text, text) && strstr(s.refusal.value, value), "%s: %s", s.refusal.value, s.refusal.text);
    assert_memory_equal(&s.last, &was.last, sizeof s.last);
}

static void test_a_probe_of_something_else_is_refused(void **state)
{
    struct trainer t;
    struct batch b, other;

    (void)state;
    rng_seed(7);
    setup(&t, 0);
    for (int k = 0; k < 5; k++) {                        /* before the start and in the middle */
        draw(&b);
        draw(&other);
        assert_refused(&t, &b, &other, 1, "another batch", "cosine");
        assert_refused(&t, &b, &b, 1.0f / BATCH, "wrong scale", "24 times theirs");      /* the step sums */
        assert_refused(&t, &b, &b, BATCH, "wrong scale", "0.04167 times theirs");        /* the halves sum */
        assert_refused(&t, &b, &b, 0.5f, "wrong scale", "2 times theirs");               /* over halves, not a mean */
        assert_refused(&t, &b, &b, 1024, "wrong scale", "0.0009766 times");              /* a loss scale */
        assert_refused(&t, &b, &b, 1.03f, "wrong scale", "0.9709 times");
        assert_refused(&t, &b, &b, -1, "another batch", "cosine -1");
        assert_refused(&t, &b, &b, 0, "another batch", "cosine 0");
        assert_refused(&t, &b, &b, NAN, "is not", "span 0");
        assert_int_equal(probe(&t, &b, &b, k % 2 ? 0.985f : 1.015f), k == 0);
        assert_int_equal(mscope_probe_send(t.p, NULL, EPS), 1);
        step(&t, &b);
    }
    assert_int_equal(stats(&t).left_out, 5);
    mscope_probe_close(t.p);
}

static void test_no_gradient_and_half_a_second_place_are_refused(void **state)
{
    struct trainer t;
    struct batch b;
    struct gradient g;

    (void)state;
    rng_seed(8);
    setup(&t, 0);
    draw(&b);
    assert_int_equal(mscope_probe_start(t.p), 0);
    for (int half = 0; half < 2; half++)
        assert_int_equal(mscope_probe_half(t.p, half, 0, NULL, NULL, 0), 0);
    assert_int_equal(mscope_probe_check(t.p, 0, NULL, NULL, 0), 0);
    assert_int_equal(mscope_probe_move(t.p), 1);
    assert_non_null(strstr(stats(&t).refusal.text, "no gradient"));
    assert_int_equal(mscope_probe_send(t.p, NULL, EPS), 1);
    assert_int_equal(probe(&t, &b, &b, 1), 1);

    assert_int_equal(mscope_probe_start(t.p), 0);
    give(&t, &b, 1);
    gradient(&t, &b, 0, 1, &g);
    assert_int_equal(mscope_probe_check(t.p, 0, g.row, g.table, g.n), 0);
    assert_int_equal(mscope_probe_move(t.p), 0);
    gradient(&t, &b, 0, 2, &g);
    assert_int_equal(mscope_probe_half(t.p, 0, 0, g.row, g.table, g.n), 0);
    mscope_probe_restore(t.p);
    assert_int_equal(mscope_probe_send(t.p, NULL, EPS), 1);
    assert_int_equal(stats(&t).refused, 2);
    assert_string_equal(stats(&t).refusal.field, "mscope_probe_half");
    assert_int_equal(stats(&t).last.values, 0);

    assert_int_equal(mscope_probe_start(t.p), 0);        /* the loss is not finite at theta + delta v */
    give(&t, &b, 1);
    gradient(&t, &b, 0, 1, &g);
    assert_int_equal(mscope_probe_check(t.p, 0, g.row, g.table, g.n), 0);
    assert_int_equal(mscope_probe_move(t.p), 0);
    give(&t, &b, INFINITY);
    mscope_probe_restore(t.p);
    assert_int_equal(mscope_probe_send(t.p, NULL, EPS), 1);
    assert_int_equal(stats(&t).refused, 3);
    assert_int_equal(stats(&t).refusal.code, MSCOPE_ENONFINITE);
    assert_int_equal(stats(&t).last.values, 0);
    assert_int_equal(probe(&t, &b, &b, 1), 0);           /* the next one is whole */
    assert_int_equal(mscope_probe_send(t.p, NULL, EPS), 1);
    assert_true(isfinite(stats(&t).last.curvature) && stats(&t).last.values > 0);
    mscope_probe_close(t.p);
}

/* 300 steps with probes and without: the same bits at the end, in float32 and float64. */
static void test_weights_do_not_know_of_probes(void **state)
{
    struct trainer with, without;
    struct batch b;

    (void)state;
    rng_seed(9);
    setup(&with, 0);
    memcpy(&without, &with, sizeof with);
    for (int k = 0; k < 300; k++) {
        draw(&b);
        if (k % 3 == 0) {
            assert_int_equal(probe(&with, &b, &b, 1), k == 0);
            assert_memory_equal(with.theta, without.theta, sizeof with.theta);
        }
        step(&with, &b);
        step(&without, &b);
        if (k % 3 == 0)
            assert_int_equal(mscope_probe_send(with.p, NULL, EPS), 1);
    }
    assert_memory_equal(with.theta, without.theta, sizeof with.theta);
    assert_memory_equal(with.bias, without.bias, sizeof with.bias);
    assert_int_equal(stats(&with).refused, 0);
    assert_true(stats(&with).last.curvature > 0);
    mscope_probe_close(with.p);
}

/* A loop that leaves a probe between move and restore: start and close put the old bits back. */
static void test_an_unfinished_probe_is_given_up(void **state)
{
    struct trainer t, was;
    struct batch b;
    struct gradient g;

    (void)state;
    rng_seed(10);
    setup(&t, 0);
    draw(&b);
    assert_int_equal(probe(&t, &b, &b, 1), 1);
    was = t;
    for (int k = 0; k < 2; k++) {
        assert_int_equal(mscope_probe_start(t.p), 0);
        assert_memory_equal(t.theta, was.theta, sizeof t.theta);
        give(&t, &b, 1);
        gradient(&t, &b, 0, 1, &g);
        assert_int_equal(mscope_probe_check(t.p, 0, g.row, g.table, g.n), 0);
        assert_int_equal(mscope_probe_move(t.p), 0);
        assert_memory_not_equal(t.theta, was.theta, sizeof t.theta);
    }
    mscope_probe_close(t.p);
    assert_memory_equal(t.theta, was.theta, sizeof t.theta);
    assert_memory_equal(t.bias, was.bias, sizeof t.bias);
}

/* Five rows of the table have room beside the bias; the others are left out once each, and nothing is allocated. */
static void test_memory_is_bounded_and_steady(void **state)
{
    struct trainer t;
    struct batch b;
    uint64_t products = 0;

    (void)state;
    rng_seed(11);
    setup(&t, 6 * DIM);
    allocations = 0;
    for (int k = 0; k < 100; k++) {
        draw(&b);
        products += probe(&t, &b, &b, 1) == 0;
        assert_int_equal(mscope_probe_send(t.p, NULL, EPS), 1);
        step(&t, &b);
        assert_true(stats(&t).values <= 6 * DIM);
    }
    assert_int_equal(allocations, 0);
    assert_int_equal(stats(&t).values, 6 * DIM);
    assert_int_equal(stats(&t).rows_left_out, ROWS + 1 - 6);
    assert_int_equal(stats(&t).refused, 0);
    assert_int_equal(products, 99);
    assert_int_equal(stats(&t).last.values, 6 * DIM);
    mscope_probe_close(t.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_judges_every_field),
        cmocka_unit_test(test_a_wrong_order_is_refused_and_changes_nothing),
        cmocka_unit_test(test_arguments_are_judged_before_anything_changes),
        cmocka_unit_test(test_a_probe_of_something_else_is_refused),
        cmocka_unit_test(test_no_gradient_and_half_a_second_place_are_refused),
        cmocka_unit_test(test_weights_do_not_know_of_probes),
        cmocka_unit_test(test_an_unfinished_probe_is_given_up),
        cmocka_unit_test(test_memory_is_bounded_and_steady),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
