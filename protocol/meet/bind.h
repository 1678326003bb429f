/* bind.h - bind an endpoint: checked syntax, private directory, no stale socket file, no other process there
 * (private to daemon and host)                                                                              */
#ifndef MSCOPE_PROTOCOL_BIND_H
#define MSCOPE_PROTOCOL_BIND_H

#include <sys/types.h>

#include "mscope/err.h"

enum { MSCOPE_BIND_WHY = 1024 };       /* bytes of a reason in words                                   */

typedef struct mscope_bound {           /* the socket file of one ipc endpoint                          */
    const char *path;                   /* points into the endpoint's text; NULL: there is no file      */
    dev_t dev;
    ino_t ino;
} mscope_bound;

/* mscope_bind_range - NULL when the endpoint is acceptable, else what it should have been (static text) */
const char *mscope_bind_range(const char *endpoint, int allow_remote);

/* mscope_bind_check - can this endpoint be bound? what: the option's name; why[MSCOPE_BIND_WHY]: the reason if not
 * Errors   MSCOPE_EBUSY another process listens there;  MSCOPE_EINVAL something other than a socket is there;
 *          MSCOPE_EIO anything else                                                                     */
MSCOPE_MUST_CHECK int mscope_bind_check(const char *what, const char *endpoint, char *why);

/* mscope_bind_socket - bind, and remember the socket file; why says where, or why not.  Owns: endpoint outlives
 * bound */
MSCOPE_MUST_CHECK int mscope_bind_socket(void *socket, const char *what, const char *endpoint, mscope_bound *bound,
                                         char *why);
/* mscope_bind_remove - remove the socket file, which libzmq leaves behind, unless another process has replaced it */
void mscope_bind_remove(const mscope_bound *b);

#endif
