/* standard.c - see standard.h */
#include "standard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <poll.h>
#include <unistd.h>

void mscope_standard_open(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)        /* the lowest free number is fd: the others are taken */
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int mscope_standard_reader_left(void)
{
    struct pollfd out = { .fd = STDOUT_FILENO };

    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

int mscope_standard_arrived(const char *name, int code, int failed)
{
    errno = 0;
    if ((fflush(stdout) == 0 && !ferror(stdout)) || errno == EPIPE || mscope_standard_reader_left())
        return code;                         /* errno of an earlier write is lost by now; the pipe itself still knows */
    fprintf(stderr, "%s: cannot write standard output: %s\n", name,
            errno != 0 ? strerror(errno) : "a write failed; is the disk full, or the output closed?");
    return code == 0 ? failed : code;
}
