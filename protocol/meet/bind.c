/* bind.c - see bind.h
 *
 * libzmq unlinks an ipc path before it binds, which would quietly take it from a living daemon, or anything else
 * that is there; so we look and knock first. */
#include "bind.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <zmq.h>

#include "endpoint.h"
#include "flock.h"
#include "owner.h"

static int starts(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

int mscope_bind_local(const char *e)
{
    return starts(e, "ipc://") || starts(e, "tcp://127.0.0.1:") || starts(e, "tcp://[::1]:") ||
           starts(e, "tcp://localhost:");
}

/* ADDRESS:PORT. Port 0 or * is refused: the system would draw a port that nobody knows. */
static int port_ok(const char *address)
{
    const char *colon = strrchr(address, ':');
    unsigned long port;
    char *end;

    if (colon == NULL || colon == address || !isdigit((unsigned char)colon[1]) || strlen(colon + 1) > 5)
        return 0;
    port = strtoul(colon + 1, &end, 10);
    return *end == '\0' && port >= 1 && port <= 65535;
}

const char *mscope_bind_range(const char *e, int allow_remote)
{
    if (!starts(e, "ipc://") && !starts(e, "tcp://"))
        return "ipc://PATH or tcp://ADDRESS:PORT";
    if (strcmp(e, "ipc://") == 0 || strcmp(e, "ipc://*") == 0)
        return "ipc:// and the path of a socket";
    if (starts(e, "tcp://") && !port_ok(e + 6))
        return "tcp://ADDRESS:PORT with a port of 1..65535";
    if (starts(e, "ipc://") && strlen(e + 6) > 107)
        return "a socket path of at most 107 bytes";
    if (!allow_remote && !mscope_bind_local(e))
        return "ipc://... or tcp:// on 127.0.0.1, [::1] or localhost; --allow-remote opens it to the network";
    return NULL;
}

/* The directory of an ipc path: nobody else could put a socket there (owner.h). That of the default endpoints is this
 * user's alone. */
static int check_directory(const char *what, const char *endpoint, const char *path, char *why)
{
    char dir[512], usual[512];
    char *slash;
    struct stat st;
    int rc = mscope_owner_place(endpoint, why);

    if (rc != 0)
        return rc;
    (void)snprintf(dir, sizeof dir, "%s", path);
    slash = strrchr(dir, '/');
    if (slash == NULL || slash == dir)
        return 0;
    *slash = '\0';
    if (lstat(dir, &st) != 0) {
        (void)snprintf(why, MSCOPE_BIND_WHY, "cannot use directory %s (--%s): %s", dir, what, strerror(errno));
        return MSCOPE_EIO;
    }
    if (mscope_default_directory(usual, sizeof usual) == 0 && strcmp(dir, usual) == 0 &&
        (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)) {
        (void)snprintf(why, MSCOPE_BIND_WHY, "%s is not a directory of this user with mode 0700; remove it, or give "
                       "endpoints elsewhere", dir);
        return MSCOPE_EIO;
    }
    return 0;
}

/* Does a process accept connections there? The full queue of a stopped daemon counts as one. Returns 0: no; else
 * errno. */
static int knock(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd, status;

    if (strlen(path) >= sizeof a.sun_path)
        return 0;
    memcpy(a.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return 0;
    status = connect(fd, (const struct sockaddr *)&a, sizeof a) == 0 ? EADDRINUSE : errno;
    (void)close(fd);
    if (status == EAGAIN || status == EINPROGRESS)
        return EADDRINUSE;
    return status == ECONNREFUSED || status == ENOENT || status == EPROTOTYPE ? 0 : status;
}

static const char *kind_of(mode_t mode)
{
    return S_ISREG(mode) ? "a regular file" : S_ISDIR(mode) ? "a directory" : S_ISLNK(mode) ? "a symbolic link"
         : S_ISFIFO(mode) ? "a pipe" : "a device";
}

/* The file of an ipc endpoint, or NULL: tcp, or a name of the abstract space. */
static const char *path_of(const char *endpoint)
{
    return strncmp(endpoint, "ipc://", 6) == 0 && endpoint[6] != '@' ? endpoint + 6 : NULL;
}

/* Where no lock can be made for want of permission, no socket can be bound either, and that is said better. */
static int lock(const char *endpoint, const char *path, mscope_bound *bound, char *why)
{
    int status;

    if (bound->locked != NULL)               /* from before: it would keep us out where its file is still there */
        (void)close(bound->lock);
    status = mscope_flock_take(path, &bound->lock);
    bound->locked = status == 0 ? path : NULL;
    if (status != EWOULDBLOCK)
        return 0;
    (void)snprintf(why, MSCOPE_BIND_WHY, "another momentscoped is listening on %s, or about to (it holds %s.lock)",
                   endpoint, path);
    return MSCOPE_EBUSY;
}

/* Only a socket that no process serves may be there: libzmq would remove any other file just as well. */
int mscope_bind_check(const char *what, const char *endpoint, mscope_bound *bound, char *why)
{
    const char *path = path_of(endpoint);
    struct stat st;
    int err;

    if (path == NULL)
        return 0;
    err = check_directory(what, endpoint, path, why);
    if (!err)
        err = lock(endpoint, path, bound, why);
    if (err)
        return err;
    if (lstat(path, &st) != 0) {
        if (errno == ENOENT)
            return 0;
        (void)snprintf(why, MSCOPE_BIND_WHY, "cannot examine %s (--%s): %s", path, what, strerror(errno));
        return MSCOPE_EIO;
    }
    if (!S_ISSOCK(st.st_mode)) {
        (void)snprintf(why, MSCOPE_BIND_WHY, "--%s is '%s', expected a free path or a socket: it is %s",
                       what, endpoint, kind_of(st.st_mode));
        return MSCOPE_EINVAL;
    }
    err = knock(path);
    if (err == EADDRINUSE) {
        (void)snprintf(why, MSCOPE_BIND_WHY, "another momentscoped is listening on %s", endpoint);
        return MSCOPE_EBUSY;
    }
    if (err) {
        (void)snprintf(why, MSCOPE_BIND_WHY, "the socket %s (--%s) belongs to user %lu, and this is user %lu: %s", path,
                       what, (unsigned long)st.st_uid, (unsigned long)geteuid(), strerror(err));
        return MSCOPE_EIO;
    }
    return 0;
}

static int bind_failed(const char *what, const char *endpoint, int status, char *why)
{
    if (status == EADDRINUSE && path_of(endpoint) != NULL) {
        (void)snprintf(why, MSCOPE_BIND_WHY, "no process serves the socket %s (--%s), but it cannot be replaced: no "
                       "permission to remove it from its directory", path_of(endpoint), what);
        return MSCOPE_EIO;
    }
    if (status == EADDRINUSE) {
        (void)snprintf(why, MSCOPE_BIND_WHY, "another momentscoped, or another program, is listening on %s",
                       endpoint);
        return MSCOPE_EBUSY;
    }
    (void)snprintf(why, MSCOPE_BIND_WHY, "cannot bind %s to %s: %s", what, endpoint, zmq_strerror(status));
    return MSCOPE_EIO;
}

int mscope_bind_socket(void *socket, const char *what, const char *endpoint, mscope_bound *bound, char *why)
{
    const char *path = path_of(endpoint);
    struct stat st;

    if (zmq_bind(socket, endpoint) != 0)
        return bind_failed(what, endpoint, zmq_errno(), why);
    if (path != NULL && lstat(path, &st) == 0) {
        bound->path = path;
        bound->dev = st.st_dev;
        bound->ino = st.st_ino;
        (void)chmod(path, 0600);
    }
    (void)snprintf(why, MSCOPE_BIND_WHY, "%s on %s", what, endpoint);
    return 0;
}

void mscope_bind_remove(mscope_bound *b)
{
    struct stat st;

    if (b->path != NULL && lstat(b->path, &st) == 0 && st.st_dev == b->dev && st.st_ino == b->ino)
        (void)unlink(b->path);
    if (b->locked != NULL)
        mscope_flock_release(b->locked, b->lock);
    *b = (mscope_bound){ 0 };
}
