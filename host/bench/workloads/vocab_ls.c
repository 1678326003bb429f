/* vocab_ls.c - a Zipf vocabulary of gated least-squares rows under one (eta, beta), in octaves of p */
#include <math.h>
#include <stdlib.h>

#include "gated.h"

enum { ROWS, DIM, POWER, BATCH, NOISE, SPECTRUM, UNIFORM };

static const mscope_bench_param params[] = {
    { "rows", 1024, 2, 1e6, 1, "words; 1024 make 10 bands" },
    { "d", 32, 1, 65536, 1, "width of a row" },
    { "power", 1, 0, 4, 0, "p of word j goes as j^-power and sums to 1" },
    { "batch", 64, 1, 1e9, 1, "samples a step" },
    { "noise", 0, 0, 1e9, 0, "variance of the label noise" },
    { "spectrum", 0, 0, 5, 0, "curvature of coordinate j goes as j^-spectrum, mean 1" },
    { "uniform", 0, 0, 1, 1, "1: the risk counts words alike; 0: by frequency" },
    { NULL, 0, 0, 0, 0, NULL },
};

static int init(void **self, const double *a, uint64_t seed, const char **why)
{
    const mscope_gated_shape s = { .rows = (uint32_t)a[ROWS], .dim = (uint32_t)a[DIM], .batch = a[BATCH],
                                   .noise = a[NOISE], .spectrum = a[SPECTRUM], .octaves = 1,
                                   .uniform = a[UNIFORM] > 0, .initial = 1 };
    mscope_gated *g = calloc(1, sizeof *g);
    double *p = malloc(s.rows * sizeof *p), sum = 0;
    int rc = -1;
    *self = g;
    *why = "out of memory";
    if (p != NULL && g != NULL) {
        for (uint32_t j = 0; j < s.rows; j++)
            sum += p[j] = pow(j + 1.0, -a[POWER]);
        for (uint32_t j = 0; j < s.rows; j++)
            p[j] /= sum;
        rc = mscope_gated_open(g, &s, p, seed);
    }
    free(p);
    return rc;
}

const mscope_workload mscope_workload_vocab_ls = {
    .name = "vocab-ls",
    .help = "a Zipf vocabulary of gated least-squares rows sharing one eta and beta, in octaves of p",
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
