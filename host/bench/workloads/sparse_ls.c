/* sparse_ls.c - copies of one Bernoulli-gated least-squares block */
#include <stdlib.h>

#include "gated.h"

enum { ROWS, DIM, P, BATCH, NOISE, SPECTRUM, LITERAL };

static const mscope_bench_param params[] = {
    { "rows", 64, 1, 1e6, 1, "independent copies of the block: their mean is less noisy than one" },
    { "d", 64, 1, 65536, 1, "coordinates behind one gate" },
    { "p", 0.05, 1e-9, 1, 0, "probability that a sample opens the gate" },
    { "batch", 32, 1, 1e9, 1, "samples a step" },
    { "noise", 0, 0, 1e9, 0, "variance of the label noise" },
    { "spectrum", 0, 0, 5, 0, "curvature of coordinate j goes as j^-spectrum, mean 1" },
    { "literal", 0, 0, 1, 1, "1: draw every sample; 0: draw the batch's sum, the same in law" },
    { NULL, 0, 0, 0, 0, NULL },
};

static int init(void **self, const double *a, uint64_t seed, const char **why)
{
    const mscope_gated_shape s = { .rows = (uint32_t)a[ROWS], .dim = (uint32_t)a[DIM], .batch = a[BATCH],
                                   .noise = a[NOISE], .spectrum = a[SPECTRUM], .literal = a[LITERAL] > 0,
                                   .initial = 1 };
    mscope_gated *g = calloc(1, sizeof *g);
    double *p = malloc(s.rows * sizeof *p);
    int rc = -1;
    *self = g;
    *why = "out of memory";
    if (p != NULL && g != NULL) {
        for (uint32_t j = 0; j < s.rows; j++)
            p[j] = a[P];
        rc = mscope_gated_open(g, &s, p, seed);
    }
    free(p);
    return rc;
}

const mscope_workload mscope_workload_sparse_ls = {
    .name = "sparse-ls",
    .help = "Bernoulli-gated least squares: label noise, anisotropic spectrum; exact theory where isotropic",
    .params = params,
    .stats = mscope_gated_stats,
    .keeps_squares = 1,
    .init = init,
    .step = mscope_gated_step,
    .summary = mscope_gated_summary,
    .theory = mscope_gated_theory,
    .advise = mscope_gated_advise,
    .fini = mscope_gated_fini,
};
