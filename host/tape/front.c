/* front.c - see front.h */
#include "front.h"

#include <stdio.h>
#include <string.h>

#include <sys/resource.h>
#include <sys/stat.h>

#include <zmq.h>

#include "protocol/meet/monitor.h"
#include "relay_tape.h"

/* A trainer costs some five descriptors, of which many systems give 1024 unless asked. */
static void raise_limit(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &l);
    }
}

static int make_socket(mscope_front *f, mscope_refusal *why)
{
    const int one = 1, none = 0, linger = 200, handshake_ms = 10000;
    const int64_t largest = INT64_C(1) << 32;

    f->ctx = zmq_ctx_new();
    f->sock = f->ctx != NULL ? zmq_socket(f->ctx, ZMQ_ROUTER) : NULL;
    if (f->sock == NULL)
        return mscope_relay_refuse(why, MSCOPE_EIO, "ZeroMQ", "a socket", zmq_strerror(zmq_errno()), "none");
    (void)zmq_setsockopt(f->sock, ZMQ_LINGER, &linger, sizeof linger);
    (void)zmq_setsockopt(f->sock, ZMQ_IPV6, &one, sizeof one);
    (void)zmq_setsockopt(f->sock, ZMQ_SNDHWM, &none, sizeof none);
    (void)zmq_setsockopt(f->sock, ZMQ_HANDSHAKE_IVL, &handshake_ms, sizeof handshake_ms);
    (void)zmq_setsockopt(f->sock, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    return 0;
}

int mscope_front_open(mscope_front *f, const mscope_relay_config *cfg, mscope_refusal *why)
{
    char text[MSCOPE_BIND_WHY], keys[MSCOPE_KEYS_WHY];
    int rc = mscope_bind_check("ingest", cfg->ingest, &f->bound, text);

    raise_limit();
    (void)umask(077);                /* a recording holds gradients and weights, and so does the socket */
    if (rc == 0 && (rc = make_socket(f, why)) != 0)
        return rc;
    if (rc == 0 && cfg->keys != NULL &&
        (rc = mscope_doorman_serve(&f->doorman, f->ctx, f->sock, cfg->keys, cfg->tell, cfg->told, keys)) != 0)
        return mscope_relay_refuse(why, rc, "keys", "a folder of keys that can be used", keys, cfg->keys);
    if (rc == 0)
        rc = mscope_bind_socket(f->sock, "ingest", cfg->ingest, &f->bound, text);
    return rc == 0 ? 0 : mscope_relay_refuse(why, rc, "ingest", "an endpoint that is free", text, cfg->ingest);
}

void mscope_front_close(mscope_front *f)
{
    mscope_monitored_close(f->sock);
    mscope_bind_remove(&f->bound);
    mscope_doorman_close(&f->doorman);
    if (f->ctx != NULL)
        (void)zmq_ctx_term(f->ctx);
}
