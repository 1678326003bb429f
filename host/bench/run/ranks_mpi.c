/* ranks_mpi.c - the one file that knows MPI; becomes momentscope_mpi.so, see ranks.h */
#include "ranks.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <mpi.h>

enum { TAG = 17 };

static int send_text(int to, const char *text)
{
    const size_t len = strlen(text);
    if (len > INT_MAX)
        return -1;
    return MPI_Send(text, (int)len, MPI_CHAR, to, TAG, MPI_COMM_WORLD) == MPI_SUCCESS ? 0 : -1;
}

static int receive_text(int *from, char **text)
{
    MPI_Status status;
    int there = 0, len = 0;
    *text = NULL;
    if (MPI_Iprobe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &there, &status) != MPI_SUCCESS)
        return -1;
    if (!there)
        return 0;
    *from = status.MPI_SOURCE;
    if (MPI_Get_count(&status, MPI_CHAR, &len) != MPI_SUCCESS || len < 0 || (*text = malloc((size_t)len + 1)) == NULL)
        return -1;
    if (MPI_Recv(*text, len, MPI_CHAR, *from, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE) != MPI_SUCCESS) {
        free(*text);
        *text = NULL;
        return -1;
    }
    (*text)[len] = '\0';
    return 1;
}

static void leave(void)
{
    MPI_Finalize();
}

int mscope_ranks_mpi(mscope_ranks *r)
{
    if (MPI_Init(NULL, NULL) != MPI_SUCCESS ||
        MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN) != MPI_SUCCESS ||
        MPI_Comm_rank(MPI_COMM_WORLD, &r->rank) != MPI_SUCCESS ||
        MPI_Comm_size(MPI_COMM_WORLD, &r->size) != MPI_SUCCESS)
        return -1;
    r->send = send_text;
    r->receive = receive_text;
    r->leave = leave;
    return 0;
}
