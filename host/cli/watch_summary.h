/* watch_summary.h - the bands of a table gathered by regime, with what each regime means */
#ifndef MSCOPE_CLI_WATCH_SUMMARY_H
#define MSCOPE_CLI_WATCH_SUMMARY_H

#include "monitor/judged.h"

#include <stdio.h>

/* mscope_summary_print - a paragraph for each regime that occurs in table i, then the advice
 *
 * Shape    table i has its table record */
void mscope_summary_print(const mscope_judged *j, size_t i, FILE *to);

/* mscope_summary_bounds - what no setting of table i can do, as a line of JSON; nothing where curvature is unknown */
void mscope_summary_bounds(const mscope_judged *j, size_t i, FILE *to);

#endif
