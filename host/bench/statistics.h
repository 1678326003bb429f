/* statistics.h - means, slopes and 95 % intervals of samples */
#ifndef MSCOPE_BENCH_STATISTICS_H
#define MSCOPE_BENCH_STATISTICS_H

#include <stddef.h>

#define MSCOPE_Z95 1.959963984540054  /* 97.5 % quantile of the normal distribution */

/* mscope_mean - mean of n values; *error: standard error of that mean, NaN for n = 1 */
double mscope_mean(const double *x, size_t n, double *error);

/* mscope_half_width - half width of the 95 % interval (Student) around a value with this standard error
 *
 * degrees of freedom: n - 1 for a mean, n - 2 for a slope. NaN for less than one.                        */
double mscope_half_width(double error, double degrees);

/* mscope_slope - least squares slope of y on x; *error: its standard error from the residuals (may be NULL) */
double mscope_slope(const double *x, const double *y, size_t n, double *error);

/* mscope_wilson - 95 % interval of a probability from k successes in n (Wilson) */
void mscope_wilson(double k, double n, double *low, double *high);

#endif
