/* rules.h - recording and alerting rules for Prometheus, over the series of exposition.h */
#ifndef MSCOPE_SERVE_RULES_H
#define MSCOPE_SERVE_RULES_H

#include <stdio.h>

/* mscope_rules - a rule file (YAML); fields of telemetry are named by names.h, so a renamed field renames its rules
 *
 * Returns  0, or -1: a rule names a field that has no series                                                     */
int mscope_rules(FILE *to);

#endif
