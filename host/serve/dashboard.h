/* dashboard.h - a Grafana dashboard over the series of exposition.h */
#ifndef MSCOPE_SERVE_DASHBOARD_H
#define MSCOPE_SERVE_DASHBOARD_H

#include <stdio.h>

/* mscope_dashboard - a dashboard (JSON, schema 37) that asks for its Prometheus source at import
 *
 * The first rows answer what the page answers. The last three, folded, hold every series of bands, tables and daemon,
 * one panel each, made from metrics.def.
 * Returns  0; -1: a panel names a field that has no series, or there is no memory                               */
int mscope_dashboard(FILE *to);

#endif
