/* flock.h - one process for each path: PATH.lock (private to daemon and host) */
#ifndef MSCOPE_PROTOCOL_MEET_FLOCK_H
#define MSCOPE_PROTOCOL_MEET_FLOCK_H

/* mscope_flock_take - keep other processes away from path until mscope_flock_release, or the end of this one
 * Returns  0: *lock is the descriptor;  EWOULDBLOCK: another process has it;  another errno                   */
int mscope_flock_take(const char *path, int *lock);
void mscope_flock_release(const char *path, int lock);       /* lock < 0: nothing                      */

#endif
