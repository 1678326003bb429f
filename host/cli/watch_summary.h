/* watch_summary.h - the bands of a table gathered by regime, with what each regime means */
#ifndef MSCOPE_CLI_WATCH_SUMMARY_H
#define MSCOPE_CLI_WATCH_SUMMARY_H

#include "monitor/judged.h"

#include <stdio.h>

/* mscope_summary_print - table i, which has its table record: a paragraph for each regime that occurs, then the advice */
void mscope_summary_print(const mscope_judged *j, size_t i, FILE *to);

#endif
