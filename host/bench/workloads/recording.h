/* recording.h - a recorded training run as a problem that schedules can be compared on
 *
 * The recording says which rows were active in which step, how often (N), and their gradients G_rec, taken where the recorded
 * schedule had led the row, theta_rec. Elsewhere the gradient is not known; the model is its linearisation
 *
 *     G = G_rec + N h (theta - theta_rec)
 *
 * with h the curvature of one occurrence along the momentum, from the recorded probes: of a row's samples of
 * <m, H_b m>/|m|^2, where H_b is the batch as sent, h = sum of samples / sum of N, a band's mean counting as PRIOR occurrences of
 * each of its rows. Rows of bands that were never probed have h = 0: open loop, the gradient is the recorded one wherever the
 * row is. Under the recorded schedule theta = theta_rec always, and the recording is reproduced whatever h is.
 *
 * With h > 0 each occurrence is a sample with loss h/2 |theta - c|^2, c = theta_rec - G_rec/(N h). The risk is the excess of their
 * sum over its least value, a sample:
 *
 *     risk = sum_i p_i h_i/2 |theta_i - best_i|^2,      best_i = mean of c over the row's occurrences
 *
 * an identity, not an approximation, within the model; the end of the recorded run, the other candidate for a centre, is wherever its
 * schedule happened to stop. What it cannot say: it is in-sample (the gradients that train also judge); curvature across the
 * momentum, and how noise grows with distance, are not in it, so no largest stable rate may be read off it; and a row far from where
 * it was recorded meets gradients that are not those of the model that was trained. And best is one point for the whole
 * recording: where the rest of the model moved on (the demo's readout does), rows that follow it leave best again and their risk rises.
 *
 *   recording_load.c   the messages of one table: rows by falling p, order of every step, recorded rates
 *   recording_fit.c    curvature, best, risks of the recorded run
 *   recording_play.c   a step's gradient sums; a recorded trajectory
 *   recording.c  the workload                                                                          */
#ifndef MSCOPE_BENCH_RECORDING_H
#define MSCOPE_BENCH_RECORDING_H

#include "tape/contents.h"
#include "rows.h"

typedef struct mscope_recording_message {
    mscope_header header;
    const uint8_t *part[4];              /* behind the header                                     */
} mscope_recording_message;

typedef struct mscope_recording_at {          /* one step                                              */
    uint32_t message;                     /* of its STEP, counted from 1; 0: lost or refused, silent */
    uint32_t before, n_before;            /* of what came before it: PROBE, SYNC                   */
    size_t order;                         /* where its entries' order begins                       */
} mscope_recording_at;

typedef struct mscope_recording {
    mscope_tape tape;
    mscope_hello hello;
    char file[256];
    uint32_t rows, dim, entries;          /* rows that were ever active; most entries in one message */
    uint64_t steps, begins;               /* steps done before the first one                       */
    uint32_t unknown;                     /* active rows that were not known then: theta = m = 0 is a guess */
    mscope_recording_message *message;
    size_t messages;
    mscope_recording_at *at;                  /* steps + 1: the last for what came behind the last step */
    uint32_t *order;                      /* positions of a step's entries by ascending row, stable */
    uint32_t *rank;                       /* of a row of the table among ours; UINT32_MAX: never active */
    uint32_t *id;                         /* and back                                              */
    mscope_bench_rates *rates;            /* of each step                                          */
    double batch, occurrences;            /* mean samples a step; occurrences in all                */
    uint64_t lost, refused, probes;       /* steps without a STEP; messages the daemon would refuse  */
    size_t bands;
    uint32_t first[MSCOPE_BENCH_BANDS + 1];
    double *p, *count, *h, *best;         /* by rank; best: rows x dim                             */
    double closed[MSCOPE_BENCH_BANDS + 1];  /* share of the occurrences with h > 0                  */
    double start[MSCOPE_BENCH_BANDS + 1], end[MSCOPE_BENCH_BANDS + 1];  /* the recorded run's risk; end: mean of its last tenth */
} mscope_recording;

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
int mscope_recording_rows_step(mscope_bench_rows *r, const mscope_recording *t, uint64_t step, const mscope_recording_feed *f);

/* mscope_recording_rows_given - rows that the trainer sent (SYNC) before this step. recorded: takes them; other, if not NULL, is
 * displaced as recorded is, its momentum in units of `unit` times the recorded. settled is asked before rows are changed. */
int mscope_recording_rows_given(mscope_bench_rows *recorded, mscope_bench_rows *other, double unit, const mscope_recording *t,
                            uint64_t step);

/* risk of each band, [bands] the total, for rows settled */
void mscope_recording_risk(const mscope_recording *t, const double *theta, double risk[MSCOPE_BENCH_BANDS + 1]);

#endif
