/* claim.c - the usual verdict of a claim */
#include "claim.h"

#include <math.h>

void mscope_claim_judge(const mscope_claim *claim, double ours, mscope_claim_result *out)
{
    out->ours = ours;
    out->corrected = out->low = out->high = NAN;
    out->verdict = fabs(ours - claim->value) <= claim->tolerance ? MSCOPE_CLAIM_PASS : MSCOPE_CLAIM_FAIL;
    out->note[0] = '\0';
}
