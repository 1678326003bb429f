/* sockets.c - see sockets.h
 *
 * libzmq unlinks an ipc path before it binds, which would quietly take it from a living daemon; so we knock first. */
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

/* Does anybody accept connections there? A full queue of a stopped daemon counts as somebody. */
static int somebody_listens(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd, listens;

    if (strlen(path) >= sizeof a.sun_path)
        return 0;
    memcpy(a.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return 0;
    listens = connect(fd, (const struct sockaddr *)&a, sizeof a) == 0 || errno == EAGAIN || errno == EINPROGRESS;
    (void)close(fd);
    return listens;
}

static int bind_at(void *socket, const char *what, const char *endpoint)
{
    int err;

    if (socket == NULL) {
        mscope_log(MSCOPE_LOG_ERROR, "main", "no ZeroMQ socket for %s: %s", what, zmq_strerror(zmq_errno()));
        return MSCOPE_EIO;
    }
    if (strncmp(endpoint, "ipc:///", 7) == 0) {
        err = check_directory(endpoint + 6);
        if (err)
            return err;
        if (somebody_listens(endpoint + 6)) {
            mscope_log(MSCOPE_LOG_ERROR, "main", "another momentscoped is listening on %s", endpoint);
            return MSCOPE_EBUSY;
        }
    }
    if (zmq_bind(socket, endpoint) == 0) {
        mscope_log(MSCOPE_LOG_INFO, "main", "%s on %s", what, endpoint);
        return 0;
    }
    if (zmq_errno() == EADDRINUSE) {
        mscope_log(MSCOPE_LOG_ERROR, "main", "another momentscoped, or another program, is listening on %s", endpoint);
        return MSCOPE_EBUSY;
    }
    mscope_log(MSCOPE_LOG_ERROR, "main", "cannot bind %s to %s: %s", what, endpoint, zmq_strerror(zmq_errno()));
    return MSCOPE_EIO;
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

int mscope_sockets_open(mscope_sockets *s, const mscope_options *o)
{
    const int one = 1;
    const int64_t largest = (int64_t)o->max_frame, small = 4096;
    int err;

    memset(s, 0, sizeof *s);
    s->context = zmq_ctx_new();
    if (s->context == NULL)
        return MSCOPE_EIO;
    s->ingest = make(s->context, ZMQ_ROUTER, 200);
    s->telemetry = make(s->context, ZMQ_XPUB, 500);
    s->replay = make(s->context, ZMQ_ROUTER, 200);
    if (s->ingest && s->telemetry && s->replay) {
        (void)zmq_setsockopt(s->ingest, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
        (void)zmq_setsockopt(s->telemetry, ZMQ_MAXMSGSIZE, &small, sizeof small);
        (void)zmq_setsockopt(s->telemetry, ZMQ_XPUB_VERBOSE, &one, sizeof one);
        (void)zmq_setsockopt(s->replay, ZMQ_MAXMSGSIZE, &small, sizeof small);
        (void)zmq_setsockopt(s->replay, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
    }
    err = bind_at(s->ingest, "ingest", o->ingest);
    if (!err)
        err = bind_at(s->telemetry, "telemetry", o->telemetry);
    if (!err)
        err = bind_at(s->replay, "replay", o->replay);
    if (err)
        mscope_sockets_close(s);
    return err;
}

void mscope_sockets_close(mscope_sockets *s)
{
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
