/* story_json.h - a story as JSON, for the page, for programs and for reports
 *
 * Every function writes one JSON value. A number that is not known is null. Threads: as the story.          */
#ifndef MSCOPE_SERVE_STORY_JSON_H
#define MSCOPE_SERVE_STORY_JSON_H

#include <stdio.h>

#include "ledger.h"
#include "monitor/feed.h"
#include "story.h"

/* mscope_story_json_brief - what the page needs to know at every moment: the daemon, and the word on each table
 *
 * Shape    name: of the source; where: its addresses in words; trouble: why nothing comes from there, ""
 *          not known; now: Unix time; coverage: one for each table, or NULL */
void mscope_story_json_brief(FILE *to, const mscope_story *s, const char *name, const char *where,
                             const char *trouble, double now, const mscope_subscriber_stats *stats,
                             const mscope_coverage *coverage);

/* mscope_story_json_table - table i: its record, stability, bands with verdicts, borders of the plane, and the points
 * of its series whose step is above `after`  (negative: all) */
void mscope_story_json_table(FILE *to, const mscope_story *s, size_t i, double after);

/* mscope_story_json_rows - the rows of table i that a record names, with the reason: [{"row":..,"band":..,"as":..}] */
void mscope_story_json_rows(FILE *to, const mscope_story *s, size_t i);

/* mscope_happening_json - one object, with its number; id 0: it has none */
void mscope_happening_json(FILE *to, const mscope_happening *h, const char *source, long long id);

/* mscope_happenings_json - the entries that q asks for, oldest first: [..] */
void mscope_happenings_json(FILE *to, mscope_ledger *l, const mscope_ledger_query *q);

#endif
