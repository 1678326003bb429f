/* activity.h - how often a row is active, and which band that puts it in */
#ifndef MSCOPE_CORE_ACTIVITY_H
#define MSCOPE_CORE_ACTIVITY_H

#include <stdint.h>

#include "mscope/core.h"

#define MSCOPE_ACTIVITY_SPAN 256     /* most gaps that a row's rates remember                             */
#define MSCOPE_ACTIVITY_STEPS 4096   /* steps after which a gap counts for half, or 16 mean gaps if that is longer */
#define MSCOPE_ACTIVITY_GAPS 16
#define MSCOPE_ACTIVITY_ODDS 20      /* first gap against second: above this the row is taken to be new */
#define MSCOPE_ACTIVITY_UNIT 128     /* of the weight `remembered`: 1/128 of a gap */
#define MSCOPE_HYSTERESIS 1.189207115002721  /* 2^(1/4) */

typedef struct mscope_activity {
    float gap;                       /* mean steps between activations         */
    float share;                     /* mean occurrences per sample, over the steps in which the row is active */
} mscope_activity;

/* The weight of the means in gaps, the next gap included. remembered: that weight before it, in 1/128. */
static inline double mscope_activity_next(uint16_t remembered)
{
    double n = (double)remembered / MSCOPE_ACTIVITY_UNIT + 1.0;

    return n < MSCOPE_ACTIVITY_SPAN ? n : MSCOPE_ACTIVITY_SPAN;
}

/* One activation, gap_steps after the last one: share = occurrences/batch, active counts this activation too.
 *
 * The rates are means over the gaps seen, at most 256. The weight of older gaps halves within 4096 steps or 16 mean
 * gaps, so a row that cools or warms is followed. The weight of a gap does not depend on its own length, so the mean
 * has no bias. The gap before the first activation began with the table and not with the row: it is forgotten when the
 * second gap is 20 times shorter. */
static inline void mscope_activity_note(mscope_activity *a, uint16_t *remembered, double gap_steps, double share,
                                        uint64_t active)
{
    double n = mscope_activity_next(*remembered), span;

    if (active == 2 && (double)a->gap > MSCOPE_ACTIVITY_ODDS * gap_steps)
        n = 1.0;
    a->gap = (float)((double)a->gap + (gap_steps - (double)a->gap) / n);
    a->share = (float)((double)a->share + (share - (double)a->share) / ((double)active < n ? (double)active : n));
    span = MSCOPE_ACTIVITY_GAPS * (double)a->gap;
    span = span > MSCOPE_ACTIVITY_STEPS ? span : MSCOPE_ACTIVITY_STEPS;
    *remembered = (uint16_t)(n * span / (span + gap_steps) * MSCOPE_ACTIVITY_UNIT + 0.5);
}

typedef struct mscope_rates {
    double p, P;                     /* occurrences per sample, active steps per step; 0 for a row never active */
} mscope_rates;

/* Rates as of now, open_gap steps after the last activation. */
mscope_rates mscope_activity_rates(const mscope_activity *a, uint16_t remembered, double open_gap, uint64_t active);

/* A band must subtract exactly what it once added, so the contribution of a row is stored and not recomputed from the
 * clock: its share, and `counted`, its mean gap at its last activation or, if later, with the silence that a resum
 * found. */
static inline mscope_rates mscope_activity_counted(const mscope_activity *a, float counted, uint64_t active)
{
    double P;

    if (active == 0)
        return (mscope_rates){ 0.0, 0.0 };
    P = 1.0 / (double)counted;
    return (mscope_rates){ (double)a->share * P, P };
}

/* The mean gap as of now, the silence included. */
float mscope_activity_gap(const mscope_activity *a, uint16_t remembered, double open_gap);

/* band_of: the band of occurrence rate p, 2^-(b+1) < p <= 2^-b. band: the same for a row that is in `band` and stays
 * there until p is a quarter of an octave outside. */
unsigned mscope_activity_band_of(double p);

static inline unsigned mscope_activity_band(double p, unsigned band)
{
    if (band < MSCOPE_BANDS && p > 0.0) {
        double edge = 1.0 / (double)((uint64_t)1 << band);
        int above = band == 0 || p <= MSCOPE_HYSTERESIS * edge;
        int below = band == MSCOPE_BANDS - 1 || p > 0.5 / MSCOPE_HYSTERESIS * edge;

        if (above && below)
            return band;
    }
    return mscope_activity_band_of(p);
}

#endif
