/* realtime.h - memory that stays in RAM and a thread with priority, as far as the system allows */
#ifndef MSCOPE_DAEMON_REALTIME_H
#define MSCOPE_DAEMON_REALTIME_H

#include "options.h"

/* mscope_realtime_heap - malloc keeps freed memory and maps no single buffers; call it before the first large
 * allocation */
void mscope_realtime_heap(void);

/* mscope_realtime_engine - --realtime and --cpu, for the calling thread, once all other threads run
 *
 * It locks the memory of the process (also memory mapped later, where the limit on locked memory can be lifted), sets
 * SCHED_FIFO, removes timer slack, and binds the thread to a processor. A step that the system refuses is logged and
 * does not fail the start.
 * Shape    said: every step and what became of it, for telemetry; "off" when neither option was given          */
void mscope_realtime_engine(const mscope_options *o, char said[192]);

#endif
