/* readings.h - what a table's momentum does between publications: growth and climb, and the alerts about both */
#ifndef MSCOPE_DAEMON_READINGS_H
#define MSCOPE_DAEMON_READINGS_H

#include "engine.h"

/* mscope_shadow_read - after a step; a reading of every band is taken each quarter of 1/eps steps
 * Cost  O(1); a reading O(bands log span), whatever the number of rows: 2 to 7 us with 18 bands */
void mscope_shadow_read(mscope_engine *e, mscope_shadow *s);

#endif
