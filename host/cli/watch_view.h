/* watch_view.h - a judged set as text; draws what it is given and asks nobody */
#ifndef MSCOPE_CLI_WATCH_VIEW_H
#define MSCOPE_CLI_WATCH_VIEW_H

#include <stdio.h>

#include "monitor/monitor.h"

/* mscope_view_print - the worst verdict, the daemon's line, then the tables with one sentence a band
 *
 * Shape    coverage: one for each table, NULL with one daemon. columns: a mask of terminal/columns.h, no trail      */
void mscope_view_print(const mscope_judged *j, const mscope_coverage *coverage, const mscope_subscriber_stats *stats,
                       uint32_t columns, FILE *to);

/* mscope_view_timing - one line: how late the daemon was */
void mscope_view_timing(const mscope_rec_daemon *d, FILE *to);

/* mscope_view_shards - for each table a line, or a JSON object: which shard is missing, how far they are apart
 *
 * Shape    coverage as above; NULL prints nothing                                                             */
void mscope_view_shards(const mscope_latest *l, const mscope_coverage *coverage, int json, FILE *to);

#endif
