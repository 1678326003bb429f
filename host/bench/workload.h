/* workload.h - the contract of a workload, and one step of a schedule
 *
 * A workload is one const struct in a file of its own, workloads/NAME.c, listed in workloads/registry.c.
 * run/execute.c owns the loop:
 *
 *     init(self, params, seed, why);  summary;  { rates of step t;  step;  summary every now and then } * steps;  fini
 *
 * Threads  none: parallel runs are processes. A run must depend on (params, schedule, seed) alone: no clock, no
 *          address, no static state. Random numbers come from mscope_bench_rng. */
#ifndef MSCOPE_BENCH_WORKLOAD_H
#define MSCOPE_BENCH_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#include <gsl/gsl_rng.h>

enum { MSCOPE_BENCH_BANDS = 32, MSCOPE_BENCH_PARAMS = 24, MSCOPE_BENCH_STATS = 8 };

/* ---- parameters ------------------------------------------------------------------------------------- */

/* A parameter of a workload or of a schedule. No name is in both tables: eta, eps and the like belong to schedules. */
typedef struct mscope_bench_param {
    const char *name;                 /* NAME in --grid NAME=a,b,c; NULL closes a table           */
    double value;                     /* default                                                 */
    double low, high;                 /* range, both ends included                               */
    int whole;                        /* 1: whole numbers only                                   */
    const char *help;                 /* one line                                                */
} mscope_bench_param;

/* ---- one step of a schedule ----------------------------------------------------------------------------- */

/* m <- beta m + gain g;  theta <- theta - eta m - direct g       EMA form: gain = eps = 1 - beta; DANA: gain = 1
 * nesterov: theta <- theta - eta (beta m + gain g) with the new m, the look-ahead of torch.
 * Weight decay of every row at every step: theta <- (1 - shrink) theta first, and g <- g + coupled theta. Only
 * recordings have it.
 * squares.by other than PLAIN: workloads/squares.h has the update. Only workloads that keep v know these rules.
 * A workload whose rows all get a gradient at every step need not read these: mscope_bench_move (workloads/rows.h)
 * moves a dense vector. */
typedef struct mscope_bench_rates {
    double eta, eps, gain, direct;
    int nesterov;
    double coupled, shrink;
    struct mscope_bench_squares {     /* rules that divide each coordinate by its own running mean of g^2 */
        enum { MSCOPE_BENCH_PLAIN, MSCOPE_BENCH_SQUARES, MSCOPE_BENCH_ACTIVITY } by;  /* PLAIN: nothing is divided */
        double eps, unbias;           /* v <- (1 - eps) v + eps g^2; the root is that of unbias v      */
        double t, kappa, clip;        /* ACTIVITY: the step, from 1, and two constants of Dana-Star   */
    } squares;
} mscope_bench_rates;

enum mscope_bench_semantics {         /* what a step does to rows that got no gradient            */
    MSCOPE_BENCH_CATCHUP,             /* as dense, but by a closed form when the row is next read: firmware/core */
    MSCOPE_BENCH_DENSE,               /* m decays and theta drifts at every step: a full sweep    */
    MSCOPE_BENCH_FROZEN,              /* nothing: theta and m stay until the next gradient        */
    MSCOPE_BENCH_ROW_CLOCK            /* frozen, and the schedule is read at the row's own count of active updates */
};

struct mscope_bench_schedule;         /* schedules.h */

typedef struct mscope_bench_step {
    uint64_t t;                       /* from 0                                                  */
    mscope_bench_rates all;           /* of every row, where band is NULL                        */
    const mscope_bench_rates *band;   /* else: one for each of the workload's bands              */
    enum mscope_bench_semantics semantics;
    const struct mscope_bench_schedule *schedule;  /* for MSCOPE_BENCH_ROW_CLOCK: mscope_bench_rates_at */
} mscope_bench_step;

/* ---- what a workload reports -------------------------------------------------------------------------------- */

typedef struct mscope_bench_band {
    double p;                         /* occurrences of a row in a sample; 1 where rows have no gate */
    double rows;
    double risk;                      /* the target is a value of it; bands sum to the total     */
    double stat[MSCOPE_BENCH_STATS];  /* named by mscope_workload.stats                          */
} mscope_bench_band;

typedef struct mscope_bench_summary {
    size_t bands;                     /* >= 1, the same over a run; most frequent rows first     */
    mscope_bench_band band[MSCOPE_BENCH_BANDS];
    mscope_bench_band total;
} mscope_bench_summary;

/* ---- the file that a workload comes from, if it comes from one --------------------------------------------------- */

typedef struct mscope_bench_text {    /* an option --NAME ARG of bench run, for this workload alone */
    const char *name, *arg, *help;    /* name NULL closes a table                                */
} mscope_bench_text;

typedef struct mscope_bench_facts {
    char key[160];                    /* identifies the content, in the key of a run; no blanks   */
    char note[900];                   /* what a reader of the results must know                  */
    double steps;                     /* the longest run, and the length by default               */
    double d, batch;                  /* for schedules that read them                            */
} mscope_bench_facts;

/* Opened once before the first run, then read only and shared by all of them. */
typedef struct mscope_bench_origin {
    const mscope_bench_text *texts;   /* at most 8                                               */
    /* text[i]: the value of option texts[i], or NULL. Returns 0, or negative with a sentence that names the bad value
     * in why. */
    int (*open)(void **origin, const char *const *text, char why[512]);
    void (*facts)(const void *origin, mscope_bench_facts *out);
    /* The rates of step t in the file, for the schedule `recorded`.                                          */
    void (*rates)(const void *origin, double t, mscope_bench_rates *out);
    void (*close)(void *origin);
} mscope_bench_origin;

typedef struct mscope_workload {
    const char *name;                 /* "sparse-ls"                                             */
    const char *help;                 /* one line                                                */
    const mscope_bench_param *params; /* closed by a NULL name                                    */
    const char *const *stats;         /* names of stat[0..], closed by NULL; NULL: none          */

    const mscope_bench_origin *origin; /* NULL: none                                             */
    int keeps_squares;                /* 1: it keeps the running means of adam, adana and dana-star  */
    int draws_nothing;                /* 1: every seed gives the same run, so more than one is refused */

    /* In: *self is NULL, or what origin->open made, which the run must not change. Out: *self is the state of the run,
     * allocated here and freed by fini, also after a failure unless it is NULL. params: values in the table's order, in
     * range.
     * Returns 0, or negative with *why (static text): no memory, values that do not go together, a file missing. */
    int (*init)(void **self, const double *params, uint64_t seed, const char **why);
    /* Returns 0, or negative when the state is no longer finite: the run ends as diverged.                   */
    int (*step)(void *self, const mscope_bench_step *step);
    void (*summary)(void *self, mscope_bench_summary *out);
    /* Expected summary after t steps of constant rates from the present state, which must not change; asked before
     * the first step. Exact or a limit: the head of the workload's file says which. NULL: never known.
     * Returns 0, or negative where it is not known. */
    int (*theory)(void *self, const mscope_bench_rates *rates, double t, mscope_bench_summary *out);
    /* Risk at which band b counts as learnt; b = bands: the total. 0: never reached; negative: no target. NULL, or
     * NaN: --target times the risk at the start. */
    double (*target)(void *self, size_t b);
    /* Rates for each band that reach fraction of the risk in the fewest steps, from one (eta, eps): beta_each 0
     * searches an eta for each band, 1 an eps. NULL: not possible. Returns 0, or negative where nothing was found. */
    int (*advise)(void *self, const mscope_bench_rates *now, int beta_each, double fraction, mscope_bench_rates *band);
    void (*fini)(void *self);
} mscope_workload;

extern const mscope_workload *const mscope_workloads[];       /* workloads/registry.c; closed by NULL */
const mscope_workload *mscope_workload_find(const char *name);  /* NULL: none has this name */

/* mscope_bench_param_index - position of a name in a table, -1 where it has none */
int mscope_bench_param_index(const mscope_bench_param *table, const char *name);

/* ---- random numbers --------------------------------------------------------------------------------------------- */

/* mscope_bench_rng - xoshiro256++ as a GSL generator; different (seed, stream) pairs are independent streams
 * Owns  the caller frees it with gsl_rng_free; NULL: out of memory                                          */
gsl_rng *mscope_bench_rng(uint64_t seed, uint64_t stream);
double mscope_bench_normal(gsl_rng *r);   /* N(0, 1) */

#endif
