/* json.h - JSON values written to a stream, one call a value; commas, colons and brackets are the caller's
 *
 * Beside cJSON, whose numbers are doubles: epochs and counters have 64 bits.                                  */
#ifndef MSCOPE_COMMON_JSON_H
#define MSCOPE_COMMON_JSON_H

#include <stdint.h>
#include <stdio.h>

/* mscope_json_string - s in quotes, with quotes, backslashes and control characters escaped; s is UTF-8 */
void mscope_json_string(FILE *to, const char *s);

/* mscope_json_f64 - the fewest digits that read back as the same double; null when x is not finite */
void mscope_json_f64(FILE *to, double x);

void mscope_json_u64(FILE *to, uint64_t x);
void mscope_json_bool(FILE *to, int x);

#endif
