/* sums.h - weighted means and deviations of probe samples (h1, h2); private to the core */
#ifndef MSCOPE_CORE_SUMS_H
#define MSCOPE_CORE_SUMS_H

/* Sums of weights and of their squares, means, weighted sums of squared deviations of h1 and of h2, and of the product
 * of both deviations. Every field is 8 bytes wide, as the snapshot wants it. */
typedef struct mscope_probe_sums {
    double w, w2;
    double h1, h2;
    double dev11, dev22, dev12;
} mscope_probe_sums;

/* One more sample of weight 1. */
void mscope_probe_note(mscope_probe_sums *s, double h1, double h2);
/* Older samples count `keep` times as much from now on. */
void mscope_probe_fade(mscope_probe_sums *s, double keep);
/* (sum w)^2 / sum w^2; 0 without a sample. */
double mscope_probe_number(const mscope_probe_sums *s);
/* Square of the relative scatter that one sample has in h2/h1, the ratio of the sums. */
double mscope_probe_ratio_scatter(const mscope_probe_sums *s);

#endif
