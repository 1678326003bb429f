/* sockets.c - see sockets.h
 *
 * libzmq unlinks an ipc path before it binds, which would quietly take it from a living daemon, or anything else that is
 * there; so we look and knock first. */
#include "sockets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <zmq.h>

#include "log.h"

/* The directory of an ipc path: made private when missing; in a shared /tmp it must be ours and closed to others. */
static int check_directory(const char *path)
{
    char dir[512];
    char *slash;
    struct stat st;

    (void)snprintf(dir, sizeof dir, "%s", path);
    slash = strrchr(dir, '/');
    if (slash == NULL || slash == dir)
        return 0;
    *slash = '\0';
    if (mkdir(dir, 0700) == 0)
        mscope_log(MSCOPE_LOG_DEBUG, "main", "made directory %s", dir);
    else if (errno != EEXIST) {
        mscope_log(MSCOPE_LOG_ERROR, "main", "cannot make directory %s: %s", dir, strerror(errno));
        return MSCOPE_EIO;
    }
    if (strncmp(dir, "/tmp/momentscope-", 17) != 0)
        return 0;
    if (lstat(dir, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
        mscope_log(MSCOPE_LOG_ERROR, "main",
                   "%s is not a directory of yours with mode 0700; remove it or give endpoints elsewhere", dir);
        return MSCOPE_EIO;
    }
    return 0;
}

/* Does anybody accept connections there? A full queue of a stopped daemon counts as somebody. 0: nobody, or errno. */
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

/* Nothing but a socket that nobody serves may be in the way: libzmq would remove a file as readily. */
static int check_path(const char *what, const char *endpoint)
{
    const char *path = path_of(endpoint);
    struct stat st;
    int err;

    if (path == NULL)
        return 0;
    err = check_directory(path);
    if (err)
        return err;
    if (lstat(path, &st) != 0) {
        if (errno == ENOENT)
            return 0;
        mscope_log(MSCOPE_LOG_ERROR, "main", "cannot look at %s (--%s): %s", path, what, strerror(errno));
        return MSCOPE_EIO;
    }
    if (!S_ISSOCK(st.st_mode)) {
        mscope_log(MSCOPE_LOG_ERROR, "main", "--%s is '%s', expected a path where nothing is, or a socket: it is %s", what,
                   endpoint, kind_of(st.st_mode));
        return MSCOPE_EINVAL;
    }
    err = knock(path);
    if (err == EADDRINUSE) {
        mscope_log(MSCOPE_LOG_ERROR, "main", "another momentscoped is listening on %s", endpoint);
        return MSCOPE_EBUSY;
    }
    if (err) {
        mscope_log(MSCOPE_LOG_ERROR, "main", "the socket %s (--%s) belongs to user %lu, and this is user %lu: %s", path, what,
                   (unsigned long)st.st_uid, (unsigned long)geteuid(), strerror(err));
        return MSCOPE_EIO;
    }
    return 0;
}

/* Why a bind failed, in words. */
static int bind_failed(const char *what, const char *endpoint, int why)
{
    if (why == EADDRINUSE && path_of(endpoint) != NULL) {
        mscope_log(MSCOPE_LOG_ERROR, "main", "nobody serves the socket %s (--%s), but it cannot be replaced: no permission "
                   "to remove it from its directory", path_of(endpoint), what);
        return MSCOPE_EIO;
    }
    if (why == EADDRINUSE) {
        mscope_log(MSCOPE_LOG_ERROR, "main", "another momentscoped, or another program, is listening on %s", endpoint);
        return MSCOPE_EBUSY;
    }
    mscope_log(MSCOPE_LOG_ERROR, "main", "cannot bind %s to %s: %s", what, endpoint, zmq_strerror(why));
    return MSCOPE_EIO;
}

static int bind_at(void *socket, const char *what, const char *endpoint, mscope_bound *bound)
{
    struct stat st;

    if (zmq_bind(socket, endpoint) != 0)
        return bind_failed(what, endpoint, zmq_errno());
    if (path_of(endpoint) != NULL && lstat(path_of(endpoint), &st) == 0)
        *bound = (mscope_bound){ path_of(endpoint), st.st_dev, st.st_ino };
    mscope_log(MSCOPE_LOG_INFO, "main", "%s on %s", what, endpoint);
    return 0;
}

/* libzmq leaves the file behind. One that another process has put there since is not ours. */
static void remove_file(const mscope_bound *b)
{
    struct stat st;

    if (b->path != NULL && lstat(b->path, &st) == 0 && st.st_dev == b->dev && st.st_ino == b->ino)
        (void)unlink(b->path);
}

static void *make(void *context, int type, int linger_ms)
{
    void *s = zmq_socket(context, type);
    const int one = 1, hwm = 4096;

    if (s == NULL)
        return NULL;
    (void)zmq_setsockopt(s, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    (void)zmq_setsockopt(s, ZMQ_IPV6, &one, sizeof one);
    (void)zmq_setsockopt(s, ZMQ_SNDHWM, &hwm, sizeof hwm);
    return s;
}

/* Each limit ends the connection of a peer that passes it; protocol/README.md has them. */
static void set_limits(const mscope_sockets *s, const mscope_options *o)
{
    const int one = 1;
    const int64_t largest = (int64_t)o->max_frame, small = 4096;

    (void)zmq_setsockopt(s->ingest, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    (void)zmq_setsockopt(s->telemetry, ZMQ_MAXMSGSIZE, &small, sizeof small);
    (void)zmq_setsockopt(s->telemetry, ZMQ_XPUB_VERBOSE, &one, sizeof one);
    (void)zmq_setsockopt(s->replay, ZMQ_MAXMSGSIZE, &small, sizeof small);
    (void)zmq_setsockopt(s->replay, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
}

int mscope_sockets_open(mscope_sockets *s, const mscope_options *o)
{
    static const char *const names[] = { "ingest", "telemetry", "replay" };
    const char *const endpoints[] = { o->ingest, o->telemetry, o->replay };
    int err = 0;

    memset(s, 0, sizeof *s);
    for (int i = 0; i < 3 && !err; i++)
        err = check_path(names[i], endpoints[i]);
    if (err)
        return err;
    s->context = zmq_ctx_new();
    if (s->context != NULL) {
        s->ingest = make(s->context, ZMQ_ROUTER, 200);
        s->telemetry = make(s->context, ZMQ_XPUB, 500);
        s->replay = make(s->context, ZMQ_ROUTER, 200);
    }
    if (s->ingest == NULL || s->telemetry == NULL || s->replay == NULL) {
        mscope_log(MSCOPE_LOG_ERROR, "main", "no ZeroMQ socket: %s", zmq_strerror(zmq_errno()));
        err = MSCOPE_EIO;
    } else {
        void *const sockets[] = { s->ingest, s->telemetry, s->replay };
        set_limits(s, o);
        for (int i = 0; i < 3 && !err; i++)
            err = bind_at(sockets[i], names[i], endpoints[i], &s->bound[i]);
    }
    if (err)
        mscope_sockets_close(s);
    return err;
}

void mscope_sockets_close(mscope_sockets *s)
{
    for (int i = 0; i < 3; i++)
        remove_file(&s->bound[i]);
    if (s->ingest != NULL)
        (void)zmq_close(s->ingest);
    if (s->telemetry != NULL)
        (void)zmq_close(s->telemetry);
    if (s->replay != NULL)
        (void)zmq_close(s->replay);
    if (s->context != NULL)
        (void)zmq_ctx_term(s->context);
    memset(s, 0, sizeof *s);
}
