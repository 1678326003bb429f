/* growth.c - see growth.h */
#include "growth.h"

#include <math.h>

#define BLOCK 2.0                    /* retention times of a block                               */
#define SETTLE 8.0                   /* retention times before readings count, and ..            */
#define SETTLE_READINGS 4            /* .. readings                                              */
#define JUMP 3.0                     /* in ln v                                                  */
#define RISE 2.6
#define SPAN 4                       /* blocks of the rate                                       */

static double block(const mscope_growth *g, uint64_t back)
{
    return g->mean[(g->blocks - 1 - back) % MSCOPE_GROWTH_KEPT];
}

/* The highest of the blocks before the last five, at its lowest so far: what a rise is measured from. */
static void note_base(mscope_growth *g)
{
    double high = -INFINITY;

    if (g->blocks < MSCOPE_GROWTH_RISES + MSCOPE_GROWTH_BEFORE)
        return;
    for (uint64_t i = 0; i < MSCOPE_GROWTH_BEFORE; i++)
        high = fmax(high, block(g, MSCOPE_GROWTH_RISES + i));
    if (g->blocks == MSCOPE_GROWTH_RISES + MSCOPE_GROWTH_BEFORE || high < g->lowest_high)
        g->lowest_high = high;
}

static int rises(const mscope_growth *g)
{
    if (g->blocks < MSCOPE_GROWTH_RISES + MSCOPE_GROWTH_BEFORE)
        return 0;
    for (uint64_t i = 0; i < MSCOPE_GROWTH_RISES; i++)
        if (!(block(g, i) > block(g, i + 1)))
            return 0;
    return block(g, 0) > g->lowest_high + RISE;
}

/* Close the block that this step is beyond. Returns whether one was closed. */
static int close_block(mscope_growth *g, uint64_t step, double length)
{
    if (step < g->block_end || g->count == 0)
        return 0;
    g->mean[g->blocks % MSCOPE_GROWTH_KEPT] = g->sum / g->count;
    g->middle[g->blocks % MSCOPE_GROWTH_KEPT] = step - (uint64_t)(0.5 * length);
    g->blocks++;
    g->highest = fmax(g->highest, g->top[2]);
    g->top[2] = g->top[1];
    g->top[1] = g->top[0];
    g->top[0] = -INFINITY;
    g->sum = 0.0;
    g->count = 0;
    g->block_end = step + (uint64_t)ceil(length);
    return 1;
}

/* Two readings running far above all blocks but the last ones. */
static int jumps(mscope_growth *g, double x)
{
    g->jumps = x > g->highest + JUMP ? g->jumps + 1 : 0;
    return g->jumps >= 2;
}

int mscope_growth_read(mscope_growth *g, uint64_t step, double v, double retention, int uphill)
{
    const double length = BLOCK * retention, x = log(fmin(v, 1e300));
    int closed, sign, was = g->growing;

    if (!(v > 0.0) || !(retention > 0.0))
        return 0;
    if (g->readings++ == 0) {
        g->settled_at = step + (uint64_t)ceil(SETTLE * retention);
        g->block_end = step + (uint64_t)ceil(length);
        g->highest = g->top[0] = g->top[1] = g->top[2] = -INFINITY;
    }
    closed = close_block(g, step, length);
    g->top[0] = fmax(g->top[0], x);
    g->sum += x;
    g->count++;
    if (closed)
        note_base(g);
    if (step < g->settled_at || g->readings <= SETTLE_READINGS || isinf(g->highest))
        return 0;
    sign = (jumps(g, x) | (closed && rises(g))) && uphill;
    g->quiet = sign ? 0 : g->quiet + (closed != 0);
    g->growing = sign || (was && g->quiet < MSCOPE_GROWTH_RISES);
    return g->growing && !was;
}

double mscope_growth_rate(const mscope_growth *g)
{
    uint64_t last = (g->blocks - 1) % MSCOPE_GROWTH_KEPT, first = (g->blocks - 1 - SPAN) % MSCOPE_GROWTH_KEPT;

    if (g->blocks <= SPAN || g->middle[last] <= g->middle[first])
        return NAN;
    return (g->mean[last] - g->mean[first]) / (double)(g->middle[last] - g->middle[first]);
}
