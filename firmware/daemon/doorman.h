/* doorman.h - the thread that lets in peers whose public key is in the folder of --keys (ZAP, rfc.zeromq.org/spec/27)
 *
 * libzmq asks it for every handshake on a socket that speaks CURVE. The list is read again whenever its file has
 * changed. It also hears of handshakes that failed before a key was shown: without keys, or for another daemon. */
#ifndef MSCOPE_DAEMON_DOORMAN_H
#define MSCOPE_DAEMON_DOORMAN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "protocol/meet/keys.h"

typedef struct mscope_doorman {
    const char *dir;                     /* NULL: there are no keys, and no thread                              */
    mscope_keys own;
    mscope_allowed *allowed;             /* MSCOPE_KEYS_MOST                                                    */
    int n;                               /* of them; < 0: the file cannot be read, and nobody is let in         */
    uint64_t told_ns;                    /* when the log last had a line about a key that is not listed         */
    struct timespec read_at;             /* the file's time when it was read                                    */
    long long size;
    void *context, *zap, *watch[3];      /* of ingest, telemetry, replay                                        */
    pthread_t thread;
    _Atomic int stop;
} mscope_doorman;

/* mscope_doorman_open - read the keys, and answer libzmq from now on; before any socket of the context binds
 * mscope_doorman_watch - give a socket the keys, and hear of its failed handshakes;  door: an enum mscope_door
 * mscope_doorman_run - start the thread
 * mscope_doorman_close - end it, and close what was opened; before the context is terminated
 * Errors   MSCOPE_EIO, MSCOPE_EINVAL, MSCOPE_ENOTSUP, MSCOPE_ENOMEM; logged                                    */
MSCOPE_MUST_CHECK int mscope_doorman_open(mscope_doorman *d, void *context, const char *dir);
MSCOPE_MUST_CHECK int mscope_doorman_watch(mscope_doorman *d, void *socket, int door);
MSCOPE_MUST_CHECK int mscope_doorman_run(mscope_doorman *d);
void mscope_doorman_close(mscope_doorman *d);

#endif
