/* pool.c - pieces in children of this process, or shared out to the ranks that mpirun started */
#include "pool.h"

#include "crew.h"
#include "pool_ranks.h"
#include "ranks.h"

static int alone(const mscope_pool *p, mscope_crew *crew)
{
    size_t next = 0;
    int rc = 0;
    while (rc == 0 && !mscope_pool_stopped(p) && (next < p->n || crew->live > 0)) {
        while (crew->live < crew->jobs && next < p->n && rc == 0) {
            rc = mscope_crew_start(crew, p->which != NULL ? p->which[next] : next);
            next++;
        }
        mscope_crew_wait(crew, 1000, p->done, p->ctx);
    }
    mscope_crew_kill(crew, p->done, p->ctx);
    return rc < 0 ? -1 : mscope_pool_stopped(p) ? MSCOPE_POOL_INTERRUPTED : MSCOPE_POOL_DONE;
}

int mscope_pool_run(const mscope_pool *p)
{
    static mscope_crew crew;
    mscope_ranks ranks;
    if (mscope_ranks_join(&ranks) < 0)
        return -1;
    mscope_crew_open(&crew, p);
    const int rc = ranks.size == 1  ? alone(p, &crew)
                   : ranks.rank == 0 ? mscope_pool_lead(p, &ranks)
                                     : mscope_pool_serve(p, &ranks, &crew);
    mscope_crew_close(&crew);
    return rc;
}
