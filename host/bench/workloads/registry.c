/* registry.c - the list of workloads, in the order in which `momentscope bench list` shows them
 *
 * A new workload is one line here and one file beside this one; README.md, "To add a workload", has the steps.   */
#include "bench/workload.h"

#include <string.h>

/* ADD(x): the file defines `const mscope_workload mscope_workload_x`. */
#define WORKLOADS(ADD) \
    ADD(sparse_ls)     \
    ADD(rare_lr)       \
    ADD(vocab_ls)      \
    ADD(bigram)        \
    ADD(bigram_pairs)  \
    ADD(uv)            \
    ADD(pca)           \
    ADD(gmm)           \
    ADD(xor)           \
    ADD(multi_index)   \
    ADD(recording)

#define DECLARE(x) extern const mscope_workload mscope_workload_##x;
#define ADDRESS(x) &mscope_workload_##x,

WORKLOADS(DECLARE)

const mscope_workload *const mscope_workloads[] = { WORKLOADS(ADDRESS) NULL };

const mscope_workload *mscope_workload_find(const char *name)
{
    for (size_t i = 0; mscope_workloads[i] != NULL; i++)
        if (strcmp(mscope_workloads[i]->name, name) == 0)
            return mscope_workloads[i];
    return NULL;
}

int mscope_bench_param_index(const mscope_bench_param *table, const char *name)
{
    for (int i = 0; table[i].name != NULL; i++)
        if (strcmp(table[i].name, name) == 0)
            return i;
    return -1;
}
