/* lock.c - see lock.h */
#include "lock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

/* The name is removed at exit. So a lock counts only if the name still leads to the locked file. */
int mscope_lock_take(const char *option, const char *value, const char *path, int *lock)
{
    char name[4096];
    struct stat own, named;
    int fd;

    if ((size_t)snprintf(name, sizeof name, "%s.lock", path) >= sizeof name)
        return MSCOPE_EINVAL;
    if (stat(path, &own) == 0 && !S_ISREG(own.st_mode)) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "--%s is '%s', expected a free path or a regular file: it is %s",
                   option, value, S_ISDIR(own.st_mode) ? "a directory" : "a device, a pipe or a socket");
        return MSCOPE_EINVAL;
    }
    for (;;) {
        fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
            break;
        if (fstat(fd, &own) == 0 && stat(name, &named) == 0 && own.st_dev == named.st_dev &&
            own.st_ino == named.st_ino) {
            *lock = fd;
            return 0;
        }
        (void)close(fd);
    }
    if (fd >= 0 && errno == EWOULDBLOCK)
        mscope_log(MSCOPE_LOG_ERROR, "store", "--%s is '%s', expected a %s that no other momentscoped uses: one holds "
                   "%s", option, value, strcmp(option, "map-dir") == 0 ? "directory" : "file", name);
    else
        mscope_log(MSCOPE_LOG_ERROR, "store", "--%s %s: cannot lock %s: %s", option, value, name, strerror(errno));
    if (fd < 0)
        return MSCOPE_EIO;
    (void)close(fd);
    return MSCOPE_EBUSY;
}

void mscope_lock_release(const char *path, int lock)
{
    char name[4096];

    if (lock < 0)
        return;
    (void)snprintf(name, sizeof name, "%s.lock", path);
    (void)unlink(name);
    (void)close(lock);
}
