/* schedule.c - the idle map of each convention, and the tree of their products (see schedule.h)
 *
 * Blocks are multiplied in double-double when they are made and rounded once, so every node is right to a few ulp
 * whatever its length: eps = 1e-7 over 1e6 steps costs nothing. Spans multiply rounded nodes in double. Without coupled
 * decay all entries of a span are sums and products of numbers of one sign, so nothing cancels.
 *
 * Rejected: a prefix of log-products. It needs 36 bytes in every row and blocks with restarts, and does not reach
 * coupled decay, whose maps are not triangular. */
#include "schedule.h"

#include <math.h>
#include <string.h>

/* Entries that have decayed below this are zero for any float64 state, and would become denormals. */
#define NEGLIGIBLE 1e-140

static inline mscope_dd two_sum(double a, double b)
{
    double s = a + b, t = s - a;

    return (mscope_dd){ s, (a - (s - t)) + (b - t) };
}

static inline mscope_dd two_prod(double a, double b)
{
    const double split = 134217729.0;        /* 2^27 + 1: Dekker's splitting, exact without an FMA */
    double p = a * b, c = split * a, d = split * b;
    double ah = c - (c - a), al = a - ah, bh = d - (d - b), bl = b - bh;

    return (mscope_dd){ p, ((ah * bh - p) + ah * bl + al * bh) + al * bl };
}

static inline mscope_dd dd_add(mscope_dd a, mscope_dd b)
{
    mscope_dd s = two_sum(a.hi, b.hi), t = two_sum(a.lo, b.lo);

    s = two_sum(s.hi, s.lo + t.hi);
    return two_sum(s.hi, s.lo + t.lo);
}

static inline mscope_dd dd_mul(mscope_dd a, mscope_dd b)
{
    mscope_dd p = two_prod(a.hi, b.hi);

    return two_sum(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}

static inline mscope_dd dd_neg(mscope_dd a)
{
    return (mscope_dd){ -a.hi, -a.lo };
}

static mscope_dd dd(double a)
{
    return (mscope_dd){ a, 0.0 };
}

static inline mscope_dd flushed(mscope_dd a)
{
    return a.hi < NEGLIGIBLE && a.hi > -NEGLIGIBLE ? dd(0.0) : a;
}

/* Whether a map is a shear: no weight decay. Products of shears are shears. */
static int shears(const mscope_map_dd *a)
{
    return a->a11.hi == 1.0 && a->a11.lo == 0.0 && a->a21.hi == 0.0 && a->a21.lo == 0.0;
}

static mscope_map_dd product(const mscope_map_dd *late, const mscope_map_dd *early)
{
    mscope_map_dd p;

    if (shears(late) && shears(early)) {         /* the same bits: the terms left out multiply by 1 or add 0 */
        p = *late;
        p.a12 = flushed(dd_add(early->a12, dd_mul(late->a12, early->a22)));
        p.a22 = flushed(dd_mul(late->a22, early->a22));
        return p;
    }

    p.a11 = flushed(dd_add(dd_mul(late->a11, early->a11), dd_mul(late->a12, early->a21)));
    p.a12 = flushed(dd_add(dd_mul(late->a11, early->a12), dd_mul(late->a12, early->a22)));
    p.a21 = flushed(dd_add(dd_mul(late->a21, early->a11), dd_mul(late->a22, early->a21)));
    p.a22 = flushed(dd_add(dd_mul(late->a21, early->a12), dd_mul(late->a22, early->a22)));
    return p;
}

mscope_map mscope_map_round(const mscope_map_dd *a)
{
    return (mscope_map){ a->a11.hi, a->a12.hi, a->a21.hi, a->a22.hi };
}

static mscope_dd dd_root(double a)
{
    double x = sqrt(a);
    mscope_dd square = two_prod(x, x);

    return x > 0.0 ? two_sum(x, ((a - square.hi) - square.lo) / (2.0 * x)) : dd(0.0);
}

/* Theta and m of a row that is read decay, each by itself; frozen rows do not. */
static mscope_map_dd read_idle(const mscope_step *p, enum mscope_form form)
{
    mscope_map_dd a = { dd(1.0), dd(0.0), dd(0.0), dd(1.0) };

    if (form == MSCOPE_FORM_FROZEN)
        return a;
    a.a11 = dd_root(1.0 - p->decoupled_decay);
    a.a22 = two_sum(1.0, -p->eps);
    return a;
}

/* The share of a gradient that enters m. */
static double gain(const mscope_step *p, enum mscope_form form, int made)
{
    if (form == MSCOPE_FORM_EMA)
        return p->eps;
    return made ? 1.0 - p->dampening : 1.0;
}

/* torch.optim.SGD with momentum 0 steps along the gradient and ignores the buffer. */
static int bypasses_buffer(const mscope_step *p, enum mscope_form form)
{
    return form == MSCOPE_FORM_TORCH && p->eps >= 1.0;
}

mscope_map_dd mscope_step_idle(const mscope_step *p, enum mscope_form form, int nesterov, int made)
{
    const int bypass = bypasses_buffer(p, form);
    mscope_dd one = dd(1.0), beta = two_sum(1.0, -p->eps), eta = dd(p->eta), keep, pull;
    mscope_map_dd a = { one, dd(0.0), dd(0.0), one };

    if (MSCOPE_FORM_READS(form))
        return read_idle(p, form);
    if (!bypass) {
        a.a12 = dd_neg(dd_mul(eta, nesterov ? dd_mul(beta, beta) : beta));
        a.a22 = beta;
    }
    if (p->weight_decay == 0.0 && p->decoupled_decay == 0.0)
        return a;
    keep = dd_add(one, dd_neg(two_prod(p->eta, p->decoupled_decay)));
    if (bypass) {
        a.a11 = dd_add(keep, dd_neg(two_prod(p->eta, p->weight_decay)));
        return a;
    }
    pull = two_prod(gain(p, form, made), p->weight_decay);       /* m gains pull * theta */
    a.a11 = dd_add(keep, dd_neg(dd_mul(eta, nesterov ? dd_mul(pull, dd_add(one, beta)) : pull)));
    a.a21 = pull;
    return a;
}

mscope_kick mscope_step_kick(const mscope_step *p, enum mscope_form form, int nesterov, int made)
{
    double beta = 1.0 - p->eps, in = gain(p, form, made), keep = -p->eta * p->decoupled_decay;
    mscope_kick k;

    if (MSCOPE_FORM_READS(form)) {
        double root = sqrt(1.0 - p->decoupled_decay);
        return (mscope_kick){ .b22 = beta > 0.5 ? 1.0 : 0.0, .x22 = beta > 0.5 ? -p->eps : beta,
                              .x11 = -p->decoupled_decay / (1.0 + root) };
    }
    if (bypasses_buffer(p, form))
        return (mscope_kick){ 1.0, 0.0, 0.0, 0.0, keep - p->eta * p->weight_decay, 0.0, -p->eta };
    k.b22 = beta > 0.5 ? 1.0 : 0.0;
    k.x22 = beta > 0.5 ? -p->eps : beta;
    k.mt = in * p->weight_decay;
    k.mg = in;
    k.x11 = nesterov ? keep - p->eta * k.mt : keep;
    k.tm = nesterov ? -p->eta * beta : -p->eta;
    k.tg = nesterov ? -p->eta * in : 0.0;
    return k;
}

double mscope_step_ema(const mscope_step *p, enum mscope_form form)
{
    if (form != MSCOPE_FORM_TORCH || p->eps >= 1.0)
        return 1.0;
    return p->dampening < 1.0 ? p->eps / (1.0 - p->dampening) : 0.0;
}

size_t mscope_schedule_nodes(uint32_t history)
{
    return 2 * (size_t)history;
}

void mscope_schedule_place(mscope_schedule *s, uint32_t history, mscope_map *nodes, mscope_memo *memo)
{
    s->history = history;
    s->levels = 0;
    s->memo = memo;
    for (uint32_t h = history; h > 1; h >>= 1) {
        s->node[s->levels++] = nodes;
        nodes += h;
    }
}

void mscope_schedule_init(mscope_schedule *s, uint32_t history, mscope_map *nodes, mscope_memo *memo)
{
    memset(s, 0, sizeof *s);
    memset(memo, 0, history * sizeof *memo);         /* there are no spans at now = 0, so no entry is valid */
    mscope_schedule_place(s, history, nodes, memo);
    memset(s->node[0], 0, mscope_schedule_nodes(history) * sizeof *nodes);
    for (uint32_t l = 0; l < MSCOPE_LEVELS; l++)
        s->left[l] = (mscope_map_dd){ dd(1.0), dd(0.0), dd(0.0), dd(1.0) };
}

void mscope_schedule_push(mscope_schedule *s, const mscope_map_dd *idle)
{
    mscope_map_dd block = *idle;
    uint64_t at = s->now;
    uint32_t l = 0;

    s->node[0][at & (s->history - 1)] = mscope_map_round(&block);
    while ((at & 1) && l + 1 < s->levels) {
        block = product(&block, &s->left[l]);
        at >>= 1;
        l++;
        s->node[l][at & ((s->history >> l) - 1)] = mscope_map_round(&block);
    }
    s->left[l] = block;
    s->now++;
}

mscope_map mscope_schedule_span(const mscope_schedule *s, uint64_t from)
{
    mscope_map a = { 1.0, 0.0, 0.0, 1.0 };
    int first = 1;

    while (from < s->now) {
        unsigned room = 63u - (unsigned)__builtin_clzll(s->now - from);
        unsigned l = from ? (unsigned)__builtin_ctzll(from) : 63u;
        const mscope_map *n;

        if (l > room)
            l = room;
        if (l >= s->levels)
            l = s->levels - 1;
        n = &s->node[l][(from >> l) & ((s->history >> l) - 1)];
        if (first) {
            a = *n;
            first = 0;
        } else if (n->a21 == 0.0 && a.a21 == 0.0) {
            a.a12 = n->a11 * a.a12 + n->a12 * a.a22;
            a.a11 *= n->a11;
            a.a22 *= n->a22;
        } else {
            a = (mscope_map){ n->a11 * a.a11 + n->a12 * a.a21, n->a11 * a.a12 + n->a12 * a.a22,
                              n->a21 * a.a11 + n->a22 * a.a21, n->a21 * a.a12 + n->a22 * a.a22 };
        }
        from += (uint64_t)1 << l;
    }
    return a;
}
