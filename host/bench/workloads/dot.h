/* dot.h - inner product of long rows, in four partial sums that the compiler keeps in one vector register
 *
 * The order of the sums is part of a run's bits. Where rows are short, cblas_ddot (one sum, in order) does.       */
#ifndef MSCOPE_BENCH_DOT_H
#define MSCOPE_BENCH_DOT_H

#include <stddef.h>

static inline double mscope_bench_dot(const double *a, const double *b, size_t n)
{
    double s[4] = { 0, 0, 0, 0 };
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t j = 0; j < 4; j++)
            s[j] += a[i + j] * b[i + j];
    for (; i < n; i++)
        s[0] += a[i] * b[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

#endif
