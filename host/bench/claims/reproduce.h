/* reproduce.h - the papers' claims, computed and printed */
#ifndef MSCOPE_BENCH_REPRODUCE_H
#define MSCOPE_BENCH_REPRODUCE_H

#include <stddef.h>
#include <stdint.h>

typedef struct mscope_reproduce {
    const char *paper;                /* only claims of this paper; NULL: of all                  */
    const char *figure;               /* only claims whose figure has these whole words; NULL: all */
    uint64_t seed;
    int jobs;                         /* processes at a time                                      */
    int json;                         /* 1: one JSON object a line instead of a table row         */
} mscope_reproduce;

typedef struct mscope_reproduced {
    size_t n;                         /* claims chosen; 0: none fits                              */
    size_t uncomputed;                /* of these: ours could not be computed (counted as FAIL)   */
    int count[3];                     /* by enum mscope_claim_verdict                             */
} mscope_reproduced;

/* mscope_reproduce_run - computes the chosen claims and prints each on standard output, in the order of the tables
 * Returns  enum mscope_pool_end, or negative as mscope_pool_run; out is complete after MSCOPE_POOL_DONE      */
int mscope_reproduce_run(const mscope_reproduce *ask, mscope_reproduced *out);

#endif
