/* bind.h - bind an endpoint: checked syntax, private directory, no stale socket file, no other process there
 * (private to daemon and host)                                                                              */
#ifndef MSCOPE_PROTOCOL_BIND_H
#define MSCOPE_PROTOCOL_BIND_H

#include <sys/types.h>

#include "mscope/err.h"

enum { MSCOPE_BIND_WHY = 1024 };       /* bytes of a reason in words                                   */

typedef struct mscope_bound {           /* the socket file of one ipc endpoint; zeroed: none            */
    const char *path;                   /* points into the endpoint's text; NULL: there is no file      */
    dev_t dev;
    ino_t ino;
    const char *locked;                 /* path whose lock is held, or NULL                             */
    int lock;
} mscope_bound;

/* mscope_bind_local - does this endpoint stay on this machine? */
int mscope_bind_local(const char *endpoint);

/* mscope_bind_range - NULL when the endpoint is acceptable, else what it should have been (static text) */
const char *mscope_bind_range(const char *endpoint, int allow_remote);

/* mscope_bind_check - can this endpoint be bound? what: the option's name; why[MSCOPE_BIND_WHY]: the reason if not
 *
 * PATH.lock is held in *bound from here on, so that of two processes that start at once one finds the other; a lock
 * that *bound has already is taken anew. Call mscope_bind_remove also after an error.
 * Errors   MSCOPE_EBUSY another process listens there, or is about to;  MSCOPE_EINVAL something other than a socket is
 *          there;  MSCOPE_EIO anything else                                                               */
MSCOPE_MUST_CHECK int mscope_bind_check(const char *what, const char *endpoint, mscope_bound *bound, char *why);

/* mscope_bind_socket - bind, and remember the socket file, mode 0600; why says where, or why not.  Owns: endpoint
 * outlives bound */
MSCOPE_MUST_CHECK int mscope_bind_socket(void *socket, const char *what, const char *endpoint, mscope_bound *bound,
                                         char *why);
/* mscope_bind_remove - remove the socket file, which libzmq leaves behind, unless another process has replaced it; then
 * the lock */
void mscope_bind_remove(mscope_bound *b);

#endif
