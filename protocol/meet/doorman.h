/* doorman.h - the thread that lets in peers whose public key is in a folder of keys (private to daemon and host)
 *
 * libzmq asks it for every handshake on a socket that speaks CURVE (ZAP, rfc.zeromq.org/spec/27). The list is read
 * again whenever its file has changed. It also hears of handshakes that failed before a key was shown. */
#ifndef MSCOPE_PROTOCOL_MEET_DOORMAN_H
#define MSCOPE_PROTOCOL_MEET_DOORMAN_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "keys.h"

enum { MSCOPE_DOORMAN_SOCKETS = 3 };

enum mscope_doorman_news {
    MSCOPE_DOORMAN_LIST,                 /* the list was read: `why` says how many may connect                  */
    MSCOPE_DOORMAN_NOBODY,               /* it cannot be read, and nobody is let in: `why` says why             */
    MSCOPE_DOORMAN_UNLISTED,             /* `who` is a public key that is not in the list                       */
    MSCOPE_DOORMAN_REFUSED,              /* a peer of socket `at` without keys, or with another server's        */
    MSCOPE_DOORMAN_LEFT                  /* a peer of socket `at` ended its handshake without a word            */
};

/* Called by the doorman's thread; of mscope_doorman_open by the caller's. */
typedef void mscope_doorman_tell(void *context, enum mscope_doorman_news what, int at, const char *who,
                                 const char *why);

typedef struct mscope_doorman {
    const char *dir;                     /* NULL: there are no keys, and no thread                              */
    mscope_keys own;
    mscope_doorman_tell *tell;
    void *to;
    mscope_allowed *allowed;             /* MSCOPE_KEYS_MOST                                                    */
    int n;                               /* of them; < 0: the file cannot be read, and nobody is let in         */
    struct timespec read_at;             /* the file's time when it was read                                    */
    long long size;
    void *context, *zap, *watch[MSCOPE_DOORMAN_SOCKETS];
    pthread_t thread;
    int running;
    _Atomic int stop;
} mscope_doorman;

/* mscope_doorman_open - read the keys, and answer libzmq from now on; before any socket of the context binds
 * mscope_doorman_watch - give a socket the keys, and hear of its failed handshakes;  at < MSCOPE_DOORMAN_SOCKETS
 * mscope_doorman_answer - answer what libzmq asked, without waiting; what the thread does again and again
 * mscope_doorman_run - start the thread
 * mscope_doorman_close - end it, and close what was opened; before the context is terminated
 * Owns     dir and to must outlive it
 * Errors   MSCOPE_EIO, MSCOPE_EINVAL, MSCOPE_ENOTSUP, MSCOPE_ENOMEM, with why[MSCOPE_KEYS_WHY] in words        */
MSCOPE_MUST_CHECK int mscope_doorman_open(mscope_doorman *d, void *context, const char *dir, mscope_doorman_tell *tell,
                                          void *to, char *why);
MSCOPE_MUST_CHECK int mscope_doorman_watch(mscope_doorman *d, void *socket, int at, char *why);
void mscope_doorman_answer(mscope_doorman *d);
MSCOPE_MUST_CHECK int mscope_doorman_run(mscope_doorman *d, char *why);
void mscope_doorman_close(mscope_doorman *d);

/* mscope_doorman_serve - all of it for a context whose only socket that binds is this one */
MSCOPE_MUST_CHECK int mscope_doorman_serve(mscope_doorman *d, void *context, void *socket, const char *dir,
                                           mscope_doorman_tell *tell, void *to, char *why);

#endif
