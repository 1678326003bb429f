/* record_json.h - telemetry records as JSON lines */
#ifndef MSCOPE_RECORD_JSON_H
#define MSCOPE_RECORD_JSON_H

#include <stdio.h>

#include "mscope/client.h"

/* mscope_json_record - one line: topic, seq, every field of the record; of a band also H, zeta, omega, rate, regime,
 * confidence and why; of an autocorrelation omega, zeta and peak. What is not known is null.                                                               */
void mscope_json_record(FILE *to, const mscope_telemetry *m);

#endif
