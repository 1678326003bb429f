/* climb.c - see climb.h */
#include "climb.h"

#include <math.h>

#define SHARE 0.25                   /* of a reading in the running means: a memory of four             */
#define FULL 0.3                     /* w from which on all growth of R counts                           */
#define ALERT 0.25
#define OVER 0.125

uint64_t mscope_climb_every(double eps)
{
    return eps > 2.5e-10 ? eps < 0.25 ? (uint64_t)(0.25 / eps) : 1 : 1000000000u;
}

void mscope_climb_pulse(mscope_climb *c, unsigned band, double gm, double g2)
{
    c->gm[band] += SHARE * (gm - c->gm[band]);
    c->g2[band] += SHARE * (g2 - c->g2[band]);
}

static double share(double gm, double g2, double eps)
{
    const double w = -2.0 * (1.0 - eps) * gm / (eps * g2);

    return isfinite(w) ? w : 0.0;
}

double mscope_climb_uphill(const mscope_climb *c, unsigned band, double eps)
{
    return share(c->gm[band], c->g2[band], eps);
}

double mscope_climb_sum(const mscope_climb *c)
{
    double sum = 0.0;

    if (c->readings < MSCOPE_CLIMB_KEPT)
        return NAN;
    for (unsigned i = 0; i < MSCOPE_CLIMB_KEPT; i++)
        sum += c->part[i];
    return sum;
}

/* w of the whole table; *most: the band with the most negative <G, m>. */
static double uphill(const mscope_climb *c, double eps, uint32_t *most)
{
    double gm = 0.0, g2 = 0.0, least = 0.0;

    for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
        gm += c->gm[b];
        g2 += c->g2[b];
        if (c->gm[b] < least) {
            least = c->gm[b];
            *most = b;
        }
    }
    return share(gm, g2, eps);
}

int mscope_climb_read(mscope_climb *c, double R, double A, double eps, uint64_t from)
{
    const double change = c->placed && A > 0.0 ? (R - c->R) / A : 0.0;
    const int was = c->climbing;
    uint32_t most = c->band;
    const double counts = fmax(fmin(uphill(c, eps, &most) / FULL, 1.0), 0.0);
    double climb;

    if (!was)
        c->band = most;
    c->part[c->readings % MSCOPE_CLIMB_KEPT] = isfinite(change) ? counts * change : 0.0;
    c->readings++;
    c->R = R;
    c->placed = isfinite(R);
    climb = mscope_climb_sum(c);
    c->climbing = c->readings > from && climb > (was ? OVER : ALERT);
    return c->climbing && !was;
}
