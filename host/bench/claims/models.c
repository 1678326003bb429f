/* models.c - workloads driven by hand, without schedules and files */
#include "models.h"

#include "common/fnv1a.h"

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
    return mscope_fnv1a(seed, claim) + i * 0x9e3779b97f4a7c15u;
}
