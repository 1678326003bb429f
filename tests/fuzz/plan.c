/* plan.c - the text of an advice, of any bytes: what is taken is in its ranges, and every row gets one of its rates */
#include <math.h>

#include "fuzz.h"
#include "mscope/rates.h"

enum { ROWS = 5 };

static void rates(const mscope_row_plan *plan)
{
    static const uint64_t seen[ROWS] = { 0, 1, 7, 1000, UINT64_MAX };
    double eta[ROWS];

    FUZZ_HOLDS(plan->bands > 0 && plan->bands <= MSCOPE_BANDS);
    FUZZ_HOLDS(plan->eps_then > 0 && plan->eps_then <= 1 && plan->look_again > 0);
    FUZZ_HOLDS(mscope_row_plan_rates(plan, seen, ROWS, 1000, eta) == 0);
    for (int i = 0; i < ROWS; i++)
        FUZZ_HOLDS(eta[i] > 0 && isfinite(eta[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    mscope_row_plan plan;
    char *text = malloc(len + 1);

    FUZZ_HOLDS(text != NULL);
    memcpy(text, bytes, len);
    text[len] = '\0';
    if (mscope_row_plan_read(text, NULL, &plan) == 0)
        rates(&plan);
    if (mscope_row_plan_read(text, "words", &plan) == 0)
        rates(&plan);
    free(text);
    return 0;
}
