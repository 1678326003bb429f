/* test_parallel.c - threads change no bit: whole states byte for byte, whoever runs the pieces and in whatever order
 *
 * The yardstick is the same table without threads. Steps bring duplicates, silence, migration between bands, followed
 * rows, and resums that pass in slices meanwhile.                                                                   */
#include <pthread.h>
#include <time.h>

#include "harness.h"
#include "mscope/workers.h"

#define ROWS 6000
#define STEPS 60

typedef struct image {
    unsigned char *bytes;
    size_t n, cap;
} image;

static int keep(void *ctx, const void *p, size_t n)
{
    image *x = ctx;

    if (x->n + n > x->cap) {
        x->cap = 2 * (x->n + n);
        x->bytes = realloc(x->bytes, x->cap);
        assert_non_null(x->bytes);
    }
    memcpy(x->bytes + x->n, p, n);
    x->n += n;
    return 0;
}

/* -- who runs the pieces ------------------------------------------------------------------ */

static size_t calls;

static void backwards(void *ctx, void (*work)(void *arg, size_t i), void *arg, size_t n)
{
    (void)ctx;
    calls++;
    while (n-- > 0)
        work(arg, n);
}

typedef struct one {
    void (*work)(void *arg, size_t i);
    void *arg;
    size_t i;
} one;

static void *one_piece(void *arg)
{
    one *x = arg;

    x->work(x->arg, x->i);
    return NULL;
}

static void thread_each(void *ctx, void (*work)(void *arg, size_t i), void *arg, size_t n)
{
    pthread_t thread[64];
    one x[64];

    (void)ctx;
    assert_true(n <= LEN(x));
    for (size_t i = 0; i < n; i++) {
        x[i] = (one){ work, arg, i };
        assert_int_equal(pthread_create(&thread[i], NULL, one_piece, &x[i]), 0);
    }
    for (size_t i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
}

/* -- one run ------------------------------------------------------------------------------ */

static image run(mscope_table_config cfg, const mscope_parallel *p, int counts)
{
    size_t n = cfg.capacity;
    uint32_t *rows = malloc(n * sizeof *rows), *count = malloc(n * sizeof *count);
    unsigned char *g = malloc(n * cfg.dim * sizeof(double));
    image x = { NULL, 0, 0 };
    mscope_table *t;
    void *mem;

    assert_true(rows && count && g);
    t = new_table(&cfg, &mem);
    mscope_table_parallel(t, p);
    rng_seed(77);
    for (int k = 0; k < STEPS; k++) {
        const mscope_step s = { .eta = 0.05 / (1 + k % 7), .eps = k % 11 ? 0.1 : 0.3, .batch = (double)n,
                                .weight_decay = k > 40 ? 1e-3 : 0.0 };

        for (size_t i = 0; i < n; i++) {
            double u = rng_uniform();

            rows[i] = (uint32_t)(u * u * u * (k < 20 ? ROWS / 8 : ROWS));
            count[i] = 1 + (uint32_t)(rng_u64() % 3);
        }
        for (size_t i = 0; i < n * cfg.dim; i++)
            if (cfg.state == MSCOPE_STATE_F64)
                ((double *)(void *)g)[i] = rng_normal();
            else
                ((float *)(void *)g)[i] = (float)rng_normal();
        assert_int_equal(mscope_table_touch(t, rows, n / 3), MSCOPE_OK);
        assert_int_equal(mscope_table_step_begin(t, &s), MSCOPE_OK);
        assert_int_equal(mscope_table_apply(t, rows, g, counts ? count : NULL, n), MSCOPE_OK);
        assert_int_equal(mscope_table_step_end(t), MSCOPE_OK);
        assert_true(mscope_table_resum_slice(t, 700) >= 0);
    }
    assert_int_equal(mscope_table_snapshot_write(t, keep, &x), MSCOPE_OK);
    for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
        mscope_band band;
        mscope_acf acf;

        assert_int_equal(mscope_table_band(t, b, &band), MSCOPE_OK);
        assert_int_equal(keep(&x, &band.window, sizeof band.window), 0);
        if (mscope_table_acf(t, b, &acf) == MSCOPE_OK)
            assert_int_equal(keep(&x, acf.a, sizeof acf.a), 0);
    }
    free(rows);
    free(count);
    free(g);
    free(mem);
    return x;
}

static void test_same_bytes_whoever_runs_the_pieces(void **state)
{
    static const struct {
        uint32_t dim, n;
        enum mscope_state state;
        enum mscope_statistics statistics;
        int counts;
    } c[] = { { 1, 4096, MSCOPE_STATE_F32, MSCOPE_STATISTICS_DOUBLE, 0 },
              { 24, 4096, MSCOPE_STATE_F32, MSCOPE_STATISTICS_DOUBLE, 0 },
              { 24, 5000, MSCOPE_STATE_F32, MSCOPE_STATISTICS_FLOAT, 1 },
              { 3, 600, MSCOPE_STATE_F64, MSCOPE_STATISTICS_DOUBLE, 0 },
              { 5, 513, MSCOPE_STATE_MIXED, MSCOPE_STATISTICS_NONE, 1 } };
    const mscope_parallel odd[] = { { backwards, NULL }, { thread_each, NULL } };

    (void)state;
    for (size_t k = 0; k < LEN(c); k++) {
        mscope_table_config cfg = { .rows = ROWS, .dim = c[k].dim, .capacity = c[k].n, .state = c[k].state,
                                    .statistics = c[k].statistics, .acf_rows = 3, .reference = 1 };
        image alone = run(cfg, NULL, c[k].counts);

        for (unsigned w = 0; w < 5; w++) {
            mscope_workers *pool = NULL;
            mscope_parallel p;
            image other;

            if (w > 0 && w < 4)
                assert_int_equal(mscope_workers_start(&pool, w), MSCOPE_OK);
            p = pool ? mscope_workers_parallel(pool) : odd[w == 4];
            other = run(cfg, &p, c[k].counts);
            mscope_workers_stop(pool);
            CHECK(alone.n == other.n && memcmp(alone.bytes, other.bytes, alone.n) == 0,
                  "case %zu, runner %u: %zu and %zu bytes", k, w, alone.n, other.n);
            free(other.bytes);
        }
        free(alone.bytes);
    }
    assert_true(calls > 2 * STEPS);              /* pieces were really handed out */
}

/* -- the pool ----------------------------------------------------------------------------- */

static _Atomic uint32_t hits[300];

static void hit(void *arg, size_t i)
{
    hits[i] += *(uint32_t *)arg;
}

static void test_every_piece_once(void **state)
{
    mscope_workers *w;
    mscope_parallel p;
    uint32_t sum[LEN(hits)] = { 0 };

    (void)state;
    rng_seed(3);
    assert_int_equal(mscope_workers_start(&w, 4), MSCOPE_OK);
    p = mscope_workers_parallel(w);
    for (uint32_t call = 1; call <= 3000; call++) {
        size_t n = (size_t)(rng_u64() % (call % 50 ? 20 : LEN(hits)));

        p.run(p.ctx, hit, &call, n);
        for (size_t i = 0; i < n; i++)
            sum[i] += call;
        if (call % 500 == 0) {                   /* long enough for the workers to fall asleep */
            struct timespec nap = { 0, 3000000 };

            nanosleep(&nap, NULL);
        }
        for (size_t i = 0; i < LEN(hits); i++)
            assert_int_equal(hits[i], sum[i]);
    }
    mscope_workers_stop(w);
}

static void test_refuses_silly_pools(void **state)
{
    mscope_workers *w = NULL;

    (void)state;
    assert_int_equal(mscope_workers_start(&w, 0), MSCOPE_EINVAL);
    assert_int_equal(mscope_workers_start(&w, 65), MSCOPE_EINVAL);
    assert_int_equal(mscope_workers_start(NULL, 2), MSCOPE_EINVAL);
    assert_null(w);
    mscope_workers_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes_whoever_runs_the_pieces),
        cmocka_unit_test(test_every_piece_once),
        cmocka_unit_test(test_refuses_silly_pools),
    };

    return cmocka_run_group_tests_name("parallel", tests, NULL, NULL);
}
