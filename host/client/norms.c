/* norms.c - see norms.h */
#include "norms.h"

#include <string.h>

enum { LANES = 8, FOLD = 128 };

typedef float lanes __attribute__((vector_size(sizeof(float) * LANES)));

/* Vectors are handed on by address: by value they would need AVX in the calling convention. */
static double folded(const lanes *x)
{
    double sum = 0.0;

    for (int i = 0; i < LANES; i++)
        sum += (double)(*x)[i];
    return sum;
}

/* What to add of two arrays; constant at each use, so that the compiler leaves out the rest. */
enum sum { SUM, SQUARE, BETWEEN, PRODUCTS };

static inline void add(enum sum what, const float *a, const float *b, size_t n, lanes s[3])
{
    lanes x = { 0 }, y = { 0 };

    memcpy(&x, a, n * sizeof *a);
    if (what >= BETWEEN)
        memcpy(&y, b, n * sizeof *b);
    if (what == BETWEEN)
        x -= y;
    s[0] += what == SUM ? x : x * x;
    if (what != PRODUCTS)
        return;
    s[1] += x * y;
    s[2] += y * y;
}

static inline mscope_norms narrow(enum sum what, const float *a, const float *b, size_t n)
{
    mscope_norms out = { 0 };

    for (size_t from = 0; from < n; from += FOLD) {
        const size_t end = n - from < FOLD ? n : from + FOLD;
        lanes s[3] = { { 0 }, { 0 }, { 0 } };
        size_t i = from;

        for (; i + LANES <= end; i += LANES)
            add(what, a + i, b + i, LANES, s);
        if (i < end)
            add(what, a + i, b + i, end - i, s);
        out.aa += folded(&s[0]);
        out.ab += folded(&s[1]);
        out.bb += folded(&s[2]);
    }
    return out;
}

static inline mscope_norms wide(enum sum what, const double *a, const double *b, size_t n)
{
    mscope_norms out = { 0 };

    for (size_t i = 0; i < n; i++) {
        const double x = what == BETWEEN ? a[i] - b[i] : a[i];
        out.aa += what == SUM ? x : x * x;
        if (what != PRODUCTS)
            continue;
        out.ab += x * b[i];
        out.bb += b[i] * b[i];
    }
    return out;
}

mscope_norms mscope_norms_of(const void *a, const void *b, size_t n, size_t size)
{
    return size == sizeof(float) ? narrow(PRODUCTS, a, b, n) : wide(PRODUCTS, a, b, n);
}

double mscope_norm2(const void *a, size_t n, size_t size)
{
    return size == sizeof(float) ? narrow(SQUARE, a, a, n).aa : wide(SQUARE, a, NULL, n).aa;
}

double mscope_norm2_between(const void *a, const void *b, size_t n, size_t size)
{
    return size == sizeof(float) ? narrow(BETWEEN, a, b, n).aa : wide(BETWEEN, a, b, n).aa;
}

double mscope_norm_sum(const void *a, size_t n, size_t size)
{
    return size == sizeof(float) ? narrow(SUM, a, a, n).aa : wide(SUM, a, NULL, n).aa;
}
