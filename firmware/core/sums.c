/* sums.c - see sums.h */
#include "sums.h"

void mscope_probe_note(mscope_probe_sums *s, double h1, double h2)
{
    double d1 = h1 - s->h1, d2 = h2 - s->h2;

    s->w += 1.0;
    s->w2 += 1.0;
    s->h1 += d1 / s->w;
    s->h2 += d2 / s->w;
    s->dev11 += d1 * (h1 - s->h1);
    s->dev22 += d2 * (h2 - s->h2);
    s->dev12 += d1 * (h2 - s->h2);
}

void mscope_probe_fade(mscope_probe_sums *s, double keep)
{
    s->w *= keep;
    s->w2 *= keep * keep;
    s->dev11 *= keep;
    s->dev22 *= keep;
    s->dev12 *= keep;
}

double mscope_probe_number(const mscope_probe_sums *s)
{
    return s->w2 > 0.0 ? s->w * s->w / s->w2 : 0.0;
}

double mscope_probe_ratio_scatter(const mscope_probe_sums *s)
{
    double a = s->dev11 / (s->h1 * s->h1), b = s->dev22 / (s->h2 * s->h2), x = s->dev12 / (s->h1 * s->h2);
    double v = (a + b - 2.0 * x) / s->w;

    return v > 0.0 ? v : 0.0;
}
