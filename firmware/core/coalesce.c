/* coalesce.c - group the entries of a call by their row: equal indices are occurrences of one row
 *
 * Groups are found by a hash of their row in a table of slots that stays in the cache. Marking the rows themselves
 * would be slower: in a large table each row costs a walk through page tables. Slots are never cleared. A slot is valid
 * only if its group belongs to this call and points back to it (a sparse set). Chains keep the order of arrival, so
 * that sums depend on nothing else. */
#include <string.h>

#include "table.h"

size_t mscope_coalesce_slots(uint32_t n)
{
    uint64_t slots = 2;

    while (slots < 2 * (uint64_t)n)
        slots *= 2;
    return (size_t)slots;
}

/* The slot of the row's group, or the free slot where it goes; *found: the group, or `groups`. What a stale slot holds
 * is as good as random, so its two tests make one condition: as two branches each would be guessed wrongly. A stale
 * group is below the capacity, so home[] may be read. */
static inline uint32_t find_slot(const mscope_scratch *s, uint32_t row, uint32_t groups, uint32_t mask, uint32_t *found)
{
    uint32_t h = row * 0x9e3779b1u;

    for (h = (h ^ h >> 15) & mask;; h = (h + 1) & mask) {
        uint32_t k = s->slot[h];

        *found = groups;
        if (!((k < groups) & (s->home[k] == h)))
            return h;
        *found = k;
        if (s->row[k] == row)
            return h;
    }
}

uint32_t mscope_coalesce(mscope_table *t, const uint32_t *rows, size_t n)
{
    mscope_scratch place = t->scratch, *s = &place;      /* a copy: what is stored below cannot change its pointers */
    uint32_t groups = 0, mask = (uint32_t)mscope_coalesce_slots((uint32_t)n) - 1;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = rows[i], k, h = find_slot(s, row, groups, mask, &k);      /* rows may lie in next, see whole.c */

        s->next[i] = MSCOPE_LAST;
        if (k < groups) {
            s->next[s->tail[k]] = i;
            s->tail[k] = i;
            continue;
        }
        s->slot[h] = groups;
        s->home[groups] = h;
        s->row[groups] = row;
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
