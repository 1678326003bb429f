/* test_core.c - the promises of core.h one by one: edges, refusals, order of calls, snapshots, links */
#include "harness.h"

typedef struct table {
    mscope_table *t;
    void *mem;
} table;

static table make(mscope_table_config cfg)
{
    table x;

    x.t = new_table(&cfg, &x.mem);
    return x;
}

static void step(mscope_table *t, double eta, double eps, const uint32_t *rows, const void *g, size_t n)
{
    mscope_step p = { .eta = eta, .eps = eps, .batch = 4 };

    assert_int_equal(mscope_table_step_begin(t, &p), MSCOPE_OK);
    assert_int_equal(mscope_table_apply(t, rows, g, NULL, n), MSCOPE_OK);
    assert_int_equal(mscope_table_step_end(t), MSCOPE_OK);
}

static void idle_steps(mscope_table *t, double eta, double eps, uint64_t n)
{
    for (uint64_t k = 0; k < n; k++)
        step(t, eta, eps, NULL, NULL, 0);
}

static void test_row_silent_for_a_million_steps(void **state)
{
    static const double eps[] = { 1e-7, 1e-3, 1e-6 };

    (void)state;
    for (size_t e = 0; e < LEN(eps); e++) {
        const uint32_t row = 1;
        const double g[2] = { 1.0, -3.0 };
        table x = make((mscope_table_config){ .rows = 3, .dim = 2, .state = MSCOPE_STATE_F64, .capacity = 4,
                                              .history = 1024 });
        double n = 1e6, P = exp(n * log1p(-eps[e])), S = (1 - eps[e]) / eps[e] * -expm1(n * log1p(-eps[e]));
        double m1 = eps[e] * 1.0, want;

        step(x.t, 0.1, eps[e], &row, g, 1);
        idle_steps(x.t, 0.1, eps[e], 1000000);
        assert_int_equal(mscope_table_touch(x.t, &row, 1), MSCOPE_OK);
        want = -0.1 * m1 - 0.1 * S * m1;
        CHECK(fabs(((double *)mscope_table_theta(x.t))[2] - want) <= 1e-13 * fabs(want), "eps %g: theta %a want %a",
              eps[e], ((double *)mscope_table_theta(x.t))[2], want);
        CHECK(fabs(((double *)mscope_table_momentum(x.t))[2] - P * m1) <= 1e-9 * P * m1 + 1e-130,
              "eps %g: m %a want %a", eps[e], ((double *)mscope_table_momentum(x.t))[2], P * m1);
        free(x.mem);
    }
}

/* A table that jumps over steps, while other rows are silent, is the same table to the bit, but for its steps. */
static void test_seek_moves_nothing_but_the_step(void **state)
{
    enum { ROWS = 40, DIM = 3 };
    const mscope_table_config c = { .rows = ROWS, .dim = DIM, .state = MSCOPE_STATE_F64, .capacity = 4, .history = 64 };
    table x = make(c), twin = make(c);
    uint64_t jumped = 0;

    (void)state;
    rng_seed(12);
    for (int k = 0; k < 600; k++) {
        const uint32_t row = (uint32_t)(rng_u64() % ROWS);
        const double g[DIM] = { rng_uniform(), 1.0, -rng_uniform() };

        step(x.t, 0.1, 0.02, &row, g, 1);
        step(twin.t, 0.1, 0.02, &row, g, 1);
        if (k % 97 == 50) {
            const uint64_t far = (uint64_t)1 << (k % 50);
            assert_int_equal(mscope_table_seek(x.t, mscope_table_steps(x.t) + far), MSCOPE_OK);
            jumped += far;
        }
    }
    assert_true(mscope_table_steps(x.t) == mscope_table_steps(twin.t) + jumped);
    for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
        mscope_band a, o;
        assert_int_equal(mscope_table_band(x.t, b, &a), MSCOPE_OK);
        assert_int_equal(mscope_table_band(twin.t, b, &o), MSCOPE_OK);
        assert_true(a.rows == o.rows && a.R == o.R && a.V == o.V && a.C == o.C);
    }
    assert_int_equal(mscope_table_settle(x.t), MSCOPE_OK);
    assert_int_equal(mscope_table_settle(twin.t), MSCOPE_OK);
    assert_memory_equal(mscope_table_theta(x.t), mscope_table_theta(twin.t), ROWS * DIM * sizeof(double));
    assert_memory_equal(mscope_table_momentum(x.t), mscope_table_momentum(twin.t), ROWS * DIM * sizeof(double));
    free(x.mem);
    free(twin.mem);
}

static void test_beta_zero_is_plain_sgd(void **state)
{
    const uint32_t row = 0;
    table x = make((mscope_table_config){ .rows = 1, .dim = 3, .capacity = 2 });
    float theta[3] = { 0, 0, 0 };

    (void)state;
    rng_seed(31);
    for (int k = 0; k < 50; k++) {
        float g[3] = { (float)rng_normal(), (float)rng_normal(), (float)rng_normal() };

        step(x.t, 0.25, 1.0, &row, g, 1);
        for (size_t j = 0; j < 3; j++)
            theta[j] += -0.25f * g[j];
        assert_memory_equal(theta, mscope_table_theta(x.t), sizeof theta);
        assert_memory_equal(g, mscope_table_momentum(x.t), sizeof g);
        idle_steps(x.t, 0.25, 1.0, 3);
    }
    free(x.mem);
}

static void test_eta_zero_leaves_theta(void **state)
{
    const uint32_t rows[2] = { 0, 1 };
    const float g[4] = { 1, -2, 3, 4 }, theta[4] = { 0.1f, 7, -3, 1e-20f };
    table x = make((mscope_table_config){ .rows = 2, .dim = 2, .capacity = 2 });

    (void)state;
    assert_int_equal(mscope_table_rows_set(x.t, 0, 2, theta, NULL), MSCOPE_OK);
    for (int k = 0; k < 20; k++) {
        step(x.t, 0.0, 0.1, rows, g, 2);
        idle_steps(x.t, 0.0, 0.1, 5);
    }
    assert_int_equal(mscope_table_settle(x.t), MSCOPE_OK);
    assert_memory_equal(theta, mscope_table_theta(x.t), sizeof theta);
    free(x.mem);
}

static void test_eps_zero_never_forgets(void **state)
{
    const uint32_t row = 0;
    const float m0 = 2.0f, theta0 = 0.0f, g = 5.0f;
    table x = make((mscope_table_config){ .rows = 1, .dim = 1, .capacity = 1 });

    (void)state;
    assert_int_equal(mscope_table_rows_set(x.t, 0, 1, &theta0, &m0), MSCOPE_OK);
    step(x.t, 0.5, 0.0, &row, &g, 1);
    idle_steps(x.t, 0.5, 0.0, 99);
    assert_int_equal(mscope_table_settle(x.t), MSCOPE_OK);
    assert_true(*(float *)mscope_table_momentum(x.t) == 2.0f && *(float *)mscope_table_theta(x.t) == -100.0f);
    free(x.mem);
}

static void test_zero_gradient_is_activity(void **state)
{
    const uint32_t row = 3;
    const float g[2] = { 0, 0 };
    table x = make((mscope_table_config){ .rows = 5, .dim = 2, .capacity = 8 });
    mscope_table_row_info info;

    (void)state;
    step(x.t, 0.1, 0.1, &row, g, 1);
    assert_int_equal(mscope_table_row(x.t, 3, &info), MSCOPE_OK);
    assert_int_equal(info.active, 1);
    assert_int_equal(info.last_active, 1);
    assert_int_equal(info.band, 2);              /* one occurrence in a batch of 4, every step so far: p = 1/4 */
    assert_int_equal(mscope_table_row(x.t, 2, &info), MSCOPE_OK);
    assert_int_equal(info.active, 0);
    assert_int_equal(info.band, MSCOPE_BAND_SILENT);
    free(x.mem);
}

static void test_duplicates_are_occurrences(void **state)
{
    const uint32_t rows[5] = { 2, 0, 2, 1, 2 }, once[3] = { 2, 0, 1 };
    const float g[10] = { 1, 2, 5, 5, 3, -1, 7, 7, -2, 4 }, sum[6] = { 2, 5, 5, 5, 7, 7 };
    table x = make((mscope_table_config){ .rows = 3, .dim = 2, .capacity = 8 });
    table y = make((mscope_table_config){ .rows = 3, .dim = 2, .capacity = 8 });
    mscope_table_row_info info;
    mscope_band band;
    double s2 = 1 + 4 + 9 + 1 + 4 + 16, g2 = 4 + 25;

    (void)state;
    step(x.t, 0.1, 0.1, rows, g, 5);
    step(y.t, 0.1, 0.1, once, sum, 3);
    assert_memory_equal(mscope_table_theta(x.t), mscope_table_theta(y.t), 6 * sizeof(float));
    assert_memory_equal(mscope_table_momentum(x.t), mscope_table_momentum(y.t), 6 * sizeof(float));
    assert_int_equal(mscope_table_row(x.t, 2, &info), MSCOPE_OK);
    assert_int_equal(info.occurrences, 3);
    assert_int_equal(info.active, 1);
    assert_int_equal(info.band, 0);              /* 3 of 4 */
    assert_int_equal(mscope_table_band(x.t, 0, &band), MSCOPE_OK);
    assert_true(band.window.updates == 1 && band.window.occurrences == 3 && band.window.s2 == s2);
    CHECK(band.window.u_updates == 1 && fabs(band.window.u - (g2 - s2) / 6) < 1e-15, "U %a", band.window.u);
    free(x.mem);
    free(y.mem);
}

static void test_touch_changes_no_bits(void **state)
{
    static const enum mscope_state states[3] = { MSCOPE_STATE_F32, MSCOPE_STATE_MIXED, MSCOPE_STATE_F64 };

    (void)state;
    for (size_t s = 0; s < 3; s++) {
        mscope_table_config cfg = { .rows = 20, .dim = 9, .state = states[s], .capacity = 64, .history = 64 };
        table x = make(cfg), y = make(cfg);
        size_t size = s == 2 ? 8 : 4, msize = s == 0 ? 4 : 8;

        rng_seed(32);
        for (int k = 0; k < 500; k++) {
            double g64[36];
            float g32[36];
            uint32_t rows[4];

            for (size_t i = 0; i < 4; i++)
                rows[i] = (uint32_t)(rng_u64() % 20);
            for (size_t i = 0; i < 36; i++)
                g32[i] = (float)(g64[i] = (double)(float)rng_normal());
            assert_int_equal(mscope_table_touch(x.t, rows, 4), MSCOPE_OK);    /* y catches up inside apply */
            step(x.t, 0.1, 0.05, rows, s == 2 ? (void *)g64 : (void *)g32, 4);
            step(y.t, 0.1, 0.05, rows, s == 2 ? (void *)g64 : (void *)g32, 4);
        }
        assert_int_equal(mscope_table_settle(x.t), MSCOPE_OK);
        assert_int_equal(mscope_table_settle(y.t), MSCOPE_OK);
        assert_memory_equal(mscope_table_theta(x.t), mscope_table_theta(y.t), 20 * 9 * size);
        assert_memory_equal(mscope_table_momentum(x.t), mscope_table_momentum(y.t), 20 * 9 * msize);
        free(x.mem);
        free(y.mem);
    }
}

static void test_gradients_scaled_by_two_scale_momentum(void **state)
{
    mscope_table_config cfg = { .rows = 6, .dim = 5, .capacity = 16 };
    table x = make(cfg), y = make(cfg);

    (void)state;
    rng_seed(33);
    for (int k = 0; k < 200; k++) {
        uint32_t row = (uint32_t)(rng_u64() % 6);
        float g[5], h[5];

        for (size_t j = 0; j < 5; j++)
            h[j] = 0x1p20f * (g[j] = (float)rng_normal());
        step(x.t, 0.1, 0.05, &row, g, 1);
        step(y.t, 0.1, 0.05, &row, h, 1);
    }
    for (size_t i = 0; i < 30; i++)
        assert_true(0x1p20f * ((float *)mscope_table_momentum(x.t))[i] == ((float *)mscope_table_momentum(y.t))[i]);
    free(x.mem);
    free(y.mem);
}

/* -- refusals: the table afterwards equals the table before ------------------------------ */

static void refused(mscope_table *t, int got, int want, const char *field)
{
    CHECK(got == want, "got %d (%s), want %d", got, mscope_strerror(got), want);
    if (field)
        assert_string_equal(mscope_table_fault(t)->field, field);
}

static void test_bad_input_is_refused_untouched(void **state)
{
    const double bad[] = { NAN, INFINITY, -INFINITY };
    mscope_table_config cfg = { .rows = 4, .dim = 2, .capacity = 3 };
    mscope_step p = { .eta = 0.1, .eps = 0.1, .batch = 1 };
    table x = make(cfg);
    uint32_t rows[4] = { 0, 1, 2, 3 };
    float g[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    size_t bytes = mscope_table_mem(&cfg);
    unsigned char *before = malloc(bytes);
    mscope_band band;

    (void)state;
    step(x.t, 0.1, 0.1, rows, g, 3);
    step(x.t, 0.1, 0.1, rows, g, 1);
    refused(x.t, mscope_table_seek(x.t, UINT64_MAX), MSCOPE_EINVAL, "steps");        /* would wrap the clock */
    refused(x.t, mscope_table_seek(x.t, 1), MSCOPE_EINVAL, "steps");
    for (size_t i = 0; i < 3; i++) {
        mscope_step q = p;

        q.eta = bad[i];
        refused(x.t, mscope_table_step_begin(x.t, &q), MSCOPE_EINVAL, "eta");
        q = p;
        q.eps = bad[i];
        refused(x.t, mscope_table_step_begin(x.t, &q), MSCOPE_EINVAL, "eps");
        q = p;
        q.batch = bad[i];
        refused(x.t, mscope_table_step_begin(x.t, &q), MSCOPE_EINVAL, "batch");
    }
    p.eps = 1.0000001;
    refused(x.t, mscope_table_step_begin(x.t, &p), MSCOPE_EINVAL, "eps");
    p.eps = 0.1;
    p.dampening = 0.1;
    refused(x.t, mscope_table_step_begin(x.t, &p), MSCOPE_EINVAL, "dampening");     /* not in EMA form */
    p.dampening = 0;
    refused(x.t, mscope_table_apply(x.t, rows, g, NULL, 1), MSCOPE_ESTATE, NULL);   /* outside a step */
    refused(x.t, mscope_table_step_end(x.t), MSCOPE_ESTATE, NULL);
    refused(x.t, mscope_table_band(x.t, 32, &band), MSCOPE_EINVAL, "band");
    assert_int_equal(mscope_table_step_begin(x.t, &p), MSCOPE_OK);
    refused(x.t, mscope_table_touch(x.t, rows, 1), MSCOPE_ESTATE, NULL);
    refused(x.t, mscope_table_settle(x.t), MSCOPE_ESTATE, NULL);
    refused(x.t, mscope_table_step_begin(x.t, &p), MSCOPE_ESTATE, NULL);
    memcpy(before, mscope_table_theta(x.t), 8 * sizeof(float));
    refused(x.t, mscope_table_apply(x.t, rows, g, NULL, 4), MSCOPE_EINVAL, "n");
    rows[2] = 4;
    refused(x.t, mscope_table_apply(x.t, rows, g, NULL, 3), MSCOPE_EINDEX, "row");
    assert_int_equal(mscope_table_fault(x.t)->at, 2);
    assert_true(mscope_table_fault(x.t)->value == 4 && mscope_table_fault(x.t)->high == 3);
    rows[2] = 2;
    for (size_t i = 0; i < 3; i++) {
        g[5] = (float)bad[i];
        refused(x.t, mscope_table_apply(x.t, rows, g, NULL, 3), MSCOPE_ENONFINITE, "gradient");
        assert_int_equal(mscope_table_fault(x.t)->at, 5);
    }
    g[5] = 6;
    assert_memory_equal(before, mscope_table_theta(x.t), 8 * sizeof(float));
    assert_int_equal(mscope_table_apply(x.t, rows, g, NULL, 3), MSCOPE_OK);
    refused(x.t, mscope_table_apply(x.t, rows, g, NULL, 3), MSCOPE_ESTATE, NULL);   /* twice */
    assert_int_equal(mscope_table_step_end(x.t), MSCOPE_OK);
    g[3] = NAN;
    refused(x.t, mscope_table_rows_set(x.t, 0, 2, g, NULL), MSCOPE_ENONFINITE, "theta");
    refused(x.t, mscope_table_rows_set(x.t, 3, 2, g, NULL), MSCOPE_EINDEX, "row");
    refused(x.t, mscope_table_reference_set(x.t, 0, 1, g), MSCOPE_ESTATE, "reference");
    refused(x.t, mscope_table_probe(x.t, rows, g, 2), MSCOPE_ENONFINITE, "probe");
    assert_int_equal(mscope_table_steps(x.t), 3);
    free(before);
    free(x.mem);
}

static void test_bad_config_is_refused(void **state)
{
    static const mscope_table_config bad[] = {
        { .rows = 0, .dim = 1, .capacity = 1 },
        { .rows = 1, .dim = 0, .capacity = 1 },
        { .rows = 1, .dim = 70000, .capacity = 1 },
        { .rows = 1, .dim = 1, .capacity = 0 },
        { .rows = 1, .dim = 1, .capacity = 1, .history = 100 },
        { .rows = 1, .dim = 1, .capacity = 1, .history = 8 },
        { .rows = 1, .dim = 1, .capacity = 1, .acf_rows = 65 },
        { .rows = 1, .dim = 1, .capacity = 1, .nesterov = 2 },
    };
    mscope_table_config cfg = { .rows = 8, .dim = 4, .capacity = 8 };
    size_t need = mscope_table_mem(&cfg);
    unsigned char *mem = aligned_block(need + 64);
    mscope_table *t = NULL;

    (void)state;
    for (size_t i = 0; i < LEN(bad); i++)
        assert_int_equal(mscope_table_mem(&bad[i]), 0);
    assert_int_equal(mscope_table_init(&t, &cfg, mem, need - 1), MSCOPE_ENOMEM);
    assert_int_equal(mscope_table_init(&t, &cfg, mem + 8, need), MSCOPE_EINVAL);
    cfg.kernel = "v4096";
    assert_int_equal(mscope_table_init(&t, &cfg, mem, need), MSCOPE_ENOTSUP);
    assert_null(t);
    for (int e = -40; e < 40; e++)
        assert_non_null(mscope_strerror(e));
    free(mem);
}

/* -- activity ---------------------------------------------------------------------------- */

static void test_bands_follow_occurrence_rate(void **state)
{
    table x = make((mscope_table_config){ .rows = 10, .dim = 1, .capacity = 64 });
    mscope_step p = { .eta = 0.01, .eps = 0.1, .batch = 16 };
    mscope_table_row_info info;
    mscope_band band;

    (void)state;
    rng_seed(34);
    for (int k = 0; k < 60000; k++) {            /* row i: 16 samples, each with probability 0.75 * 2^-i */
        uint32_t rows[256];
        float g[256];
        size_t n = 0;

        for (uint32_t i = 0; i < 10; i++)
            for (int s = 0; s < 16; s++)
                if (rng_uniform() < 0.75 * ldexp(1.0, -(int)i) && n < 64) {
                    g[n] = 1;
                    rows[n++] = i;
                }
        assert_int_equal(mscope_table_step_begin(x.t, &p), MSCOPE_OK);
        assert_int_equal(mscope_table_apply(x.t, rows, g, NULL, n), MSCOPE_OK);
        assert_int_equal(mscope_table_step_end(x.t), MSCOPE_OK);
    }
    assert_int_equal(mscope_table_resum(x.t), MSCOPE_OK);
    for (uint32_t i = 0; i < 10; i++) {
        double prob = 0.75 * ldexp(1.0, -(int)i), P = 1 - pow(1 - prob, 16);

        assert_int_equal(mscope_table_row(x.t, i, &info), MSCOPE_OK);
        assert_int_equal(info.band, i);
        CHECK(fabs(info.p / prob - 1) < 0.3 && fabs(info.P / P - 1) < 0.3, "row %u: p %g want %g, P %g want %g", i,
              info.p, prob, info.P, P);
    }
    idle_steps(x.t, 0.01, 0.1, 2000);            /* row 0 falls silent: the resum moves it to a rarer band */
    assert_int_equal(mscope_table_resum(x.t), MSCOPE_OK);
    assert_int_equal(mscope_table_row(x.t, 0, &info), MSCOPE_OK);
    CHECK(info.band > 2, "band %u after silence", info.band);
    assert_int_equal(mscope_table_band(x.t, info.band, &band), MSCOPE_OK);
    assert_true(band.rows >= 1 && band.idle_share > 0);
    free(x.mem);
}

/* -- probe and autocorrelation ------------------------------------------------------------ */

static void test_probe_measures_curvature(void **state)
{
    table x = make((mscope_table_config){ .rows = 4, .dim = 8, .capacity = 16, .state = MSCOPE_STATE_F64 });
    uint32_t rows[4] = { 0, 1, 2, 3 };
    double g[32], hm[32];
    const double *m = mscope_table_momentum(x.t);
    mscope_band band;

    (void)state;
    rng_seed(35);
    for (size_t i = 0; i < 32; i++)
        g[i] = rng_normal();
    assert_int_equal(mscope_table_probe(x.t, rows, g, 4), 0);          /* no momentum yet: no sample */
    step(x.t, 0.1, 0.1, rows, g, 4);
    for (size_t i = 0; i < 32; i++)
        hm[i] = (i / 8 < 2 ? 2.0 : 4.0) * m[i];
    assert_int_equal(mscope_table_probe(x.t, rows, hm, 4), 4);
    assert_int_equal(mscope_table_band(x.t, 2, &band), MSCOPE_OK);
    assert_true(band.curvature.samples == 4);
    CHECK(fabs(band.curvature.h1 - 3) < 1e-14 && fabs(band.curvature.h1_var - 1) < 1e-14 &&
              fabs(band.curvature.h2 - 10) < 1e-13,
          "h1 %g var %g h2 %g", band.curvature.h1, band.curvature.h1_var, band.curvature.h2);
    free(x.mem);
}

/* A row driven by its own quadratic and noise: the reference autocorrelation of m is the two modes of the mean map. */
static void test_acf_follows_the_modes(void **state)
{
    table x =
        make((mscope_table_config){ .rows = 16, .dim = 32, .capacity = 16, .state = MSCOPE_STATE_F64, .acf_rows = 16 });
    const double eta = 2.0, eps = 0.05, h = 0.25;
    double *theta = mscope_table_theta(x.t), t0 = 0, t1 = 0, num, worst = 0;
    uint32_t rows[16];
    mscope_acf acf;

    (void)state;
    rng_seed(36);
    for (int k = 0; k < 60000; k++) {
        double g[512];

        for (uint32_t r = 0; r < 16; r++)
            rows[r] = r;
        for (size_t i = 0; i < 512; i++)
            g[i] = h * theta[i] + rng_normal();
        step(x.t, eta, eps, rows, g, 16);
    }
    assert_int_equal(mscope_table_acf(x.t, 2, &acf), MSCOPE_OK);
    assert_true(acf.references > 1000 && acf.stride == (uint32_t)ceil(8 / eps / 47));
    /* Exact lags of E<m_0, m_s>: start from stationary (m.m, theta.m) and iterate the mean map. With C = -eta V/2. */
    t0 = 1.0;
    t1 = -eta / 2;
    for (uint32_t j = 0, s = 0; j < 20; j++) {
        for (; s < j * acf.stride; s++) {
            t0 = (1 - eps) * t0 + eps * h * t1;
            t1 = t1 - eta * t0;
        }
        num = acf.a[j] / acf.a[0];
        worst = fmax(worst, fabs(num - t0));
    }
    CHECK(worst < 0.05, "autocorrelation off by %g", worst);
    NOTE("reference autocorrelation against its two modes: worst deviation %.3f of a(0), %u references", worst,
         acf.references);
    free(x.mem);
}

/* -- snapshots ----------------------------------------------------------------------------- */

typedef struct tape {
    unsigned char *bytes;
    size_t len, cap, at, fail_after;
} tape;

static int sink(void *ctx, const void *bytes, size_t len)
{
    tape *x = ctx;

    if (x->len + len > x->cap)
        x->bytes = realloc(x->bytes, x->cap = 2 * (x->len + len));
    memcpy(x->bytes + x->len, bytes, len);
    x->len += len;
    return 0;
}

static int source(void *ctx, void *bytes, size_t len)
{
    tape *x = ctx;

    if (x->at + len > x->len)
        return MSCOPE_EIO;
    memcpy(bytes, x->bytes + x->at, len);
    x->at += len;
    return 0;
}

static void random_steps(mscope_table *t, int n, double decay)
{
    for (int k = 0; k < n; k++) {
        mscope_step p = { .eta = 0.1, .eps = 0.02 + 0.3 * (k % 7 == 0), .weight_decay = decay, .batch = 8 };
        uint32_t rows[8];
        float g[8 * 6];

        for (size_t i = 0; i < 8; i++)
            rows[i] = (uint32_t)(30 * rng_uniform() * rng_uniform());
        for (size_t i = 0; i < 48; i++)
            g[i] = (float)rng_normal();
        assert_int_equal(mscope_table_step_begin(t, &p), MSCOPE_OK);
        assert_int_equal(mscope_table_apply(t, rows, g, NULL, 8), MSCOPE_OK);
        assert_int_equal(mscope_table_step_end(t), MSCOPE_OK);
    }
}

static void test_snapshot_continues_bit_for_bit(void **state)
{
    mscope_table_config cfg = { .rows = 40, .dim = 6, .capacity = 8, .reference = 1, .acf_rows = 4, .history = 128 };
    table x = make(cfg), y = make(cfg);
    tape a = { 0 }, b = { 0 }, c = { 0 };
    uint64_t rng;

    (void)state;
    rng_seed(37);
    random_steps(x.t, 700, 0.0);
    random_steps(x.t, 300, 1e-3);
    assert_int_equal(mscope_table_snapshot_write(x.t, sink, &a), MSCOPE_OK);
    rng = rng_state;
    random_steps(x.t, 500, 1e-3);
    assert_int_equal(mscope_table_snapshot_write(x.t, sink, &b), MSCOPE_OK);
    assert_int_equal(mscope_table_snapshot_read(y.t, source, &a), MSCOPE_OK);
    assert_int_equal(a.at, a.len);
    rng_state = rng;
    random_steps(y.t, 500, 1e-3);
    assert_int_equal(mscope_table_snapshot_write(y.t, sink, &c), MSCOPE_OK);
    assert_int_equal(b.len, c.len);
    assert_memory_equal(b.bytes, c.bytes, b.len);
    free(x.mem);
    free(y.mem);
    free(a.bytes);
    free(b.bytes);
    free(c.bytes);
}

/* Checked before its step or not, an apply does the same; a check is good for one apply, until the next check. */
static void test_a_check_ahead_changes_nothing(void **state)
{
    const uint32_t rows[3] = { 2, 0, 2 }, far[1] = { 4 };
    mscope_table_config cfg = { .rows = 4, .dim = 2, .capacity = 3 };
    mscope_step p = { .eta = 0.1, .eps = 0.2, .batch = 4 };
    table x = make(cfg), y = make(cfg);
    float g[6] = { 1, 2, 3, 4, 5, 6 };
    mscope_checked none = { 0 }, first, second;
    tape a = { 0 }, b = { 0 };

    (void)state;
    assert_int_equal(mscope_table_apply_check(x.t, far, g, 1, &first), MSCOPE_EINDEX);
    assert_int_equal(mscope_table_apply_check(x.t, rows, g, 4, &first), MSCOPE_EINVAL);
    assert_int_equal(mscope_table_step_begin(x.t, &p), MSCOPE_OK);
    assert_int_equal(mscope_table_apply_checked(x.t, &none, NULL), MSCOPE_EINVAL);
    assert_int_equal(mscope_table_step_end(x.t), MSCOPE_OK);
    step(y.t, 0.1, 0.2, rows, g, 0);
    for (int k = 0; k < 3; k++) {
        assert_int_equal(mscope_table_apply_check(x.t, rows, g, 3, &first), MSCOPE_OK);
        assert_int_equal(mscope_table_apply_checked(x.t, &first, NULL), MSCOPE_ESTATE);       /* no step is open */
        assert_int_equal(mscope_table_step_begin(x.t, &p), MSCOPE_OK);
        assert_int_equal(mscope_table_apply_checked(x.t, &first, NULL), MSCOPE_OK);
        assert_int_equal(mscope_table_step_end(x.t), MSCOPE_OK);
        step(y.t, 0.1, 0.2, rows, g, 3);
    }
    assert_int_equal(mscope_table_snapshot_write(x.t, sink, &a), MSCOPE_OK);
    assert_int_equal(mscope_table_snapshot_write(y.t, sink, &b), MSCOPE_OK);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.bytes, b.bytes, a.len);
    assert_int_equal(mscope_table_step_begin(x.t, &p), MSCOPE_OK);
    assert_int_equal(mscope_table_apply_checked(x.t, &first, NULL), MSCOPE_EINVAL);         /* it was applied already */
    assert_int_equal(mscope_table_apply_check(x.t, rows, g, 3, &first), MSCOPE_OK);
    assert_int_equal(mscope_table_apply_check(x.t, rows, g, 1, &second), MSCOPE_OK);
    assert_int_equal(mscope_table_apply_checked(x.t, &first, NULL), MSCOPE_EINVAL);          /* another came after it */
    g[3] = INFINITY;
    assert_int_equal(mscope_table_apply_check(x.t, rows, g, 3, &first), MSCOPE_ENONFINITE);
    assert_int_equal(mscope_table_apply_checked(x.t, &second, NULL), MSCOPE_EINVAL);          /* a failed one too */
    assert_int_equal(mscope_table_apply(x.t, rows, g, NULL, 3), MSCOPE_ENONFINITE);      /* apply alone always checks */
    assert_int_equal(mscope_table_apply(x.t, rows, g, NULL, 1), MSCOPE_OK);
    assert_int_equal(mscope_table_step_end(x.t), MSCOPE_OK);
    free(x.mem);
    free(y.mem);
    free(a.bytes);
    free(b.bytes);
}

/* Reading rows moves nothing, and shows what settling would leave; with and without weight decay. */
static void test_rows_read_are_the_settled_ones(void **state)
{
    (void)state;
    for (int decays = 0; decays < 2; decays++) {
        mscope_table_config cfg = { .rows = 150, .dim = 6, .capacity = 8, .history = 128 };
        table x = make(cfg);
        tape before = { 0 }, after = { 0 };
        float theta[150 * 6], m[150 * 6], part[3][6], part_m[3][6];

        rng_seed(38);
        random_steps(x.t, 400, decays ? 1e-3 : 0.0);
        assert_int_equal(mscope_table_snapshot_write(x.t, sink, &before), MSCOPE_OK);
        assert_int_equal(mscope_table_rows_get(x.t, 0, 150, theta, m), MSCOPE_OK);
        assert_int_equal(mscope_table_rows_get(x.t, 20, 3, part, part_m), MSCOPE_OK);
        assert_int_equal(mscope_table_rows_get(x.t, 150, 0, part, part_m), MSCOPE_EINDEX);
        assert_int_equal(mscope_table_rows_get(x.t, 149, 2, part, part_m), MSCOPE_EINDEX);
        assert_int_equal(mscope_table_rows_get(x.t, 0, 3, part, NULL), MSCOPE_EINVAL);
        assert_int_equal(mscope_table_snapshot_write(x.t, sink, &after), MSCOPE_OK);
        assert_int_equal(before.len, after.len);
        assert_memory_equal(before.bytes, after.bytes, before.len);
        assert_memory_not_equal(theta, mscope_table_theta(x.t), sizeof theta);
        assert_int_equal(mscope_table_settle(x.t), MSCOPE_OK);
        assert_memory_equal(theta, mscope_table_theta(x.t), sizeof theta);
        assert_memory_equal(m, mscope_table_momentum(x.t), sizeof m);
        assert_memory_equal(part, theta + 20 * 6, sizeof part);
        assert_memory_equal(part_m, m + 20 * 6, sizeof part_m);
        free(before.bytes);
        free(after.bytes);
        free(x.mem);
    }
}

/* The block of one table, at another address, is that table; the first one's memory is gone by then. */
static void test_adopted_block_continues_bit_for_bit(void **state)
{
    mscope_table_config cfg = { .rows = 40, .dim = 6, .capacity = 8, .reference = 1, .acf_rows = 4, .history = 128 },
                        other = cfg;
    table x = make(cfg), y = make(cfg);
    size_t need = mscope_table_mem(&cfg);
    void *moved = aligned_block(need);
    tape b = { 0 }, c = { 0 };
    mscope_table *t = NULL;
    uint64_t rng;

    (void)state;
    rng_seed(41);
    rng = rng_state;
    random_steps(x.t, 700, 0.0);
    assert_int_equal(mscope_table_resum_slice(x.t, 17), 0);
    rng_state = rng;
    random_steps(y.t, 700, 0.0);
    assert_int_equal(mscope_table_resum_slice(y.t, 17), 0);
    rng = rng_state;
    memcpy(moved, x.mem, need);
    memset(x.mem, 0xff, need);
    other.dim = 7;
    assert_int_equal(mscope_table_adopt(&t, &other, moved, need), MSCOPE_ENOMEM);
    other.dim = 5;
    assert_int_equal(mscope_table_adopt(&t, &other, moved, need), MSCOPE_ESTATE);
    assert_int_equal(mscope_table_adopt(&t, &cfg, moved, need - 1), MSCOPE_ENOMEM);
    assert_int_equal(mscope_table_adopt(&t, &cfg, moved, need), MSCOPE_OK);
    random_steps(t, 500, 1e-3);
    rng_state = rng;
    random_steps(y.t, 500, 1e-3);
    assert_int_equal(mscope_table_snapshot_write(t, sink, &b), MSCOPE_OK);
    assert_int_equal(mscope_table_snapshot_write(y.t, sink, &c), MSCOPE_OK);
    assert_int_equal(b.len, c.len);
    assert_memory_equal(b.bytes, c.bytes, b.len);
    free(moved);
    free(x.mem);
    free(y.mem);
    free(b.bytes);
    free(c.bytes);
}

static void test_damaged_snapshot_is_refused(void **state)
{
    mscope_table_config cfg = { .rows = 9, .dim = 2, .capacity = 8, .history = 16 }, other = cfg;
    table x = make(cfg);
    tape a = { 0 };
    size_t refusals = 0, tries = 0;

    (void)state;
    rng_seed(38);
    for (int k = 0; k < 40; k++) {
        uint32_t row = (uint32_t)(rng_u64() % 9);
        float g[2] = { 1, (float)rng_normal() };

        step(x.t, 0.1, 0.1, &row, g, 1);
    }
    assert_int_equal(mscope_table_snapshot_write(x.t, sink, &a), MSCOPE_OK);
    for (size_t bit = 0; bit < 8 * a.len; bit += 1 + bit / 900, tries++) {
        table y = make(cfg);

        a.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        a.at = 0;
        refusals += mscope_table_snapshot_read(y.t, source, &a) < 0;
        a.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        free(y.mem);
    }
    assert_int_equal(refusals, tries);
    for (size_t len = 0; len < a.len; len += 1 + len / 40) {
        tape cut = { .bytes = a.bytes, .len = len };
        table y = make(cfg);

        assert_true(mscope_table_snapshot_read(y.t, source, &cut) < 0);
        free(y.mem);
    }
    other.dim = 3;
    {
        table y = make(other);

        a.at = 0;
        refused(y.t, mscope_table_snapshot_read(y.t, source, &a), MSCOPE_EINVAL, "dim");
        free(y.mem);
    }
    NOTE("%zu single flipped bits, every one refused", tries);
    free(x.mem);
    free(a.bytes);
}

/* The core may need nothing but memory moves and a few functions of libm: in particular no allocator, no stdio. */
static void test_core_is_freestanding(void **state)
{
    static const char *const allowed[] = { "memcpy",   "memset", "memcmp", "memmove", "strcmp", "sqrt",
                                           "ldexp",    "frexp",  "ceil",   "_GLOBAL_OFFSET_TABLE_", "__cpu_model",
                                           "__stack_chk_fail", "__cpu_indicator_init" };
    const char *build = getenv("BUILD");
    char command[512], name[256];
    unsigned seen = 0;
    FILE *nm;

    (void)state;
    if (getenv("MOMENTSCOPE_SANITIZED"))
        skip();
    snprintf(command, sizeof command, "nm -u %s/libmscope_core.a | awk '$1 == \"U\" {print $2}' | sort -u",
             build ? build : "build");
    nm = popen(command, "r");
    assert_non_null(nm);
    while (fscanf(nm, "%255s", name) == 1) {
        int known = strncmp(name, "mscope_", 7) == 0;

        for (size_t i = 0; i < LEN(allowed); i++)
            known |= strcmp(name, allowed[i]) == 0;
        CHECK(known, "the core calls %s", name);
        seen++;
    }
    pclose(nm);
    CHECK(seen > 5, "nothing read from %s", command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row_silent_for_a_million_steps),
        cmocka_unit_test(test_seek_moves_nothing_but_the_step),
        cmocka_unit_test(test_beta_zero_is_plain_sgd),
        cmocka_unit_test(test_eta_zero_leaves_theta),
        cmocka_unit_test(test_eps_zero_never_forgets),
        cmocka_unit_test(test_zero_gradient_is_activity),
        cmocka_unit_test(test_duplicates_are_occurrences),
        cmocka_unit_test(test_touch_changes_no_bits),
        cmocka_unit_test(test_gradients_scaled_by_two_scale_momentum),
        cmocka_unit_test(test_bad_input_is_refused_untouched),
        cmocka_unit_test(test_bad_config_is_refused),
        cmocka_unit_test(test_bands_follow_occurrence_rate),
        cmocka_unit_test(test_probe_measures_curvature),
        cmocka_unit_test(test_acf_follows_the_modes),
        cmocka_unit_test(test_snapshot_continues_bit_for_bit),
        cmocka_unit_test(test_a_check_ahead_changes_nothing),
        cmocka_unit_test(test_rows_read_are_the_settled_ones),
        cmocka_unit_test(test_adopted_block_continues_bit_for_bit),
        cmocka_unit_test(test_damaged_snapshot_is_refused),
        cmocka_unit_test(test_core_is_freestanding),
    };

    return cmocka_run_group_tests_name("core", tests, NULL, NULL);
}
