/* listed.c - the rows that a dense gradient moves, and how many of some rows are late */
#include <string.h>

#include "table.h"

/* Is some bit of a row set? Without a branch, so that the compiler makes vectors of the loop. */
static int has_bits(const unsigned char *g, size_t bytes)
{
    uint64_t any = 0;
    uint32_t rest = 0;
    size_t i = 0;

    for (; i + 8 <= bytes; i += 8) {
        uint64_t bits;

        memcpy(&bits, g + i, 8);
        any |= bits;
    }
    if (i < bytes)                               /* an odd number of float32 */
        memcpy(&rest, g + i, 4);
    return any != 0 || rest != 0;
}

/* Bits alone may be the sign of -0.0. */
static int moves(const unsigned char *g, size_t dim, size_t size)
{
    for (size_t i = 0; i < dim; i++) {
        double wide;
        float narrow;

        if (size == 8)
            memcpy(&wide, g + i * 8, 8);
        else
            memcpy(&narrow, g + i * 4, 4), wide = (double)narrow;
        if (wide != 0.0)                         /* NaN too */
            return 1;
    }
    return 0;
}

int mscope_table_active(const mscope_table *t, const void *grads, uint32_t *rows, size_t most, size_t *n)
{
    size_t bytes = t->cfg.dim * t->g_size;
    const unsigned char *g = grads;

    *n = 0;
    for (uint32_t row = 0; row < t->cfg.rows; row++, g += bytes) {
        if (!has_bits(g, bytes) || !moves(g, t->cfg.dim, t->g_size))
            continue;
        if (*n == most)
            return MSCOPE_ENOMEM;
        rows[(*n)++] = row;
    }
    return MSCOPE_OK;
}

size_t mscope_table_late(const mscope_table *t, const uint32_t *rows, size_t n)
{
    size_t late = 0;

    for (size_t i = 0; i < n; i++)
        late += rows[i] < t->cfg.rows && mscope_core_row_age(t, &t->row[rows[i]]) != 0;
    return late;
}
