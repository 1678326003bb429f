/* coalesce.c - duplicated indices of one call are occurrences of one row: group them without sorting
 *
 * The row's own record holds the head of its chain, so grouping n entries costs n looks at records that the update is
 * about to need anyway. Chains keep the order of arrival, so sums do not depend on anything else.             */
#include <math.h>
#include <string.h>

#include "core/table.h"

#define END UINT32_MAX
#define RECORDS_AHEAD 16             /* row records fetched before they are needed */

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
    /* Above 1e150 a square overflows, and no sum of it could be reported. */
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

int mscope_check_entries(mscope_table *t, const char *field, const void *entries, size_t n)
{
    mscope_sumsq_fn *sumsq = t->kern->sumsq[t->g_size == 8];
    size_t bytes = t->cfg.dim * t->g_size;
    const unsigned char *e = entries;

    if (n && entries == NULL)
        return mscope_refuse(t, MSCOPE_EINVAL, field, 0, 0, 1, 1);
    for (size_t i = 0; i < n; i++) {
        sumsq(e + i * bytes, t->cfg.dim, 1, &t->scratch.norm[i]);
        if (!(t->scratch.norm[i] <= 1e300)) {
            int err = mscope_check_finite(t, field, e + i * bytes, t->cfg.dim, t->g_size);

            t->fault.at += i * t->cfg.dim;
            return err ? err : refuse_value(t, field, i * t->cfg.dim, t->scratch.norm[i]);
        }
    }
    return MSCOPE_OK;
}

uint32_t mscope_coalesce(mscope_table *t, const uint32_t *rows, size_t n)
{
    mscope_scratch *s = &t->scratch;
    uint32_t groups = 0;

    for (uint32_t i = 0; i < n; i++) {
        mscope_row_record *row = &t->row[rows[i]];

        if (i + RECORDS_AHEAD < n)
            __builtin_prefetch(&t->row[rows[i + RECORDS_AHEAD]], 1);
        s->next[i] = END;
        if (row->flags & ROW_MARKED) {
            s->next[s->tail[row->head]] = i;
        } else {
            row->flags |= ROW_MARKED;
            row->head = i;
            s->unique[groups++] = i;
        }
        s->tail[row->head] = i;
    }
    return groups;
}

const void *mscope_coalesce_sum(mscope_table *t, uint32_t first, const uint32_t *rows, const void *entries,
                                uint32_t *n)
{
    mscope_scratch *s = &t->scratch;
    uint32_t dim = t->cfg.dim, count = 1;
    const float *f = entries;
    const double *d = entries;

    t->row[rows[first]].flags &= (uint8_t)~ROW_MARKED;
    if (s->next[first] == END) {
        *n = 1;
        return (const unsigned char *)entries + (size_t)first * dim * t->g_size;
    }
    memset(s->sum, 0, dim * sizeof *s->sum);
    for (uint32_t i = first; i != END; i = s->next[i], count++)
        for (uint32_t j = 0; j < dim; j++)
            s->sum[j] += t->g_size == 8 ? d[(size_t)i * dim + j] : (double)f[(size_t)i * dim + j];
    *n = count - 1;
    if (t->g_size == 8)
        return s->sum;
    for (uint32_t j = 0; j < dim; j++)
        ((float *)s->sum_g)[j] = (float)s->sum[j];
    return s->sum_g;
}
