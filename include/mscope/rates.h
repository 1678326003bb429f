/* rates.h - a stage of `momentscope advise --json` as a rate for every row of a trainer's table
 *
 *     momentscope advise --json --table words > plan.json                                   in a shell
 *
 *     mscope_row_plan plan;                                                                 in the trainer
 *     if (mscope_row_plan_read(text_of_plan_json, "words", &plan) == 0)
 *         mscope_row_plan_rates(&plan, seen, rows, samples, eta);
 *     ..from here on m <- (1 - plan.eps_then) m + plan.eps_then g; theta[row] -= eta[row] m[row]..
 *
 * Rates are in EMA form. In the form m <- beta m + (1 - dampening) g of torch.optim.SGD a row's rate is
 * lr = eta eps_then/(1 - dampening). Advice to stay is a plan too: every rate in it is the present one.
 *
 * A row belongs to the band of its own p = seen/samples, band b: 2^-(b+1) < p <= 2^-b (core.h). Rows of a band that the
 * plan has no rate for, because none of its rows was active when it was made, take that of the nearest band; rows that
 * were never seen take that of the rarest. */
#ifndef MSCOPE_RATES_H
#define MSCOPE_RATES_H

#include <stddef.h>
#include <stdint.h>

#include "core.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mscope_row_plan {
    double eta, eps;               /* the present setting of the table, which the plan starts from      */
    double eps_then;               /* 1 - beta as advised, one for all rows                              */
    double look_again;             /* steps until the next advice is due                                 */
    int stay;                      /* 1: the advice is to stay                                            */
    uint32_t bands;
    uint32_t band[MSCOPE_BANDS];   /* ascending                                                          */
    double eta_then[MSCOPE_BANDS]; /* of the rows of band[i]                                              */
} mscope_row_plan;

/* mscope_row_plan_read - the stage of one table, from the lines that `momentscope advise --json` printed
 *
 * Shape    advice: text that ends in 0, one object or several, one after the other. table NULL: the only object
 * Errors   MSCOPE_EINVAL: no object of that table, no advice in it (with advise's reason), a field that is missing or
 *          out of range, a beta for each band. mscope_client_fault tells field, value and range; *out stays as it was
 * Threads  any; no allocation                                                                                    */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_row_plan_read(const char *advice, const char *table, mscope_row_plan *out);

/* mscope_row_plan_rates - the rate of every row
 *
 * Shape    seen[rows]: occurrences of each row in `samples` samples; eta[rows] is written
 * Errors   MSCOPE_EINVAL: a pointer is NULL, samples is 0, the plan has no band
 * Threads  any.   Cost O(rows)                                                                                   */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_row_plan_rates(const mscope_row_plan *plan, const uint64_t *seen, uint32_t rows,
                                                      uint64_t samples, double *eta);

#ifdef __cplusplus
}
#endif
#endif
