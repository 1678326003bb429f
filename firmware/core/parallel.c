/* parallel.c - run pieces of work on the threads that the caller lent, or one after the other */
#include "table.h"

void mscope_table_parallel(mscope_table *t, const mscope_parallel *p)
{
    t->parallel = p ? *p : (mscope_parallel){ NULL, NULL };
}

void mscope_parallel_run(mscope_table *t, void (*work)(void *arg, size_t i), void *arg, size_t n)
{
    if (t->parallel.run && n > 1)
        t->parallel.run(t->parallel.ctx, work, arg, n);
    else
        for (size_t i = 0; i < n; i++)
            work(arg, i);
}
