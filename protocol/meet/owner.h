/* owner.h - whose daemon is at an endpoint (private to daemon and host)
 *
 * A trainer hands its weights to whoever listens. So on a machine with other users the directory of the sockets must
 * be one in which nobody else can put a socket, and the process behind the socket must be of this user or of root, or
 * of the user that MOMENTSCOPE_DAEMON_USER names (a number or a name). Addresses without a path have no owner. */
#ifndef MSCOPE_PROTOCOL_MEET_OWNER_H
#define MSCOPE_PROTOCOL_MEET_OWNER_H

#include <sys/types.h>

#include "mscope/err.h"

enum { MSCOPE_OWNER_WHY = 512 };

/* mscope_owner_trusted - is this user this process's own, root, or named by MOMENTSCOPE_DAEMON_USER? */
int mscope_owner_trusted(uid_t uid);

/* mscope_owner_place - may a socket in this directory be trusted? It is of a trusted user, and nobody else can write
 * there; a sticky directory like /tmp passes, because the process behind the socket is looked at as well. A missing
 * directory of the default endpoints is made (0700), so that nobody else makes it; no other.
 * Errors   MSCOPE_EIO, with why[MSCOPE_OWNER_WHY] in words                                                    */
MSCOPE_MUST_CHECK int mscope_owner_place(const char *endpoint, char *why);

/* mscope_owner_connect - the same, and whoever listens there now is of a trusted user. Nobody: 0
 * mscope_owner_peer - a connected socket: is its peer of a trusted user? A socket that is not local is. 1: the
 * connection is gone
 * Errors   MSCOPE_EIO, with why in words                                                                      */
MSCOPE_MUST_CHECK int mscope_owner_connect(const char *endpoint, char *why);
MSCOPE_MUST_CHECK int mscope_owner_peer(int fd, const char *endpoint, char *why);

#endif
