/* ingest.h - the engine thread's loop: trainers' messages, publication deadlines, signals, finished saves */
#ifndef MSCOPE_DAEMON_INGEST_H
#define MSCOPE_DAEMON_INGEST_H

#include "engine.h"
#include "inbox.h"
#include "shm.h"
#include "options.h"
#include "store.h"

typedef struct mscope_ingest {
    mscope_engine *engine;
    mscope_saver *saver;             /* path NULL: no state file                    */
    const mscope_options *options;
    mscope_inbox *inbox;
    mscope_shm_server *shm;
    int signal_fd;
    int wake_fd;                     /* eventfd of the publisher                    */
} mscope_ingest;

/* mscope_clock_ns - monotonic time */
uint64_t mscope_clock_ns(void);

/* mscope_ingest_run - until SIGTERM or SIGINT; then what was received has been applied and the last records are in
 * the ring. Never waits for anything but input, a signal or the next deadline.     */
void mscope_ingest_run(mscope_ingest *in);

#endif
