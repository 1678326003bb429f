/* whole.c - see whole.h */
#include "whole.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

static int write_to(const char *path, int flags, const char *at, size_t len)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
    int err = 0;

    if (fd < 0)
        return -1;
    while (len > 0 && err == 0) {
        const ssize_t n = write(fd, at, len);
        if (n >= 0) {
            at += n;
            len -= (size_t)n;
        } else if (errno != EINTR) {
            err = errno;
        }
    }
    if (close(fd) != 0 && err == 0)          /* some file systems are full only now */
        err = errno;
    errno = err;
    return err == 0 ? 0 : -1;
}

int mscope_whole_write(const char *path, const void *bytes, size_t len)
{
    const size_t cap = strlen(path) + 32;
    struct stat is;
    char *beside;
    int err;

    if (lstat(path, &is) == 0 && !S_ISREG(is.st_mode))
        return write_to(path, O_TRUNC, bytes, len);
    if ((beside = malloc(cap)) == NULL)
        return -1;
    (void)snprintf(beside, cap, "%s.%ld.new", path, (long)getpid());
    if (write_to(beside, O_EXCL, bytes, len) == 0 && rename(beside, path) == 0) {
        free(beside);
        return 0;
    }
    err = errno;
    if (err != EEXIST)                       /* else it is not ours */
        (void)unlink(beside);
    free(beside);
    errno = err;
    return -1;
}
