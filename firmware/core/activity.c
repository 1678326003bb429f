/* activity.c - activity rates of a row, and its band
 *
 * Rates are means over a row's own activations. So a row seen once in 1e5 steps is estimated as well as one seen in
 * every step, after as many activations. Bands follow p and not P: at large batch P saturates at 1 while the stiffness
 * of a row keeps falling with p. */
#include "activity.h"

#include <math.h>

#include "mscope/core.h"

/* Steps behind the rates over activations in them: n / (n gap + open_gap), where the clock stops at any step, has no
 * bias. Without the open gap it would have one of n/(n - 1), for the clock would stop at an activation. */
static double gap_now(const mscope_activity *a, uint16_t remembered, double open_gap)
{
    return (double)a->gap + open_gap * MSCOPE_ACTIVITY_UNIT / (double)remembered;
}

float mscope_activity_gap(const mscope_activity *a, uint16_t remembered, double open_gap)
{
    return (float)gap_now(a, remembered, open_gap);
}

mscope_rates mscope_activity_rates(const mscope_activity *a, uint16_t remembered, double open_gap, uint64_t active)
{
    double P;

    if (active == 0)
        return (mscope_rates){ 0.0, 0.0 };
    P = 1.0 / gap_now(a, remembered, open_gap);
    return (mscope_rates){ (double)a->share * P, P };
}

unsigned mscope_activity_band_of(double p)
{
    int e;
    double f;

    if (p <= 0.0)
        return MSCOPE_BAND_SILENT;
    f = frexp(p, &e);                /* p = f 2^e, 1/2 <= f < 1; p = 2^-b belongs to band b */
    e = f > 0.5 ? -e : 1 - e;
    if (e < 0)
        return 0;
    return e < MSCOPE_BANDS ? (unsigned)e : MSCOPE_BANDS - 1;
}
