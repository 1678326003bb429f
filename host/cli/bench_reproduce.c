/* bench_reproduce.c - momentscope bench reproduce: the options; claims/reproduce.c does the work */
#include "bench.h"

#include <stdio.h>

#include "bench/claims/claim.h"
#include "bench/claims/reproduce.h"
#include "bench/run/pool.h"
#include "bench/run/ranks.h"
#include "common/exit.h"
#include "common/options.h"

static void sum_up(const mscope_reproduced *r, int json)
{
    FILE *to = json ? stderr : stdout;
    fprintf(to, "%d pass, %d fail, %d corrected, of %zu", r->count[MSCOPE_CLAIM_PASS], r->count[MSCOPE_CLAIM_FAIL],
            r->count[MSCOPE_CLAIM_CORRECTED], r->n);
    if (r->uncomputed > 0)
        fprintf(to, "; %zu could not be computed", r->uncomputed);
    fprintf(to, "\n");
}

static int compute(const mscope_reproduce *ask, int strict)
{
    mscope_reproduced r;
    const int rc = mscope_reproduce_run(ask, &r);
    if (r.n == 0) {
        if (mscope_ranks_mine() == 0)
            fprintf(stderr, "momentscope bench reproduce: no claim has this --paper and --figure\n");
        return MSCOPE_EXIT_USAGE;
    }
    if (rc == MSCOPE_POOL_SERVED)
        return MSCOPE_EXIT_OK;
    sum_up(&r, ask->json);
    return rc != MSCOPE_POOL_DONE || r.uncomputed > 0 || (strict && r.count[MSCOPE_CLAIM_FAIL] > 0) ? MSCOPE_EXIT_FAILED
                                                                                                    : MSCOPE_EXIT_OK;
}

int mscope_cmd_bench_reproduce(int argc, char **argv)
{
    mscope_reproduce ask = { .seed = 1 };
    uint64_t jobs = 1;
    int strict = 0;
    const mscope_option options[] = {
        { "paper", "NAME", "only claims of this paper, such as 000", .text = &ask.paper },
        { "figure", "TEXT", "only figures with these whole words: 'Figure 1' finds 1(b), not 10", .text = &ask.figure },
        { "seed", "N", "seed of the sampled claims (1)", .count = &ask.seed },
        { "jobs", "N", "processes (1), under mpirun on each rank", .count = &jobs, .low = 1, .high = 256 },
        { "json", NULL, "one JSON object a line; the count of verdicts goes to standard error", .flag = &ask.json },
        { "strict", NULL, "make a verdict FAIL an exit code 1", .flag = &strict },
        { .name = NULL },
    };
    const mscope_command c = {
        .name = "momentscope bench reproduce",
        .usage = "[OPTION...]",
        .about =
            "Computes every claim of the papers and prints the paper's number, ours, and a verdict. PASS: they agree. "
            "FAIL: they do not agree, and the paper's number is not known to be wrong. CORRECTED: the paper's number "
            "is refuted. The last line counts the verdicts.",
        .option = options,
        .example = "momentscope bench reproduce --paper 000 --figure 'Figure 17' --jobs 2",
        .exits =
            "0 every claim was computed, whatever the verdicts\n"
            "1 a claim could not be computed, or the command was interrupted; with --strict: or a verdict is FAIL\n"
            "2 wrong usage",
        .silent = mscope_ranks_mine() != 0,
    };
    const int code = mscope_options_read(&c, argc, argv, NULL);
    ask.jobs = (int)jobs;
    return code != MSCOPE_OPTIONS_GO_ON ? code : compute(&ask, strict);
}
