/* squares.c - the updates of squares.h */
#include "squares.h"

#include <math.h>

static const double SMALL = 1e-8;     /* of torch.optim.Adam and of the authors' code */

static void by_squares(const mscope_bench_rates *a, size_t n, double *theta, const double *m, const double *v,
                       const double *g)
{
    for (size_t i = 0; i < n; i++)
        theta[i] -= (a->eta * m[i] + a->direct * (g != NULL ? g[i] : 0)) / (sqrt(a->squares.unbias * v[i]) + SMALL);
}

static void by_activity(const mscope_bench_rates *a, size_t n, double *theta, const double *m, const double *v,
                        double *tau, const double *g)
{
    const double t = a->squares.t, fresh = a->squares.eps;
    for (size_t i = 0; i < n; i++) {
        const double gi = g != NULL ? g[i] : 0, root = sqrt(v[i]);
        tau[i] = (1 - fresh) * tau[i] + fresh * fabs(gi) / (fabs(gi) + root + SMALL);
        const double c = fmin(tau[i], 0.5), w = sqrt(fmax(c / (1 - c), 1 / (1 + t)));
        const double own = pow(1 + fmax(tau[i] * t, 1), 1 - a->squares.kappa);
        const double held = fmin(1, a->squares.clip * root / (w * fabs(gi) + SMALL));
        theta[i] -= w / (root + SMALL) * (a->eta * own * m[i] + a->direct * held * gi);
    }
}

void mscope_bench_move_squares(const mscope_bench_rates *a, size_t n, double *theta, double *m, double *v, double *tau,
                               const double *g)
{
    for (size_t i = 0; i < n; i++) {
        const double gi = g != NULL ? g[i] : 0;
        m[i] = (1 - a->eps) * m[i] + a->gain * gi;
        v[i] = (1 - a->squares.eps) * v[i] + a->squares.eps * gi * gi;
    }
    if (a->squares.by == MSCOPE_BENCH_ACTIVITY)
        by_activity(a, n, theta, m, v, tau, g);
    else
        by_squares(a, n, theta, m, v, g);
}
