/* curvature.c - see curvature.h: a memory of curvature that is as long as the run is steady */
#include "curvature.h"

#include <math.h>
#include <string.h>

#define ENOUGH 8.0                   /* samples in a memory before it may contradict a longer one */
#define MANY 40.0                    /* samples in a memory before it is blended with a longer one */
#define FEWER 1.25                    /* and how many times fewer than in the longer one */
#define CLEAR 2.5                    /* standard errors by which it then must differ */
#define DOUBT 2.0                    /* standard errors of which a difference counts half as drift */
#define OTHER_BATCH 1.5              /* a batch that is larger or smaller by this factor is another one */

/* 2^-(steps/2^halving). The core has no exp: roots of 1/2 are multiplied, one for each bit of the fraction. Products of
 * such factors over parts of a time are the factor of the whole, which sums of shards need. */
static double fading(uint64_t steps, unsigned halving)
{
    uint64_t whole = steps >> halving;
    double root = 0.5, keep = 1.0;

    if (whole > 1000)
        return 0.0;
    for (unsigned bit = halving; bit-- > 0;) {
        root = sqrt(root);
        if (steps >> bit & 1)
            keep *= root;
    }
    return ldexp(keep, -(int)whole);
}

/* Log2 of the half-lives in steps. */
static const unsigned char octave[MSCOPE_PROBE_SPANS] = { 5, 7, 9, 11, 13, 15, 17 };

static double half_life(unsigned k)
{
    return (double)((uint64_t)1 << octave[k]);
}

/* H1 and H2 are per active update of the batch as sent, and how they move with it is known for isotropic rows only. So
 * samples of another batch are not mixed: the first probe with one is left out, since it may be the short batch at the
 * end of an epoch; the second in a row begins a new memory. */
int mscope_probe_begin(mscope_probe_memory *p, uint64_t now, double batch)
{
    if (p->batch > 0.0 && (batch > p->batch * OTHER_BATCH || batch * OTHER_BATCH < p->batch)) {
        p->odd += 1.0;
        if (p->odd < 2.0)
            return 0;
        memset(p, 0, sizeof *p);
    }
    for (unsigned k = 0; k < MSCOPE_PROBE_SPANS; k++)
        mscope_probe_fade(&p->span[k], fading(now - p->at, octave[k]));
    p->at = now;
    p->batch = batch;
    p->odd = 0.0;
    return 1;
}

void mscope_probe_take(mscope_probe_memory *p, uint32_t row, double h1, double h2)
{
    for (unsigned k = 0; k < MSCOPE_PROBE_SPANS; k++)
        mscope_probe_note(&p->span[k], h1, h2);
    mscope_probe_rows_note(&p->rows, row, h1, h2, p->span[0].h1);
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* The square of the distance between x and y in standard errors: of their logarithms, as 2 sinh(l/2), where both have
 * one sign. cv2: relative variance of one sample; share: what the difference has of it. */
static double distance(double x, double y, double cv2, double share)
{
    double d = y - x, z2 = d * d / (fabs(x * y) * cv2 * share);

    return z2 >= 0.0 ? z2 : 0.0;
}

/* Samples of the shorter memory are also in the longer one. With n and N samples of equal weight their difference has
 * the variance 1/n - 1/N; with fading weights it has less. */
static double difference(const mscope_probe_sums *young, const mscope_probe_sums *old)
{
    return 1.0 / mscope_probe_number(young) - 1.0 / mscope_probe_number(old);
}

/* Two weighted means with their sums of squared deviations. */
static double apart(double x, double dev_x, double y, double dev_y, const mscope_probe_sums *young,
                    const mscope_probe_sums *old)
{
    double cv2 = larger(dev_x / (young->w * x * x), dev_y / (old->w * y * y));

    return distance(x, y, cv2, difference(young, old));
}

static double apart_h1(const mscope_probe_sums *young, const mscope_probe_sums *old)
{
    return apart(young->h1, young->dev11, old->h1, old->dev11, young, old);
}

static double apart_h2(const mscope_probe_sums *young, const mscope_probe_sums *old)
{
    return apart(young->h2, young->dev22, old->h2, old->dev22, young, old);
}

/* H follows h2/h1, which scatters less than h1. */
static double apart_ratio(const mscope_probe_sums *young, const mscope_probe_sums *old)
{
    double cv2 = larger(mscope_probe_ratio_scatter(young), mscope_probe_ratio_scatter(old));

    return distance(young->h2 / young->h1, old->h2 / old->h1, cv2, difference(young, old));
}

static int comparable(const mscope_probe_sums *young, const mscope_probe_sums *old, double least)
{
    double n = mscope_probe_number(young);

    return n >= least && FEWER * n < mscope_probe_number(old);
}

static unsigned longest_true(const mscope_probe_memory *p)
{
    for (unsigned k = MSCOPE_PROBE_SPANS - 1; k > 0; k--) {
        const mscope_probe_sums *old = &p->span[k];
        unsigned j = 0;

        while (j < k && (!comparable(&p->span[j], old, ENOUGH) ||
                         larger(apart_h1(&p->span[j], old), apart_ratio(&p->span[j], old)) <= CLEAR * CLEAR))
            j++;
        if (j == k)
            return k;
    }
    return 0;
}

/* How much of a difference is drift and not scatter, from its z^2: nothing below one standard error, half of it at
 * DOUBT, more above. */
static double drifting(double z2)
{
    const double half = DOUBT * DOUBT - 1.0, x = z2 > 1.0 ? z2 - 1.0 : 0.0;

    return x * x / (x * x + half * half);
}

/* Samples with the weights (1 - share) w_a/W_a + share w_b/W_b, times W_a/(1 - share). Of fading weights at even times
 * sum w_a w_b = 2 W_a W_b/(n_a + n_b). */
static mscope_probe_sums blend(const mscope_probe_sums *a, const mscope_probe_sums *b, double share)
{
    double by = share / (1.0 - share) * a->w / b->w, n = mscope_probe_number(a) + mscope_probe_number(b);
    double d1 = b->h1 - a->h1, d2 = b->h2 - a->h2, between = (1.0 - share) * by * b->w;
    mscope_probe_sums s = { a->w + by * b->w, a->w2 + by * by * b->w2 + 4.0 * by * a->w * b->w / n,
                            a->h1 + share * d1, a->h2 + share * d2,
                            a->dev11 + by * b->dev11 + between * d1 * d1, a->dev22 + by * b->dev22 + between * d2 * d2,
                            a->dev12 + by * b->dev12 + between * d1 * d2 };

    return s;
}

static void read_rows(const mscope_probe_memory *p, mscope_curvature *c)
{
    const mscope_probe_row *x = mscope_probe_rows_steepest(&p->rows, p->span[0].h1);

    c->spread = mscope_probe_rows_spread(&p->rows);
    if (x == NULL)
        return;
    c->steep_row = (uint32_t)(x->row - 1);
    c->steep_samples = mscope_probe_number(&x->sums);
    c->steep_h1 = x->sums.h1;
    c->steep_h2 = x->sums.h2;
    c->steep_var = mscope_probe_ratio_scatter(&x->sums);
}

/* The longest memory without a clear contradiction can still lag behind a slow drift. So it is blended with the next
 * shorter one of MANY samples, and what they differ by enters the errors. */
mscope_curvature mscope_probe_read(const mscope_probe_memory *p, uint64_t now)
{
    unsigned k = longest_true(p), j = k;
    mscope_probe_sums s = p->span[k];
    mscope_curvature c = { .half_life = half_life(k) };
    double drift1 = 0.0, drift2 = 0.0;

    if (!(s.w > 0.0))
        return (mscope_curvature){ .spread = -1.0 };
    while (j-- > 0 && !comparable(&p->span[j], &s, MANY))
        ;
    if (j < k) {
        const mscope_probe_sums *young = &p->span[j];
        double z1 = apart_h1(young, &s), share = drifting(larger(z1, apart_ratio(young, &s)));

        drift1 = (young->h1 - s.h1) * drifting(z1);
        drift2 = (young->h2 - s.h2) * drifting(apart_h2(young, &s));
        c.half_life += share * (half_life(j) - c.half_life);
        if (share > 0.0)
            s = blend(&s, young, share);
    }
    c.samples = mscope_probe_number(&s);
    c.weight = s.w * fading(now - p->at, octave[k]);
    c.h1 = s.h1;
    c.h2 = s.h2;
    c.h1_var = s.dev11 / s.w + c.samples * drift1 * drift1;
    c.h2_var = s.dev22 / s.w + c.samples * drift2 * drift2;
    read_rows(p, &c);
    return c;
}
