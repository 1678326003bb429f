/* coalesce.c - duplicated indices of one call are occurrences of one row: group them without sorting
 *
 * Groups are found by a hash of their row, in places that stay near the processor: the record of a row is a walk through page
 * tables away in a large table, and the update will make that walk. No place is ever cleared: what it names counts
 * only when the group it names is one of this call's and calls it home. Chains keep the order of arrival, so sums do not
 * depend on anything else.                                                                                    */
#include <math.h>
#include <string.h>

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
    size_t n, each;                  /* entries in all, in one piece of work */
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

    t->checked_rows = NULL;
    if (n && entries == NULL)
        return mscope_refuse(t, MSCOPE_EINVAL, field, 0, 0, 1, 1);
    if (n)
        mscope_run(t, norms_of, &a, (n + a.each - 1) / a.each);
    for (size_t i = 0; i < n; i++)
        if (!(t->scratch.norm[i] <= 1e300)) {
            int err = mscope_check_finite(t, field, a.entry + i * bytes, t->cfg.dim, t->g_size);

            t->fault.at += i * t->cfg.dim;
            return err ? err : refuse_value(t, field, i * t->cfg.dim, t->scratch.norm[i]);
        }
    return MSCOPE_OK;
}

size_t mscope_coalesce_slots(uint32_t n)
{
    uint64_t slots = 2;

    while (slots < 2 * (uint64_t)n)
        slots *= 2;
    return (size_t)slots;
}

/* The place of the row's group, or of the one it will be. */
static uint32_t find_slot(const mscope_scratch *s, uint32_t row, uint32_t groups, uint32_t mask)
{
    uint32_t h = row * 0x9e3779b1u;

    for (h = (h ^ h >> 15) & mask;; h = (h + 1) & mask) {
        uint32_t k = s->slot[h];

        if (k >= groups || s->home[k] != h || s->row[k] == row)
            return h;
    }
}

uint32_t mscope_coalesce(mscope_table *t, const uint32_t *rows, size_t n)
{
    mscope_scratch *s = &t->scratch;
    uint32_t groups = 0, mask = (uint32_t)mscope_coalesce_slots((uint32_t)n) - 1;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t h = find_slot(s, rows[i], groups, mask), k = s->slot[h];

        s->next[i] = MSCOPE_LAST;
        if (k < groups && s->home[k] == h) {
            s->next[s->tail[k]] = i;
            s->tail[k] = i;
            continue;
        }
        s->slot[h] = groups;
        s->home[groups] = h;
        s->row[groups] = rows[i];
        s->tail[groups] = i;
        s->unique[groups++] = i;
    }
    return groups;
}

void mscope_coalesce_sum(const mscope_table *t, uint32_t first, const void *entries, double *sum, void *out)
{
    size_t dim = t->cfg.dim;
    float *f = out;

    memset(sum, 0, dim * sizeof *sum);
    for (uint32_t i = first; i != MSCOPE_LAST; i = t->scratch.next[i]) {
        const float *in = (const float *)entries + i * dim;

        if (t->g_size == 8)
            for (size_t j = 0; j < dim; j++)
                sum[j] += ((const double *)entries)[i * dim + j];
        else
            for (size_t j = 0; j < dim; j++)
                sum[j] += (double)in[j];
    }
    if (t->g_size == 8)
        memcpy(out, sum, dim * sizeof *sum);
    else
        for (size_t j = 0; j < dim; j++)
            f[j] = (float)sum[j];
}
