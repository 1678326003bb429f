/* realtime.h - memory that stays, a thread that goes first: as far as this system allows */
#ifndef MSCOPE_DAEMON_REALTIME_H
#define MSCOPE_DAEMON_REALTIME_H

#include "options.h"

/* mscope_realtime_heap - keep freed memory, never map a buffer of its own; before the first large allocation */
void mscope_realtime_heap(void);

/* mscope_realtime_engine - --realtime and --cpu, for the calling thread, once all other threads run
 *
 * Memory of the process locked, what is mapped later too where the limit on locked memory can be lifted; SCHED_FIFO;
 * timers without slack; the processor. Each step is done or refused, one log line each, and never fails the start.
 * Shape    said: the steps in a sentence for telemetry, "off" when none was asked for                         */
void mscope_realtime_engine(const mscope_options *o, char said[192]);

#endif
