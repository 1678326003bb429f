/* execute.h - one run */
#ifndef MSCOPE_BENCH_EXECUTE_H
#define MSCOPE_BENCH_EXECUTE_H

#include "grid.h"

/* mscope_bench_execute - the run's JSON line, without newline, from malloc; NULL and *why (static text) on failure
 *
 * The line depends on the run alone, apart from "seconds": not on the process, not on the order.                    */
char *mscope_bench_execute(const mscope_bench_run *r, const char **why);

#endif
