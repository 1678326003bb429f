/* record_json.h - telemetry records as JSON lines */
#ifndef MSCOPE_MONITOR_RECORD_JSON_H
#define MSCOPE_MONITOR_RECORD_JSON_H

#include <stdio.h>

#include "diagnose/verdict.h"
#include "mscope/client.h"

/* mscope_json_record - one line: topic, seq, every field of the record in the order of metrics.def
 *
 * Of a band also H, H_se, zeta, omega, rate, confidence, regime and why, from v; of a stability record also eta_max,
 * burst, standing, confidence and why, from margin. NULL: the record is judged by itself. Of an autocorrelation also
 * omega, zeta and peak. A number that is not known is null. */
void mscope_json_record(FILE *to, const mscope_telemetry *m, const mscope_verdict *v, const mscope_margin *margin);

#endif
