/* lock.c - see lock.h */
#include "lock.h"

#include <errno.h>
#include <string.h>

#include <sys/stat.h>
#include <time.h>

#include "protocol/meet/flock.h"
#include "log.h"

enum { WAIT_MS = 2000, LOOK_MS = 10 };

/* A daemon that was killed during a save leaves a child, which has the lock until it runs once and ends: on a busy
 * machine a new daemon is faster. The child's copies of the listening sockets end with it. */
static int take(const char *path, int *lock)
{
    const struct timespec look = { 0, LOOK_MS * 1000000L };
    int status = mscope_flock_take(path, lock);

    for (int ms = 0; status == EWOULDBLOCK && ms < WAIT_MS; ms += LOOK_MS) {
        (void)nanosleep(&look, NULL);
        status = mscope_flock_take(path, lock);
    }
    return status;
}

int mscope_lock_take(const char *option, const char *value, const char *path, int *lock)
{
    struct stat is;
    int status;

    if (stat(path, &is) == 0 && !S_ISREG(is.st_mode)) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "--%s is '%s', expected a free path or a regular file: it is %s",
                   option, value, S_ISDIR(is.st_mode) ? "a directory" : "a device, a pipe or a socket");
        return MSCOPE_EINVAL;
    }
    status = take(path, lock);
    if (status == 0)
        return 0;
    if (status != EWOULDBLOCK) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "--%s %s: cannot lock %s.lock: %s", option, value, path,
                   strerror(status));
        return MSCOPE_EIO;
    }
    mscope_log(MSCOPE_LOG_ERROR, "store", "--%s is '%s', expected a %s that no other momentscoped uses: one holds "
               "%s.lock", option, value, strcmp(option, "map-dir") == 0 ? "directory" : "file", path);
    return MSCOPE_EBUSY;
}

void mscope_lock_release(const char *path, int lock)
{
    mscope_flock_release(path, lock);
}
