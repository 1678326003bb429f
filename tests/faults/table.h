/* table.h - a table that a trainer of tests/faults moves: sparse least squares by dense heavy ball, EMA form, float32
 *
 * In a *dense* table every step moves every row, and the client heals from the arrays themselves. Its theta rounds once
 * a step, the daemon's copy once an update: they drift apart. In a *lazy* table a row is moved when it is next active,
 * its idle steps in closed form, and rounds when the daemon's does. The client heals it through read, which changes
 * nothing. Neither knows the daemon.
 *
 * Every step has ENTRIES entries of ROWS_A_STEP distinct rows: the last entries name the first rows again. So the row
 * updates that a daemon has counted tell how many steps it has applied. */
#ifndef FAULTS_TABLE_H
#define FAULTS_TABLE_H

#include <stddef.h>
#include <stdint.h>

enum { ENTRIES = 12, ROWS_A_STEP = 10 };

#define FAULTS_ETA ((double)0.3f)     /* what a float32 trainer uses */
#define FAULTS_EPS ((double)0.1f)

typedef struct faults_sums { double R, V, C; } faults_sums;    /* |theta - ref|^2, |m|^2, <theta - ref, m> of all */

typedef struct faults_table {
    uint32_t rows, dim;
    float *theta, *m, *ref;          /* [rows][dim]; ref NULL: sums are about 0                                    */
    float *G;                        /* dense: the step's gradient [rows][dim]                                     */
    uint64_t *clock;                 /* lazy: step that a row's values belong to                                   */
    uint64_t state, step;            /* of the random numbers; completed steps                                     */
    faults_sums sums;                /* lazy: as of `step`                                                         */
    uint32_t row[ENTRIES];           /* the last step's entries and their gradients [ENTRIES][dim]                 */
    float *grad;
} faults_table;

/* 0, or -1 without memory. reference: rows are compared with random numbers, so that rows that changed places show. */
int faults_table_make(faults_table *t, uint32_t rows, uint32_t dim, uint64_t seed, int dense, int reference);
void faults_table_free(faults_table *t);
void faults_table_train(faults_table *t);                          /* one step                                     */
faults_sums faults_table_sums(const faults_table *t);              /* dense: O(rows), lazy: O(1)                   */
uint64_t faults_table_digest(const faults_table *t, uint64_t h);   /* FNV-1a over theta and m of all rows, on from h */

/* mscope_attach_info.read of a lazy table: its rows as of now, ctx the table */
int faults_table_read(void *ctx, uint32_t first, uint32_t n, void *theta, void *m);

#endif
