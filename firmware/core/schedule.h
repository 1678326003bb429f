/* schedule.h - the map by which an idle step moves a row, and the product of any span of such maps
 *
 * One idle step moves z = (theta, m) by a 2x2 matrix A_k that depends on (eta_k, eps_k, decay_k) alone: it is the same
 * for every row and coordinate. A row silent since step t needs A_n ... A_{t+1}. The last `history` steps are kept as a
 * binary tree of aligned blocks, each the product of its two halves. So a span takes at most 2 log2(span) products, for
 * every convention and every schedule. */
#ifndef MSCOPE_CORE_SCHEDULE_H
#define MSCOPE_CORE_SCHEDULE_H

#include <stdint.h>

#include "mscope/core.h"

#define MSCOPE_LEVELS 24

typedef struct mscope_map {           /* theta' = a11 theta + a12 m;  m' = a21 theta + a22 m */
    double a11, a12, a21, a22;
} mscope_map;

typedef struct mscope_dd {            /* hi + lo, |lo| <= ulp(hi)/2 */
    double hi, lo;
} mscope_dd;

typedef struct mscope_map_dd {
    mscope_dd a11, a12, a21, a22;
} mscope_map_dd;

/* An idle map in increment form, z' = b z + (small part). b is 1 where the diagonal entry is near 1, so that rounding
 * the rest to float32 costs a relative error of the change and not of the value. */
typedef struct mscope_idle {
    double b11, x11, a12, a21, b22, x22;
} mscope_idle;

/* One active step: m2 = b22 m + (mt theta + x22 m + mg g);  theta2 = theta + (x11 theta + tm m2 + tg g). */
typedef struct mscope_kick {
    double b22, x22, mt, mg, x11, tm, tg;
} mscope_kick;

typedef struct mscope_memo {          /* a span computed before, valid while now is unchanged */
    uint64_t from, now;
    mscope_map map;
} mscope_memo;

typedef struct mscope_schedule {
    uint32_t history, levels;         /* history = 2^levels */
    uint64_t now;                     /* completed steps */
    mscope_map *node[MSCOPE_LEVELS];  /* node[l][(k >> l) mod (history >> l)]: steps k .. k + 2^l - 1 (0-based) */
    mscope_memo *memo;                /* history entries, by from mod history */
    mscope_map_dd left[MSCOPE_LEVELS];/* at each level the block that waits for its right neighbour */
} mscope_schedule;

size_t mscope_schedule_nodes(uint32_t history);                 /* maps needed by all levels */
/* place: set the pointers alone, into memory that is in use already */
void mscope_schedule_place(mscope_schedule *s, uint32_t history, mscope_map *nodes, mscope_memo *memo);
void mscope_schedule_init(mscope_schedule *s, uint32_t history, mscope_map *nodes, mscope_memo *memo);

/* The idle map of one step, and what an active step does. made: the buffer exists already (MSCOPE_FORM_TORCH). */
mscope_map_dd mscope_step_idle(const mscope_step *p, enum mscope_form form, int nesterov, int made);
mscope_kick mscope_step_kick(const mscope_step *p, enum mscope_form form, int nesterov, int made);
double mscope_step_ema(const mscope_step *p, enum mscope_form form);     /* m in EMA form over native m; 0: none */

void mscope_schedule_push(mscope_schedule *s, const mscope_map_dd *idle);   /* step now is done; now + 1 */

/* The product of steps from .. now-1 (0-based): it brings a row at clock `from` to now. now - from <= history. */
mscope_map mscope_schedule_span(const mscope_schedule *s, uint64_t from);

/* Most products in a span of `steps`, for bounds on rounding. */
static inline unsigned mscope_span_products(uint64_t steps)
{
    return 2 * (64 - (unsigned)__builtin_clzll(steps | 1));
}

/* mscope_schedule_span with a memo: the rows of one step share few clocks. It writes the memo when the span is not in
 * it, so before threads call it the span must be there. */
static inline mscope_map mscope_schedule_recall(const mscope_schedule *s, uint64_t from)
{
    mscope_memo *m = &s->memo[from & (s->history - 1)];

    if (m->now != s->now || m->from != from)
        *m = (mscope_memo){ from, s->now, mscope_schedule_span(s, from) };
    return m->map;
}

mscope_map mscope_map_round(const mscope_map_dd *a);

static inline mscope_idle mscope_map_split(const mscope_map *a)
{
    double b11 = a->a11 > 0.5 ? 1.0 : 0.0, b22 = a->a22 > 0.5 ? 1.0 : 0.0;

    return (mscope_idle){ b11, a->a11 - b11, a->a12, a->a21, b22, a->a22 - b22 };
}

#endif
