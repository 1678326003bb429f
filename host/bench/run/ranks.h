/* ranks.h - the processes that one mpirun started, and messages between them
 *
 * The program itself links no MPI. momentscope_mpi.so beside it does (ranks_mpi.c, built where an MPI is installed).
 * It is loaded only where mpirun started more than one process, so other commands need neither libmpi nor its
 * start-up time. */
#ifndef MSCOPE_BENCH_RANKS_H
#define MSCOPE_BENCH_RANKS_H

#include <stddef.h>

typedef struct mscope_ranks {
    int rank, size;                  /* 0 <= rank < size; size 1: alone, then the functions below are NULL   */

    /* Whole texts, in order between any two ranks. Each returns negative when the other side is gone.      */
    int (*send)(int to, const char *text);            /* may wait until it is received                     */
    int (*receive)(int *from, char **text);           /* never waits: 0 nothing, 1 a text from malloc      */
    void (*leave)(void);                              /* waits for all ranks; no send or receive after it  */
} mscope_ranks;

/* mscope_ranks_mine - this process's rank from the environment, 0 when alone; only rank 0 prints. Needs no join. */
int mscope_ranks_mine(void);

/* mscope_ranks_join - loads the object and joins the others; alone, it does nothing
 * Returns  0; negative with a message on stderr (from rank 0 only): the object is missing, or MPI disagrees about the
 *          ranks */
int mscope_ranks_join(mscope_ranks *r);

/* What momentscope_mpi.so exports, by this name: starts MPI and fills r. Returns 0 or negative. */
#define MSCOPE_RANKS_OBJECT "momentscope_mpi.so"
#define MSCOPE_RANKS_SYMBOL "mscope_ranks_mpi"
int mscope_ranks_mpi(mscope_ranks *r);

#endif
