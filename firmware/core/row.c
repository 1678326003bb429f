/* row.c - one row: its moments as of now, and the sums over its vectors
 *
 * Moments advance in closed form. Vectors move only when a row is touched, swept or active.                    */
#include "table.h"

/* -- moments of one row ----------------------------------------------------------------- */

mscope_moments mscope_core_row_moments_now(const mscope_table *t, uint32_t row, mscope_moments_bound *bound)
{
    mscope_moments x = mscope_core_row_moments(t, row);
    mscope_map span;
    int late = mscope_core_row_span(t, &t->row[row], &span);
    unsigned products = late ? mscope_span_products(mscope_core_row_age(t, &t->row[row])) : 0;

    *bound = mscope_moments_bound_of(&span, &x, products, t->summing);
    if (late)
        mscope_moments_advance(&span, &x);
    return x;
}

static double element(const unsigned char *base, size_t i, size_t size)
{
    return size == 8 ? ((const double *)(const void *)base)[i] : (double)((const float *)(const void *)base)[i];
}

mscope_moments mscope_core_row_moments_exact(const mscope_table *t, uint32_t row, mscope_moments_bound *bound)
{
    uint64_t age = mscope_core_row_age(t, &t->row[row]);
    mscope_moments before = mscope_core_row_moments(t, row), x = { 0 };
    mscope_map a = mscope_schedule_recall(&t->schedule, t->schedule.now - age);
    double lane[5][MSCOPE_LANES] = { { 0 }, { 0 }, { 0 }, { 0 }, { 0 } };
    size_t base = (size_t)row * t->cfg.dim;

    for (size_t i = 0; i < t->cfg.dim; i++) {
        size_t l = i % MSCOPE_LANES;
        double th = element(t->theta, base + i, t->theta_size), m = element(t->m, base + i, t->m_size);
        double s = t->ref ? element(t->ref, base + i, t->theta_size) : 0.0;
        double e = (th - s) + ((a.a11 - 1.0) * th + a.a12 * m), q = a.a21 * th + a.a22 * m;

        lane[0][l] += e * e;
        lane[1][l] += q * q;
        lane[2][l] += e * q;
        lane[3][l] += e * s;
        lane[4][l] += q * s;
    }
    x.r = mscope_lanes_fold(lane[0]);
    x.v = mscope_lanes_fold(lane[1]);
    x.c = mscope_lanes_fold(lane[2]);
    if (before.ss != 0.0) {
        x.q = mscope_lanes_fold(lane[3]);
        x.h = mscope_lanes_fold(lane[4]);
        x.ss = before.ss;
    }
    *bound = mscope_moments_bound_exact(&a, &before, &x, mscope_span_products(age),
                                      mscope_summing_error(MSCOPE_STATISTICS_DOUBLE, t->cfg.dim));
    return x;
}

void mscope_core_row_store_decay(mscope_table *t, uint32_t row)
{
    double sums[MSCOPE_PRODUCTS];

    t->kern->products[t->cfg.state](mscope_at(t->theta, row, t, t->theta_size), mscope_at(t->m, row, t, t->m_size),
                                    mscope_at(t->ref, row, t, t->theta_size), t->cfg.dim, sums);
    t->decay[row] = (mscope_decay_moments){ sums[0], sums[1], sums[2] };
}

/* -- the kernel on one row ------------------------------------------------------------------ */

void mscope_core_row_run(mscope_table *t, uint32_t row, mscope_sums *sums)
{
    mscope_job job = { t->theta, t->m, t->ref, t->cfg.dim, 1, 1, &row, NULL, NULL, 0, NULL, sums };

    *sums = (mscope_sums){ 0.0, 0.0, 0.0, 0.0 };     /* without statistics the kernel leaves them */
    mscope_kernel_of(t)(&job);
}
