/* loop.h - the engine thread's loop: trainers' messages, publication deadlines, signals, finished saves */
#ifndef MSCOPE_DAEMON_LOOP_H
#define MSCOPE_DAEMON_LOOP_H

#include "engine.h"
#include "inbox.h"
#include "systemd.h"
#include "shm.h"
#include "options.h"
#include "saver.h"
#include "sockets.h"

typedef struct mscope_loop {
    mscope_engine *engine;
    mscope_saver *saver;             /* path NULL: no state file                    */
    const mscope_options *options;
    mscope_inbox *inbox;
    mscope_shm_server *shm;
    mscope_sockets *sockets;         /* ingest is bound again when its file is gone; NULL: it is not */
    int signal_fd;
    int wake_fd;                     /* eventfd of the publisher                    */
    mscope_systemd *systemd;           /* told that the loop is ready, runs, and ends; NULL: nobody */
    uint64_t saved_ns, saved_in;     /* last periodic save: when, and messages received by then */
    uint64_t found_ns;               /* ingest was bound again, or that was tried   */
    uint64_t turned_told, turned_told_ns;    /* connections turned away: how many were told of, and when */
} mscope_loop;

/* mscope_loop_run - runs until SIGTERM or SIGINT; then the messages received are applied and the last records are put
 * into the ring. It waits for nothing but input, a signal or the next deadline.                                */
void mscope_loop_run(mscope_loop *in);

#endif
