/* models.c - workloads driven by hand, means, slopes and intervals: what claims_001, 003 and 004 share */
#include "models.h"

#include <math.h>

void *mscope_model_open(const mscope_workload *w, const mscope_model_value *change, uint64_t seed)
{
    double value[MSCOPE_BENCH_PARAMS];
    const char *why = "";
    void *self = NULL;
    for (int i = 0; w->params[i].name != NULL; i++)
        value[i] = w->params[i].value;
    for (; change != NULL && change->name != NULL; change++) {
        const int at = mscope_bench_param_index(w->params, change->name);
        if (at < 0)
            return NULL;
        value[at] = change->value;
    }
    if (w->init(&self, value, seed, &why) < 0) {
        w->fini(self);
        return NULL;
    }
    return self;
}

int mscope_model_sgd(const mscope_workload *w, void *self, double eta, uint64_t steps)
{
    mscope_bench_step s = { .all = { .eta = eta, .eps = 1, .gain = 1 } };
    for (s.t = 0; s.t < steps; s.t++)
        if (w->step(self, &s) < 0)
            return -1;
    return 0;
}

double mscope_model_stat(const mscope_workload *w, void *self, int stat)
{
    mscope_bench_summary s;
    w->summary(self, &s);
    return s.total.stat[stat];
}

uint64_t mscope_model_seed(uint64_t seed, const char *claim, uint64_t i)
{
    uint64_t h = 14695981039346656037u ^ seed;
    for (; *claim != '\0'; claim++)
        h = (h ^ (unsigned char)*claim) * 1099511628211u;
    return h + i * 0x9e3779b97f4a7c15u;
}

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
    const double z = 1.959963984540054, p = k / n, c = 1 + z * z / n;
    const double mid = (p + z * z / (2 * n)) / c, half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / c;
    *low = mid - half;
    *high = mid + half;
}
