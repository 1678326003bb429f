/* watch_summary.h - the bands of a table gathered by regime, with what each regime means */
#ifndef MSCOPE_WATCH_SUMMARY_H
#define MSCOPE_WATCH_SUMMARY_H

#include "watch_view.h"

/* mscope_summary_print - one paragraph a regime that occurs, plain text; w has its table record */
void mscope_summary_print(const mscope_watched *w, FILE *to);

#endif
