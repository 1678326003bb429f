/* alerts.c - see alerts.h */
#include "alerts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <zmq.h>

#include "protocol/meet/monitor.h"

static int open_socket(mscope_alerts *a, const char *where)
{
    const char *keys = mscope_keys_folder();
    const int none = 0;

    a->context = zmq_ctx_new();
    a->socket = a->context != NULL ? zmq_socket(a->context, ZMQ_PUB) : NULL;
    if (a->socket != NULL && keys != NULL &&
        mscope_doorman_serve(&a->doorman, a->context, a->socket, keys, mscope_keys_tell, &a->told, a->why) != 0)
        return -1;
    if (a->socket != NULL && zmq_setsockopt(a->socket, ZMQ_LINGER, &none, sizeof none) == 0 &&
        zmq_bind(a->socket, where) == 0)
        return 0;
    (void)snprintf(a->why, sizeof a->why, "%s", zmq_strerror(zmq_errno()));
    return -1;
}

int mscope_alerts_open(mscope_alerts *a, const char *where, const char *command)
{
    struct timespec t;

    memset(a, 0, sizeof *a);
    a->told.command = command;
    if (open_socket(a, where) != 0) {
        mscope_alerts_close(a);
        return -1;
    }
    (void)clock_gettime(CLOCK_REALTIME, &t);
    a->epoch = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    return 0;
}

void mscope_alerts_close(mscope_alerts *a)
{
    mscope_monitored_close(a->socket);
    mscope_doorman_close(&a->doorman);
    if (a->context != NULL)
        zmq_ctx_term(a->context);
    a->socket = a->context = NULL;
}

int mscope_alerts_send(mscope_alerts *a, const mscope_rec_band *b, enum mscope_regime before, const mscope_verdict *v,
                       const char **why)
{
    mscope_record r = { .kind = MSCOPE_REC_ALERT };
    uint8_t map[MSCOPE_RECORD_MAX], seq[8];

    if (a->socket == NULL)
        return 0;
    r.u.alert.epoch = a->epoch;
    r.u.alert.step = b->step;
    snprintf(r.u.alert.table, sizeof r.u.alert.table, "%s", b->table);
    snprintf(r.u.alert.code, sizeof r.u.alert.code, "%s", mscope_regime_name(v->regime));
    snprintf(r.u.alert.text, sizeof r.u.alert.text, "band %" PRIu64 ": %s -> %s: %.120s", b->band,
             mscope_regime_name(before), mscope_regime_name(v->regime), v->why);
    int len = mscope_record_encode(&r, map, sizeof map);
    for (int i = 0; i < 8; i++)
        seq[i] = (uint8_t)(a->seq >> (56 - 8 * i));
    a->seq++;
    if (len >= 0 && zmq_send(a->socket, "alert", 5, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
        zmq_send(a->socket, seq, sizeof seq, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
        zmq_send(a->socket, map, (size_t)len, ZMQ_DONTWAIT) >= 0)
        return 0;
    *why = zmq_strerror(zmq_errno());
    return -1;
}
