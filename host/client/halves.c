/* halves.c - see halves.h; host/python/momentscope/judge.py has the rule for shares, and more situations */
#include "halves.h"

#include <math.h>
#include <string.h>

#include "protocol/refusal.h"

#define COSINE 0.99
#define SCALE 0.02                   /* |norm of z/norm of the halves' mean - 1| */
#define FITS 1e-4                    /* |z - p a - q b|^2/|z|^2 of two halves of this batch */

void mscope_halves_sum(const mscope_rows *r, const double *a, const double *b, const double *z, mscope_halves *out)
{
    memset(out, 0, r->spans * sizeof *out);
    for (size_t i = 0; i < r->places; i++) {
        mscope_halves *s = &out[r->place[i].span];
        const uint32_t dim = r->span[r->place[i].span].dim;
        for (uint64_t k = r->place[i].at; k < (uint64_t)r->place[i].at + dim; k++) {
            s->aa += a[k] * a[k];
            s->ab += a[k] * b[k];
            s->bb += b[k] * b[k];
            s->az += a[k] * z[k];
            s->bz += b[k] * z[k];
            s->zz += z[k] * z[k];
        }
    }
}

/* p/(p + q) of z = p a + q b by least squares; 1/2 where no such sum fits, because z is of another batch or draw. */
static double share_of(const mscope_halves *s)
{
    const double det = s->aa * s->bb - s->ab * s->ab;

    if (!(det > 1e-12 * s->aa * s->bb))
        return 0.5;
    const double p = (s->az * s->bb - s->bz * s->ab) / det, q = (s->bz * s->aa - s->az * s->ab) / det;
    const double left = s->zz - p * s->az - q * s->bz, share = p + q != 0.0 ? p / (p + q) : 0.5;
    return left <= FITS * s->zz && share >= 1.0 / 3.0 && share <= 2.0 / 3.0 ? share : 0.5;
}

static int judge_span(const mscope_halves *s, size_t k, double share, mscope_refusal *why)
{
    const double s2 = share * share, t2 = (1.0 - share) * (1.0 - share), xz = share * s->az + (1.0 - share) * s->bz;
    const double xx = s2 * s->aa + 2.0 * share * (1.0 - share) * s->ab + t2 * s->bb;
    const double cosine = xz / sqrt(xx * s->zz), ratio = sqrt(s->zz / xx);

    if (!isfinite(xx) || !isfinite(s->zz))
        return mscope_refusal_set(why, MSCOPE_ENONFINITE, "gradient", "finite, and its square too",
                                  "a gradient of a half or of the step is not", "span %zu", k);
    if (!(cosine > COSINE))
        return mscope_refusal_set(why, MSCOPE_EINVAL, "halves", "a cosine above 0.99 with the step's gradient",
                                  "another batch: give halves of the very samples that the step trains on, at the same "
                                  "weights and random numbers, each with a third of the samples or more",
                                  "span %zu, cosine %.3g", k, xx > 0.0 && s->zz > 0.0 ? cosine : 0.0);
    if (!(fabs(ratio - 1.0) <= SCALE))
        return mscope_refusal_set(why, MSCOPE_EINVAL, "halves", "within 2 % of the step's gradient",
                                  "wrong scale: the step has a sum where the halves have a mean (or the reverse), a "
                                  "loss scale was left in, or the step's gradient was clipped",
                                  "span %zu, the step's is %.4g times theirs", k, ratio);
    return 0;
}

int mscope_halves_judge(const mscope_halves *of, const uint8_t *checked, size_t n, double *share, mscope_refusal *why)
{
    mscope_halves all = { 0 };

    for (size_t k = 0; k < n; k++)
        if (checked[k])
            all = (mscope_halves){ all.aa + of[k].aa, all.ab + of[k].ab, all.bb + of[k].bb,
                                   all.az + of[k].az, all.bz + of[k].bz, all.zz + of[k].zz };
    *share = share_of(&all);
    for (size_t k = 0; k < n; k++)
        if (checked[k] && (of[k].aa != 0.0 || of[k].bb != 0.0 || of[k].zz != 0.0) &&
            judge_span(&of[k], k, *share, why) != 0)
            return 1;
    if (all.aa == 0.0 && all.bb == 0.0 && all.zz == 0.0) {
        (void)mscope_refusal_set(why, MSCOPE_EINVAL, "gradient", "other than 0", "the halves and the step have no "
                                 "gradient in any checked span", "0");
        return 1;
    }
    return 0;
}
