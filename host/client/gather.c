/* gather.c - the rows and values of one step, from the trainer's arrays into the bodies of a message
 *
 * A body is written once, and the next to read it is the daemon. Larger bodies are therefore written past the cache of
 * this core: no line is read only to be overwritten, and the trainer's lines stay. Rows looked up in a dense gradient
 * are marked and counted in the table's tally; they come out in ascending order, each once. */

#include "gather.h"

#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "check.h"

enum { WORD = 64, LINE = 64, AHEAD = 2048 };  /* AHEAD: bytes from the one being read to the one prefetched */
#define PAST_CACHE ((size_t)1 << 16)         /* from so many bytes on, writing past the cache is faster */

/* -- copies ----------------------------------------------------------------------------------------- */

/* A prefetch never faults, wherever it points. */
static void prefetch(uintptr_t at)
{
    __builtin_prefetch((const void *)at);
}

#ifdef __SSE2__
static void line_past_cache(char *to, const char *from)       /* to is 16-byte aligned */
{
    for (size_t k = 0; k < LINE; k += 16)
        _mm_stream_si128((__m128i *)(void *)(to + k), _mm_loadu_si128((const __m128i *)(const void *)(from + k)));
}

static void fence(void)
{
    _mm_sfence();
}
#else
static void line_past_cache(char *to, const char *from)
{
    memcpy(to, from, LINE);
}

static void fence(void)
{
}
#endif

static void copy(char *to, const char *from, size_t n)
{
    size_t i = 0;

    if (n >= PAST_CACHE && (uintptr_t)to % 16 == 0) {
        for (; i + LINE <= n; i += LINE) {
            prefetch((uintptr_t)from + i + AHEAD);
            line_past_cache(to + i, from + i);
        }
        fence();
    }
    memcpy(to + i, from + i, n - i);
}

static void gather(char *to, const char *from, const uint32_t *rows, size_t n, size_t row)
{
    const size_t ahead = row < AHEAD ? AHEAD / row : 1;
    const int past_cache = n * row >= PAST_CACHE && row % LINE == 0 && (uintptr_t)to % 16 == 0;

    for (size_t k = 0; k < n; k++, to += row) {
        const char *at = from + rows[k] * row;
        if (k + ahead < n)
            for (size_t i = 0; i < row; i += LINE)
                prefetch((uintptr_t)from + rows[k + ahead] * row + i);
        if (past_cache)
            for (size_t i = 0; i < row; i += LINE)
                line_past_cache(to + i, at + i);
        else
            memcpy(to, at, row);
    }
    fence();
}

/* -- the tally of look-ups -------------------------------------------------------------------------- */

static size_t words(const mscope_client_table *t)
{
    return ((size_t)t->info.rows + WORD - 1) / WORD;
}

int mscope_tally(mscope_client_table *t, const int64_t *lookups, size_t n, size_t *distinct)
{
    const uint32_t rows = t->info.rows;

    if (t->marks == NULL) {
        t->marks = calloc(words(t), sizeof *t->marks);
        t->tally = calloc(rows, sizeof *t->tally);
        if (t->marks == NULL || t->tally == NULL) {
            mscope_tally_forget(t);
            return MSCOPE_ENOMEM;
        }
    }
    memset(t->marks, 0, words(t) * sizeof *t->marks);
    *distinct = 0;
    for (size_t i = 0; i < n; i++) {
        if ((uint64_t)lookups[i] >= rows)
            return mscope_why_row(t, lookups[i]);
        const uint32_t r = (uint32_t)lookups[i];
        const uint64_t bit = (uint64_t)1 << r % WORD;
        const int seen = (t->marks[r / WORD] & bit) != 0;
        t->marks[r / WORD] |= bit;
        t->tally[r] = seen ? t->tally[r] + 1 : 1;
        *distinct += !seen;
    }
    return 0;
}

/* Most rows have their first value apart from 0, so this costs little more than the line that is copied next. */
static int is_zero(const char *row, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (row[i] != 0)
            return 0;
    return 1;
}

size_t mscope_tally_leave_zeros(mscope_client_table *t, const void *grads, size_t row_bytes)
{
    size_t left_out = 0;

    for (size_t w = 0; w < words(t); w++)
        for (uint64_t left = t->marks[w]; left != 0; left &= left - 1) {
            const unsigned bit = (unsigned)__builtin_ctzll(left);
            if (!is_zero((const char *)grads + (w * WORD + bit) * row_bytes, row_bytes))
                continue;
            t->marks[w] &= ~((uint64_t)1 << bit);
            left_out++;
        }
    return left_out;
}

void mscope_tally_forget(mscope_client_table *t)
{
    free(t->marks);
    free(t->tally);
    t->marks = NULL;
    t->tally = NULL;
}

static void marked_rows(uint32_t *out, const mscope_client_table *t)
{
    for (size_t w = 0; w < words(t); w++)
        for (uint64_t left = t->marks[w]; left != 0; left &= left - 1)
            *out++ = (uint32_t)(w * WORD) + (uint32_t)__builtin_ctzll(left);
}

/* -- into a message ----------------------------------------------------------------------------------- */

int mscope_fill_rows(uint32_t *out, const mscope_gradient *g, const mscope_client_table *t)
{
    const uint32_t rows = t->info.rows;

    if (g->tallied) {
        marked_rows(out, t);
    } else if (g->rows32 != NULL) {
        for (size_t i = 0; i < g->n; i++)
            if ((out[i] = g->rows32[i]) >= rows)
                return mscope_why_row(t, g->rows32[i]);
    } else if (g->rows64 != NULL) {
        for (size_t i = 0; i < g->n; i++) {
            if ((uint64_t)g->rows64[i] >= rows)
                return mscope_why_row(t, g->rows64[i]);
            out[i] = (uint32_t)g->rows64[i];
        }
    } else {
        for (uint32_t i = 0, k = 0; i < rows; i++)
            if (g->mask == NULL || g->mask[i])
                out[k++] = i;
    }
    return 0;
}

void mscope_fill_values(char *out, const uint32_t *rows, const mscope_gradient *g, const mscope_client_table *t)
{
    const size_t row = g->row_bytes;
    const char *in = g->values;

    if (g->tallied) {
        gather(out, in, rows, g->n, row);
    } else if (g->mask == NULL) {
        copy(out, in, g->n * row);
    } else {
        for (uint32_t i = 0; i < t->info.rows; i++)
            if (g->mask[i]) {
                memcpy(out, in + i * row, row);
                out += row;
            }
    }
}

void mscope_fill_counts(uint32_t *out, const mscope_gradient *g, const mscope_client_table *t)
{
    if (!g->tallied) {
        memcpy(out, g->counts, g->n * sizeof *out);
        return;
    }
    for (size_t w = 0; w < words(t); w++)
        for (uint64_t left = t->marks[w]; left != 0; left &= left - 1)
            *out++ = t->tally[w * WORD + (size_t)__builtin_ctzll(left)];
}
