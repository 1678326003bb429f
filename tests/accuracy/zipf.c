/* zipf.c - Zipf vocabularies: banded, exact and sampled */
#include "zipf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>

enum { GROUPS = 8 };

static double harmonic(const mscope_zipf *z)
{
    double power = z->power > 0 ? z->power : 1, sum = 0;

    for (int j = z->V; j >= 1; j--)
        sum += pow(j, -power);
    return sum;
}

double mscope_zipf_p(const mscope_zipf *z, int j)
{
    static double sum, power;
    static int V;

    if (V != z->V || power < z->power || power > z->power) {
        V = z->V;
        power = z->power;
        sum = harmonic(z);
    }
    return pow(j + 1, -(power > 0 ? power : 1)) / sum;
}

/* curvature of each group, mean 1 over the coordinates, and how many coordinates have it */
static void spectrum(const mscope_zipf *z, double h[GROUPS], double mult[GROUPS])
{
    double sum = 0;

    for (int j = 0; j < z->groups; j++) {
        h[j] = z->groups == 1 ? 1 : pow(1 + 7.0 * j / (z->groups - 1), -1.5);
        mult[j] = (double)z->d / z->groups;
        sum += h[j];
    }
    for (int j = 0; j < z->groups; j++)
        h[j] *= z->groups / sum;
}

static mscope_risk_band block(const mscope_zipf *z, double p, double rows)
{
    mscope_ls ls = { .d = z->d, .p = p, .batch = z->batch, .eps = 1, .eta = 0, .noise = z->noise };
    mscope_risk_band b;
    double h[GROUPS], mult[GROUPS];

    spectrum(z, h, mult);
    if (mscope_risk_block(&ls, z->groups, h, mult, rows, z->by_rows, &b) != MSCOPE_OK)
        abort();
    return b;
}

int mscope_zipf_bands(const mscope_zipf *z, int per_octave, int cap, mscope_risk_band *out, int band_of_row[])
{
    int n = 0;

    for (int j = 0; j < z->V; n++) {
        const int from = j;
        double octave = per_octave > 0 ? -per_octave * log2(mscope_zipf_p(z, j)) : 0, sum = 0;
        /* rows with 2^-(b+1)/per_octave < p <= 2^-b/per_octave share a band */
        for (; j < z->V; j++) {
            double p = mscope_zipf_p(z, j);
            if (j > from && n < cap - 1 && (per_octave <= 0 || -per_octave * log2(p) >= floor(octave) + 1))
                break;
            sum += p;
            if (band_of_row != NULL)
                band_of_row[j] = n;
        }
        out[n] = block(z, sum / (j - from), j - from);
    }
    return n;
}

double mscope_zipf_risk(const mscope_risk_band *b, int bands)
{
    double sum = 0;

    for (int i = 0; i < bands; i++)
        for (int j = 0; j < b[i].groups; j++)
            sum += b[i].weight * b[i].h1[j] * b[i].R0[j];
    return sum;
}

/* -- sampled ----------------------------------------------------------------------------------------- */

/* g <- (1/B) sum over N samples of x (<x,e> + xi), x = sqrt(h) z: along u = sqrt(h) e the sum of z <z,u> is
 * u-hat |u| chi2_N, across it |y| times a normal vector, y the N numbers <z,u> + xi.                        */
static void sample_gradient(gsl_rng *rng, int d, const double *root_h, const double *e, unsigned N, double batch,
                            double noise, double *g)
{
    double norm2 = 0, along, across2, a = gsl_ran_chisq(rng, N), normal, dot = 0;

    for (int c = 0; c < d; c++)
        norm2 += root_h[c] * root_h[c] * e[c] * e[c];
    double norm = sqrt(norm2);
    if (noise > 0) {                      /* <z-hat, xi> and |xi|^2 given |z-along|^2 = a */
        normal = gsl_ran_ugaussian(rng) * sqrt(noise);
        double rest = N > 1 ? noise * gsl_ran_chisq(rng, N - 1) : 0;
        along = norm * a + sqrt(a) * normal;
        across2 = norm2 * a + 2 * norm * sqrt(a) * normal + normal * normal + rest;
    } else {
        along = norm * a;
        across2 = norm2 * a;
    }
    double across = sqrt(across2 > 0 ? across2 : 0);
    for (int c = 0; c < d; c++) {
        g[c] = gsl_ran_gaussian_ziggurat(rng, 1);
        dot += g[c] * root_h[c] * e[c];
    }
    for (int c = 0; c < d; c++) {
        double unit = norm > 0 ? root_h[c] * e[c] / norm : 0;
        double rest = norm > 0 ? g[c] - dot / norm * unit : g[c];
        g[c] = root_h[c] * (along * unit + across * rest) / batch;
    }
}

typedef struct world {
    const mscope_zipf *z;
    gsl_rng *rng;
    double *e, *m, *p, root_h[MSCOPE_ZIPF_D_MAX];
} world;

static double world_risk(const world *w)
{
    const int d = w->z->d;
    double sum = 0;

    for (int j = 0; j < w->z->V; j++) {
        double loss = 0;
        for (int c = 0; c < d; c++)
            loss += w->root_h[c] * w->root_h[c] * w->e[(size_t)j * (size_t)d + (size_t)c] *
                    w->e[(size_t)j * (size_t)d + (size_t)c];
        sum += w->z->by_rows ? loss : w->p[j] * loss;
    }
    return sum;
}

static void world_step(world *w, const mscope_setting *setting)
{
    const int d = w->z->d;
    double g[MSCOPE_ZIPF_D_MAX];

    for (int j = 0; j < w->z->V; j++) {
        double *e = w->e + (size_t)j * (size_t)d, *m = w->m + (size_t)j * (size_t)d;
        double eps = setting[j].eps, beta = 1 - eps, eta = setting[j].eta;
        unsigned N = gsl_ran_binomial(w->rng, w->p[j], (unsigned)w->z->batch);
        if (N > 0) {
            sample_gradient(w->rng, d, w->root_h, e, N, w->z->batch, w->z->noise, g);
            for (int c = 0; c < d; c++)
                m[c] = beta * m[c] + eps * g[c];
        } else if (beta <= 0) {
            memset(m, 0, (size_t)d * sizeof *m);
            continue;
        } else {
            for (int c = 0; c < d; c++)
                m[c] *= beta;
        }
        for (int c = 0; c < d; c++)
            e[c] -= eta * m[c];
    }
}

static void world_start(world *w)
{
    const int d = w->z->d;

    for (int j = 0; j < w->z->V; j++) {
        double norm = 0, *e = w->e + (size_t)j * (size_t)d;
        for (int c = 0; c < d; c++) {
            e[c] = gsl_ran_ugaussian(w->rng);
            norm += e[c] * e[c];
        }
        for (int c = 0; c < d; c++)
            e[c] /= sqrt(norm);
    }
    memset(w->m, 0, (size_t)w->z->V * (size_t)d * sizeof *w->m);
}

double mscope_zipf_simulate(const mscope_zipf *z, const mscope_setting *setting, int runs, uint64_t seed, double target,
                            int max_steps)
{
    const size_t size = (size_t)z->V * (size_t)z->d;
    double *mean = calloc((size_t)max_steps + 1, sizeof *mean), h[GROUPS], mult[GROUPS], n = INFINITY;
    world w = { .z = z, .rng = gsl_rng_alloc(gsl_rng_mt19937) };
    int stop = max_steps;

    w.e = malloc(size * sizeof *w.e);
    w.m = malloc(size * sizeof *w.m);
    w.p = malloc((size_t)z->V * sizeof *w.p);
    if (mean == NULL || w.e == NULL || w.m == NULL || w.p == NULL || w.rng == NULL)
        abort();
    gsl_rng_set(w.rng, (unsigned long)seed);
    spectrum(z, h, mult);
    for (int c = 0; c < z->d; c++)
        w.root_h[c] = sqrt(h[c * z->groups / z->d]);
    for (int j = 0; j < z->V; j++)
        w.p[j] = mscope_zipf_p(z, j);
    for (int r = 0; r < runs; r++) {
        world_start(&w);
        mean[0] += world_risk(&w) / runs;
        for (int k = 1; k <= stop; k++) {
            world_step(&w, setting);
            double risk = world_risk(&w);
            mean[k] += risk / runs;
            /* the others may be slower, but not by a quarter */
            if (r == 0 && stop == max_steps && risk <= target)
                stop = k + k / 4 + 3 < max_steps ? k + k / 4 + 3 : max_steps;
        }
    }
    for (int k = 1; k <= stop; k++)
        if (mean[k] <= target) {
            n = k - 1 + log(mean[k - 1] / target) / log(mean[k - 1] / mean[k]);
            break;
        }
    gsl_rng_free(w.rng);
    free(w.e);
    free(w.m);
    free(w.p);
    free(mean);
    return n;
}
