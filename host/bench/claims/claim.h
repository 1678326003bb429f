/* claim.h - a number that a paper states, and how `momentscope bench reproduce` computes ours
 *
 * A table of claims is a const array in paper_NAME.c, closed by an entry whose paper is NULL, and listed in registry.c.
 */
#ifndef MSCOPE_BENCH_CLAIM_H
#define MSCOPE_BENCH_CLAIM_H

#include <stddef.h>
#include <stdint.h>

enum mscope_claim_verdict {
    MSCOPE_CLAIM_PASS,                /* ours agrees with the paper's value within the tolerance  */
    MSCOPE_CLAIM_FAIL,                /* ours does not agree, and the paper's value is not known to be wrong */
    MSCOPE_CLAIM_CORRECTED            /* the paper's value is refuted; ours agrees with the corrected one */
};

typedef struct mscope_claim_result {
    double ours;
    double corrected;                 /* the corrected value, for CORRECTED; else NaN             */
    double low, high;                 /* 95 % interval of ours where ours was sampled; else NaN   */
    enum mscope_claim_verdict verdict;
    char note[240];                   /* runs, sizes, what was compared, trend                    */
} mscope_claim_result;

typedef struct mscope_claim mscope_claim;
struct mscope_claim {
    const char *paper;                /* "000"; NULL closes a table                               */
    const char *figure;               /* "Figure 17", "Table 4", "(244)"                          */
    const char *claim;                /* one line: which number                                   */
    double value;                     /* the paper's; NaN when the paper gives none               */
    double tolerance;                 /* on |ours - value|, in value's unit; 0: run decides alone  */
    double argument;                  /* free for the table: lets one function serve several rows  */
    double seconds;                   /* about how long, on one core                              */

    /* Called in a process of its own. Returns 0, or negative when ours could not be computed: note says why, the
     * verdict is FAIL. */
    int (*run)(const mscope_claim *claim, uint64_t seed, mscope_claim_result *out);
};

extern const mscope_claim *const mscope_claim_tables[];        /* registry.c; closed by NULL */

/* mscope_claim_judge - sets ours and the verdict by |ours - value| <= tolerance; corrected, low, high NaN; note empty
 */
void mscope_claim_judge(const mscope_claim *claim, double ours, mscope_claim_result *out);

#endif
