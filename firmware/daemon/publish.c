/* publish.c - see publish.h; the wire is protocol/README.md section 2 */
#include "publish.h"

#include <string.h>

#include <unistd.h>

#include <zmq.h>

#include "clock.h"
#include "records.h"

enum { SUBSCRIPTIONS = 4096, RECORDS = 256 };        /* most that is done between two looks at everything else */

/* -- records ---------------------------------------------------------------------------------- */

static int send_record(void *xpub, const char *topic, uint64_t seq, const uint8_t *body, size_t len)
{
    uint8_t be[8];

    for (int i = 0; i < 8; i++)
        be[i] = (uint8_t)(seq >> (56 - 8 * i));
    return zmq_send(xpub, topic, strlen(topic), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
           zmq_send(xpub, be, sizeof be, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 || zmq_send(xpub, body, len, ZMQ_DONTWAIT) < 0;
}

static void count_unsent(mscope_publisher *p)
{
    atomic_fetch_add_explicit(&p->outside->unsent, 1, memory_order_relaxed);
}

static void publish(mscope_publisher *p, const mscope_record *r)
{
    char name[MSCOPE_TOPIC_MAX];
    uint8_t body[MSCOPE_RECORD_MAX];
    int len = mscope_record_encode(r, body, sizeof body);
    const uint64_t made = p->topics.made;
    mscope_topic *t;

    (void)mscope_record_topic(r, name);
    t = len > 0 ? mscope_topic_make(&p->topics, name) : NULL;
    if (t == NULL) {
        count_unsent(p);
        return;
    }
    if (p->topics.made != made)
        mscope_answers_add(&p->answers, t);
    t->gone = 0;
    memcpy(t->latest, body, (size_t)len);
    t->len = (uint16_t)len;
    mscope_replay_store(&p->replay, (uint32_t)(t - p->topics.at), t->next, body, (size_t)len);
    if (send_record(p->xpub, name, t->next, body, (size_t)len))
        count_unsent(p);
    t->next++;
    atomic_fetch_add_explicit(&p->outside->records_out, 1, memory_order_relaxed);
}

static void drain_ring(mscope_publisher *p)
{
    const mscope_record *r;

    while ((r = mscope_ring_peek(p->ring)) != NULL) {
        if ((int)r->kind == MSCOPE_REC_DROPPED)
            mscope_topics_drop(&p->topics, r->u.table.table, r->u.table.attached);
        else
            publish(p, r);
        mscope_ring_release(p->ring);
    }
}

/* Subscriptions that have come (byte 1, prefix). */
static void drain_subscriptions(mscope_publisher *p)
{
    uint8_t msg[256];
    int len;

    for (unsigned i = 0; i < SUBSCRIPTIONS && (len = zmq_recv(p->xpub, msg, sizeof msg, ZMQ_DONTWAIT)) >= 0; i++)
        if (len > 0 && (size_t)len <= sizeof msg && msg[0] == 1)         /* a longer prefix matches no topic */
            mscope_answers_ask(&p->answers, msg + 1, (size_t)len - 1);
}

/* Part of what new subscriptions are owed: the latest record of topics. */
static void answer_some(mscope_publisher *p)
{
    const mscope_topic *t;

    for (unsigned i = 0; i < RECORDS && (t = mscope_answers_next(&p->answers)) != NULL; i++)
        if (send_record(p->xpub, t->name, t->next - 1, t->latest, t->len))
            count_unsent(p);
}

/* A lost one is tried again with each look, until its directory is there. */
static void look_after(mscope_sockets *s)
{
    const uint64_t before = s->looked_ns;

    mscope_sockets_look(s, mscope_clock_ns());
    if (s->looked_ns == before)
        return;
    (void)mscope_sockets_again(s, MSCOPE_DOOR_TELEMETRY);
    (void)mscope_sockets_again(s, MSCOPE_DOOR_REPLAY);
}

void *mscope_publisher_run(void *publisher)
{
    mscope_publisher *p = publisher;
    zmq_pollitem_t items[3] = { { .socket = p->xpub, .events = ZMQ_POLLIN },
                                { .socket = p->replay.socket, .events = ZMQ_POLLIN },
                                { .fd = p->wake_fd, .events = ZMQ_POLLIN } };
    int stop = 0;

    while (!stop) {
        uint64_t woken;
        (void)zmq_poll(items, 3, mscope_answers_owed(&p->answers) ? 0 : mscope_replay_busy(&p->replay) ? 2 : 1000);
        if (read(p->wake_fd, &woken, sizeof woken) < 0) {
            /* no wake-up: the poll ended for another reason */
        }
        stop = atomic_load_explicit(&p->stop, memory_order_acquire);     /* after the read, as in the saver */
        drain_subscriptions(p);
        drain_ring(p);
        answer_some(p);
        mscope_replay_serve(&p->replay, &p->topics, p->outside);
        if (p->sockets != NULL)
            look_after(p->sockets);
    }
    return NULL;
}
