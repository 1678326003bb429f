/* test_kern.c - every kernel gives the bits of the scalar reference: states, widths, statistics, maps, partial jobs */
#include "core/kern.h"
#include "harness.h"

#define CELLS 12000                  /* elements of the largest table tried */
#define STOCK 4093

typedef struct table {               /* elements of either size; theta may begin anywhere */
    unsigned char theta[CELLS * 8 + 64], m[CELLS * 8 + 64], ref[CELLS * 8 + 64], g[CELLS * 8 + 64];
} table;

static const mscope_idle bent_idle = { 1.0, -0x1.3p-9, -0.37, 0.011, 0.0, 0.313 };
static const mscope_idle plain_idle = { 1.0, 0.0, -0.37, 0.0, 1.0, -0.313 };
static const mscope_kick bent_kick = { 1.0, -0.013, 0.002, 0.013, -0.0007, -0.21, 0.05 };
static const mscope_kick plain_kick = { 1.0, -0.013, 0.0, 0.013, 0.0, -0.21, 0.0 };

static double any_value(int wild)
{
    static const double odd[] = { 0.0, -0.0, 1e-38, -1e-42, 3e37, 1e-300 };
    static const double wilder[] = { INFINITY, -INFINITY, 3.4e38, -3e38, 1e-45 };

    if (wild && rng_u64() % 41 == 0)
        return rng_u64() % 3 == 0 ? (double)NAN : wilder[rng_u64() % LEN(wilder)];
    return rng_u64() % 37 == 0 ? odd[rng_u64() % LEN(odd)] : rng_normal() * exp(3 * rng_normal());
}

/* From a stock of values made once, for each size and wildness, beginning anywhere. */
static void fill(unsigned char *to, size_t bytes, size_t size, int wild)
{
    static unsigned char stock[2][2][STOCK * 8];
    static int made;

    for (; made < 4; made++)
        for (size_t i = 0; i < STOCK; i++) {
            double x = any_value(made / 2);
            float f = (float)x;

            memcpy(stock[made / 2][made % 2] + i * (made % 2 ? 8 : 4), made % 2 ? (const void *)&x : (const void *)&f,
                   made % 2 ? 8 : 4);
        }
    for (size_t done = 0; done < bytes;) {
        size_t from = (size_t)(rng_u64() % STOCK), piece = (STOCK - from) * size;

        piece = piece < bytes - done ? piece : bytes - done;
        memcpy(to + done, stock[wild][size == 8] + from * size, piece);
        done += piece;
    }
}

/* Equal bits, or both not a number: payload and sign of a NaN depend on the order of operands. */
static int same(const void *a, const void *b, size_t bytes, size_t size)
{
    const unsigned char *x = a, *y = b;

    for (size_t i = 0; memcmp(a, b, bytes) && i + size <= bytes; i += size) {
        double p, q;
        float s, t;

        memcpy(&p, x + i, size == 8 ? 8 : 0);
        memcpy(&q, y + i, size == 8 ? 8 : 0);
        memcpy(&s, x + i, 4);
        memcpy(&t, y + i, 4);
        if (memcmp(x + i, y + i, size) && !(size == 8 ? isnan(p) && isnan(q) : isnan(s) && isnan(t)))
            return 0;
    }
    return 1;
}

typedef struct plan {                /* what one comparison is about */
    enum mscope_state state;
    enum mscope_statistics how;
    size_t dim, n, off;              /* off: elements by which the arrays miss a line */
    int ref, wild;
    int idle;                        /* 0 none, 1 plain, 2 bent, 3 each row by chance */
    int kick;                        /* 0 none, 1 plain, 2 bent, 3 plain and some rows without a gradient */
} plan;

static int agree(const mscope_kern *k, const plan *p)
{
    static table a, b;
    size_t theta_size = p->state == MSCOPE_STATE_F64 ? 8 : 4, m_size = p->state == MSCOPE_STATE_F32 ? 4 : 8;
    size_t rows = 2 * p->n < CELLS / p->dim ? 2 * p->n : CELLS / p->dim;
    uint32_t row[2 * MSCOPE_JOB_ROWS];
    const void *g[2][MSCOPE_JOB_ROWS];
    mscope_idle idle[MSCOPE_JOB_ROWS];
    mscope_sums sum[2][MSCOPE_JOB_ROWS];
    size_t n = p->n < rows ? p->n : rows, at = (size_t)(rng_u64() % rows), step = rows % 3 ? 3 : 1, used;
    mscope_job job = { NULL, NULL, NULL, p->dim, n, rows, row, NULL, p->idle ? idle : NULL, 0,
                       p->kick == 0 ? NULL : p->kick == 2 ? &bent_kick : &plain_kick, NULL };
    mscope_job first;

    used = (rows * p->dim + p->off) * 8;
    fill(a.theta, used, theta_size, p->wild);
    fill(a.m, used, m_size, p->wild);
    fill(a.ref, used, theta_size, p->wild);
    fill(a.g, used, theta_size, p->wild);
    memcpy(b.theta, a.theta, used);
    memcpy(b.m, a.m, used);
    memcpy(b.ref, a.ref, used);
    memset(sum, 0x5a, sizeof sum);
    for (size_t i = 0; i < rows; i++)
        row[i] = (uint32_t)((at + i * step) % rows);
    for (size_t i = 0; i < n; i++) {
        const void *from = a.g + (p->off + (i * 7 % rows) * p->dim) * theta_size;

        idle[i] = p->idle == 2 || (p->idle == 3 && rng_u64() % 4 == 0) ? bent_idle : plain_idle;
        idle[i].x22 += 0.001 * (double)i;
        if (p->idle == 1 || p->idle == 2 || (p->idle == 3 && rng_u64() % 3))
            job.late |= (uint64_t)1 << i;
        g[0][i] = p->kick == 3 && rng_u64() % 16 == 0 ? NULL : from;
    }
    for (int i = 0; i < 2; i++) {
        table *t = i ? &b : &a;
        mscope_rows_fn *fn = (i ? k : &mscope_kern_ref)->rows[p->state][p->how];

        job.theta = t->theta + p->off * theta_size;
        job.m = t->m + p->off * m_size;
        job.ref = p->ref ? t->ref + p->off * theta_size : NULL;
        job.g = p->kick ? g[0] : NULL;
        job.out = p->how == MSCOPE_STATISTICS_NONE ? NULL : sum[i];
        first = job;
        first.n = 0;
        fn(&first);
        fn(&job);
    }
    return same(a.theta, b.theta, used, theta_size) && same(a.m, b.m, used, m_size) &&
           memcmp(a.ref, b.ref, used) == 0 && same(sum[0], sum[1], sizeof sum[0], 8);
}

static const size_t wide[] = { 71,  79,   80,   81,   100,  127,  128,  129,  255, 256,
                               257, 1000, 1023, 1024, 1025, 1040, 2048, 2051, 5000 };

static unsigned compare_all(const mscope_kern *k, int wild)
{
    unsigned checks = 0;

    for (size_t c = 0; c < 70 + LEN(wide); c++) {
        plan p = { .dim = c < 70 ? c + 1 : wide[c - 70], .wild = wild };

        for (int mask = 0; mask < 3 * 3 * 4 * 4 * 2; mask++, checks++) {
            p.state = (enum mscope_state)(mask % 3);
            p.how = (enum mscope_statistics)(mask / 3 % 3);
            p.idle = mask / 9 % 4;
            p.kick = mask / 36 % 4;
            p.ref = mask / 144;
            p.off = rng_u64() % 5 ? 16 * (rng_u64() % 2) : rng_u64() % 16;
            p.n = p.dim > 300 ? 3 : p.dim > 70 ? 9 : (size_t)(1 + rng_u64() % (rng_u64() % 3 ? 20 : 64));
            CHECK(agree(k, &p), "%s state %d statistics %d dim %zu n %zu off %zu ref %d idle %d kick %d wild %d",
                  k->name, p.state, p.how, p.dim, p.n, p.off, p.ref, p.idle, p.kick, wild);
        }
    }
    return checks;
}

static void each_kernel(int wild)
{
    unsigned checks = 0, kernels = 0;

    rng_seed(21);
    for (size_t i = 0; mscope_kern_at(i); i++) {
        const mscope_kern *k = mscope_kern_at(i);

        if (k == &mscope_kern_ref)
            continue;
        if (!k->usable()) {
            NOTE("%s: not usable on this processor", k->name);
            continue;
        }
        kernels++;
        checks += compare_all(k, wild);
    }
    NOTE("%u kernels beside the reference, %u jobs%s, all bits equal", kernels, checks,
         wild ? " with infinities, NaN and overflow" : "");
    CHECK(kernels >= 1, "no kernel usable beside the reference");
}

static void test_twins_equal_reference(void **state)
{
    (void)state;
    each_kernel(0);
}

static void test_twins_equal_reference_beyond_finite(void **state)
{
    (void)state;
    each_kernel(1);
}

/* The same row at every place of a job, alone and in company: its bits do not depend on where it stands. */
static void test_place_in_job_does_not_matter(void **state)
{
    static const size_t dims[] = { 1, 2, 3, 4, 7, 16, 33 };
    static float theta[64 * 33], m[64 * 33], g[33];
    uint32_t row[64];
    const void *gs[64];
    mscope_idle idle[64];
    mscope_sums sum[64], alone;

    (void)state;
    rng_seed(22);
    for (size_t k = 0; mscope_kern_at(k); k++)
        for (size_t c = 0; c < LEN(dims) && mscope_kern_at(k)->usable(); c++)
            for (int how = 0; how < 2; how++) {
                size_t d = dims[c];
                mscope_job job = { theta, m, NULL, d, 1, 1, row, gs, idle, UINT64_MAX, &plain_kick, &alone };
                float kept[2][33];

                for (size_t i = 0; i < d; i++) {
                    g[i] = (float)rng_normal();
                    kept[0][i] = (float)rng_normal();
                    kept[1][i] = (float)rng_normal();
                }
                for (size_t i = 0; i < 64; i++) {
                    memcpy(theta + i * d, kept[0], d * sizeof *theta);
                    memcpy(m + i * d, kept[1], d * sizeof *m);
                    row[i] = (uint32_t)(63 - i);
                    gs[i] = g;
                    idle[i] = plain_idle;
                }
                mscope_kern_at(k)->rows[MSCOPE_STATE_F32][how](&job);
                memcpy(theta + 63 * d, kept[0], d * sizeof *theta);
                memcpy(m + 63 * d, kept[1], d * sizeof *m);
                job.n = job.known = 64;
                job.out = sum;
                mscope_kern_at(k)->rows[MSCOPE_STATE_F32][how](&job);
                for (size_t i = 0; i < 64; i++)
                    CHECK(memcmp(&sum[i], &alone, sizeof alone) == 0 &&
                              memcmp(theta + i * d, theta, d * sizeof *theta) == 0,
                          "%s dim %zu place %zu", mscope_kern_at(k)->name, d, i);
            }
}

/* Sums in float32 against sums in float64 of the same row, and the bound kern.h lets a reader derive: at most 64
 * additions in a lane, 4 in the fold, one product, one difference rounded twice: 72 half-ulps of sqrt(r v). */
static void test_float_statistics_are_near(void **state)
{
    static const size_t dims[] = { 1, 16, 64, 1000, 4096, 65536 };
    static float theta[2][65536], m[2][65536], ref[65536], g[65536];
    const uint32_t row = 0;
    const void *gs = g;
    double worst = 0.0;

    (void)state;
    rng_seed(23);
    for (size_t c = 0; c < LEN(dims); c++) {
        mscope_sums sum[2];

        for (size_t i = 0; i < dims[c]; i++) {
            theta[0][i] = theta[1][i] = (float)rng_normal();
            m[0][i] = m[1][i] = (float)rng_normal();
            ref[i] = (float)rng_normal();
            g[i] = (float)rng_normal();
        }
        for (int how = 0; how < 2; how++) {
            mscope_job job = {
                theta[how], m[how], ref, dims[c], 1, 1, &row, &gs, &plain_idle, 1, &plain_kick, &sum[how]
            };

            const int statistics = how ? MSCOPE_STATISTICS_FLOAT : MSCOPE_STATISTICS_DOUBLE;

            mscope_kern_pick(NULL)->rows[MSCOPE_STATE_F32][statistics](&job);
        }
        for (int j = 0; j < 3; j++) {
            double exact = j == 0 ? sum[0].r : j == 1 ? sum[0].v : sum[0].c;
            double near = j == 0 ? sum[1].r : j == 1 ? sum[1].v : sum[1].c;
            double scale = j == 0   ? sum[0].r
                           : j == 1 ? sum[0].v
                                    : sqrt(sum[0].r * sum[0].v),
                   err = fabs(near - exact) / scale;

            worst = err > worst ? err : worst;
            CHECK(err <= 72 * 0x1p-24, "dim %zu sum %d: %a against %a", dims[c], j, near, exact);
        }
    }
    NOTE("float32 statistics: worst relative error %.1e", worst);
}

static void test_squared_norms(void **state)
{
    static unsigned char x[CELLS * 8 + 64];
    double want[64], got[64];

    (void)state;
    rng_seed(24);
    for (size_t k = 0; mscope_kern_at(k); k++)
        for (size_t d = 1; d < 200 && mscope_kern_at(k)->usable(); d += d < 70 ? 1 : 31)
            for (int wide_type = 0; wide_type < 2; wide_type++) {
                size_t n = (size_t)(1 + rng_u64() % 64), off = (size_t)(rng_u64() % 4) * (wide_type ? 8 : 4);

                fill(x, sizeof x, wide_type ? 8 : 4, d % 5 == 0);
                mscope_kern_ref.sumsq[wide_type](x + off, d, n, want);
                mscope_kern_at(k)->sumsq[wide_type](x + off, d, n, got);
                CHECK(same(want, got, n * sizeof *got, 8), "%s d %zu n %zu", mscope_kern_at(k)->name, d, n);
            }
}

static void test_products_with_the_reference(void **state)
{
    static unsigned char x[3][200 * 8 + 64];
    static const size_t size[3][2] = { { 4, 4 }, { 4, 8 }, { 8, 8 } };       /* of theta and ref, and of m */
    double want[MSCOPE_PRODUCTS], got[MSCOPE_PRODUCTS];

    (void)state;
    rng_seed(25);
    for (size_t k = 0; mscope_kern_at(k); k++)
        for (size_t d = 1; d < 200 && mscope_kern_at(k)->usable(); d += d < 70 ? 1 : 31)
            for (int s = 0; s < 3; s++) {
                for (int v = 0; v < 3; v++)
                    fill(x[v], sizeof x[v], size[s][v == 1], d % 5 == 0);
                const size_t off = (size_t)(rng_u64() % 4) * 8;
                mscope_kern_ref.products[s](x[0] + off, x[1] + off, x[2] + off, d, want);
                mscope_kern_at(k)->products[s](x[0] + off, x[1] + off, x[2] + off, d, got);
                CHECK(same(want, got, sizeof got, 8), "%s state %d d %zu", mscope_kern_at(k)->name, s, d);
            }
    const double th[3] = { 3, 1, 2 }, m[3] = { 1, 2, 3 }, ref[3] = { 1, -1, 2 };
    mscope_kern_ref.products[MSCOPE_STATE_F64](th, m, ref, 3, got);
    CHECK(got[0] == 0 && got[1] == 5 && got[2] == 6, "%g %g %g", got[0], got[1], got[2]);
}

static void test_pick_by_name(void **state)
{
    (void)state;
    assert_ptr_equal(mscope_kern_pick("ref"), &mscope_kern_ref);
    assert_null(mscope_kern_pick("v1024"));
    assert_non_null(mscope_kern_pick(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twins_equal_reference),
        cmocka_unit_test(test_twins_equal_reference_beyond_finite),
        cmocka_unit_test(test_place_in_job_does_not_matter),
        cmocka_unit_test(test_float_statistics_are_near),
        cmocka_unit_test(test_squared_norms), cmocka_unit_test(test_products_with_the_reference),
        cmocka_unit_test(test_pick_by_name),
    };

    return cmocka_run_group_tests_name("kern", tests, NULL, NULL);
}
