/* relay.h - the recorder's place between trainers and the daemon
 *
 * Trainers connect to the relay as to a daemon. With a daemon behind it, every message passes byte for byte in both
 * directions. Without a daemon the relay answers in its place, because a trainer sends nothing without an answer. In
 * both cases each message is put on the tape once.
 *
 * The relay never waits for the disk. When the buffer is full, a message is passed on and noted as lost (with a
 * daemon), or left in the socket until there is room (without one: the trainer's own buffer holds it, and the trainer
 * does not wait either).
 *
 * Two changes are made to a WELCOME: a table that the daemon calls exact is passed on as inexact while the tape does
 * not hold its rows, so that the trainer sends them (SYNC); and the offer of shared memory is removed, because
 * gradients in shared memory would not pass here. */
#ifndef MSCOPE_TAPE_RELAY_H
#define MSCOPE_TAPE_RELAY_H

#include "contents.h"
#include "protocol/meet/doorman.h"

typedef struct mscope_relay_config {
    const char *ingest;              /* endpoint that trainers connect to                          */
    const char *forward;             /* the daemon's ingest endpoint, or NULL                      */
    const char *keys;                /* folder of keys, which is that of MOMENTSCOPE_KEYS too, or NULL: no keys */
    mscope_doorman_tell *tell;       /* hears who is turned away, on a thread of its own           */
    void *told;                      /* what it is given                                           */
    const char *file;
    const char *tables;              /* names to record, separated by commas; NULL: all            */
    uint64_t steps, max_bytes;       /* stop recording there; 0: no limit                          */
    uint64_t buffer_bytes;           /* most bytes that may wait for the disk                      */
    int stay;                        /* go on after every trainer has left                         */
    int quiet;
} mscope_relay_config;

typedef struct mscope_relay_result {
    mscope_contents contents, seen;  /* of the file; of all tables that were attached. Freed by the caller */
    uint64_t bytes;                  /* of the file                                                */
    uint64_t duplicates, strays;     /* messages sent again; messages whose header cannot be read  */
    const char *ended;               /* why it ended: static text                                  */
    int failed;                      /* the file could not be written to its end                   */
} mscope_relay_result;

/* mscope_relay_run - record until a signal (signal_fd), a limit, or all trainers have left
 *
 * Returns  0;  MSCOPE_EINVAL, MSCOPE_EBUSY, MSCOPE_EIO, MSCOPE_ENOMEM with *why: nothing was recorded */
MSCOPE_MUST_CHECK int mscope_relay_run(const mscope_relay_config *cfg, int signal_fd, mscope_relay_result *out,
                                       mscope_refusal *why);

#endif
