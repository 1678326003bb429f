/* flock.c - see flock.h */
#include "flock.h"

#include <errno.h>
#include <stdio.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The name is removed at exit. So a lock counts only if the name still leads to the locked file. */
int mscope_flock_take(const char *path, int *lock)
{
    char name[4096];
    struct stat own, named;

    *lock = -1;
    if ((size_t)snprintf(name, sizeof name, "%s.lock", path) >= sizeof name)
        return ENAMETOOLONG;
    for (;;) {
        const int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return errno;
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            const int status = errno;
            (void)close(fd);
            return status;
        }
        if (fstat(fd, &own) == 0 && lstat(name, &named) == 0 && own.st_dev == named.st_dev &&
            own.st_ino == named.st_ino) {
            *lock = fd;
            return 0;
        }
        (void)close(fd);
    }
}

void mscope_flock_release(const char *path, int lock)
{
    char name[4096];

    if (lock < 0)
        return;
    (void)snprintf(name, sizeof name, "%s.lock", path);
    (void)unlink(name);
    (void)close(lock);
}
