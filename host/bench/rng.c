/* rng.c - xoshiro256++ (Blackman and Vigna, public domain algorithm) as a GSL generator, seeded by splitmix64
 *
 * Seed and stream are mixed into 256 bits of state: runs, claims and workloads never share a sequence, and a run's
 * numbers do not depend on which process draws them.                                                             */
#include "workload.h"

#include <math.h>

#include <gsl/gsl_randist.h>

typedef struct {
    uint64_t s[4];
} state;

static uint64_t mix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static void set(void *v, unsigned long seed)
{
    state *r = v;
    uint64_t x = seed;
    for (int i = 0; i < 4; i++)
        r->s[i] = mix(&x);
}

static unsigned long get(void *v)
{
    uint64_t *s = ((state *)v)->s;
    const uint64_t out = rotl(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return (unsigned long)out;
}

static double get_double(void *v)
{
    return (double)(get(v) >> 11) * 0x1p-53;
}

static const gsl_rng_type xoshiro = { "xoshiro256++", UINT64_MAX, 0, sizeof(state), set, get, get_double };

gsl_rng *mscope_bench_rng(uint64_t seed, uint64_t stream)
{
    gsl_rng *r = gsl_rng_alloc(&xoshiro);
    if (r == NULL)
        return NULL;
    uint64_t a = seed, b = stream ^ 0x6d6f6d656e747363u;
    gsl_rng_set(r, mix(&a) ^ rotl(mix(&b), 32));
    return r;
}

double mscope_bench_normal(gsl_rng *r)
{
    return gsl_ran_gaussian_ziggurat(r, 1.0);
}
