/* exposition.h - everything a hub knows as Prometheus text (version 0.0.4) */
#ifndef MSCOPE_SERVE_EXPOSITION_H
#define MSCOPE_SERVE_EXPOSITION_H

#include <stdio.h>

#include "hub.h"

/* mscope_exposition - one family after another, each with HELP and TYPE; values that are not known are left out
 *
 * Threads  takes the lock of the hub.  Cost about a microsecond a value                                       */
void mscope_exposition(FILE *to, mscope_hub *h);

#endif
