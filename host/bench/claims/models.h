/* models.h - workloads driven by hand, for claims and tests */
#ifndef MSCOPE_BENCH_MODELS_H
#define MSCOPE_BENCH_MODELS_H

#include "claim.h"

#include "bench/statistics.h"
#include "bench/workload.h"

typedef struct mscope_model_value {
    const char *name;                 /* of a parameter; NULL closes a list                       */
    double value;
} mscope_model_value;

/* mscope_model_open - a workload with its defaults, changed by a list (NULL: none)
 * Returns  its state, NULL when the parameters are refused; the caller ends it with w->fini       */
void *mscope_model_open(const mscope_workload *w, const mscope_model_value *change, uint64_t seed);

/* mscope_model_sgd - steps of plain SGD at rate eta; negative when the run diverged               */
int mscope_model_sgd(const mscope_workload *w, void *self, double eta, uint64_t steps);

/* mscope_model_stat - one statistic of the summary now, by its index */
double mscope_model_stat(const mscope_workload *w, void *self, int stat);

/* mscope_model_seed - seed of run i under a claim's seed: different claims share no run          */
uint64_t mscope_model_seed(uint64_t seed, const char *claim, uint64_t i);

#endif
