/* test_exact.c - the core against dense brute force: every convention, every kind of schedule, Zipf activity
 *
 * A least-squares problem with label noise in closed loop: each contestant computes its gradients from its own
 * parameters, so an error can feed on itself as it would in training. Truth is the dense recursion in long double
 * with eps (not beta) as the input; the dense float32 run is the peer.                                       */
#include "harness.h"

#define ROWS 32
#define DIM 5
#define CELLS (ROWS * DIM)
#define STEPS 100000
/* Where both runs are at the rounding of their last few updates, which is smaller is chance: a few half-ulps of
 * float32. */
#define ROUNDING (6 * 6e-8)
#define LUCK 4.0                /* one run against one; the worst seen is 2.9, open loop, decoupled decay with cosine */
#define LUCK_SEEDS 1.1    /* root mean square over seeds: where both lose the same updates below half an ulp they tie */
#define SEEDS 3

typedef struct convention {
    const char *name;
    enum mscope_form form;
    int nesterov;
    double dampening, coupled, decoupled;
} convention;

static const convention conventions[] = {
    { "ema", MSCOPE_FORM_EMA, 0, 0, 0, 0 },
    { "ema nesterov", MSCOPE_FORM_EMA, 1, 0, 0, 0 },
    { "ema coupled", MSCOPE_FORM_EMA, 0, 0, 1e-3, 0 },
    { "ema decoupled", MSCOPE_FORM_EMA, 0, 0, 0, 1e-3 },
    { "torch", MSCOPE_FORM_TORCH, 0, 0, 0, 0 },
    { "torch dampening", MSCOPE_FORM_TORCH, 0, 0.3, 0, 0 },
    { "torch nesterov", MSCOPE_FORM_TORCH, 1, 0, 0, 0 },
    { "torch coupled", MSCOPE_FORM_TORCH, 0, 0, 1e-3, 0 },
    { "torch nesterov coupled", MSCOPE_FORM_TORCH, 1, 0, 1e-3, 0 },
    { "torch dampening coupled decoupled", MSCOPE_FORM_TORCH, 0, 0.3, 1e-3, 1e-4 },
};

static mscope_step constant(uint64_t k, double eps)
{
    (void)k;
    return (mscope_step){ .eta = 0.05, .eps = eps, .batch = 1 };
}

static mscope_step warm_cosine(uint64_t k, double eps)
{
    double x = (double)k / STEPS, warm = k < 2000 ? (double)k / 2000 : 1.0;

    return (mscope_step){ .eta = 0.1 * warm * 0.5 * (1 + cos(3.14159265358979 * x)),
                          .eps = warm < 1 ? 1 + (eps - 1) * warm : eps,
                          .batch = 1 };
}

static mscope_step stairs(uint64_t k, double eps)
{
    int n = (int)(4 * k / STEPS);

    return (mscope_step){ .eta = 0.1 / (1 << n), .eps = eps * (n & 1 ? 0.3 : 1), .batch = 1 };
}

static mscope_step sometimes_plain(uint64_t k, double eps)
{
    return (mscope_step){ .eta = 0.03, .eps = k % 997 == 0 || (k > 60000 && k < 60100) ? 1.0 : eps, .batch = 1 };
}

static mscope_step (*const schedules[])(uint64_t, double) = { constant, warm_cosine, stairs, sometimes_plain };
static const char *const schedule_names[] = { "constant", "warm-up and cosine", "stairs", "beta = 0 at times" };

/* Torch's learning rate multiplies a buffer that is 1/eps larger: keep both forms equally stable. */
static mscope_step step_of(const convention *c, size_t s, uint64_t k, double eps)
{
    mscope_step p = schedules[s](k, eps);

    if (c->form == MSCOPE_FORM_TORCH)
        p.eta *= eps;
    p.dampening = c->dampening;
    p.weight_decay = c->coupled;
    p.decoupled_decay = c->form == MSCOPE_FORM_TORCH ? c->decoupled / eps : c->decoupled;
    return p;
}

/* The dense recursion, written from the optimizers' definitions and not from the core's. REAL: its arithmetic. */
#define DENSE(name, REAL)                                                                                        \
    static void name(REAL *theta, REAL *m, const REAL *g, const convention *c, const mscope_step *p, int *made)  \
    {                                                                                                            \
        REAL in = c->form == MSCOPE_FORM_EMA ? (REAL)p->eps : *made ? (REAL)1 - (REAL)p->dampening : (REAL)1;    \
        int plain = c->form == MSCOPE_FORM_TORCH && p->eps >= 1.0;                                               \
                                                                                                                 \
        for (size_t i = 0; i < CELLS; i++) {                                                                     \
            REAL gw = g[i] + (REAL)p->weight_decay * theta[i], go = gw;                                          \
                                                                                                                 \
            if (!plain) {                                                                                        \
                m[i] = m[i] - (REAL)p->eps * m[i] + in * gw;                                                     \
                go = c->nesterov ? in * gw + ((REAL)1 - (REAL)p->eps) * m[i] : m[i];                             \
            }                                                                                                    \
            theta[i] = theta[i] - (REAL)p->eta * (REAL)p->decoupled_decay * theta[i] - (REAL)p->eta * go;        \
        }                                                                                                        \
        if (!plain)                                                                                              \
            *made = 1;                                                                                           \
    }
DENSE(dense_truth, long double)
DENSE(dense_f32, float)

static double h_of(size_t row)
{
    return 0.3 + 0.5 * (double)(row % 5);
}

/* Closed loop: least squares. Open loop: the same gradients for everybody, a push and noise. */
static double gradient(int closed, size_t row, double theta, double star, double noise)
{
    return closed ? h_of(row) * (theta - star) + noise : 0.1 * star + noise;
}

typedef struct arena {
    double star[CELLS], noise[CELLS], p[ROWS];
    long double theta[CELLS], m[CELLS], g[CELLS];
    float theta32[CELLS], m32[CELLS], g32[CELLS];
} arena;

static void begin_arena(arena *a)
{
    memset(a, 0, sizeof *a);
    for (size_t i = 0; i < CELLS; i++)
        a->star[i] = rng_normal();
    for (size_t r = 0; r < ROWS; r++)
        a->p[r] = pow((double)(r + 1), -1.6);           /* every step ... once in 500 */
    a->p[ROWS - 1] = 2e-5;                              /* and once or twice in the whole run */
}

/* One step of a core table. */
static void core_step(mscope_table *t, const arena *a, const mscope_step *p, const uint32_t *rows, size_t n, int closed)
{
    double g64[CELLS];
    float g32[CELLS];
    int f64 = mscope_table_cfg(t)->state == MSCOPE_STATE_F64;
    const double *th64 = mscope_table_theta(t);
    const float *th32 = mscope_table_theta(t);

    assert_int_equal(mscope_table_touch(t, rows, n), MSCOPE_OK);
    for (size_t k = 0; k < n; k++)
        for (size_t j = 0; j < DIM; j++) {
            size_t i = rows[k] * DIM + j;
            double theta = f64 ? th64[i] : (double)th32[i];
            double g = gradient(closed, rows[k], theta, a->star[i], a->noise[i]);

            g64[k * DIM + j] = g;
            g32[k * DIM + j] = (float)g;
        }
    assert_int_equal(mscope_table_step_begin(t, p), MSCOPE_OK);
    assert_int_equal(mscope_table_apply(t, rows, f64 ? (const void *)g64 : (const void *)g32, NULL, n), MSCOPE_OK);
    assert_int_equal(mscope_table_step_end(t), MSCOPE_OK);
}

/* Relative errors of theta and m over the table. Momentum is measured against what a gradient leaves in it, because
 * after long silence what is left is all rounding, in any arithmetic. */
typedef struct deviation {
    double theta, m;
} deviation;

#define DEVIATION(name, REAL_T, REAL_M)                                                                          \
    static deviation name(const arena *a, const REAL_T *theta, const REAL_M *m, double gain)                     \
    {                                                                                                            \
        long double dt = 0, dm = 0, nt = 0, nm = 0;                                                              \
                                                                                                                 \
        for (size_t i = 0; i < CELLS; i++) {                                                                     \
            dt += (theta[i] - a->theta[i]) * (theta[i] - a->theta[i]);                                           \
            dm += (m[i] - a->m[i]) * (m[i] - a->m[i]);                                                           \
            nt += a->theta[i] * a->theta[i];                                                                     \
            nm += a->m[i] * a->m[i];                                                                             \
        }                                                                                                        \
        nm += (long double)(gain * gain * CELLS);                                                                \
        return (deviation){ (double)sqrtl(dt / nt), (double)sqrtl(dm / nm) };                                    \
    }
DEVIATION(deviation_ff, float, float)
DEVIATION(deviation_fd, float, double)
DEVIATION(deviation_dd, double, double)

static void run(const convention *c, size_t s, double eps, int closed, uint64_t seed, deviation out[4])
{
    static arena a;
    static const enum mscope_state states[3] = { MSCOPE_STATE_F32, MSCOPE_STATE_MIXED, MSCOPE_STATE_F64 };
    mscope_table *t[3];
    void *mem[3];
    int made = 0, made32 = 0;
    double gain = c->form == MSCOPE_FORM_EMA ? eps * 0.1 : 0.1;

    rng_seed(seed * 1000 + 1 + s * 100 + (uint64_t)(-log10(eps) * 7));
    begin_arena(&a);
    for (size_t k = 0; k < 3; k++) {
        mscope_table_config cfg = { .rows = ROWS, .dim = DIM, .state = states[k], .form = c->form,
                                    .nesterov = c->nesterov, .capacity = ROWS, .history = 1024 };
        t[k] = new_table(&cfg, &mem[k]);
    }
    for (uint64_t k = 1; k <= STEPS; k++) {
        mscope_step p = step_of(c, s, k, eps);
        uint32_t rows[ROWS];
        size_t n = 0;

        for (size_t r = 0; r < ROWS; r++) {
            int active = rng_uniform() < a.p[r];

            if (active)
                rows[n++] = (uint32_t)r;
            for (size_t j = 0; j < DIM; j++) {
                size_t i = r * DIM + j;

                a.noise[i] = active ? 0.1 * rng_normal() : 0;
                a.g[i] = active ? (long double)gradient(closed, r, (double)a.theta[i], a.star[i], a.noise[i]) : 0;
                a.g32[i] = active ? (float)gradient(closed, r, (double)a.theta32[i], a.star[i], a.noise[i]) : 0;
            }
        }
        dense_truth(a.theta, a.m, a.g, c, &p, &made);
        dense_f32(a.theta32, a.m32, a.g32, c, &p, &made32);
        for (size_t q = 0; q < 3; q++)
            core_step(t[q], &a, &p, rows, n, closed);
    }
    for (size_t q = 0; q < 3; q++)
        assert_int_equal(mscope_table_settle(t[q]), MSCOPE_OK);
    out[0] = deviation_ff(&a, mscope_table_theta(t[0]), mscope_table_momentum(t[0]), gain);
    out[1] = deviation_fd(&a, mscope_table_theta(t[1]), mscope_table_momentum(t[1]), gain);
    out[2] = deviation_dd(&a, mscope_table_theta(t[2]), mscope_table_momentum(t[2]), gain);
    out[3] = deviation_ff(&a, a.theta32, a.m32, gain);
    for (size_t q = 0; q < 3; q++)
        free(mem[q]);
}

static void report(const char *what, const char *schedule, double eps, const deviation d[4])
{
    if (getenv("MOMENTSCOPE_TEST_VERBOSE"))
        NOTE("%-34s %-18s eps %-6g theta: f32 %.1e mixed %.1e f64 %.1e dense32 %.1e   m: f32 %.1e mixed %.1e f64 %.1e "
             "dense32 %.1e",
             what, schedule, eps, d[0].theta, d[1].theta, d[2].theta, d[3].theta, d[0].m, d[1].m, d[2].m, d[3].m);
}

/* In closed loop theta is held to its bar. Momentum is then a filter of theta's own rounding (as it is with coupled
 * decay), so its bar is for the open loop, where everybody sees the same gradients; there in turn theta accumulates
 * every rounding it ever made, in any float32 optimizer alike. float64 states are held to one bar throughout. */
static void test_core_equals_dense(void **state)
{
    deviation worst[2][2] = { { { 0, 0 }, { 0, 0 } }, { { 0, 0 }, { 0, 0 } } };
    double dense = 0;

    (void)state;
    for (size_t c = 0; c < LEN(conventions); c++)
        for (size_t s = 0; s < LEN(schedules); s++)
            for (int closed = 0; closed < 2; closed++) {
                double eps = s == 1 ? 1e-2 : s == 2 ? 1e-3 : 0.1;
                deviation d[4];

                run(&conventions[c], s, eps, closed, 0, d);
                report(conventions[c].name, schedule_names[s], eps, d);
                worst[closed][0].theta = fmax(worst[closed][0].theta, d[0].theta);
                worst[closed][0].m = fmax(worst[closed][0].m, d[0].m);
                dense = closed ? fmax(dense, d[3].theta) : dense;
                worst[closed][1].theta = fmax(worst[closed][1].theta, d[2].theta);
                worst[closed][1].m = fmax(worst[closed][1].m, d[2].m);
                CHECK(closed ? d[0].theta <= 3e-6 : d[0].m <= 3e-6 || conventions[c].coupled > 0,
                      "%s, %s: float32 theta %a m %a", conventions[c].name, schedule_names[s], d[0].theta, d[0].m);
                CHECK(d[2].theta <= 1e-11 && d[2].m <= 1e-11, "%s, %s: float64 theta %a m %a", conventions[c].name,
                      schedule_names[s], d[2].theta, d[2].m);
                CHECK(d[0].theta <= fmax(LUCK * d[3].theta, ROUNDING) && d[0].m <= fmax(LUCK * d[3].m, ROUNDING),
                      "%s, %s: float32 theta %a m %a, dense %a %a", conventions[c].name, schedule_names[s], d[0].theta,
                      d[0].m, d[3].theta, d[3].m);
            }
    for (int closed = 0; closed < 2; closed++)
        NOTE("%s loop, %zu conventions x %zu schedules, %d steps: worst float32 theta %.1e m %.1e, float64 theta %.1e "
             "m %.1e",
             closed ? "closed" : "open", LEN(conventions), LEN(schedules), STEPS, worst[closed][0].theta,
             worst[closed][0].m, worst[closed][1].theta, worst[closed][1].m);
    NOTE("closed loop, dense float32: worst theta %.1e", dense);
}

static void test_every_eps_no_worse_than_dense_float32(void **state)
{
    static const double eps[] = { 1.0, 0.5, 1e-2, 1e-3, 1e-4, 1e-5, 1e-7 };

    (void)state;
    for (size_t e = 0; e < LEN(eps); e++)
        for (int closed = 0; closed < 2; closed++) {
            deviation d[4] = { { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 } };

            for (uint64_t seed = 0; seed < SEEDS; seed++) {
                deviation one[4];

                run(&conventions[0], 0, eps[e], closed, seed, one);
                for (size_t q = 0; q < 4; q++) {
                    d[q].theta = hypot(d[q].theta, one[q].theta / sqrt(SEEDS));
                    d[q].m = hypot(d[q].m, one[q].m / sqrt(SEEDS));
                }
            }
            report("ema", closed ? "closed" : "open", eps[e], d);
            NOTE("%s loop, eps %-6g theta: float32 %.1e, float64 momentum %.1e, all float64 %.1e; dense float32 %.1e",
                 closed ? "closed" : "open", eps[e], d[0].theta, d[1].theta, d[2].theta, d[3].theta);
            if (eps[e] >= 1e-4)
                CHECK((closed ? d[0].theta : d[0].m) <= 3e-6, "eps %g: theta %a m %a", eps[e], d[0].theta, d[0].m);
            CHECK(d[0].theta <= fmax(LUCK_SEEDS * d[3].theta, ROUNDING), "eps %g: float32 %a dense %a", eps[e],
                  d[0].theta, d[3].theta);
            CHECK(d[0].m <= fmax(LUCK_SEEDS * d[3].m, ROUNDING), "eps %g: float32 %a dense %a", eps[e], d[0].m, d[3].m);
            CHECK(d[2].theta <= 1e-11 && d[2].m <= 1e-11, "eps %g: float64 %a %a", eps[e], d[2].theta, d[2].m);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_core_equals_dense),
        cmocka_unit_test(test_every_eps_no_worse_than_dense_float32),
    };

    return cmocka_run_group_tests_name("exact", tests, NULL, NULL);
}
