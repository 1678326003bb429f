/* rows.c - read rows as of now, overwrite them, and give them references */
#include <string.h>

#include "table.h"

static int check_range(mscope_table *t, const char *what, uint32_t first, uint32_t n)
{
    int err = mscope_refuse_open(t, what);

    if (err)
        return err;
    if (first >= t->cfg.rows || n > t->cfg.rows - first)
        return mscope_refuse(t, MSCOPE_EINDEX, "row", 0, (double)first + (double)n - 1, 0, (double)t->cfg.rows - 1);
    return MSCOPE_OK;
}

/* Take a row out of its total, whatever its clock. */
static void take_out(mscope_table *t, uint32_t row)
{
    mscope_moments_bound bound;
    mscope_moments x = mscope_core_row_moments_now(t, row, &bound);

    mscope_accounts_change(t, row, -1.0, &x, &bound);
}

/* Recompute the moments of a row whose vectors are as of now, and put it back into its total. */
static void put_back(mscope_table *t, uint32_t row)
{
    mscope_moments_bound bound;
    mscope_moments x;
    mscope_sums sums;

    mscope_core_row_run(t, row, &sums);
    mscope_core_row_store(t, row, &sums);
    t->row[row].clock = mscope_now(t);
    x = mscope_core_row_moments_now(t, row, &bound);
    mscope_accounts_change(t, row, 1.0, &x, &bound);
}

int mscope_table_rows_get(mscope_table *t, uint32_t first, uint32_t n, void *theta, void *m)
{
    size_t cells = (size_t)n * t->cfg.dim;
    uint32_t at[MSCOPE_JOB_ROWS];
    mscope_idle idle[MSCOPE_JOB_ROWS];
    mscope_job job = { .theta = theta, .m = m, .dim = t->cfg.dim, .row = at, .idle = idle };
    int err = check_range(t, "rows read inside a step", first, n);

    if (err == 0 && (theta == NULL || m == NULL))
        err = mscope_refuse(t, MSCOPE_EINVAL, theta == NULL ? "theta" : "m", 0, 0, 1, 1);
    if (err)
        return err;
    memcpy(theta, mscope_at(t->theta, first, t, t->theta_size), cells * t->theta_size);
    memcpy(m, mscope_at(t->m, first, t, t->m_size), cells * t->m_size);
    for (uint32_t i = 0; i < n;) {
        for (job.n = 0; i < n && job.n < MSCOPE_JOB_ROWS; i++) {
            mscope_map span;

            if (!mscope_core_row_span(t, &t->row[first + i], &span))
                continue;
            idle[job.n] = mscope_core_row_idle(t, &t->row[first + i], &span);
            at[job.n++] = i;
        }
        job.known = job.n;
        job.late = UINT64_MAX;
        if (job.n)
            t->kern->rows[t->cfg.state][MSCOPE_STATISTICS_NONE](&job);
    }
    return MSCOPE_OK;
}

int mscope_table_rows_set(mscope_table *t, uint32_t first, uint32_t n, const void *theta, const void *m)
{
    size_t cells = (size_t)n * t->cfg.dim;
    void *to = mscope_at(t->m, first, t, t->m_size);
    int err = check_range(t, "rows set inside a step", first, n);

    if (err == 0 && theta == NULL)
        err = mscope_refuse(t, MSCOPE_EINVAL, "theta", 0, 0, 1, 1);
    if (err == 0)
        err = mscope_check_finite(t, "theta", theta, cells, t->theta_size);
    if (err == 0 && m)
        err = mscope_check_finite(t, "m", m, cells, t->m_size);
    if (err)
        return err;
    for (uint32_t i = first; i < first + n; i++) {
        mscope_acf_forget(t, i);
        take_out(t, i);
    }
    memcpy(mscope_at(t->theta, first, t, t->theta_size), theta, cells * t->theta_size);
    if (m)
        memcpy(to, m, cells * t->m_size);
    else
        memset(to, 0, cells * t->m_size);
    for (uint32_t i = first; i < first + n; i++)
        put_back(t, i);
    return MSCOPE_OK;
}

int mscope_table_rows_put(mscope_table *t, const uint32_t *rows, size_t n, const void *theta, const void *m)
{
    const size_t theta_bytes = t->cfg.dim * t->theta_size, m_bytes = t->cfg.dim * t->m_size;
    int err = mscope_refuse_open(t, "rows put inside a step");

    if (err == 0 && n > 0 && (theta == NULL || m == NULL))
        err = mscope_refuse(t, MSCOPE_EINVAL, theta == NULL ? "theta" : "m", 0, 0, 1, 1);
    if (err == 0)
        err = mscope_check_rows(t, rows, n);
    if (err == 0)
        err = mscope_check_finite(t, "theta", theta, n * t->cfg.dim, t->theta_size);
    if (err == 0)
        err = mscope_check_finite(t, "m", m, n * t->cfg.dim, t->m_size);
    for (size_t i = 0; err == 0 && i < n; i++) {
        const mscope_core_row *x = &t->row[rows[i]];
        mscope_pulse *pulse = &t->band[x->total].pulse;

        take_out(t, rows[i]);
        memcpy(mscope_at(t->theta, rows[i], t, t->theta_size), (const char *)theta + i * theta_bytes, theta_bytes);
        memcpy(mscope_at(t->m, rows[i], t, t->m_size), (const char *)m + i * m_bytes, m_bytes);
        put_back(t, rows[i]);
        if (x->v > pulse->top) {
            pulse->top = x->v;
            pulse->top_row = rows[i];
        }
    }
    return err;
}

int mscope_table_reference_set(mscope_table *t, uint32_t first, uint32_t n, const void *ref)
{
    size_t cells = (size_t)n * t->cfg.dim;
    int err = check_range(t, "reference set inside a step", first, n);

    if (err == 0 && t->ref == NULL)
        err = mscope_refuse(t, MSCOPE_ESTATE, "reference", 0, 0, 1, 1);
    if (err == 0 && ref == NULL)
        err = mscope_refuse(t, MSCOPE_EINVAL, "reference", 0, 0, 1, 1);
    if (err == 0)
        err = mscope_check_finite(t, "reference", ref, cells, t->theta_size);
    if (err)
        return err;
    mscope_catch_up(t, NULL, first, n);
    for (uint32_t i = first; i < first + n; i++)
        take_out(t, i);
    memcpy(mscope_at(t->ref, first, t, t->theta_size), ref, cells * t->theta_size);
    for (uint32_t i = first; i < first + n; i++)
        put_back(t, i);
    return MSCOPE_OK;
}
