/* doorman.c - see doorman.h */
#include "doorman.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include <zmq.h>

enum { FRAMES = 7, FRAME_BYTES = 256, KEY_BYTES = 32, LOOK_MS = 250 };

typedef struct request {                 /* version, id, domain, address, routing id, mechanism, credentials    */
    uint8_t at[FRAMES][FRAME_BYTES];
    size_t len[FRAMES], n;
} request;

/* -- the list ------------------------------------------------------------------------------------- */

static void read_list(mscope_doorman *d)
{
    char path[1100], why[MSCOPE_KEYS_WHY], text[1200];
    struct stat st = { 0 };

    (void)snprintf(path, sizeof path, "%s/allowed", d->dir);
    (void)stat(path, &st);
    if (st.st_size == d->size && st.st_mtim.tv_sec == d->read_at.tv_sec && st.st_mtim.tv_nsec == d->read_at.tv_nsec)
        return;
    d->size = st.st_size;
    d->read_at = st.st_mtim;
    d->n = mscope_keys_list(d->dir, d->allowed, MSCOPE_KEYS_MOST, why);
    if (d->n >= 0)
        (void)snprintf(text, sizeof text, "%d peers of %s may connect", d->n, path);
    d->tell(d->to, d->n < 0 ? MSCOPE_DOORMAN_NOBODY : MSCOPE_DOORMAN_LIST, 0, path, d->n < 0 ? why : text);
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
    char key[MSCOPE_KEY_LEN + 1] = "";
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
    d->tell(d->to, MSCOPE_DOORMAN_UNLISTED, 0, key,
            "its public key is not in the file `allowed` (momentscope keys allow)");
    answer(d->zap, q, "400", "the daemon does not know this key", "");
}

/* Refusals of a key were told above. */
static void hear(const mscope_doorman *d, int at)
{
    uint8_t event[6], address[256];

    while (zmq_recv(d->watch[at], event, sizeof event, ZMQ_DONTWAIT) == (int)sizeof event) {
        uint16_t what;
        uint32_t value;
        memcpy(&what, event, sizeof what);   /* the monitor speaks host order */
        memcpy(&value, event + 2, sizeof value);
        (void)zmq_recv(d->watch[at], address, sizeof address, ZMQ_DONTWAIT);
        if (what == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
            d->tell(d->to, MSCOPE_DOORMAN_REFUSED, at, "a peer",
                    value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH ? "it has no keys (MOMENTSCOPE_KEYS)"
                                                                        : "it has another daemon's public key");
        else if (what == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
            d->tell(d->to, MSCOPE_DOORMAN_LEFT, at, "a peer",
                    "it ended its handshake: it has no keys (MOMENTSCOPE_KEYS), or took too long");
    }
}

void mscope_doorman_answer(mscope_doorman *d)
{
    request q;

    while (receive(d->zap, &q))
        judge(d, &q);
}

static void *run(void *doorman)
{
    mscope_doorman *d = doorman;
    zmq_pollitem_t items[1 + MSCOPE_DOORMAN_SOCKETS] = { { .socket = d->zap, .events = ZMQ_POLLIN } };
    int at[1 + MSCOPE_DOORMAN_SOCKETS], n = 1;

    for (int i = 0; i < MSCOPE_DOORMAN_SOCKETS; i++)
        if (d->watch[i] != NULL) {
            at[n] = i;
            items[n++] = (zmq_pollitem_t){ .socket = d->watch[i], .events = ZMQ_POLLIN };
        }
    while (!atomic_load_explicit(&d->stop, memory_order_acquire)) {
        (void)zmq_poll(items, n, LOOK_MS);
        mscope_doorman_answer(d);
        for (int i = 1; i < n; i++)
            hear(d, at[i]);
    }
    return NULL;
}

/* -- for whoever binds ------------------------------------------------------------------------------ */

static int failed(char *why, const char *what)
{
    (void)snprintf(why, MSCOPE_KEYS_WHY, "%s: %s", what, zmq_strerror(errno));
    return MSCOPE_EIO;
}

int mscope_doorman_open(mscope_doorman *d, void *context, const char *dir, mscope_doorman_tell *tell, void *to,
                        char *why)
{
    const int none = 0;
    int rc;

    *d = (mscope_doorman){ .context = context, .size = -1, .tell = tell, .to = to };
    rc = mscope_keys_read(dir, &d->own, why);
    if (rc != 0)
        return rc;
    d->dir = dir;
    d->allowed = calloc(MSCOPE_KEYS_MOST, sizeof *d->allowed);
    d->zap = zmq_socket(context, ZMQ_REP);
    if (d->allowed == NULL || d->zap == NULL || zmq_setsockopt(d->zap, ZMQ_LINGER, &none, sizeof none) != 0 ||
        zmq_bind(d->zap, "inproc://zeromq.zap.01") != 0) {
        rc = failed(why, "cannot answer ZeroMQ");
        mscope_doorman_close(d);
        return rc;
    }
    read_list(d);
    if (d->n >= 0)
        return 0;
    rc = d->n;
    mscope_doorman_close(d);
    (void)snprintf(why, MSCOPE_KEYS_WHY, "the file `allowed` of %s cannot be used", dir);
    return rc;
}

int mscope_doorman_watch(mscope_doorman *d, void *socket, int at, char *why)
{
    const int none = 0, events = ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;
    void **watch = &d->watch[at];
    char name[64];
    int rc = mscope_keys_serve(socket, &d->own, why);

    if (rc != 0)
        return rc;
    (void)snprintf(name, sizeof name, "inproc://doorman-%d", at);
    *watch = zmq_socket(d->context, ZMQ_PAIR);
    if (*watch != NULL && zmq_setsockopt(*watch, ZMQ_LINGER, &none, sizeof none) == 0 &&
        zmq_socket_monitor(socket, name, events) == 0 && zmq_connect(*watch, name) == 0)
        return 0;
    return failed(why, "cannot watch handshakes");
}

int mscope_doorman_run(mscope_doorman *d, char *why)
{
    d->running = pthread_create(&d->thread, NULL, run, d) == 0;
    if (!d->running)
        (void)snprintf(why, MSCOPE_KEYS_WHY, "no thread could be started to look at keys");
    return d->running ? 0 : MSCOPE_EIO;
}

void mscope_doorman_close(mscope_doorman *d)
{
    if (d->running) {
        atomic_store_explicit(&d->stop, 1, memory_order_release);
        (void)pthread_join(d->thread, NULL);
    }
    if (d->zap != NULL)
        (void)zmq_close(d->zap);
    for (int i = 0; i < MSCOPE_DOORMAN_SOCKETS; i++)
        if (d->watch[i] != NULL)
            (void)zmq_close(d->watch[i]);
    free(d->allowed);
    *d = (mscope_doorman){ .dir = NULL };
}

int mscope_doorman_serve(mscope_doorman *d, void *context, void *socket, const char *dir, mscope_doorman_tell *tell,
                         void *to, char *why)
{
    int rc = mscope_doorman_open(d, context, dir, tell, to, why);

    if (rc == 0)
        rc = mscope_doorman_watch(d, socket, 0, why);
    if (rc == 0)
        rc = mscope_doorman_run(d, why);
    return rc;
}
