/* counsel.h - everything that is said about one table: bounds, what one beta costs its bands, where to go next
 *
 * counsel.c computes it, counsel_words.c says it in sentences, counsel_json.c as a JSON object.                 */
#ifndef MSCOPE_DIAGNOSE_COUNSEL_H
#define MSCOPE_DIAGNOSE_COUNSEL_H

#include <stdio.h>

#include "bounds.h"
#include "conflict.h"
#include "price.h"
#include "stage.h"

typedef struct mscope_counsel {
    mscope_measured measured;
    int stays;                           /* an optimizer that is read: measured.why says why there is no other advice */
    int possible;                        /* 0: measured.why says why there is neither price nor advice        */
    double activity[MSCOPE_REGIME_UNSTABLE + 1], rows[MSCOPE_REGIME_UNSTABLE + 1]; /* occupancy: share in each regime */
    mscope_conflict conflict;            /* at the present eta                                                */
    mscope_price price;                  /* what a beta for each band would win, and the flag                  */
    mscope_bounds bounds;
    mscope_stage stage;                  /* the advice: where to go, or to stay                                */
    double fraction;                     /* target over present excess risk                                   */
    mscope_advice advice;                /* where the walk may lead if the model held all the way; no advice   */
    int doubted;                         /* uneven[] is there: steps of each plan if directions of a row differ    */
    double uneven[MSCOPE_PLANS];
} mscope_counsel;

/* mscope_counsel_of - price and advice for the bands of one table
 *
 * Shape    rec: n records of one table. fraction: target over present excess risk, 0 < fraction < 1
 * Threads  any.  Cost a search, up to seconds
 * Returns  1 when there is something to say, 0 when measured.why says why not                                 */
int mscope_counsel_of(const mscope_rec_band *const *rec, size_t n, const mscope_measured_options *o, double fraction,
                      mscope_counsel *out);

/* mscope_counsel_say - some sentences, each line indented by two spaces */
void mscope_counsel_say(const mscope_counsel *c, FILE *to);

/* mscope_counsel_explain - every plan with its steps, the numbers behind it, other batches, and rules for reference */
void mscope_counsel_explain(const mscope_counsel *c, FILE *to);

/* mscope_counsel_json - one line */
void mscope_counsel_json(const mscope_counsel *c, const char *table, FILE *to);

#endif
