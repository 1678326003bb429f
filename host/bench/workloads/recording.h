/* recording.h - a recorded training run as a problem on which schedules can be compared
 *
 * A recording has, for each step, the active rows, how often each occurred (N), and their gradients G_rec. These were
 * taken at the recorded place of the row, theta_rec. At another place the gradient is not known. The model is
 * linear:
 *
 *     G = G_rec + N h (theta - theta_rec)
 *
 * h is the curvature of one occurrence along the momentum. It comes from the recorded probes: each is a sample of
 * <m, H_b m>/|m|^2, H_b of the batch as sent. For a row, h = sum of samples / sum of N, where the mean of the band
 * counts as PRIOR occurrences of the row. Rows of bands that were never probed have h = 0 (open loop): their gradient
 * is the recorded one wherever the row is. Under the recorded schedule theta = theta_rec always, so the recording is
 * reproduced for any h.
 *
 * With h > 0 each occurrence is a sample with the loss h/2 |theta - c|^2, c = theta_rec - G_rec/(N h). The risk is the
 * excess of their sum over its least value, per sample:
 *
 *     risk = sum_i p_i h_i/2 |theta_i - best_i|^2,      best_i = mean of c over the row's occurrences
 *
 * Within the model this is an identity. The end of the recorded run is no good centre: it is where the recorded
 * schedule happened to stop.
 *
 * Limits of the model:
 *   - It is in-sample: the gradients that train also judge.
 *   - Curvature across the momentum is not in it, nor noise that grows with distance: the largest stable rate cannot
 *     be read off it.
 *   - Far from its recorded place a row sees gradients of a model that was trained otherwise.
 *   - best is one point for the whole recording. Where the rest of the model moves on (the demo's readout does), rows
 *     that follow it leave best again, and their risk rises.
 *
 *   recording_load.c   the messages of one table: rows by falling p, order of every step, recorded rates
 *   recording_fit.c    curvature, best, risks of the recorded run
 *   recording_play.c   the gradient sums of a step; the recorded trajectory
 *   recording.c        the workload */
#ifndef MSCOPE_BENCH_RECORDING_H
#define MSCOPE_BENCH_RECORDING_H

#include "tape/contents.h"
#include "rows.h"

typedef struct mscope_recording_message {
    mscope_header header;
    const uint8_t *part[4];              /* after the header                                      */
} mscope_recording_message;

typedef struct mscope_recording_at {          /* one step                                              */
    uint32_t message;                     /* its STEP, counted from 1; 0: lost or refused, so silent */
    uint32_t before, n_before;            /* PROBE and SYNC messages before the step               */
    size_t order;                         /* where the order of its entries begins                 */
} mscope_recording_at;

typedef struct mscope_recording {
    mscope_tape tape;
    mscope_hello hello;
    char file[256];
    uint32_t rows, dim, entries;          /* rows that were ever active; most entries in one message */
    uint64_t steps, begins;               /* steps done before the first one                       */
    uint32_t unknown;                     /* active rows whose values then are not known: theta = m = 0 is a guess */
    mscope_recording_message *message;
    size_t messages;
    mscope_recording_at *at;                  /* steps + 1: the last for what came after the last step */
    uint32_t *order;                      /* positions of a step's entries by ascending row, stable */
    uint32_t *rank;                       /* by row of the table: its number here + 1; 0: never active */
    uint32_t *id;                         /* by rank: the row of the table                         */
    mscope_bench_rates *rates;            /* of each step                                          */
    double batch, occurrences;            /* mean samples a step; occurrences in all                */
    uint64_t lost, refused, probes;       /* steps without a STEP; messages the daemon would refuse  */
    size_t bands;
    uint32_t first[MSCOPE_BENCH_BANDS + 1];
    double *p, *count, *h, *best;         /* by rank; best: rows x dim                             */
    double closed[MSCOPE_BENCH_BANDS + 1];  /* share of the occurrences with h > 0                  */
    /* the recorded run's risk; end: mean of its last tenth */
    double start[MSCOPE_BENCH_BANDS + 1], end[MSCOPE_BENCH_BANDS + 1];
} mscope_recording;

/* mscope_recording_rank - the number of a row of the table here; UINT32_MAX: it was never active */
static inline uint32_t mscope_recording_rank(const mscope_recording *t, uint32_t row)
{
    return t->rank[row] - 1;
}

/* mscope_recording_open - table NULL: the only one. Returns 0, or -1 with the offending value in why */
int mscope_recording_open(mscope_recording **out, const char *file, const char *table, char why[512]);
void mscope_recording_close(mscope_recording *t);

/* mscope_recording_rows - of a run of the workload: its rows, settled, and the recorded ones beside it */
mscope_bench_rows *mscope_recording_rows(void *self, mscope_bench_rows **recorded);

/* ---- between the files ------------------------------------------------------------------------------------- */

int mscope_recording_fit(mscope_recording *t);                   /* recording_fit.c; 0 or -1: no memory         */

/* What one step brings: n ascending ranks, their gradients summed in the order sent, their occurrences. */
typedef struct mscope_recording_feed {
    uint32_t n, *row;
    double *g, *N;                        /* n x dim, n                                            */
    double *values;                       /* decoded as sent                                       */
} mscope_recording_feed;

int mscope_recording_feed_open(mscope_recording_feed *f, const mscope_recording *t);
void mscope_recording_feed_close(mscope_recording_feed *f);
void mscope_recording_feed_step(mscope_recording_feed *f, const mscope_recording *t, uint64_t step);

/* The recorded trajectory, one step at a time, by catch-up under the recorded rates. */
int mscope_recording_rows_open(mscope_bench_rows *r, const mscope_recording *t);
int mscope_recording_rows_step(mscope_bench_rows *r, const mscope_recording *t, uint64_t step,
                               const mscope_recording_feed *f);

/* mscope_recording_rows_given - rows that the trainer sent (SYNC) before this step. recorded: takes them; other, if
 * not NULL, is displaced as recorded is, its momentum in units of `unit` times the recorded. settled is asked before
 * rows are changed. */
int mscope_recording_rows_given(mscope_bench_rows *recorded, mscope_bench_rows *other, double unit,
                                const mscope_recording *t, uint64_t step);

/* risk of each band, [bands] the total, for rows settled */
void mscope_recording_risk(const mscope_recording *t, const double *theta, double risk[MSCOPE_BENCH_BANDS + 1]);

#endif
