/* names.h - what each field of telemetry is called in Prometheus, generated from metrics.def
 *
 *     momentscope_<record>_<field>[_seconds|_bytes][_total]{source, table, band}
 *
 * Prometheus wants base units as words, counters that end in _total, and no suffix that reads as an abbreviated unit
 * (_d, _h, _s). A field whose own name would break that, or that only repeats another series, stands in the table of
 * exceptions in names.c. Labels and lists are no series; window values are gauges.                              */
#ifndef MSCOPE_SERVE_NAMES_H
#define MSCOPE_SERVE_NAMES_H

#include <stdio.h>

#include "mscope/wire.h"

typedef struct mscope_name {
    const mscope_metric *metric;             /* the field in metrics.def                                        */
    char name[96];
    const char *type;                        /* "gauge" or "counter"                                            */
    size_t offset;                           /* of the field in its record's struct                             */
} mscope_name;

/* mscope_names - every series of a record ("band", "table", "stability", "daemon"), in the order of metrics.def
 *
 * Shape    out: room for MSCOPE_NAMES_MAX.  Returns how many                                                   */
enum { MSCOPE_NAMES_MAX = 96 };
size_t mscope_names(const char *record, mscope_name out[MSCOPE_NAMES_MAX]);

/* mscope_name_value - the value of a series in a record's struct; NaN where it is not known */
double mscope_name_value(const mscope_name *n, const void *record);

/* mscope_name_expand - a query in which @record.field@ stands for the series of a field.  Returns 0, -1: it has none */
int mscope_name_expand(FILE *to, const char *query);

/* mscope_name_help - the HELP text: what metrics.def says, and the unit */
void mscope_name_help(const mscope_name *n, char *to, size_t cap);

#endif
