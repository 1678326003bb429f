/* sockets.c - see sockets.h
 *
 * protocol/meet/bind.c decides whether an endpoint may be bound. */
#include "sockets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <zmq.h>

#include "protocol/meet/endpoint.h"
#include "protocol/meet/monitor.h"
#include "clock.h"
#include "doors.h"
#include "log.h"

static void *make(void *context, int type, int linger_ms)
{
    void *s = zmq_socket(context, type);
    const int one = 1, hwm = 4096, handshake_ms = 10000;

    if (s == NULL)
        return NULL;
    (void)zmq_setsockopt(s, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    (void)zmq_setsockopt(s, ZMQ_IPV6, &one, sizeof one);
    (void)zmq_setsockopt(s, ZMQ_SNDHWM, &hwm, sizeof hwm);
    (void)zmq_setsockopt(s, ZMQ_HANDSHAKE_IVL, &handshake_ms, sizeof handshake_ms);
    return s;
}

/* The socket for shared memory lies beside the ingest path, which is bound by now; so a socket that is found there
 * is stale. */
static void open_shm(mscope_sockets *s, const mscope_options *o)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    struct stat st;

    if (mscope_shm_path(o->ingest, s->shm_path, sizeof a.sun_path) != 0) {
        mscope_log(MSCOPE_LOG_DEBUG, "main",
                   "no shared memory with trainers: endpoint %s has no path, or one that is too long", o->ingest);
        return;
    }
    memcpy(a.sun_path, s->shm_path, strlen(s->shm_path) + 1);
    if (lstat(s->shm_path, &st) == 0 && S_ISSOCK(st.st_mode))
        (void)unlink(s->shm_path);
    s->shm = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->shm >= 0 && bind(s->shm, (const struct sockaddr *)&a, sizeof a) == 0 && listen(s->shm, 64) == 0 &&
        lstat(s->shm_path, &st) == 0) {
        s->bound[3] = (mscope_bound){ .path = s->shm_path, .dev = st.st_dev, .ino = st.st_ino };
        return;
    }
    mscope_log(MSCOPE_LOG_WARN, "main", "no shared memory with trainers: %s: %s", s->shm_path, strerror(errno));
    if (s->shm >= 0)
        (void)close(s->shm);
    s->shm = -1;
}

/* libzmq ends the connection of a peer that exceeds one of these; doors.c has the others. */
static void set_limits(const mscope_sockets *s, const mscope_options *o)
{
    const int one = 1;
    const int64_t largest = (int64_t)o->max_part, small = 4096;

    (void)zmq_setsockopt(s->ingest, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    (void)zmq_setsockopt(s->ingest, ZMQ_ROUTER_MANDATORY, &one, sizeof one);    /* says who is gone: inbox.c */
    (void)zmq_setsockopt(s->telemetry, ZMQ_MAXMSGSIZE, &small, sizeof small);
    (void)zmq_setsockopt(s->telemetry, ZMQ_XPUB_VERBOSE, &one, sizeof one);
    (void)zmq_setsockopt(s->replay, ZMQ_MAXMSGSIZE, &small, sizeof small);
    (void)zmq_setsockopt(s->replay, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
}

/* On the doorman's thread. Peers that end their handshake are doors.c's to tell: it knows who they are. */
static void tell_keys(void *context, enum mscope_doorman_news what, int at, const char *who, const char *why)
{
    mscope_sockets *s = context;
    char key[32];

    if (what == MSCOPE_DOORMAN_LIST)
        mscope_log(MSCOPE_LOG_INFO, "main", "%s", why);
    else if (what == MSCOPE_DOORMAN_NOBODY)
        mscope_log(MSCOPE_LOG_ERROR, "main", "nobody is let in: %s", why);
    else if (what == MSCOPE_DOORMAN_REFUSED)
        mscope_doors_refused((enum mscope_door)(MSCOPE_DOOR_INGEST + at), who, why);
    if (what != MSCOPE_DOORMAN_UNLISTED)
        return;
    if (mscope_clock_ns() - s->unlisted_ns > 1000000000u) {    /* whoever reaches the port could fill the disk */
        s->unlisted_ns = mscope_clock_ns();
        mscope_log(MSCOPE_LOG_WARN, "main", "a peer of public key %s is not in %s/allowed and was refused", who,
                   s->options->keys);
    }
    (void)snprintf(key, sizeof key, "key %.16s...", who);
    mscope_doors_refused(MSCOPE_DOOR_NONE, key, why);
}

static int open_keys(mscope_sockets *s)
{
    void *const sockets[] = { s->ingest, s->telemetry, s->replay };
    char why[MSCOPE_KEYS_WHY];
    int err = mscope_doorman_open(&s->doorman, s->context, s->options->keys, tell_keys, s, why);

    for (int i = 0; i < 3 && !err; i++)
        err = mscope_doorman_watch(&s->doorman, sockets[i], i, why);
    if (!err)
        err = mscope_doorman_run(&s->doorman, why);
    if (err)
        mscope_log(MSCOPE_LOG_ERROR, "main", "--keys: %s", why);
    else
        mscope_log(MSCOPE_LOG_INFO, "main", "encrypted; this daemon's public key is %s", s->doorman.own.public_key);
    return err;
}

static int bind_one(void *socket, const mscope_options *o, enum mscope_door door, const char *endpoint,
                    mscope_bound *bound, char *why)
{
    int err;

    mscope_doors_listen(door);
    err = mscope_bind_socket(socket, mscope_doors_name(door), endpoint, bound, why);
    mscope_doors_listen(MSCOPE_DOOR_NONE);
    if (!err && bound->path != NULL && o->allow_users)
        (void)chmod(bound->path, 0666);      /* its directory says who may come so far */
    return err;
}

void mscope_sockets_look(mscope_sockets *s, uint64_t now_ns)
{
    struct stat st;

    if (now_ns - s->looked_ns < 1000000000u)
        return;
    s->looked_ns = now_ns;
    for (int i = 0; i < 3; i++)
        if (s->bound[i].path != NULL && lstat(s->bound[i].path, &st) != 0 && errno == ENOENT)
            atomic_store_explicit(&s->lost[i], 1, memory_order_release);
}

static int is_there(const mscope_bound *b)
{
    struct stat st;

    return lstat(b->path, &st) == 0 && st.st_dev == b->dev && st.st_ino == b->ino;
}

/* The old listening socket stays, without a name: libzmq would remove the new one's file when it closes it. */
static int bind_again(mscope_sockets *s, enum mscope_door door, mscope_bound *old, char *why)
{
    void *const sockets[] = { s->ingest, s->telemetry, s->replay };
    mscope_bound fresh = { .locked = old->locked, .lock = old->lock };
    char endpoint[256];
    int err;

    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s", old->path);
    err = mscope_bind_check(mscope_doors_name(door), endpoint, &fresh, why);
    if (!err)
        err = bind_one(sockets[door - MSCOPE_DOOR_INGEST], s->options, door, endpoint, &fresh, why);
    old->lock = fresh.lock;
    old->locked = fresh.locked != NULL ? old->path : NULL;
    if (err)
        return err;
    old->dev = fresh.dev;                    /* `path` stays: the other thread may be looking at it */
    old->ino = fresh.ino;
    return 0;
}

int mscope_sockets_again(mscope_sockets *s, enum mscope_door door)
{
    const int i = (int)door - MSCOPE_DOOR_INGEST;
    mscope_bound *old = &s->bound[i];
    char why[MSCOPE_BIND_WHY];
    int err;

    if (!atomic_load_explicit(&s->lost[i], memory_order_acquire))
        return 0;
    err = is_there(old) ? 0 : bind_again(s, door, old, why);     /* its directory may have come back */
    if (!err || !s->told[i])                 /* not every second */
        mscope_log(err ? MSCOPE_LOG_ERROR : MSCOPE_LOG_WARN, "main", "the socket file %s is gone%s%s", old->path,
                   err ? ", and nobody can connect: " : "; it was made again", err ? why : "");
    s->told[i] = err != 0;
    if (!err)
        atomic_store_explicit(&s->lost[i], 0, memory_order_release);
    return 1;
}

int mscope_sockets_open(mscope_sockets *s, const mscope_options *o)
{
    static const char *const names[] = { "ingest", "telemetry", "replay" };
    const char *const endpoints[] = { o->ingest, o->telemetry, o->replay };
    char why[MSCOPE_BIND_WHY];
    int err = 0;

    memset(s, 0, sizeof *s);
    s->shm = -1;
    s->options = o;
    for (int i = 0; i < 3 && !err; i++)
        err = mscope_bind_check(names[i], endpoints[i], &s->bound[i], why);
    if (err) {
        mscope_log(MSCOPE_LOG_ERROR, "main", "%s", why);
        mscope_sockets_close(s);
        return err;
    }
    s->context = zmq_ctx_new();
    if (s->context != NULL) {
        s->ingest = make(s->context, ZMQ_ROUTER, 200);
        s->telemetry = make(s->context, ZMQ_XPUB, 500);
        s->replay = make(s->context, ZMQ_ROUTER, 200);
    }
    if (s->ingest == NULL || s->telemetry == NULL || s->replay == NULL) {
        mscope_log(MSCOPE_LOG_ERROR, "main", "cannot make ZeroMQ sockets: %s", zmq_strerror(zmq_errno()));
        err = MSCOPE_EIO;
    } else {
        void *const sockets[] = { s->ingest, s->telemetry, s->replay };
        set_limits(s, o);
        err = o->keys[0] != '\0' ? open_keys(s) : 0;
        for (int i = 0; i < 3 && !err; i++) {
            err = bind_one(sockets[i], o, (enum mscope_door)(MSCOPE_DOOR_INGEST + i), endpoints[i], &s->bound[i], why);
            mscope_log(err ? MSCOPE_LOG_ERROR : MSCOPE_LOG_INFO, "main", "%s", why);
        }
    }
    if (err)
        mscope_sockets_close(s);
    else
        open_shm(s, o);
    return err;
}

void mscope_sockets_close(mscope_sockets *s)
{
    mscope_bind_remove(&s->bound[3]);        /* before the lock of ingest, which protects it as well */
    for (int i = 0; i < 3; i++)
        mscope_bind_remove(&s->bound[i]);
    if (s->shm >= 0)
        (void)close(s->shm);
    mscope_monitored_close(s->ingest);
    mscope_monitored_close(s->telemetry);
    mscope_monitored_close(s->replay);
    mscope_doorman_close(&s->doorman);
    if (s->context != NULL)
        (void)zmq_ctx_term(s->context);
    memset(s, 0, sizeof *s);
    s->shm = -1;
}
