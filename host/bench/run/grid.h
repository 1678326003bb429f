/* grid.h - the runs that a command line asks for */
#ifndef MSCOPE_BENCH_GRID_H
#define MSCOPE_BENCH_GRID_H

#include "bench/schedules.h"

enum { MSCOPE_GRID_VALUES = 256, MSCOPE_GRID_RULES = 32, MSCOPE_GRID_RUNS = 1 << 20 };

typedef struct mscope_bench_run {
    const mscope_workload *workload;
    double param[MSCOPE_BENCH_PARAMS];
    mscope_bench_schedule schedule;
    enum mscope_bench_semantics semantics;
    uint64_t seed, steps, every;
    double target;                                   /* share of the risk at the start                */
    const void *origin;                              /* NULL where the workload has none; borrowed     */
} mscope_bench_run;

typedef struct mscope_grid {
    const mscope_workload *workload;
    size_t n[MSCOPE_BENCH_PARAMS], rule_n[MSCOPE_RULE_PARAMS];    /* values of each parameter          */
    double v[MSCOPE_BENCH_PARAMS][MSCOPE_GRID_VALUES], rule_v[MSCOPE_RULE_PARAMS][MSCOPE_GRID_VALUES];
    int given[MSCOPE_BENCH_PARAMS], rule_given[MSCOPE_RULE_PARAMS], rules_given, semantics_given;  /* 1: by an option */
    const mscope_bench_rule *rule[MSCOPE_GRID_RULES];
    size_t rules;
    enum mscope_bench_semantics semantics[4];
    size_t n_semantics;
    uint64_t seed_first, seeds, steps, every;
    double target;
    void *origin;                                    /* opened; freed by mscope_grid_close            */
    mscope_bench_facts facts;
} mscope_grid;

/* mscope_grid_start - every parameter at its default, schedule constant, catch-up, seed 1, steps not yet known */
void mscope_grid_start(mscope_grid *g, const mscope_workload *w);

/* Each takes the value of one option. Returns 0, or -1 with the bad value named in why[256].
 * set:  NAME=a,b,c | NAME=lo:hi:xN (geometric) | NAME=lo:hi:+N (linear); beta is 1 - eps
 * An item that occurs twice in one text counts once (values: when equal in the 12 digits of a run's key). A second text
 * for the same parameter (eps and beta are one), schedules or semantics is refused: it would silently replace the
 * first. */
int mscope_grid_set(mscope_grid *g, const char *text, char why[256]);
int mscope_grid_rules(mscope_grid *g, const char *text, char why[256]);
int mscope_grid_semantics(mscope_grid *g, const char *text, char why[256]);
int mscope_grid_seeds(mscope_grid *g, const char *text, char why[256]);   /* N, or FIRST:LAST */

/* mscope_grid_open - after all options: opens the workload's origin, text[i] being the value of its option i; checks
 * seeds, steps and schedules against it; steps 0 become its length, or 1000
 * Returns  0, or -1 with a sentence that names the bad value in why */
int mscope_grid_open(mscope_grid *g, const char *const *text, char why[512]);
void mscope_grid_close(mscope_grid *g);

const char *mscope_semantics_name(enum mscope_bench_semantics s);

/* mscope_grid_expand - all runs, each once: a rule is not run again for a parameter it does not read
 * Returns  how many, and *out from malloc; negative: too many or no memory                           */
long mscope_grid_expand(const mscope_grid *g, mscope_bench_run **out);

/* mscope_run_key - the text that identifies a run: settings, length and seed; with_seed 0: without the seed */
void mscope_run_key(const mscope_bench_run *r, int with_seed, char *key, size_t len);

#endif
