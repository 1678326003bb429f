/* relay.h - the recorder's place between trainers and the daemon
 *
 * Trainers connect to it as to a daemon. With a daemon behind it every message goes through byte for byte in both
 * directions; without one it answers in the daemon's place, so that trainers send at all. Either way each message is
 * put on the tape once. It waits for no disk: what finds no room is passed on all the same and noted as lost (with a
 * daemon), or not taken from the socket until there is room (alone: the trainer's own buffer holds it, and the trainer
 * does not wait either).
 *
 * Two liberties: a WELCOME that calls a table exact is passed on as inexact while the tape does not hold the table's
 * rows, so that the trainer sends them (SYNC), and without the offer of a shm, so that gradients come by this way. */
#ifndef MSCOPE_RECORD_RELAY_H
#define MSCOPE_RECORD_RELAY_H

#include "contents.h"

typedef struct mscope_relay_config {
    const char *ingest;              /* bound here                                                 */
    const char *forward;             /* the daemon's ingest endpoint, or NULL                      */
    const char *file;
    const char *tables;              /* comma list of names to record; NULL: all                   */
    uint64_t steps, max_bytes;       /* stop recording there; 0: no limit                          */
    uint64_t buffer_bytes;           /* that may wait for the disk                                 */
    int stay;                        /* go on after every trainer has left                         */
    int quiet;
} mscope_relay_config;

typedef struct mscope_relay_result {
    mscope_contents contents, seen; /* of the file; what trainers attached, recorded or not. Both freed by the caller */
    uint64_t bytes, duplicates, strays;  /* of the file; resent messages passed over; messages nobody understands */
    const char *ended;               /* why it ended: static text                                  */
    int failed;                      /* the file could not be written to its end                   */
} mscope_relay_result;

/* mscope_relay_run - record until a signal (signal_fd), a limit, or all trainers have left
 * Returns  0;  MSCOPE_EINVAL, MSCOPE_EBUSY, MSCOPE_EIO, MSCOPE_ENOMEM with *why: nothing was recorded */
MSCOPE_MUST_CHECK int mscope_relay_run(const mscope_relay_config *cfg, int signal_fd, mscope_relay_result *out,
                                       mscope_refusal *why);

#endif
