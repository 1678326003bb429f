/* inputs.c - check the rows, counts and values of a call before anything changes
 *
 * Values are checked through the squared norms of their entries, which the call needs anyway. */
#include <math.h>

#include "table.h"

int mscope_check_rows(mscope_table *t, const uint32_t *rows, size_t n)
{
    if (n > t->cfg.capacity)
        return mscope_refuse(t, MSCOPE_EINVAL, "n", 0, (double)n, 0, (double)t->cfg.capacity);
    if (n && rows == NULL)
        return mscope_refuse(t, MSCOPE_EINVAL, "rows", 0, 0, 1, 1);
    for (size_t i = 0; i < n; i++)
        if (rows[i] >= t->cfg.rows)
            return mscope_refuse(t, MSCOPE_EINDEX, "row", i, (double)rows[i], 0, (double)t->cfg.rows - 1);
    return MSCOPE_OK;
}

static int refuse_value(mscope_table *t, const char *field, size_t at, double value)
{
    /* Above 1e150 a square overflows, so sums of squares would be infinite. */
    return mscope_refuse(t, MSCOPE_ENONFINITE, field, at, value, -1e150, 1e150);
}

int mscope_check_finite(mscope_table *t, const char *field, const void *x, size_t n, size_t size)
{
    for (size_t i = 0; i < n; i++) {
        double value = size == 8 ? ((const double *)x)[i] : (double)((const float *)x)[i];

        if (!(fabs(value) <= 1e150))
            return refuse_value(t, field, i, value);
    }
    return MSCOPE_OK;
}

int mscope_check_counts(mscope_table *t, const uint32_t *counts, size_t n)
{
    for (size_t i = 0; counts && i < n; i++)
        if (counts[i] == 0)
            return mscope_refuse(t, MSCOPE_EINVAL, "count", i, 0.0, 1.0, 4294967295.0);
    return MSCOPE_OK;
}

typedef struct norms {
    mscope_table *t;
    const unsigned char *entry;
    size_t n, each;                  /* entries in all; entries in one piece of work */
} norms;

static void norms_of(void *arg, size_t piece)
{
    const norms *a = arg;
    mscope_table *t = a->t;
    size_t first = piece * a->each, n = a->n - first < a->each ? a->n - first : a->each;

    t->kern->sumsq[t->g_size == 8](a->entry + first * t->cfg.dim * t->g_size, t->cfg.dim, n, t->scratch.norm + first);
}

int mscope_check_entries(mscope_table *t, const char *field, const void *entries, size_t n)
{
    size_t bytes = t->cfg.dim * t->g_size;
    norms a = { t, entries, n, (n + t->chunks - 1) / t->chunks };

    t->checks++;
    if (n && entries == NULL)
        return mscope_refuse(t, MSCOPE_EINVAL, field, 0, 0, 1, 1);
    if (n)
        mscope_parallel_run(t, norms_of, &a, (n + a.each - 1) / a.each);
    for (size_t i = 0; i < n; i++)
        if (!(t->scratch.norm[i] <= 1e300)) {
            int err = mscope_check_finite(t, field, a.entry + i * bytes, t->cfg.dim, t->g_size);

            t->fault.at += i * t->cfg.dim;
            return err ? err : refuse_value(t, field, i * t->cfg.dim, t->scratch.norm[i]);
        }
    return MSCOPE_OK;
}
