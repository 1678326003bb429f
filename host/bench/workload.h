/* workload.h - what a workload, a schedule's step and a claim look like to the bench
 *
 * A workload is one const struct in a file of its own (workload_NAME.c), listed in registry.c. The runner owns the loop:
 *
 *     init(seed, params);  summary;  { values of the schedule at t;  step;  summary now and then } * steps;  fini
 *
 * A claim is one row of `bench reproduce`: a function that computes our number and says PASS, FAIL or CORRECTED. A table of
 * them is a const array in claims_PAPER.c, closed by an entry whose paper is NULL, and listed in registry.c.
 *
 * Threads  none: parallel runs are processes. A run must depend on (params, schedule, seed) alone: no clock, no address,
 *          no static state. Random numbers come from mscope_bench_rng.                                           */
#ifndef MSCOPE_BENCH_WORKLOAD_H
#define MSCOPE_BENCH_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#include <gsl/gsl_rng.h>

enum { MSCOPE_BENCH_BANDS = 32, MSCOPE_BENCH_PARAMS = 24, MSCOPE_BENCH_STATS = 8 };

/* ---- parameters ------------------------------------------------------------------------------------- */

/* Of a workload or of a schedule. Names of the two never meet: eta, eps and what a rule needs are a schedule's.  */
typedef struct mscope_bench_param {
    const char *name;                 /* as in --grid NAME=a,b,c; NULL closes a table            */
    double value;                     /* default                                                 */
    double low, high;                 /* range, both ends allowed                                */
    int whole;                        /* 1: whole numbers only                                   */
    const char *help;                 /* one line                                                */
} mscope_bench_param;

/* ---- one step of a schedule ----------------------------------------------------------------------------- */

/* m <- beta m + gain g;  theta <- theta - eta m - direct g       EMA form: gain = eps = 1 - beta; DANA: gain = 1
 * nesterov: theta <- theta - eta (beta m + gain g) with the new m, the look-ahead of torch.
 * Decay, of every row at every step: g <- g + coupled theta;  theta <- (1 - shrink) theta first. Recordings have it, rules do not.
 * A workload without silent rows need not read this: mscope_bench_move (rows.h) moves a dense vector.        */
typedef struct mscope_bench_rates {
    double eta, eps, gain, direct;
    int nesterov;
    double coupled, shrink;
} mscope_bench_rates;

enum mscope_bench_semantics {         /* what a step does to rows that got no gradient            */
    MSCOPE_BENCH_CATCHUP,             /* as dense, by closed form when next needed: firmware/core */
    MSCOPE_BENCH_DENSE,               /* m decays and theta drifts at every step: a full sweep    */
    MSCOPE_BENCH_FROZEN,              /* nothing: m waits for the next gradient                   */
    MSCOPE_BENCH_ROW_CLOCK            /* frozen, and the schedule is read at the row's own count of active updates */
};

struct mscope_bench_schedule;         /* schedules.h */

typedef struct mscope_bench_step {
    uint64_t t;                       /* from 0                                                  */
    mscope_bench_rates all;           /* for every row, unless ...                               */
    const mscope_bench_rates *band;   /* ... not NULL: one for each of the workload's bands      */
    enum mscope_bench_semantics semantics;
    const struct mscope_bench_schedule *schedule;  /* for MSCOPE_BENCH_ROW_CLOCK: mscope_bench_rates_at */
} mscope_bench_step;

/* ---- what a workload tells about itself --------------------------------------------------------------------- */

typedef struct mscope_bench_band {
    double p;                         /* occurrences a sample of one row; 1 where rows have no gate */
    double rows;
    double risk;                      /* what the target is counted in; sums to the total's     */
    double stat[MSCOPE_BENCH_STATS];  /* by the names in mscope_workload.stats                  */
} mscope_bench_band;

typedef struct mscope_bench_summary {
    size_t bands;                     /* >= 1, constant over a run, most frequent first          */
    mscope_bench_band band[MSCOPE_BENCH_BANDS];
    mscope_bench_band total;
} mscope_bench_summary;

/* ---- where a workload comes from, if not from its parameters and the seed alone -------------------------------- */

typedef struct mscope_bench_text {    /* an option --NAME TEXT of bench run                      */
    const char *name, *help;          /* name NULL closes a table                                */
} mscope_bench_text;

typedef struct mscope_bench_facts {
    char key[160];                    /* tells it from others, in the key of a run: no blanks     */
    char note[900];                   /* what a reader of the results must know                  */
    double steps;                     /* longest run there can be, and the length by default     */
    double d, batch;                  /* for schedules that read them                            */
} mscope_bench_facts;

/* Opened once before the first run, then read only and shared by all of them. */
typedef struct mscope_bench_origin {
    const mscope_bench_text *texts;   /* at most 8                                               */
    /* text[i]: what --NAME of texts[i] said, or NULL. Returns 0, or negative with the offending value in why. */
    int (*open)(void **origin, const char *const *text, char why[512]);
    void (*facts)(const void *origin, mscope_bench_facts *out);
    /* The rates it was made with at step t, for the rule `recorded`.                                         */
    void (*rates)(const void *origin, double t, mscope_bench_rates *out);
    void (*close)(void *origin);
} mscope_bench_origin;

typedef struct mscope_workload {
    const char *name;                 /* "sparse-ls"                                             */
    const char *help;                 /* one line                                                */
    const mscope_bench_param *params; /* closed by a NULL name                                    */
    const char *const *stats;         /* names of stat[0..], closed by NULL; NULL: none          */

    const mscope_bench_origin *origin; /* NULL: none                                             */
    int draws_nothing;                /* 1: every seed is the same run, more than one is refused   */

    /* *self: the run's state, allocated here, freed by fini; NULL before, or what origin->open made, which is not the run's
     * to change. params: values in the table's order, already in range.
     * Returns 0, or negative with *why (static text): values that do not go together, or a file missing.     */
    int (*init)(void **self, const double *params, uint64_t seed, const char **why);
    /* Returns 0, or negative when the state left the finite numbers: the run ends as diverged.              */
    int (*step)(void *self, const mscope_bench_step *step);
    void (*summary)(void *self, mscope_bench_summary *out);
    /* Expectation of the summary after t steps of constant rates, from the state as it is now (asked before the first step;
     * the state is as it was afterwards). Exact or a limit: the workload's header says which. NULL: theory does not know.
     * Returns 0, or negative where theory does not know.                                                    */
    int (*theory)(void *self, const mscope_bench_rates *rates, double t, mscope_bench_summary *out);
    /* Risk at which band b (bands: the total) counts as learnt; 0: nothing to learn. NULL, or NaN: --target times
     * the risk at the start.                                                                                */
    double (*target)(void *self, size_t b);
    /* Rates for each band by the exact maps, from one (eta, eps): beta_each 0 searches eta_i, 1 searches eps_i.
     * NULL: no advice. Returns 0, or negative where nothing was found.                                      */
    int (*advise)(void *self, const mscope_bench_rates *now, int beta_each, double fraction, mscope_bench_rates *band);
    void (*fini)(void *self);
} mscope_workload;

extern const mscope_workload *const mscope_workloads[];       /* registry.c, NULL at the end */
const mscope_workload *mscope_workload_find(const char *name);

/* mscope_bench_param_index - position in a table, -1 if there is no such name */
int mscope_bench_param_index(const mscope_bench_param *table, const char *name);

/* ---- random numbers --------------------------------------------------------------------------------------------- */

/* mscope_bench_rng - xoshiro256++ as a GSL generator; different (seed, stream) pairs are independent streams
 * Owns  the caller frees it with gsl_rng_free; NULL: out of memory                                          */
gsl_rng *mscope_bench_rng(uint64_t seed, uint64_t stream);
double mscope_bench_normal(gsl_rng *r);

#endif
