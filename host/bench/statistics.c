/* statistics.c - means, slopes and 95 % intervals of the bench's samples */
#include "statistics.h"

#include <math.h>

#include <gsl/gsl_cdf.h>

double mscope_mean(const double *x, size_t n, double *error)
{
    double sum = 0, square = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    sum /= (double)n;
    for (size_t i = 0; i < n; i++)
        square += (x[i] - sum) * (x[i] - sum);
    *error = n > 1 ? sqrt(square / (double)(n - 1) / (double)n) : NAN;
    return sum;
}

double mscope_half_width(double error, double degrees)
{
    return degrees > 0 ? gsl_cdf_tdist_Pinv(0.975, degrees) * error : NAN;
}

double mscope_slope(const double *x, const double *y, size_t n, double *error)
{
    double mx = 0, my = 0, xx = 0, xy = 0, left = 0;
    for (size_t i = 0; i < n; i++) {
        mx += x[i] / (double)n;
        my += y[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        xy += (x[i] - mx) * (y[i] - my);
    }
    const double slope = xy / xx;
    for (size_t i = 0; i < n; i++) {
        const double r = y[i] - my - slope * (x[i] - mx);
        left += r * r;
    }
    if (error != NULL)
        *error = n > 2 ? sqrt(left / (double)(n - 2) / xx) : NAN;
    return slope;
}

void mscope_wilson(double k, double n, double *low, double *high)
{
    const double z = MSCOPE_Z95, p = k / n, c = 1 + z * z / n;
    const double mid = (p + z * z / (2 * n)) / c, half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / c;
    *low = mid - half;
    *high = mid + half;
}
