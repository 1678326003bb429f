/* activity.h - how often a row is active, and which band that puts it in */
#ifndef MSCOPE_CORE_ACTIVITY_H
#define MSCOPE_CORE_ACTIVITY_H

#include <stdint.h>

#define MSCOPE_ACTIVITY_SPAN 256     /* activations a row's rates remember */

typedef struct mscope_activity {
    float gap;                       /* mean steps between activations         */
    float share;                     /* mean occurrences per sample of a step in which it is active */
} mscope_activity;

/* One activation: gap_steps since the last one, share = occurrences/batch, active = activations with this one.
 * Plain means over the first 256 activations, exponential with that memory afterwards. */
void mscope_activity_note(mscope_activity *a, double gap_steps, double share, uint64_t active);

typedef struct mscope_rates {
    double p, P;                     /* occurrences per sample, active steps per step; 0 for a row never active */
} mscope_rates;

/* Rates as of now, open_gap steps after the last activation: silence longer than the mean gap counts. */
mscope_rates mscope_activity_rates(const mscope_activity *a, double open_gap, uint64_t active);

/* Sums over rows must lose exactly what they gained, so what a row counts for is what its record says, not what the time
 * says: share, and the
 * `counted` gap: its mean gap at its last activation, or with the silence that the last resum found. */
mscope_rates mscope_activity_counted(const mscope_activity *a, float counted, uint64_t active);
float mscope_activity_gap(const mscope_activity *a, double open_gap, uint64_t active);       /* with silence */

/* The band of occurrence rate p, 2^-(b+1) < p <= 2^-b; the row stays in `band` within a quarter of an octave. */
unsigned mscope_activity_band(double p, unsigned band);

#endif
