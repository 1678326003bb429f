/* agreement.c - see agreement.h */
#include "agreement.h"

#include <math.h>
#include <string.h>

/* Older windows, as far as they still count at this step. */
static void fade(mscope_agree_sums *a, uint64_t step)
{
    const double f = exp2(-(double)(step - a->step) / a->half_life);

    a->w *= f;
    a->w2 *= f * f;
    a->u *= f;
    a->u2 *= f;
    a->occurrences *= f;
    a->s2 *= f;
}

void mscope_agreement_take(mscope_agree_sums *a, uint64_t step, const mscope_window *w, double batch, double learning)
{
    const double half = MSCOPE_AGREEMENT_LEARNING * learning;

    if (!(a->batch >= batch && a->batch <= batch) || step < a->step)
        memset(a, 0, sizeof *a);
    a->half_life = half >= MSCOPE_AGREEMENT_SHORTEST ? fmin(half, MSCOPE_AGREEMENT_LONGEST) : MSCOPE_AGREEMENT_SHORTEST;
    fade(a, step);
    a->step = step;
    a->batch = batch;
    a->w += w->u_updates;
    a->w2 += w->u_updates;
    a->u += w->u;
    a->u2 += w->u2;
    a->occurrences += w->s2_occurrences;
    a->s2 += w->s2;
}

double mscope_agreement_mean(const mscope_agree_sums *a, double *mean, double *se)
{
    const double n = a->w2 > 0 ? a->w * a->w / a->w2 : 0;

    *mean = *se = NAN;
    if (!(n > 0))
        return 0;
    *mean = a->u / a->w;
    if (n >= 2) {
        const double var = (a->u2 / a->w - *mean * *mean) / (n - 1);
        *se = sqrt(var > 0 ? var : 0);
    }
    return a->w;
}
