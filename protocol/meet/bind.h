/* bind.h - an endpoint about to be bound: well written, private directory, no stale file, nobody else there
 * (private to protocol, daemon and the host's recorder)                                                   */
#ifndef MSCOPE_PROTOCOL_BIND_H
#define MSCOPE_PROTOCOL_BIND_H

#include <sys/types.h>

#include "mscope/err.h"

enum { MSCOPE_BIND_WHY = 1024 };       /* bytes of a reason in words                                   */

typedef struct mscope_bound {           /* the socket file of one ipc endpoint                          */
    const char *path;                   /* NULL: none of ours; else within the endpoint's text          */
    dev_t dev;
    ino_t ino;
} mscope_bound;

/* mscope_bind_range - NULL when an endpoint is one we would bind, else what it should have been (static text) */
const char *mscope_bind_range(const char *endpoint, int allow_remote);

/* mscope_bind_check - may this endpoint be bound? what: the option's name; why[MSCOPE_BIND_WHY]: the reason if not
 * Errors   MSCOPE_EBUSY somebody listens there already;  MSCOPE_EINVAL something else than a socket is there;
 *          MSCOPE_EIO anything else                                                                     */
MSCOPE_MUST_CHECK int mscope_bind_check(const char *what, const char *endpoint, char *why);

/* mscope_bind_socket - bind, and remember the socket file; why says where, or why not.  Owns: endpoint outlives
 * bound */
MSCOPE_MUST_CHECK int mscope_bind_socket(void *socket, const char *what, const char *endpoint, mscope_bound *bound,
                                         char *why);
/* mscope_bind_remove - libzmq leaves the file behind; one that another process has put there since is not ours */
void mscope_bind_remove(const mscope_bound *b);

#endif
