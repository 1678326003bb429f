/* sweep.h - all runs of a grid, each once, into a file that can be continued */
#ifndef MSCOPE_BENCH_SWEEP_H
#define MSCOPE_BENCH_SWEEP_H

#include "grid.h"

typedef struct mscope_sweep {
    const mscope_grid *grid;          /* opened by mscope_grid_open                               */
    const char *path;                 /* lines are appended here, runs that it has are skipped; NULL: standard output */
    int jobs;                         /* processes at a time, under mpirun on each rank           */
    int quiet;                        /* 1: no progress on stderr                                 */
} mscope_sweep;

enum mscope_sweep_end {
    MSCOPE_SWEEP_DONE = 0,            /* every run is in the file                                 */
    MSCOPE_SWEEP_FAILED,              /* a run failed, the file failed, or the sweep was interrupted */
    MSCOPE_SWEEP_TOO_LARGE            /* more than MSCOPE_GRID_RUNS runs: nothing was started      */
};

/* mscope_sweep_run - the runs that the file does not have, in processes of their own (pool.h)
 *
 * Progress, and each run that fails, goes to stderr while it goes on; standard output gets nothing but lines.
 * Returns  enum mscope_sweep_end; why: one sentence where it is not DONE, "" where stderr has been told already  */
int mscope_sweep_run(const mscope_sweep *w, char why[512]);

#endif
