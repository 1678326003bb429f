/* set_json.h - a judged set as JSON lines: the daemon, then each table with its shards, bands and stability */
#ifndef MSCOPE_MONITOR_SET_JSON_H
#define MSCOPE_MONITOR_SET_JSON_H

#include <stdio.h>

#include "feed.h"
#include "judged.h"

/* mscope_json_set - one line a record (record_json.h); autocorrelations are left out
 *
 * Shape    coverage: one for each table, NULL with one daemon                                                 */
void mscope_json_set(FILE *to, const mscope_judged *j, const mscope_coverage *coverage);

/* mscope_json_coverage - one line, topic shards/TABLE: how many shards, which is missing, how far they are apart */
void mscope_json_coverage(FILE *to, const char *table, const mscope_coverage *c);

#endif
