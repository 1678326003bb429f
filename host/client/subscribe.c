/* subscribe.c - telemetry as a sequence without holes, as far as the replay endpoint still has the records
 *
 * Each topic has a next sequence number. A record below it is a repeat and is passed over. A record above it is held
 * back, with those after it, until the replay endpoint has answered or REPLAY_MS have passed; records still missing
 * then are counted as lost. So received + lost = sent, from the first record seen of a topic to the last, in one epoch
 * of the daemon. */

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "clock.h"
#include "protocol/bytes.h"
#include "protocol/fields.h"
#include "room.h"

enum { REPLAY_MS = 1000, TABLE_FIRST = 256 };

struct node {                            /* a record waiting for its turn                       */
    struct node *next;
    mscope_telemetry msg;
};

struct list {
    struct node *first, *last;
};

struct topic {
    char name[MSCOPE_TOPIC_MAX];
    uint64_t epoch, next;                /* next sequence number to give                        */
    uint64_t asked_at;                   /* ns; 0: no replay under way                          */
    int opening;                         /* asked for its whole past: what is forgotten is no loss */
    struct list held;                    /* newer records, ascending                            */
};

struct mscope_subscriber {
    void *ctx, *sub, *replay;
    mscope_guard live, again;            /* of sub and replay                                   */
    mscope_endpoint at[2];               /* where they are                                      */
    struct topic **slot;                 /* open addressing by name, at most half full          */
    size_t slots, topics, asking;
    struct list ready;
    uint64_t epoch;                      /* the last one seen                                   */
    int past;                            /* a topic begins with all that replay still has       */
    mscope_subscriber_stats stats;
};

static void append(struct list *l, struct node *n)
{
    n->next = NULL;
    if (l->last != NULL)
        l->last->next = n;
    else
        l->first = n;
    l->last = n;
}

static struct node *shift(struct list *l)
{
    struct node *n = l->first;

    if (n != NULL && (l->first = n->next) == NULL)
        l->last = NULL;
    return n;
}

static void empty(struct list *l)
{
    for (struct node *n; (n = shift(l)) != NULL;)
        free(n);
}

/* -- topics ----------------------------------------------------------------------------------------- */

static size_t slot_of(const struct mscope_subscriber *s, const char *name)
{
    size_t i = (size_t)mscope_fnv1a(name) & (s->slots - 1);

    while (s->slot[i] != NULL && strcmp(s->slot[i]->name, name) != 0)
        i = (i + 1) & (s->slots - 1);
    return i;
}

static int grow(struct mscope_subscriber *s)
{
    struct topic **old = s->slot;
    size_t was = s->slots, now = was ? 2 * was : TABLE_FIRST;
    struct topic **slot = calloc(now, sizeof *slot);

    if (slot == NULL)
        return MSCOPE_ENOMEM;
    s->slot = slot;
    s->slots = now;
    for (size_t i = 0; i < was; i++)
        if (old[i] != NULL)
            s->slot[slot_of(s, old[i]->name)] = old[i];
    free(old);
    return 0;
}

static struct topic *topic_get(struct mscope_subscriber *s, const char *name, int make)
{
    if (2 * s->topics >= s->slots && grow(s) != 0)
        return NULL;
    size_t i = slot_of(s, name);
    if (s->slot[i] == NULL && make) {
        struct topic *t = calloc(1, sizeof *t);
        if (t == NULL)
            return NULL;
        memcpy(t->name, name, strlen(name) + 1);
        s->slot[i] = t;
        s->topics++;
    }
    return s->slot[i];
}

static uint64_t epoch_of(const mscope_record *r)
{
    switch (r->kind) {
    case MSCOPE_REC_BAND: return r->u.band.epoch;
    case MSCOPE_REC_TABLE: return r->u.table.epoch;
    case MSCOPE_REC_ACF: return r->u.acf.epoch;
    case MSCOPE_REC_STABILITY: return r->u.stability.epoch;
    case MSCOPE_REC_DAEMON: return r->u.daemon.epoch;
    case MSCOPE_REC_ALERT: return r->u.alert.epoch;
    }
    return 0;
}

/* -- order ------------------------------------------------------------------------------------------ */

/* Numbers from t->next to seq will not come. */
static void miss(struct mscope_subscriber *s, struct topic *t, uint64_t seq)
{
    if (!t->opening)
        s->stats.lost += seq - t->next;
    t->opening = 0;
}

static void give(struct mscope_subscriber *s, struct topic *t, struct node *n)
{
    t->next = n->msg.seq + 1;
    s->stats.received++;
    append(&s->ready, n);
}

/* Held records become ready; holes left between them are losses. */
static void release(struct mscope_subscriber *s, struct topic *t)
{
    if (t->asked_at != 0)
        s->asking--;
    t->asked_at = 0;
    for (struct node *n; (n = shift(&t->held)) != NULL;) {
        if (n->msg.seq < t->next) {
            s->stats.repeats++;
            free(n);
            continue;
        }
        miss(s, t, n->msg.seq);
        give(s, t, n);
    }
}

static int ask(struct mscope_subscriber *s, struct topic *t)
{
    uint8_t first[8];

    if (s->replay == NULL)
        return 0;
    for (int i = 0; i < 8; i++)
        first[i] = (uint8_t)(t->next >> (56 - 8 * i));
    if (zmq_send(s->replay, t->name, strlen(t->name), ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0 ||
        zmq_send(s->replay, first, sizeof first, ZMQ_DONTWAIT) < 0)
        return 0;
    t->asked_at = mscope_client_now_ns();
    s->asking++;
    return 1;
}

static void take_live(struct mscope_subscriber *s, struct topic *t, struct node *n)
{
    uint64_t seq = n->msg.seq, epoch = epoch_of(&n->msg.record);

    if (t->epoch != epoch) {                         /* the first of its topic, or the daemon has restarted */
        release(s, t);
        if (s->epoch != epoch)
            s->stats.epochs++;
        s->epoch = t->epoch = epoch;
        t->opening = s->past && s->replay != NULL;
        t->next = t->opening ? 0 : seq;
    }
    if (seq < t->next || (t->held.last != NULL && seq <= t->held.last->msg.seq)) {
        s->stats.repeats++;
        free(n);
    } else if (t->asked_at != 0 || (seq > t->next && ask(s, t))) {
        append(&t->held, n);
    } else {
        miss(s, t, seq);
        give(s, t, n);
    }
}

static void take_replayed(struct mscope_subscriber *s, struct topic *t, struct node *n)
{
    uint64_t seq = n->msg.seq;

    if (t->asked_at == 0 || epoch_of(&n->msg.record) != t->epoch || seq < t->next ||
        (t->held.first != NULL && seq >= t->held.first->msg.seq)) {
        free(n);                                     /* too late, or known already */
        return;
    }
    miss(s, t, seq);                                 /* the daemon has forgotten older ones */
    s->stats.replayed++;
    give(s, t, n);
}

static void give_up_waiting(struct mscope_subscriber *s)
{
    uint64_t now = mscope_client_now_ns();

    for (size_t i = 0; s->asking > 0 && i < s->slots; i++)
        if (s->slot[i] != NULL && s->slot[i]->asked_at != 0 &&
            now - s->slot[i]->asked_at > REPLAY_MS * MSCOPE_CLIENT_MS)
            release(s, s->slot[i]);
}

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

static struct node *decode(const char *name, uint64_t seq, zmq_msg_t *map)
{
    mscope_refusal why;
    struct node *n = calloc(1, sizeof *n);

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
        struct topic *t = topic_get(s, name, 0);
        if (t != NULL && t->asked_at != 0)
            release(s, t);
    } else if (rc == 1) {
        struct node *n = decode(name, seq, &map);
        struct topic *t = topic_get(s, name, n != NULL);
        if (n == NULL || t == NULL) {
            free(n);
            if (t != NULL && seq == t->next && t->asked_at == 0) {
                t->next++;
                s->stats.received++;
            }
            rc = MSCOPE_EPROTO;
        } else if (replayed) {
            take_replayed(s, t, n);
        } else {
            take_live(s, t, n);
        }
    }
    s->stats.malformed += rc == MSCOPE_EPROTO;
    zmq_msg_close(&map);
    return rc;
}

int mscope_subscriber_next(mscope_subscriber *s, mscope_telemetry *out, int wait_ms)
{
    if (s == NULL || out == NULL)
        return MSCOPE_EINVAL;
    uint64_t until = mscope_client_until_ns(wait_ms);

    for (;;) {
        give_up_waiting(s);
        struct node *n = shift(&s->ready);
        if (n != NULL) {
            *out = n->msg;
            free(n);
            return 0;
        }
        int a = s->replay != NULL ? take(s, 1) : 0, b = take(s, 0);
        if (a < 0 || b < 0)
            return a == MSCOPE_EIO || b == MSCOPE_EIO ? MSCOPE_EIO : MSCOPE_EPROTO;
        if (a > 0 || b > 0)
            continue;
        uint64_t now = mscope_client_now_ns();
        if (now >= until)
            return MSCOPE_EAGAIN;
        uint64_t left = (until - now) / MSCOPE_CLIENT_MS + 1;
        zmq_pollitem_t item[2] = { { s->sub, 0, ZMQ_POLLIN, 0 }, { s->replay, 0, ZMQ_POLLIN, 0 } };
        if (zmq_poll(item, s->replay != NULL ? 2 : 1, s->asking > 0 && left > 50 ? 50 : (long)left) < 0)
            return MSCOPE_EAGAIN;                    /* a signal: the caller may want to stop */
    }
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
    s->past = 1;
}

void mscope_subscriber_stats_get(const mscope_subscriber *s, mscope_subscriber_stats *out)
{
    *out = s->stats;
}

void mscope_subscriber_close(mscope_subscriber *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->slots; i++)
        if (s->slot[i] != NULL) {
            empty(&s->slot[i]->held);
            free(s->slot[i]);
        }
    free(s->slot);
    empty(&s->ready);
    mscope_guard_close(&s->live);
    mscope_guard_close(&s->again);
    if (s->sub != NULL)
        zmq_close(s->sub);
    if (s->replay != NULL)
        zmq_close(s->replay);
    if (s->ctx != NULL)
        zmq_ctx_term(s->ctx);
    free(s);
}
