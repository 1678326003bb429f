/* ranks.c - are we under mpirun, and if so the object that speaks MPI */
#include "ranks.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Open MPI; MPICH and its kin; srun with PMIx. */
static const char *const told[][2] = {
    { "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK" },
    { "PMI_SIZE", "PMI_RANK" },
    { "SLURM_STEP_NUM_TASKS", "PMIX_RANK" },
};

/* Number `which` (0 size, 1 rank) of the launcher that set both. */
static int environment(int which, int otherwise)
{
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        const char *size = getenv(told[i][0]), *rank = getenv(told[i][1]);
        if (size != NULL && rank != NULL)
            return atoi(which == 0 ? size : rank);
    }
    return otherwise;
}

int mscope_ranks_mine(void)
{
    return environment(0, 1) > 1 ? environment(1, 0) : 0;
}

static int refuse(const char *what, const char *why)
{
    if (mscope_ranks_mine() == 0)
        fprintf(stderr, "momentscope bench: started %d times by mpirun, but %s: %s\n", environment(0, 1), what, why);
    return -1;
}

/* The object of this program's build: beside it in the tree, in lib/momentscope when it was installed. */
static int find(char *path, size_t len)
{
    static const char *const place[] = { MSCOPE_RANKS_OBJECT, "../lib/momentscope/" MSCOPE_RANKS_OBJECT };
    const ssize_t n = readlink("/proc/self/exe", path, len - 1);
    char *slash;

    if (n <= 0)
        return -1;
    path[n] = '\0';
    slash = strrchr(path, '/');
    for (size_t i = 0; slash != NULL && i < sizeof place / sizeof place[0]; i++) {
        if ((size_t)(slash - path) + strlen(place[i]) + 2 > len)
            return -1;
        strcpy(slash + 1, place[i]);
        if (access(path, R_OK) == 0)
            return 0;
    }
    return slash != NULL ? 1 : -1;
}

int mscope_ranks_join(mscope_ranks *r)
{
    char path[4096];
    int (*start)(mscope_ranks *) = NULL;

    memset(r, 0, sizeof *r);
    r->size = 1;
    if (environment(0, 1) <= 1)
        return 0;
    const int missing = find(path, sizeof path);
    if (missing < 0)
        return refuse("cannot find " MSCOPE_RANKS_OBJECT, "/proc/self/exe cannot be read");
    if (missing)
        return refuse("built without MPI", "install libopenmpi-dev and run make again, or use --jobs without mpirun");
    /* Global: Open MPI loads components of its own that look for its symbols. */
    void *object = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (object == NULL)
        return refuse(MSCOPE_RANKS_OBJECT " cannot be loaded", dlerror());
    *(void **)&start = dlsym(object, MSCOPE_RANKS_SYMBOL);
    if (start == NULL || start(r) < 0)
        return refuse("MPI did not start", start == NULL ? dlerror() : path);
    if (r->rank != mscope_ranks_mine() || r->size != environment(0, 1))
        return refuse("MPI reports other ranks", "is " MSCOPE_RANKS_OBJECT " built with the MPI of this mpirun?");
    return 0;
}
