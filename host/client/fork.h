/* fork.h - what a child that the trainer forks gives up at once (private to the client)
 *
 * A child (a worker that loads data) inherits descriptors that only its parent can use. While it holds them the daemon
 * does not see that the parent was killed, and the memory of the parent's ring stays. So fork closes them in the
 * child. Programs that the trainer starts never had them: they are closed by exec. */
#ifndef MSCOPE_CLIENT_FORK_H
#define MSCOPE_CLIENT_FORK_H

#include "state.h"

/* mscope_fork_watch, mscope_fork_forget - a client that is open: from now on, and no longer
 * Threads  any */
void mscope_fork_watch(mscope_client *c);
void mscope_fork_forget(const mscope_client *c);

#endif
