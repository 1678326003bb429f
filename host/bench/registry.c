/* registry.c - every workload and every table of claims, in the order in which they are listed
 *
 * A new one needs two lines here: its extern, and its place in the table.                                       */
#include "workload.h"

#include <math.h>
#include <string.h>

extern const mscope_workload mscope_workload_sparse_ls;
extern const mscope_workload mscope_workload_rare_lr;
extern const mscope_workload mscope_workload_vocab_ls;
extern const mscope_workload mscope_workload_bigram;
extern const mscope_workload mscope_workload_uv;
extern const mscope_workload mscope_workload_pca;
extern const mscope_workload mscope_workload_gmm;
extern const mscope_workload mscope_workload_xor;
extern const mscope_workload mscope_workload_multi_index;
extern const mscope_workload mscope_workload_recording;

const mscope_workload *const mscope_workloads[] = {
    &mscope_workload_sparse_ls,
    &mscope_workload_rare_lr,
    &mscope_workload_vocab_ls,
    &mscope_workload_bigram,
    &mscope_workload_uv,
    &mscope_workload_pca,
    &mscope_workload_gmm,
    &mscope_workload_xor,
    &mscope_workload_multi_index,
    &mscope_workload_recording,
    NULL,
};

extern const mscope_claim mscope_claims_000[];
extern const mscope_claim mscope_claims_semantics[];
extern const mscope_claim mscope_claims_001[];
extern const mscope_claim mscope_claims_003[];
extern const mscope_claim mscope_claims_004[];

const mscope_claim *const mscope_claim_tables[] = {
    mscope_claims_000,
    mscope_claims_semantics,
    mscope_claims_001,
    mscope_claims_003,
    mscope_claims_004,
    NULL,
};

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

void mscope_claim_judge(const mscope_claim *claim, double ours, mscope_claim_result *out)
{
    out->ours = ours;
    out->corrected = out->low = out->high = NAN;
    out->verdict = fabs(ours - claim->value) <= claim->tolerance ? MSCOPE_CLAIM_PASS : MSCOPE_CLAIM_FAIL;
    out->note[0] = '\0';
}
