/* doorman.c - see doorman.h */
#include "doorman.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include <zmq.h>

#include "clock.h"
#include "doors.h"
#include "log.h"

enum { FRAMES = 7, FRAME_BYTES = 256, KEY_BYTES = 32, LOOK_MS = 250 };

typedef struct request {                 /* version, id, domain, address, routing id, mechanism, credentials    */
    uint8_t at[FRAMES][FRAME_BYTES];
    size_t len[FRAMES], n;
} request;

/* -- the list ------------------------------------------------------------------------------------- */

static void read_list(mscope_doorman *d)
{
    char path[1200], why[MSCOPE_KEYS_WHY];
    struct stat st = { 0 };

    (void)snprintf(path, sizeof path, "%s/allowed", d->dir);
    (void)stat(path, &st);
    if (st.st_size == d->size && st.st_mtim.tv_sec == d->read_at.tv_sec && st.st_mtim.tv_nsec == d->read_at.tv_nsec)
        return;
    d->size = st.st_size;
    d->read_at = st.st_mtim;
    d->n = mscope_keys_list(d->dir, d->allowed, MSCOPE_KEYS_MOST, why);
    if (d->n < 0)
        mscope_log(MSCOPE_LOG_ERROR, "main", "nobody is let in: %s", why);
    else
        mscope_log(MSCOPE_LOG_INFO, "main", "%d peers of %s may connect", d->n, path);
}

static const mscope_allowed *find(const mscope_doorman *d, const char *key)
{
    for (int i = 0; i < d->n; i++)
        if (strcmp(d->allowed[i].key, key) == 0)
            return &d->allowed[i];
    return NULL;
}

/* -- requests ------------------------------------------------------------------------------------- */

static int receive(void *zap, request *q)
{
    int more = 1;

    for (q->n = 0; more; q->n++) {
        zmq_msg_t m;
        (void)zmq_msg_init(&m);
        if (zmq_msg_recv(&m, zap, ZMQ_DONTWAIT) < 0) {
            (void)zmq_msg_close(&m);
            return 0;
        }
        if (q->n < FRAMES) {
            q->len[q->n] = zmq_msg_size(&m) < FRAME_BYTES ? zmq_msg_size(&m) : FRAME_BYTES;
            memcpy(q->at[q->n], zmq_msg_data(&m), q->len[q->n]);
        }
        more = zmq_msg_more(&m);
        (void)zmq_msg_close(&m);
    }
    return 1;
}

static void answer(void *zap, const request *q, const char *status, const char *text, const char *user)
{
    (void)zmq_send(zap, "1.0", 3, ZMQ_SNDMORE);
    (void)zmq_send(zap, q->at[1], q->n > 1 ? q->len[1] : 0, ZMQ_SNDMORE);
    (void)zmq_send(zap, status, strlen(status), ZMQ_SNDMORE);
    (void)zmq_send(zap, text, strlen(text), ZMQ_SNDMORE);
    (void)zmq_send(zap, user, strlen(user), ZMQ_SNDMORE);
    (void)zmq_send(zap, "", 0, 0);
}

static void judge(mscope_doorman *d, const request *q)
{
    char key[MSCOPE_KEY_LEN + 1] = "", who[96];
    const mscope_allowed *peer = NULL;

    if (q->n == FRAMES && q->len[5] == 5 && memcmp(q->at[5], "CURVE", 5) == 0 && q->len[6] == KEY_BYTES) {
        read_list(d);
        mscope_key_hex(q->at[6], key);
        peer = find(d, key);
    }
    if (peer != NULL) {
        answer(d->zap, q, "200", "OK", peer->name);
        return;
    }
    if (mscope_clock_ns() - d->told_ns > 1000000000u) {      /* whoever reaches the port could fill the disk */
        d->told_ns = mscope_clock_ns();
        mscope_log(MSCOPE_LOG_WARN, "main", "a peer of public key %s is not in %s/allowed and was refused", key,
                   d->dir);
    }
    (void)snprintf(who, sizeof who, "key %.16s...", key);
    mscope_doors_refused(MSCOPE_DOOR_NONE, who, "its public key is not in the file `allowed` (momentscope keys allow)");
    answer(d->zap, q, "400", "the daemon does not know this key", "");
}

/* Refusals of a key were told above. */
static void hear(void *watch, enum mscope_door door)
{
    uint8_t event[6], address[256];

    while (zmq_recv(watch, event, sizeof event, ZMQ_DONTWAIT) == (int)sizeof event) {
        uint16_t what;
        uint32_t value;
        memcpy(&what, event, sizeof what);
        memcpy(&value, event + 2, sizeof value);
        (void)zmq_recv(watch, address, sizeof address, ZMQ_DONTWAIT);
        if (what == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
            mscope_doors_refused(door, "a peer", value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH
                                 ? "it has no keys (MOMENTSCOPE_KEYS)" : "it has another daemon's public key");
    }
}

static void *run(void *doorman)
{
    mscope_doorman *d = doorman;
    zmq_pollitem_t items[4] = { { .socket = d->zap, .events = ZMQ_POLLIN } };
    request q;

    for (int i = 0; i < 3; i++)
        items[i + 1] = (zmq_pollitem_t){ .socket = d->watch[i], .events = ZMQ_POLLIN };
    while (!atomic_load_explicit(&d->stop, memory_order_acquire)) {
        (void)zmq_poll(items, 4, LOOK_MS);
        while (receive(d->zap, &q))
            judge(d, &q);
        for (int i = 0; i < 3; i++)
            hear(d->watch[i], (enum mscope_door)(MSCOPE_DOOR_INGEST + i));
    }
    return NULL;
}

/* -- for sockets.c -------------------------------------------------------------------------------- */

int mscope_doorman_open(mscope_doorman *d, void *context, const char *dir)
{
    const int none = 0;
    char why[MSCOPE_KEYS_WHY];
    int rc;

    *d = (mscope_doorman){ .context = context, .size = -1 };
    rc = mscope_keys_read(dir, &d->own, why);
    if (rc != 0) {
        mscope_log(MSCOPE_LOG_ERROR, "main", "--keys: %s", why);
        return rc;
    }
    d->dir = dir;
    d->allowed = calloc(MSCOPE_KEYS_MOST, sizeof *d->allowed);
    d->zap = zmq_socket(context, ZMQ_REP);
    if (d->allowed == NULL || d->zap == NULL || zmq_setsockopt(d->zap, ZMQ_LINGER, &none, sizeof none) != 0 ||
        zmq_bind(d->zap, "inproc://zeromq.zap.01") != 0) {
        mscope_log(MSCOPE_LOG_ERROR, "main", "--keys: cannot answer ZeroMQ: %s", strerror(errno));
        mscope_doorman_close(d);
        return MSCOPE_EIO;
    }
    read_list(d);
    mscope_log(MSCOPE_LOG_INFO, "main", "encrypted; this daemon's public key is %s", d->own.public_key);
    return d->n < 0 ? MSCOPE_EINVAL : 0;
}

int mscope_doorman_watch(mscope_doorman *d, void *socket, int door)
{
    void **watch = &d->watch[door - MSCOPE_DOOR_INGEST];
    char name[64], why[MSCOPE_KEYS_WHY];
    const int none = 0;
    int rc = mscope_keys_serve(socket, &d->own, why);

    if (rc != 0) {
        mscope_log(MSCOPE_LOG_ERROR, "main", "--keys: %s", why);
        return rc;
    }
    (void)snprintf(name, sizeof name, "inproc://doorman-%d", door);
    *watch = zmq_socket(d->context, ZMQ_PAIR);
    if (*watch != NULL && zmq_setsockopt(*watch, ZMQ_LINGER, &none, sizeof none) == 0 &&
        zmq_socket_monitor(socket, name, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL) == 0 && zmq_connect(*watch, name) == 0)
        return 0;
    mscope_log(MSCOPE_LOG_ERROR, "main", "--keys: cannot watch handshakes: %s", strerror(errno));
    return MSCOPE_EIO;
}

int mscope_doorman_run(mscope_doorman *d)
{
    return pthread_create(&d->thread, NULL, run, d) == 0 ? 0 : MSCOPE_EIO;
}

void mscope_doorman_close(mscope_doorman *d)
{
    if (d->thread != 0) {
        atomic_store_explicit(&d->stop, 1, memory_order_release);
        (void)pthread_join(d->thread, NULL);
    }
    if (d->zap != NULL)
        (void)zmq_close(d->zap);
    for (int i = 0; i < 3; i++)
        if (d->watch[i] != NULL)
            (void)zmq_close(d->watch[i]);
    free(d->allowed);
    *d = (mscope_doorman){ .dir = NULL };
}
