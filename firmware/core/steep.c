/* steep.c - see steep.h */
#include "steep.h"

#include <stddef.h>

#define KEEP 0.96875                 /* weight of a row's samples after one more: 63 samples at most */
#define PRIOR 4.0                    /* samples of a band's mean h1, and no h2, that lower a row's rank */
#define SEEN 15.5                    /* samples (16, faded) of a row before it is called the steepest */

static double rank(const mscope_probe_sums *s, double typical)
{
    double below = s->w * s->h1 + PRIOR * typical;

    return below > 0.0 ? s->w * s->h2 / below : 0.0;
}

/* A bijection of 32 bits that leaves no order. */
static uint32_t hash(uint64_t x)
{
    uint32_t h = (uint32_t)x;

    h = (h ^ h >> 16) * 0x7feb352du;
    h = (h ^ h >> 15) * 0x846ca68bu;
    return h ^ h >> 16;
}

static mscope_probe_row *find(mscope_probe_row *rows, size_t n, uint64_t row)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].row == row)
            return &rows[i];
    return NULL;
}

static void note(mscope_probe_row *x, double h1, double h2)
{
    mscope_probe_fade(&x->sums, KEEP);
    mscope_probe_note(&x->sums, h1, h2);
}

static void note_steep(mscope_probe_rows *p, const mscope_probe_row *fresh, double typical)
{
    mscope_probe_row *x = find(p->steep, MSCOPE_STEEP_ROWS, fresh->row), *least = &p->steep[0];

    if (x) {
        note(x, fresh->sums.h1, fresh->sums.h2);
        return;
    }
    for (size_t i = 0; i < MSCOPE_STEEP_ROWS && least->row; i++)
        if (p->steep[i].row == 0 || rank(&p->steep[i].sums, typical) < rank(&least->sums, typical))
            least = &p->steep[i];
    if (least->row == 0 || rank(&fresh->sums, typical) > rank(&least->sums, typical))
        *least = *fresh;
}

static void note_fair(mscope_probe_rows *p, const mscope_probe_row *fresh)
{
    mscope_probe_row *x = find(p->fair, MSCOPE_FAIR_ROWS, fresh->row), *last = &p->fair[0];

    if (x) {
        note(x, fresh->sums.h1, fresh->sums.h2);
        return;
    }
    for (size_t i = 0; i < MSCOPE_FAIR_ROWS && last->row; i++)
        if (p->fair[i].row == 0 || hash(p->fair[i].row) > hash(last->row))
            last = &p->fair[i];
    if (last->row == 0 || hash(fresh->row) < hash(last->row))
        *last = *fresh;
}

void mscope_probe_rows_note(mscope_probe_rows *p, uint32_t row, double h1, double h2, double typical)
{
    mscope_probe_row fresh = { .row = (uint64_t)row + 1 };

    mscope_probe_note(&fresh.sums, h1, h2);
    note_steep(p, &fresh, typical);
    note_fair(p, &fresh);
}

void mscope_probe_rows_purge(mscope_probe_rows *p, int (*in_band)(const void *ctx, uint32_t row), const void *ctx)
{
    for (size_t i = 0; i < MSCOPE_STEEP_ROWS; i++)
        if (p->steep[i].row && !in_band(ctx, (uint32_t)(p->steep[i].row - 1)))
            p->steep[i].row = 0;
    for (size_t i = 0; i < MSCOPE_FAIR_ROWS; i++)
        if (p->fair[i].row && !in_band(ctx, (uint32_t)(p->fair[i].row - 1)))
            p->fair[i].row = 0;
}

int mscope_probe_rows_sound(const mscope_probe_rows *p, uint32_t rows)
{
    for (size_t i = 0; i < MSCOPE_STEEP_ROWS; i++)
        if (p->steep[i].row > rows)
            return 0;
    for (size_t i = 0; i < MSCOPE_FAIR_ROWS; i++)
        if (p->fair[i].row > rows)
            return 0;
    return 1;
}

const mscope_probe_row *mscope_probe_rows_steepest(const mscope_probe_rows *p, double typical)
{
    const mscope_probe_row *best = NULL;

    for (size_t i = 0; i < MSCOPE_STEEP_ROWS; i++) {
        const mscope_probe_row *x = &p->steep[i];

        if (x->row && x->sums.h1 > 0.0 && mscope_probe_number(&x->sums) >= SEEN &&
            (best == NULL || rank(&x->sums, typical) > rank(&best->sums, typical)))
            best = x;
    }
    return best;
}

double mscope_probe_rows_spread(const mscope_probe_rows *p)
{
    double n = 0.0, mean = 0.0, dev = 0.0, scatter = 0.0, between;

    for (size_t i = 0; i < MSCOPE_FAIR_ROWS; i++) {
        const mscope_probe_sums *s = &p->fair[i].sums;
        double samples = p->fair[i].row ? mscope_probe_number(s) : 0.0, d;

        if (samples < 1.9)                       /* two, of which one has begun to fade */
            continue;
        n += 1.0;
        d = s->h1 - mean;
        mean += d / n;
        dev += d * (s->h1 - mean);
        scatter += s->dev11 / s->w / (samples - 1.0);
    }
    if (n < 4.0 || !(mean > 0.0))
        return -1.0;
    between = dev / (n - 1.0) - scatter / n;
    return between > 0.0 ? between / (mean * mean) : 0.0;
}
