/* publish.c - see publish.h; the wire is protocol/README.md section 2 */
#include "publish.h"

#include <string.h>

#include <unistd.h>

#include <zmq.h>

#include "clock.h"
#include "doors.h"
#include "records.h"

enum { SUBSCRIPTIONS = 4096, RECORDS = 256 };        /* most that is done between two looks at everything else */

/* Pauses after a portion of RECORDS. An answer goes to all subscribers of its topic, so what newcomers can make
 * everybody read is bounded: 12,800 records a second, and ten times a second what there is. */
#define RECORDS_PAUSE_NS 20000000u       /* at most                                                       */
#define ANSWERS_PAUSE_NS 20000000u
#define SWEEP_PAUSE_NS 100000000u

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
    mscope_replay_store(&p->replay, &p->topics, t, body, (size_t)len);
    if (send_record(p->xpub, name, t->next, body, (size_t)len))
        count_unsent(p);
    t->next++;
    atomic_fetch_add_explicit(&p->outside->records_out, 1, memory_order_relaxed);
}

/* The pause after a portion of `fill` records, so that all of them are out in spread_ns. More may come meanwhile. */
static void set_pause(mscope_publisher *p, size_t fill)
{
    const uint64_t even = fill > RECORDS ? p->spread_ns * RECORDS / fill : RECORDS_PAUSE_NS;

    if (p->pause_ns > even || p->pause_ns == 0)
        p->pause_ns = even < RECORDS_PAUSE_NS ? even : RECORDS_PAUSE_NS;
}

/* A ring that is half full is emptied without a pause: what does not fit in is lost to everybody. */
static void drain_ring(mscope_publisher *p, uint64_t now, int stop)
{
    const size_t fill = mscope_ring_fill(p->ring);
    const size_t most = fill > (p->ring->mask + 1) / 2 || stop ? SIZE_MAX : RECORDS;
    const mscope_record *r;

    if (now < p->records_ns && most == RECORDS)
        return;
    set_pause(p, fill);
    for (size_t i = 0; (r = mscope_ring_peek(p->ring)) != NULL; i++) {
        if (i >= most) {
            p->records_ns = now + p->pause_ns;
            return;
        }
        if ((int)r->kind == MSCOPE_REC_DROPPED)
            mscope_topics_drop(&p->topics, r->u.table.table, r->u.table.attached);
        else
            publish(p, r);
        mscope_ring_release(p->ring);
    }
    p->pause_ns = 0;
}

/* Subscriptions that have come (byte 1, prefix). */
static void drain_subscriptions(mscope_publisher *p)
{
    uint8_t msg[256];
    unsigned n = 0;
    int len = 0;

    for (; n < SUBSCRIPTIONS && (len = zmq_recv(p->xpub, msg, sizeof msg, ZMQ_DONTWAIT)) >= 0; n++)
        if (len > 0 && (size_t)len <= sizeof msg && msg[0] == 1)         /* a longer prefix matches no topic */
            mscope_answers_ask(&p->answers, msg + 1, (size_t)len - 1);
    mscope_doors_heard(n, len < 0);
}

/* Part of what new subscriptions are owed: the latest record of topics. */
static void answer_some(mscope_publisher *p, uint64_t now)
{
    const mscope_topic *t;

    if (!mscope_answers_owed(&p->answers) || now < p->answers_ns || (!p->answers.sweeping && now < p->sweep_ns))
        return;
    if (!p->answers.sweeping)
        p->sweep_ns = now + SWEEP_PAUSE_NS;
    for (unsigned i = 0; i < RECORDS && (t = mscope_answers_next(&p->answers)) != NULL; i++)
        if (send_record(p->xpub, t->name, t->next - 1, t->latest, t->len))
            count_unsent(p);
    if (p->answers.sweeping)
        p->answers_ns = now + ANSWERS_PAUSE_NS;
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

/* Milliseconds, rounded up, until a portion may go that waits. */
static long pause_ms(mscope_publisher *p, uint64_t now)
{
    uint64_t until = now + 1000000000u;

    if (mscope_replay_busy(&p->replay))
        until = now + 2000000u;
    if (mscope_ring_fill(p->ring) > 0 && p->records_ns < until)
        until = p->records_ns;
    if (mscope_answers_owed(&p->answers)) {
        const uint64_t begins = p->answers.sweeping || p->answers_ns > p->sweep_ns ? p->answers_ns : p->sweep_ns;
        until = begins < until ? begins : until;
    }
    return until <= now ? 0 : (long)((until - now + 999999u) / 1000000u);
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
        (void)zmq_poll(items, 3, pause_ms(p, mscope_clock_ns()));
        if (read(p->wake_fd, &woken, sizeof woken) < 0) {
            /* no wake-up: the poll ended for another reason */
        }
        stop = atomic_load_explicit(&p->stop, memory_order_acquire);     /* after the read, as in the saver */
        drain_subscriptions(p);
        const uint64_t now = mscope_clock_ns();
        drain_ring(p, now, stop);
        answer_some(p, now);
        mscope_replay_serve(&p->replay, &p->topics, p->outside);
        if (p->sockets != NULL)
            look_after(p->sockets);
    }
    return NULL;
}
