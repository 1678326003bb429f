/* record_parse.h - telemetry records from JSON lines, as `momentscope watch --json` writes them */
#ifndef MSCOPE_MONITOR_RECORD_PARSE_H
#define MSCOPE_MONITOR_RECORD_PARSE_H

#include <stddef.h>

#include "mscope/client.h"

/* mscope_record_parse - one line into a record
 *
 * Fields that the record does not have (verdicts are judged anew) are passed over. One that the line has not is not
 * known, as null is, so older files can be read; table, band and step must be there. Another type is refused.
 * Returns  0; MSCOPE_EAGAIN: a line of another kind, such as shards/TABLE; MSCOPE_EPROTO with a sentence in why
 * Cost     some 10 us                                                                                          */
MSCOPE_MUST_CHECK int mscope_record_parse(const char *line, size_t len, mscope_telemetry *out, char *why, size_t cap);

#endif
