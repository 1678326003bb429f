/* activity.c - per-row activity rates and log2 bands with hysteresis
 *
 * Rates are means over a row's own activations, so a row seen once in 1e5 steps is estimated as well as one seen
 * every step, after as many activations. Bands follow p, not P: at large batch P saturates at 1 while the
 * stiffness of a row keeps falling with p.                                                                    */
#include "core/activity.h"

#include <math.h>

#include "mscope/core.h"

#define HYSTERESIS 1.189207115002721 /* 2^(1/4) */

static double memory(uint64_t active)
{
    return active < MSCOPE_ACTIVITY_SPAN ? (double)active : MSCOPE_ACTIVITY_SPAN;
}

void mscope_activity_note(mscope_activity *a, double gap_steps, double share, uint64_t active)
{
    double weight = 1.0 / memory(active);

    a->gap = (float)((double)a->gap + (gap_steps - (double)a->gap) * weight);
    a->share = (float)((double)a->share + (share - (double)a->share) * weight);
}

static double gap_now(const mscope_activity *a, double open_gap, uint64_t active)
{
    double gap = (double)a->gap;

    return open_gap > gap ? gap + (open_gap - gap) / memory(active + 1) : gap;
}

mscope_rates mscope_activity_counted(const mscope_activity *a, float counted, uint64_t active)
{
    double P;

    if (active == 0)
        return (mscope_rates){ 0.0, 0.0 };
    P = 1.0 / (double)counted;
    return (mscope_rates){ (double)a->share * P, P };
}

float mscope_activity_gap(const mscope_activity *a, double open_gap, uint64_t active)
{
    return (float)gap_now(a, open_gap, active);
}

mscope_rates mscope_activity_rates(const mscope_activity *a, double open_gap, uint64_t active)
{
    double P;

    if (active == 0)
        return (mscope_rates){ 0.0, 0.0 };
    P = 1.0 / gap_now(a, open_gap, active);
    return (mscope_rates){ (double)a->share * P, P };
}

unsigned mscope_activity_band(double p, unsigned band)
{
    int e;
    double f;

    if (p <= 0.0)
        return MSCOPE_BAND_SILENT;
    if (band < MSCOPE_BANDS) {
        double edge = 1.0 / (double)((uint64_t)1 << band);
        int above = band == 0 || p <= HYSTERESIS * edge;
        int below = band == MSCOPE_BANDS - 1 || p > 0.5 / HYSTERESIS * edge;

        if (above && below)
            return band;
    }
    f = frexp(p, &e);                /* p = f 2^e, 1/2 <= f < 1; p = 2^-b belongs to band b */
    e = f > 0.5 ? -e : 1 - e;
    if (e < 0)
        return 0;
    return e < MSCOPE_BANDS ? (unsigned)e : MSCOPE_BANDS - 1;
}
