/* growth.h - does the momentum of a band grow? A check that needs no curvature and no model
 *
 * v is the mean |m|^2 of a band's rows. Readings of ln v are averaged over blocks of two retention times: momentum
 * remembers, so readings closer together are much alike. The band grows when
 *
 *   (jump)  v stands e^3 above all that it was until two blocks ago, in two readings running, or
 *   (rise)  five blocks running stand each above the one before, and the last e^2.6 above the lowest high before.
 *
 * For the first eight retention times v only settles: from m = 0 it has to rise. Five blocks without either sign
 * end the growth.
 *
 * How often it is right was tried on simulated gated least squares before it was built in, with readings of a band
 * and of its largest row. The thresholds were chosen on one set of runs and judged on another. Stable runs (noise
 * floor, warm-up from 0, bursts, H to .95) called growing: 1 of 122, and 0 of 113. Runs that grew 1000-fold told
 * before they had: 65 and 62 of 71. Runs whose targets all shifted by three times the largest error called
 * growing: 2 of 23, and 2 of 32.
 */
#ifndef MSCOPE_DAEMON_GROWTH_H
#define MSCOPE_DAEMON_GROWTH_H

#include <stdint.h>

#define MSCOPE_GROWTH_RISES 5        /* blocks that must rise one after the other                */
#define MSCOPE_GROWTH_BEFORE 4       /* blocks before them, whose high is what they rose from    */
#define MSCOPE_GROWTH_KEPT (MSCOPE_GROWTH_RISES + MSCOPE_GROWTH_BEFORE + 1)

typedef struct mscope_growth {       /* all bytes 0: nothing read yet                            */
    uint64_t readings, blocks;
    uint64_t settled_at;             /* step from which on readings count                        */
    uint64_t block_end;              /* step at which the present block ends                     */
    double sum;                      /* of the present block's readings                          */
    uint32_t count;
    uint32_t jumps;                  /* readings running that stood far above `highest`          */
    uint32_t quiet;                  /* blocks since the last sign of growth                     */
    int growing;
    double top[3];                   /* highest ln v of the present block, the last, the one before */
    double highest;                  /* of all blocks before them                                */
    double lowest_high;              /* ln v, least high of BEFORE blocks running                */
    double mean[MSCOPE_GROWTH_KEPT]; /* of the last blocks, by block % KEPT                      */
    uint64_t middle[MSCOPE_GROWTH_KEPT];     /* and the step in their middle                     */
} mscope_growth;

/* mscope_growth_read - take v in at this step; v = 0 says nothing
 *
 * retention  of the band, in steps, > 0
 * uphill     m moves against the gradients (climb.h). While it moves downhill growth is learning and no sign counts
 * Returns  whether the band has just begun to grow */
int mscope_growth_read(mscope_growth *g, uint64_t step, double v, double retention, int uphill);

/* mscope_growth_rate - d ln v / d step over the last four blocks; NaN before there are five */
double mscope_growth_rate(const mscope_growth *g);

#endif
