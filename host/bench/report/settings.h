/* settings.h - the settings of a result, read from its key: what is the same, and what varies
 *
 * A key is "name=value" pairs and words between blanks (run/grid.h).                                          */
#ifndef MSCOPE_BENCH_SETTINGS_H
#define MSCOPE_BENCH_SETTINGS_H

#include "results.h"

/* mscope_same_problem - the same workload, schedule and semantics, and no setting differs but those of the schedule */
int mscope_same_problem(const mscope_result *a, const mscope_result *b);

/* mscope_same_but_rates - the same problem, and no setting of the schedule differs but eta and eps */
int mscope_same_but_rates(const mscope_result *a, const mscope_result *b);

/* mscope_what_varies - into out: ", name=value" for each setting of r that another result of its workload and schedule
 * has otherwise, without eta, eps and batch, which a title says anyhow. What finds no room in cap is left out whole. */
void mscope_what_varies(const mscope_results *all, const mscope_result *r, char *out, size_t cap);

#endif
