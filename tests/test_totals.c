/* test_totals.c - published R, V, C against brute force: thirty decades of decay, migrating rows, an outlier
 *
 * Brute force is the dense recursion in long double; which row is in which band is asked of the table, what the band
 * holds is summed here. Every bound is checked to be one.                                                     */
#include "harness.h"

#define ROWS 96
#define DIM 3
#define CELLS (ROWS * DIM)

typedef struct dense {
    long double theta[CELLS], m[CELLS], ref[CELLS], g[CELLS];
} dense;

static void dense_step(dense *x, const mscope_step *p)
{
    for (size_t i = 0; i < CELLS; i++) {
        long double gw = x->g[i] + (long double)p->weight_decay * x->theta[i];

        x->m[i] += (long double)p->eps * (gw - x->m[i]);
        x->theta[i] -= (long double)p->eta * ((long double)p->decoupled_decay * x->theta[i] + x->m[i]);
    }
}

static mscope_table *start(dense *x, double ref_scale, void **mem)
{
    mscope_table_config cfg = { .rows = ROWS, .dim = DIM, .state = MSCOPE_STATE_F64, .reference = 1, .capacity = ROWS,
                                .history = 256 };
    mscope_table *t = new_table(&cfg, mem);
    double theta[CELLS], ref[CELLS];

    memset(x, 0, sizeof *x);
    for (size_t i = 0; i < CELLS; i++) {
        ref[i] = ref_scale * rng_normal();
        theta[i] = ref[i] + rng_normal();
        x->theta[i] = theta[i];
        x->ref[i] = ref[i];
    }
    assert_int_equal(mscope_table_rows_set(t, 0, ROWS, theta, NULL), MSCOPE_OK);
    assert_int_equal(mscope_table_reference_set(t, 0, ROWS, ref), MSCOPE_OK);
    return t;
}

static void closed_step(mscope_table *t, dense *x, const mscope_step *p, const double *activity, double noise)
{
    const double *theta = mscope_table_theta(t);
    uint32_t rows[ROWS];
    double g[CELLS];
    size_t n = 0;

    for (uint32_t r = 0; r < ROWS; r++)
        if (rng_uniform() < activity[r])
            rows[n++] = r;
    memset(x->g, 0, sizeof x->g);
    assert_int_equal(mscope_table_touch(t, rows, n), MSCOPE_OK);
    for (size_t k = 0; k < n; k++)
        for (size_t j = 0; j < DIM; j++) {
            size_t i = rows[k] * DIM + j;
            double push = noise * rng_normal();

            /* each from its own parameters, so that rounding is forgotten as it would be in training */
            x->g[i] = x->theta[i] - x->ref[i] + (long double)push;
            g[k * DIM + j] = theta[i] - (double)x->ref[i] + push;
        }
    assert_int_equal(mscope_table_step_begin(t, p), MSCOPE_OK);
    assert_int_equal(mscope_table_apply(t, rows, g, NULL, n), MSCOPE_OK);
    assert_int_equal(mscope_table_step_end(t), MSCOPE_OK);
    dense_step(x, p);
}

typedef struct worst {
    double r, v, c, bound_use;
    unsigned bands, passes, loose;
} worst;

/* Whole resums when a bound asks for one, or a pass in slices that never ends while steps go on. */
static int resum(mscope_table *t, int sliced)
{
    if (!sliced) {
        if (mscope_table_stale(t))
            assert_int_equal(mscope_table_resum(t), MSCOPE_OK);
        assert_int_equal(mscope_table_stale(t), 0);
        return 1;
    }
    return mscope_table_resum_slice(t, (uint32_t)(1 + rng_u64() % (ROWS / 2)));
}

static void compare(mscope_table *t, const dense *x, worst *w, int sliced)
{
    long double R[256] = { 0 }, V[256] = { 0 }, C[256] = { 0 };
    uint64_t updates[256] = { 0 };
    uint32_t rows[256] = { 0 };
    unsigned bands = 0;
    int fresh = resum(t, sliced);

    for (uint32_t r = 0; r < ROWS; r++) {
        mscope_table_row_info row;

        assert_int_equal(mscope_table_row(t, r, &row), MSCOPE_OK);
        rows[row.band]++;
        updates[row.band] += row.active;
        for (size_t i = r * DIM; i < (r + 1) * DIM; i++) {
            long double e = x->theta[i] - x->ref[i];

            R[row.band] += e * e;
            V[row.band] += x->m[i] * x->m[i];
            C[row.band] += e * x->m[i];
        }
    }
    for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
        double rv = sqrt((double)(R[b] * V[b])), dr, dv, dc;
        mscope_band band;

        assert_int_equal(mscope_table_band(t, b, &band), MSCOPE_OK);
        CHECK(band.rows == rows[b] && band.updates == updates[b],
              "band %u: %u rows, %u counted; %llu updates, %llu counted", b, band.rows, rows[b],
              (unsigned long long)band.updates, (unsigned long long)updates[b]);
        if (band.rows == 0)
            continue;
        bands++;
        dr = fabs(band.R - (double)R[b]);
        dv = fabs(band.V - (double)V[b]);
        dc = fabs(band.C - (double)C[b]);
        /* The rows themselves are float64: after thousands of roundings they differ from long double by 1e-13. */
        CHECK(dr <= band.R_err + 1e-12 * (double)R[b] && dv <= band.V_err + 1e-12 * (double)V[b] &&
                  dc <= band.C_err + 1e-12 * rv,
              "band %u of %u rows at step %llu: R %g V %g C %g, errors %g %g %g above bounds %g %g %g", b, band.rows,
              (unsigned long long)band.step, band.R, band.V, band.C, dr, dv, dc, band.R_err, band.V_err, band.C_err);
        if (!fresh)
            continue;
        w->passes++;
        if (sliced && (band.R_err > 1e-9 * band.R || band.V_err > 1e-9 * band.V)) {
            w->loose++;          /* the outlier left while the pass went on, the bound says so: the next pass will do */
            continue;
        }
        CHECK(dr <= 1e-9 * (double)R[b] && dv <= 1e-9 * (double)V[b] && dc <= 1e-9 * rv,
              "band %u of %u rows at step %llu: R %a V %a C %a, off by %a %a %a", b, band.rows,
              (unsigned long long)band.step, band.R, band.V, band.C, dr, dv, dc);
        CHECK(band.R_err <= 1.0001e-9 * band.R, "band %u: bound %a on R %a", b, band.R_err, band.R);
        w->r = fmax(w->r, R[b] > 0 ? dr / (double)R[b] : 0);
        w->v = fmax(w->v, V[b] > 0 ? dv / (double)V[b] : 0);
        w->c = fmax(w->c, rv > 0 ? dc / rv : 0);
        w->bound_use = fmax(w->bound_use, band.R_err > 0 ? dr / band.R_err : 0);
    }
    w->bands = bands > w->bands ? bands : w->bands;
}

static void thirty_decades(int sliced)
{
    const mscope_step p = { .eta = 0.5, .eps = 0.2, .batch = 1 };
    double activity[ROWS];
    worst w = { 0 };
    dense x;
    void *mem;
    mscope_table *t;
    double first, last;

    rng_seed(11);
    t = start(&x, 0.0, &mem);                       /* theta* = 0, so that |theta - theta*| can fall for ever */
    for (size_t r = 0; r < ROWS; r++)
        activity[r] = 0.3 + 0.7 * rng_uniform();
    first = 0;
    for (size_t i = 0; i < CELLS; i++)
        first += (double)(x.theta[i] * x.theta[i]);
    for (int k = 0; k < 900; k++) {
        closed_step(t, &x, &p, activity, 0.0);
        if (k % 7 == 0)
            compare(t, &x, &w, sliced);
    }
    last = 0;
    for (size_t i = 0; i < CELLS; i++)
        last += (double)(x.theta[i] * x.theta[i]);
    CHECK(last < 1e-30 * first, "the run must fall thirty decades: %g to %g", first, last);
    NOTE("R falls from %.0e to %.0e: worst relative error R %.1e V %.1e C %.1e", first, last, w.r, w.v, w.c);
    free(mem);
}

static void test_thirty_decades(void **state)
{
    (void)state;
    thirty_decades(0);
    thirty_decades(1);
}

static void migrating_rows_and_outlier(int sliced)
{
    const mscope_step p = { .eta = 0.1, .eps = 0.05, .batch = 1 };
    double activity[ROWS];
    worst w = { 0 };
    dense x;
    void *mem;
    mscope_table *t;

    rng_seed(12);
    t = start(&x, 1.0, &mem);
    for (size_t r = 0; r < ROWS; r++)
        activity[r] = pow(0.5, 6 * rng_uniform());
    for (int k = 0; k < 6000; k++) {
        if (k % 10 == 0)                            /* a row changes its habits */
            activity[rng_u64() % ROWS] = pow(0.5, 8 * rng_uniform());
        if (k == 1000) {                           /* one row is thrown 1e8 away: R and V of its band grow 1e16 times */
            double far[DIM], mom[DIM];

            for (size_t j = 0; j < DIM; j++) {
                far[j] = 1e8 * rng_normal();
                mom[j] = 1e8 * rng_normal();
                x.theta[5 * DIM + j] = far[j];
                x.m[5 * DIM + j] = mom[j];
            }
            assert_int_equal(mscope_table_rows_set(t, 5, 1, far, mom), MSCOPE_OK);
            activity[5] = 1.0;
        }
        if (k == 1200)
            activity[5] = 0.01;                     /* and leaves its band */
        closed_step(t, &x, &p, activity, 0.1);
        compare(t, &x, &w, sliced);
    }
    NOTE("migration and outlier, %u bands at most: worst relative error R %.1e V %.1e C %.1e; error/bound at most %.2f",
         w.bands, w.r, w.v, w.c, w.bound_use);
    CHECK(w.bands >= 5, "only %u bands", w.bands);
    CHECK(w.loose * 200 <= w.passes && w.passes >= 1000, "%u of %u fresh totals with a loose bound", w.loose, w.passes);
    free(mem);
}

static void test_migrating_rows_and_outlier(void **state)
{
    (void)state;
    migrating_rows_and_outlier(0);
    migrating_rows_and_outlier(1);
}

static void weight_decay_and_reference(int sliced)
{
    mscope_step p = { .eta = 0.1, .eps = 0.05, .batch = 1 };
    double activity[ROWS];
    worst w = { 0 };
    dense x;
    void *mem;
    mscope_table *t;

    rng_seed(13);
    t = start(&x, 1.0, &mem);
    for (size_t r = 0; r < ROWS; r++)
        activity[r] = pow(0.5, 7 * rng_uniform());
    for (int k = 0; k < 4000; k++) {
        p.weight_decay = k < 500 ? 0.0 : 0.01;      /* decay begins in the middle of the run */
        p.decoupled_decay = k < 2000 ? 0.0 : 0.02;
        closed_step(t, &x, &p, activity, 0.1);
        if (k % 5 == 0)
            compare(t, &x, &w, sliced);
    }
    NOTE("coupled and decoupled decay about a reference: worst relative error R %.1e V %.1e C %.1e", w.r, w.v, w.c);
    free(mem);
}

static void test_weight_decay_and_reference(void **state)
{
    (void)state;
    weight_decay_and_reference(0);
    weight_decay_and_reference(1);
}

/* theta_{k-1} = theta_k + eta m_k, so R_{k-1} = R_k + 2 eta C_k + eta^2 V_k on settled states (theory: free
 * self-check). */
static void test_self_check_identity(void **state)
{
    const mscope_step p = { .eta = 0.3, .eps = 0.05, .batch = 1 };
    double activity[ROWS], before = 0, worst_gap = 0;
    dense x;
    void *mem;
    mscope_table *t;

    (void)state;
    rng_seed(14);
    t = start(&x, 1.0, &mem);
    for (size_t r = 0; r < ROWS; r++)
        activity[r] = pow(0.5, 5 * rng_uniform());
    for (int k = 0; k < 3000; k++) {
        double R = 0, V = 0, C = 0, back;

        closed_step(t, &x, &p, activity, 0.1);
        assert_int_equal(mscope_table_settle(t), MSCOPE_OK);
        for (unsigned b = 0; b < MSCOPE_BANDS + 1; b++) {
            mscope_band band;

            assert_int_equal(mscope_table_band(t, b < MSCOPE_BANDS ? b : MSCOPE_BAND_SILENT, &band), MSCOPE_OK);
            R += band.R;
            V += band.V;
            C += band.C;
        }
        back = R + 2 * p.eta * C + p.eta * p.eta * V;
        if (k) {
            CHECK(fabs(back - before) <= 1e-13 * before * ROWS, "step %d: %a against %a", k, back, before);
            worst_gap = fmax(worst_gap, fabs(back - before) / before);
        }
        before = R;
    }
    NOTE("R_{k-1} = R_k + 2 eta C_k + eta^2 V_k on settled states: worst relative gap %.1e", worst_gap);
    free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thirty_decades),
        cmocka_unit_test(test_migrating_rows_and_outlier),
        cmocka_unit_test(test_weight_decay_and_reference),
        cmocka_unit_test(test_self_check_identity),
    };

    return cmocka_run_group_tests_name("totals", tests, NULL, NULL);
}
