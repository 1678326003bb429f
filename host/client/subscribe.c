/* subscribe.c - the sockets of a listener: what comes on them goes through sequence.c to the caller */

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "clock.h"
#include "protocol/refusal.h"
#include "protocol/meet/monitor.h"
#include "room.h"
#include "sequence.h"

struct mscope_subscriber {
    void *ctx, *sub, *replay;
    mscope_guard live, again;            /* of sub and replay                                   */
    mscope_endpoint at[2];               /* where they are                                      */
    mscope_sequence order;
};

/* -- the sockets ------------------------------------------------------------------------------------ */

/* Parts [topic][seq][map], behind an empty part or without one. Returns 1, 0 nothing there, or MSCOPE_EPROTO. */
static int receive(void *sock, char name[MSCOPE_TOPIC_MAX], uint64_t *seq, zmq_msg_t *map)
{
    size_t size[3] = { 0 };
    uint8_t number[8];
    int n = 0, more = 1, got = 0;

    while (more) {
        zmq_msg_t m;
        zmq_msg_init(&m);
        if (zmq_msg_recv(&m, sock, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&m);
            break;
        }
        got = 1;
        more = zmq_msg_more(&m);
        size_t len = zmq_msg_size(&m);
        if (n == 0 && len == 0 && more) {
            zmq_msg_close(&m);
            continue;
        }
        if (n < 3)
            size[n] = len;
        if (n == 0 && len < MSCOPE_TOPIC_MAX) {
            memcpy(name, zmq_msg_data(&m), len);
            name[len] = '\0';
        } else if (n == 1 && len == sizeof number) {
            memcpy(number, zmq_msg_data(&m), sizeof number);
        } else if (n == 2) {
            zmq_msg_move(map, &m);
        }
        n++;
        zmq_msg_close(&m);
    }
    if (!got)
        return 0;
    if (n != 3 || size[0] == 0 || size[0] >= MSCOPE_TOPIC_MAX || size[1] != sizeof number)
        return MSCOPE_EPROTO;
    *seq = 0;
    for (int i = 0; i < 8; i++)
        *seq = *seq << 8 | number[i];
    return 1;
}

static mscope_node *decode(const char *name, uint64_t seq, zmq_msg_t *map)
{
    mscope_refusal why;
    mscope_node *n = calloc(1, sizeof *n);

    if (n == NULL)
        return NULL;
    memcpy(n->msg.topic, name, strlen(name) + 1);
    n->msg.seq = seq;
    if (mscope_record_decode(name, zmq_msg_data(map), zmq_msg_size(map), &n->msg.record, &why) == 0)
        return n;
    free(n);
    return NULL;
}

/* A message counts only if the process behind its socket is to be trusted, which the guard knows by the time that a
 * message is there. Without the right keys none will come, and that is said at once. */
static int strangers(struct mscope_subscriber *s)
{
    enum mscope_guard_event what;

    for (int i = 0; i < 2; i++) {
        mscope_guard *g = i == 0 ? &s->live : &s->again;
        while (g->mon != NULL && (what = mscope_guard_take(g)) != MSCOPE_GUARD_NONE)
            if (what == MSCOPE_GUARD_STRANGER)
                return mscope_why_owner(&s->at[i], g->why);
            else if (what > MSCOPE_GUARD_STRANGER)
                return mscope_why_keys(&s->at[i], MSCOPE_EIO, g->why);
    }
    return 0;
}

/* The end of a replay names a field where the daemon had no place for the request: it will have one soon. */
static int says_busy(zmq_msg_t *map)
{
    static const char busy[] = "\xa5" "field\xa8" "requests";
    const char *at = zmq_msg_data(map);
    const size_t len = zmq_msg_size(map), n = sizeof busy - 1;

    for (size_t i = 0; i + n <= len; i++)
        if (memcmp(at + i, busy, n) == 0)
            return 1;
    return 0;
}

/* One message from either socket. Returns 1, 0: there is none, MSCOPE_EPROTO or MSCOPE_EIO. A malformed record uses up
 * its number. */
static int take(struct mscope_subscriber *s, int replayed)
{
    char name[MSCOPE_TOPIC_MAX];
    uint64_t seq = 0;
    zmq_msg_t map;

    zmq_msg_init(&map);
    int rc = receive(replayed ? s->replay : s->sub, name, &seq, &map);
    if (strangers(s) != 0) {
        zmq_msg_close(&map);
        return MSCOPE_EIO;
    }
    if (rc == 1 && replayed && seq == UINT64_MAX) {
        mscope_sequence_end(&s->order, name, says_busy(&map));
    } else if (rc == 1) {
        mscope_node *n = decode(name, seq, &map);
        if (n == NULL)
            mscope_sequence_unread(&s->order, name, seq);
        if (n == NULL || mscope_sequence_put(&s->order, n, replayed) != 0)
            rc = MSCOPE_EPROTO;
    }
    s->order.stats.malformed += rc == MSCOPE_EPROTO;
    zmq_msg_close(&map);
    return rc;
}

int mscope_subscriber_next(mscope_subscriber *s, mscope_telemetry *out, int wait_ms)
{
    if (s == NULL || out == NULL)
        return MSCOPE_EINVAL;
    uint64_t until = mscope_client_until_ns(wait_ms);

    for (;;) {
        mscope_node *n = mscope_sequence_take(&s->order);
        if (n != NULL) {
            *out = n->msg;
            free(n);
            return 0;
        }
        int a = s->replay != NULL ? take(s, 1) : 0;
        if (a == 0)
            mscope_sequence_look(&s->order);
        int b = take(s, 0);
        if (a < 0 || b < 0)
            return a == MSCOPE_EIO || b == MSCOPE_EIO ? MSCOPE_EIO : MSCOPE_EPROTO;
        if (a > 0 || b > 0)
            continue;
        uint64_t now = mscope_client_now_ns();
        if (now >= until)
            return MSCOPE_EAGAIN;
        uint64_t left = (until - now) / MSCOPE_CLIENT_MS + 1;
        if (left > 20 && mscope_sequence_waits(&s->order))
            left = 20;
        zmq_pollitem_t item[2] = { { s->sub, 0, ZMQ_POLLIN, 0 }, { s->replay, 0, ZMQ_POLLIN, 0 } };
        if (zmq_poll(item, s->replay != NULL ? 2 : 1, (long)left) < 0)
            return MSCOPE_EAGAIN;                    /* a signal: the caller may want to stop */
    }
}

/* [topic][first], as protocol/README.md 2.2 has it. */
static int ask(void *to, const char *topic, uint64_t first)
{
    uint8_t number[8];

    for (int i = 0; i < 8; i++)
        number[i] = (uint8_t)(first >> (56 - 8 * i));
    return zmq_send(to, topic, strlen(topic), ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0 &&
           zmq_send(to, number, sizeof number, ZMQ_DONTWAIT) >= 0;
}

int mscope_subscribe(mscope_subscriber **out, const char *endpoint, const char *replay, const char *prefix)
{
    const int none = 0, queue = 100000;
    mscope_endpoint live, again = { 0 };
    int rc;

    if (out == NULL)
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "out", "an address for the subscriber",
                                  "nothing was given", "%s", "NULL");
    int replays = replay != NULL ? replay[0] != '\0' : endpoint == NULL;
    if ((rc = mscope_endpoint_choose(&live, "telemetry", endpoint, "telemetry")) != 0 ||
        (replays && (rc = mscope_endpoint_choose(&again, "replay", replay, "replay")) != 0) ||
        (rc = mscope_room_check(4)) != 0)
        return rc;
    mscope_subscriber *s = calloc(1, sizeof *s);
    if (s == NULL)
        return mscope_why_memory("subscriber");
    s->at[0] = live;
    s->at[1] = again;
    rc = mscope_refusal_set(mscope_why(), MSCOPE_EIO, "ZeroMQ", "a context and its sockets", "ZeroMQ could make none",
                            "%s", "none");
    if ((s->ctx = zmq_ctx_new()) == NULL || (s->sub = zmq_socket(s->ctx, ZMQ_SUB)) == NULL)
        goto out;
    zmq_setsockopt(s->sub, ZMQ_RCVHWM, &queue, sizeof queue);
    zmq_setsockopt(s->sub, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(s->sub, ZMQ_SUBSCRIBE, prefix != NULL ? prefix : "", prefix != NULL ? strlen(prefix) : 0);
    if (replays) {
        if ((s->replay = zmq_socket(s->ctx, ZMQ_DEALER)) == NULL)
            goto out;
        s->order.ask = ask;
        s->order.to = s->replay;
        zmq_setsockopt(s->replay, ZMQ_LINGER, &none, sizeof none);
        zmq_setsockopt(s->replay, ZMQ_RCVHWM, &queue, sizeof queue);
    }
    if ((rc = mscope_guard_open(&s->live, s->ctx, s->sub, s->at[0].address)) != 0) {
        rc = mscope_why_keys(&s->at[0], rc, s->live.why);
        goto out;
    }
    if (replays && (rc = mscope_guard_open(&s->again, s->ctx, s->replay, s->at[1].address)) != 0) {
        rc = mscope_why_keys(&s->at[1], rc, s->again.why);
        goto out;
    }
    if ((rc = mscope_endpoint_connect(&live, s->sub)) != 0 ||
        (replays && (rc = mscope_endpoint_connect(&again, s->replay)) != 0))
        goto out;
    *out = s;
    return 0;
out:
    mscope_subscriber_close(s);
    return rc;
}

void mscope_subscriber_past(mscope_subscriber *s)
{
    s->order.past = 1;
}

void mscope_subscriber_stats_get(const mscope_subscriber *s, mscope_subscriber_stats *out)
{
    *out = s->order.stats;
}

void mscope_subscriber_close(mscope_subscriber *s)
{
    if (s == NULL)
        return;
    mscope_sequence_fini(&s->order);
    mscope_monitored_close(s->sub);
    mscope_monitored_close(s->replay);
    mscope_guard_close(&s->live);
    mscope_guard_close(&s->again);
    if (s->ctx != NULL)
        zmq_ctx_term(s->ctx);
    free(s);
}
