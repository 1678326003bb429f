/* paper_000b_lr.c - later revision of paper 000, G.15: rates of the logistic model in the noisy window
 *
 * Far above resonance (Delta = eta p/eps large) but with a floor R* of order one, the five eigenvalues at the fixed
 * point (theta, R, a = alpha) are, in units of eps, lambda_0 and mu_j +- i nu_j sqrt(Delta), j = 1, 2:
 *
 *   rho = R/(2 (1+theta^2)),   lambda_0 = -(2 + 2 rho)/(2 + rho)
 *   nu^4 - a (5 + theta^2 + R) nu^2 + a^2 (4 + 4 theta^2 + R) = 0
 *   s = -(a theta/2)/(a (1+theta^2) - nu^2),   mu = -N/(2D),   N = 2 nu^2 s^2 + (nu^2 + 4a)/(2R),
 *   D = (a (1+theta^2) + nu^2) s^2 + a theta s + (a (R+4) + nu^2)/(4R)
 *
 * Ours: the eigenvalues of the drift's own Jacobian, by differences, at Delta = 1e6. The sum is the trace of that
 * Jacobian, so it holds for any split; the other three rows do not follow from it. */
#include "paper_000b.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <gsl/gsl_eigen.h>

#include "mscope/theory.h"

enum { N = 5 };

static const double DELTA = 1e6;

struct rates {
    double real, mu[2], nu[2];
};

static void predicted(double a, double theta, double R, struct rates *out)
{
    const double t2 = theta * theta, rho = R / (2 * (1 + t2)), middle = 5 + t2 + R;
    const double root = sqrt((t2 - 3) * (t2 - 3) + R * (R + 6 + 2 * t2));
    out->real = -(2 + 2 * rho) / (2 + rho);
    for (int j = 0; j < 2; j++) {
        const double n2 = a * (middle + (j == 0 ? -root : root)) / 2, s = -(a * theta / 2) / (a * (1 + t2) - n2);
        const double top = 2 * n2 * s * s + (n2 + 4 * a) / (2 * R);
        const double bottom = (a * (1 + t2) + n2) * s * s + a * theta * s + (a * (R + 4) + n2) / (4 * R);
        out->nu[j] = sqrt(n2);
        out->mu[j] = -top / (2 * bottom);
    }
}

/* d drift_i / d x_j in units of eps, central differences; scale is the size of each coordinate. */
static int jacobian(const mscope_lr *lr, const double *x, const double *scale, gsl_matrix *J)
{
    for (size_t j = 0; j < N; j++) {
        double up[N], down[N], fu[N], fd[N];
        const double h = 1e-5 * scale[j];
        memcpy(up, x, sizeof up);
        memcpy(down, x, sizeof down);
        up[j] += h;
        down[j] -= h;
        if (mscope_lr_drift(lr, MSCOPE_LR_SPARSE, up, fu) < 0 || mscope_lr_drift(lr, MSCOPE_LR_SPARSE, down, fd) < 0)
            return -1;
        for (size_t i = 0; i < N; i++)
            gsl_matrix_set(J, i, j, (fu[i] - fd[i]) / (2 * h) / lr->eps * scale[j] / scale[i]);
    }
    return 0;
}

/* The real eigenvalue, and the pairs by ascending frequency over sqrt Delta. */
static int eigenvalues(gsl_matrix *J, struct rates *out)
{
    gsl_vector_complex *z = gsl_vector_complex_alloc(N);
    gsl_eigen_nonsymm_workspace *w = gsl_eigen_nonsymm_alloc(N);
    int pairs = 0, rc = -1;
    if (z != NULL && w != NULL) {
        gsl_eigen_nonsymm_params(0, 1, w);
        rc = gsl_eigen_nonsymm(J, z, w) == 0 ? 0 : -1;
    }
    for (size_t i = 0; rc == 0 && i < N; i++) {
        const gsl_complex v = gsl_vector_complex_get(z, i);
        const double nu = GSL_IMAG(v) / sqrt(DELTA);
        if (nu > 0 && pairs < 2) {
            out->nu[pairs] = nu;
            out->mu[pairs++] = GSL_REAL(v);
        } else if (!(nu < 0))
            out->real = GSL_REAL(v);
    }
    if (w != NULL)
        gsl_eigen_nonsymm_free(w);
    if (z != NULL)
        gsl_vector_complex_free(z);
    if (rc == 0 && pairs == 2 && out->nu[0] > out->nu[1]) {
        const struct rates other = *out;
        for (int j = 0; j < 2; j++) {
            out->nu[j] = other.nu[1 - j];
            out->mu[j] = other.mu[1 - j];
        }
    }
    return rc == 0 && pairs == 2 ? 0 : -1;
}

int mscope_000b_window(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out)
{
    const double p = 1e-8, eps = 1e-10, eta = DELTA * eps / p, d = 1e8;
    const mscope_lr lr = { .d = d, .p = p, .batch = eta * d / 0.6, .eps = eps, .eta = eta, .r = 2 };
    double x[N], alpha, G;
    struct rates ours = { 0 }, law = { 0 };
    gsl_matrix *J = gsl_matrix_alloc(N, N);
    int rc = J != NULL && mscope_lr_fixed_point(&lr, MSCOPE_LR_SPARSE, x) == MSCOPE_OK &&
                     mscope_lr_sparse_kl(lr.r, x[0], x[2], &alpha, &G) == MSCOPE_OK
                 ? 0
                 : -1;
    (void)seed;
    if (rc == 0) {
        /* u and C swing by p/sqrt Delta, V by p^2/Delta of what theta and R swing by 1 */
        const double scale[N] = { 1, p / sqrt(DELTA), 1, p * p / DELTA, p / sqrt(DELTA) };
        predicted(alpha, x[0] + lr.r, x[2], &law);
        rc = jacobian(&lr, x, scale, J) < 0 || eigenvalues(J, &ours) < 0 ? -1 : 0;
    }
    if (J != NULL)
        gsl_matrix_free(J);
    if (rc < 0)
        return -1;
    double off[] = { ours.real + 2 * (ours.mu[0] + ours.mu[1]), fabs(ours.real / law.real - 1), 0, 0 };
    for (int j = 0; j < 2; j++) {
        off[2] = fmax(off[2], fabs(ours.nu[j] / law.nu[j] - 1));
        off[3] = fmax(off[3], fabs(ours.mu[j] / law.mu[j] - 1));
    }
    mscope_claim_judge(claim, off[(int)claim->argument], out);
    snprintf(out->note, sizeof out->note,
             "r = 2, R* = %.4f, Delta = %g: lambda_0 %.4f (law %.4f), mu %.4f, %.4f (%.4f, %.4f), nu %.4f, %.4f", x[2],
             DELTA, ours.real, law.real, ours.mu[0], ours.mu[1], law.mu[0], law.mu[1], ours.nu[0], ours.nu[1]);
    return 0;
}
