/* link.c - one DEALER socket: connect, HELLO, send within credit, take in answers; protocol/README.md section 1
 *
 * The connection has three states: down, up (HELLO said, answers awaited), established (every table welcomed or
 * refused). Frames leave only when established, so a WELCOME's next_seq covers everything sent before it, and any
 * doubt (new connection, unknown session, hole in the sequence) is settled the same way: say HELLO again and resume
 * where WELCOME asks. A monitor socket tells of new connections; ZMQ_IMMEDIATE keeps messages out of dead pipes. */
#include "private.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <unistd.h>

#include "protocol/fields.h"

#define MS ((uint64_t)1000000)

enum { HELLO_FIRST_MS = 100, HELLO_LAST_MS = 2000, REFUSED_MS = 1000, REFUSED_LAST_MS = 30000, ALONE_MS = 10000, SHM_LOST_MS = 1000,
       LOOK_FRAMES = 4, LOOK_MS = 1000, ANSWER_MAX = 65536 };

uint64_t mscope_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

void mscope_link_note(mscope_client *c, const char *who, const mscope_refusal *why)
{
    c->stats.errors++;
    c->stats.last_error = *why;
    for (unsigned i = 0; i < c->nwarned; i++)
        if (strcmp(c->warned[i], why->field) == 0)
            return;
    if (c->nwarned == sizeof c->warned / sizeof c->warned[0])
        return;
    memcpy(c->warned[c->nwarned++], why->field, sizeof c->warned[0]);
    if (!c->quiet)
        fprintf(stderr, "momentscope: %s %s = %s (%s): %s\n", who, why->field, why->value, why->range, why->text);
}

/* -- opening and closing ---------------------------------------------------------------------------- */

/* libzmq's thread should take spare cycles, not the trainer's core at the moment it is woken: SCHED_BATCH threads do
 * not preempt. libzmq aborts when the system refuses the policy, so it is tried here first and put back. */
static void be_polite(void *ctx)
{
    const struct sched_param none = { 0 };

    if (sched_getscheduler(0) != SCHED_OTHER || sched_setscheduler(0, SCHED_BATCH, &none) != 0)
        return;
    if (sched_setscheduler(0, SCHED_OTHER, &none) == 0)
        zmq_ctx_set(ctx, ZMQ_THREAD_SCHED_POLICY, SCHED_BATCH);
}

int mscope_link_open(mscope_client *c)
{
    const int one = 1, none = 0, retry = 100, retry_max = 1000, queue = 100000;
    const int64_t answer = ANSWER_MAX;
    char monitor[64];

    snprintf(monitor, sizeof monitor, "inproc://momentscope-monitor-%p", (void *)c);
    if ((c->ctx = zmq_ctx_new()) == NULL)
        goto io;
    zmq_ctx_set(c->ctx, ZMQ_BLOCKY, 0);
    be_polite(c->ctx);
    c->sock = zmq_socket(c->ctx, ZMQ_DEALER);
    c->mon = zmq_socket(c->ctx, ZMQ_PAIR);
    if (c->sock == NULL || c->mon == NULL)
        goto io;
    zmq_setsockopt(c->sock, ZMQ_IMMEDIATE, &one, sizeof one);
    zmq_setsockopt(c->sock, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(c->sock, ZMQ_SNDHWM, &none, sizeof none);    /* credit bounds it */
    zmq_setsockopt(c->sock, ZMQ_RCVHWM, &queue, sizeof queue);
    zmq_setsockopt(c->sock, ZMQ_MAXMSGSIZE, &answer, sizeof answer);
    zmq_setsockopt(c->sock, ZMQ_RECONNECT_IVL, &retry, sizeof retry);
    zmq_setsockopt(c->sock, ZMQ_RECONNECT_IVL_MAX, &retry_max, sizeof retry_max);
    /* an unread monitor must never hold up the I/O thread, hence no high-water mark */
    zmq_setsockopt(c->mon, ZMQ_RCVHWM, &none, sizeof none);
    zmq_setsockopt(c->mon, ZMQ_LINGER, &none, sizeof none);
    if (zmq_socket_monitor(c->sock, monitor, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED) != 0 ||
        zmq_connect(c->mon, monitor) != 0)
        goto io;
    if (mscope_endpoint_connect(&c->endpoint, c->sock) != 0) {
        mscope_link_close(c);
        return MSCOPE_EINVAL;
    }
    return 0;
io:
    mscope_link_close(c);
    return mscope_refusal_set(mscope_why(), MSCOPE_EIO, "ZeroMQ", "a context and its sockets", "none could be made", "%s",
                              zmq_strerror(errno));
}

void mscope_link_close(mscope_client *c)
{
    if (c->sock != NULL)
        zmq_close(c->sock);
    if (c->mon != NULL)
        zmq_close(c->mon);
    if (c->ctx != NULL)
        zmq_ctx_term(c->ctx);
    c->sock = c->mon = c->ctx = NULL;
}

/* -- HELLO ------------------------------------------------------------------------------------------ */

/* Settle any doubt: nothing counts as sent until every table has been welcomed again. */
static void doubt(mscope_client *c)
{
    c->established = 0;
    for (size_t i = 0; i < c->tables; i++) {
        c->table[i].welcomed = c->table[i].refused = c->table[i].hello_sent = 0;
        c->table[i].hello_wait = HELLO_FIRST_MS * MS;
    }
}

/* The step our next STEP of this table continues from. */
static uint64_t continues_from(const mscope_client *c, uint32_t handle)
{
    for (size_t i = 0; i < c->queue.len; i++) {
        const mscope_message *f = mscope_queue_at(&c->queue, i);
        if (f->kind == MSCOPE_STEP && f->table == handle)
            return f->step - 1;
    }
    return c->table[handle].queued;
}

static void send_hello(mscope_client *c, uint32_t handle, uint64_t now)
{
    mscope_ctable *t = &c->table[handle];
    const mscope_attach_info *in = &t->info;
    mscope_hello hello = { .rows = in->rows, .dim = in->dim, .capacity = in->capacity, .acf_rows = in->acf_rows,
                           .state = (int)in->state, .form = (int)in->form, .nesterov = in->nesterov, .nll = in->nll,
                           .narrow = in->narrow };
    mscope_header h = { .kind = MSCOPE_HELLO, .session = c->session, .table = handle };
    uint8_t body[MSCOPE_HELLO_MAX], head[MSCOPE_HEADER_LEN];

    hello.step = continues_from(c, handle);
    hello.fresh = in->fresh && hello.step == in->step;
    memcpy(hello.table, t->name, sizeof hello.table);
    memcpy(hello.reference, t->reference, sizeof hello.reference);
    memcpy(hello.client, c->name, sizeof hello.client);
    h.seq = c->queue.next_seq - c->queue.len;
    h.step = hello.step;
    int len = mscope_hello_encode(&hello, body, sizeof body);
    if (len < 0)
        return;
    mscope_header_encode(&h, head);
    if (zmq_send(c->sock, head, sizeof head, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
        return;                              /* no pipe yet: the next pump tries again */
    if (zmq_send(c->sock, body, (size_t)len, ZMQ_DONTWAIT) < 0)
        return;
    t->hello_sent = 1;
    t->hello_seq = h.seq;
    t->hello_step = h.step;
    t->hello_at = now + t->hello_wait;
    if (t->hello_wait < HELLO_LAST_MS * MS)
        t->hello_wait *= 2;
}

static void say_hello(mscope_client *c, uint64_t now)
{
    int settled = 1;

    for (size_t i = 0; i < c->tables; i++) {
        mscope_ctable *t = &c->table[i];
        if (!t->welcomed && (!t->hello_sent || now >= t->hello_at))
            send_hello(c, (uint32_t)i, now);
        settled &= t->welcomed || t->refused;
    }
    c->established = settled;
}

/* -- answers ---------------------------------------------------------------------------------------- */

static void take_welcome(mscope_client *c, uint32_t handle, const mscope_welcome *w)
{
    mscope_ctable *t = &c->table[handle];
    int fresh_daemon = c->stats.epoch != w->epoch;

    if (t->welcomed || !t->hello_sent)
        return;                              /* the answer to a repeated HELLO, or of a connection that is gone */
    if (fresh_daemon) {
        for (size_t i = 0; i < c->tables; i++) {
            c->table[i].ref_next = 0;
            c->table[i].sync_last = 0;
        }
        c->stats.epoch = w->epoch;
    }
    t->welcomed = 1;
    t->refused = 0;
    t->hello_wait = HELLO_FIRST_MS * MS;
    c->credit_messages = w->credit_messages;
    c->credit_bytes = w->credit_bytes;
    c->shm.offered = w->shm ? 1 : -1;
    if (w->next_seq > 0)
        mscope_queue_done(&c->queue, w->next_seq - 1);
    if (!c->established) {                   /* a table that was refused for a while does not rewind the others */
        uint64_t sent_to = c->queue.next_seq - c->queue.len + c->queue.sent;
        if (sent_to > c->resent_below)
            c->resent_below = sent_to;
        mscope_queue_rewind(&c->queue);
    }
    t->inexact = !w->exact;
    int pending = t->syncing || mscope_queue_find(&c->queue, t->sync_last) != NULL;
    int differs = w->step != continues_from(c, handle);
    if ((!w->exact || differs) && (fresh_daemon || !pending))
        mscope_heal_start(t);
}

static void take_ack(mscope_client *c, const mscope_header *h)
{
    mscope_queue_done(&c->queue, h->seq);
    c->credit_messages = h->count;
    for (size_t i = 0; i < c->tables; i++) {
        mscope_ctable *t = &c->table[i];
        int inexact = i == h->table && (h->flags & MSCOPE_FLAG_INEXACT) != 0;
        if (t->syncing || h->seq < t->sync_last || !t->welcomed)
            continue;                        /* said before what the running SYNC will have mended */
        if (inexact)
            mscope_heal_start(t);
        else if (i == h->table)
            mscope_heal_forgive(t);
        if (inexact || i == h->table || t->sync_last != 0)
            t->inexact = inexact;
    }
}

/* Rows the daemon cannot take (a NaN) are not mended by asking again at once. Several chunks may be on their way: what
 * comes back of one attempt counts as one refusal. */
static void put_off_sync(mscope_client *c, mscope_ctable *t, uint64_t now)
{
    mscope_heal_start(t);
    if (now < t->sync_after)
        return;
    if (t->sync_wait == 0) {
        t->sync_wait = REFUSED_MS * MS;
        if (!c->quiet)
            fprintf(stderr, "momentscope: the daemon does not take the rows of %s; they are sent again after 1, 2, 4 .. "
                    "%d s\n", t->name, REFUSED_LAST_MS / 1000);
    }
    t->sync_after = now + t->sync_wait;
    t->sync_wait = t->sync_wait < REFUSED_LAST_MS * MS / 2 ? 2 * t->sync_wait : REFUSED_LAST_MS * MS;
}

static void take_error(mscope_client *c, const mscope_header *h, const mscope_refusal *why, uint64_t now)
{
    mscope_ctable *t = h->table < c->tables ? &c->table[h->table] : NULL;
    const mscope_message *f = mscope_queue_find(&c->queue, h->seq);
    int shm = why->code == MSCOPE_ESTATE && strcmp(why->field, "shm") == 0;
    int sequence = shm || strcmp(why->field, "session") == 0 || (why->code == MSCOPE_EGAP && strcmp(why->field, "seq") == 0);

    if (shm)
        mscope_shm_down(&c->shm, now + SHM_LOST_MS * MS);
    if (sequence) {
        if (c->established)                  /* otherwise an echo of messages sent before the HELLO under way */
            doubt(c);
        return;
    }
    mscope_link_note(c, "daemon refused", why);
    if (t == NULL)
        return;
    if (!t->welcomed && t->hello_sent && h->seq == t->hello_seq && h->step == t->hello_step) {
        t->refused = 1;
        t->hello_at = now + REFUSED_MS * MS;
        return;
    }
    if (f == NULL || f->table != h->table)
        return;
    if (f->kind == MSCOPE_SYNC) {
        put_off_sync(c, t, now);
    } else if (f->kind == MSCOPE_STEP && why->code != MSCOPE_EGAP) {
        t->inexact = 1;                      /* consumed and not applied: a hole that only SYNC mends */
        mscope_heal_start(t);
        if (t->queued == f->step)
            t->queued--;
    }
}

static void take(mscope_client *c, const void *head, size_t head_len, const void *body, size_t len)
{
    mscope_header h;
    mscope_welcome w;
    mscope_refusal why;

    if (mscope_header_decode(head, head_len, &h, &why) != 0) {
        c->stats.errors++;
        return;
    }
    if (h.session != c->session) {           /* 0: about a header the daemon could not read */
        if (h.session == 0 && h.kind == MSCOPE_ERROR && mscope_refusal_decode(body, len, &why) == 0)
            mscope_link_note(c, "daemon refused", &why);
        else
            c->stats.errors++;
        return;
    }
    if (h.kind == MSCOPE_ACK)
        take_ack(c, &h);
    else if (h.kind == MSCOPE_WELCOME && h.table < c->tables && mscope_welcome_decode(body, len, &w, &why) == 0)
        take_welcome(c, h.table, &w);
    else if (h.kind == MSCOPE_ERROR && mscope_refusal_decode(body, len, &why) == 0)
        take_error(c, &h, &why, mscope_now_ns());
    else
        c->stats.errors++;
}

/* One whole message: header, one body, anything more is passed over. Returns 0 when there is none. */
static int receive(mscope_client *c)
{
    zmq_msg_t part[2], rest;
    int n = 0, more = 1;

    while (more) {
        zmq_msg_t *m = n < 2 ? &part[n] : &rest;
        zmq_msg_init(m);
        if (zmq_msg_recv(m, c->sock, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(m);
            break;
        }
        more = zmq_msg_more(m);
        if (n < 2)
            n++;
        else
            zmq_msg_close(&rest);
    }
    if (n > 0)
        take(c, zmq_msg_data(&part[0]), zmq_msg_size(&part[0]), n > 1 ? zmq_msg_data(&part[1]) : NULL,
             n > 1 ? zmq_msg_size(&part[1]) : 0);
    for (int i = 0; i < n; i++)
        zmq_msg_close(&part[i]);
    return n > 0;
}

static void watch_connection(mscope_client *c)
{
    uint8_t event[6], address[256];

    while (zmq_recv(c->mon, event, sizeof event, ZMQ_DONTWAIT) == (int)sizeof event) {
        uint16_t what;
        memcpy(&what, event, sizeof what);   /* the monitor speaks host order */
        (void)zmq_recv(c->mon, address, sizeof address, ZMQ_DONTWAIT);
        c->up = what == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
        c->shm.offered = c->shm.told = c->shm.tries = 0;
        mscope_shm_down(&c->shm, 0);
        doubt(c);
        if (c->up && ++c->connections > 1)
            c->stats.reconnects++;
    }
}

/* -- sending ---------------------------------------------------------------------------------------- */

/* Through the shm go a header and where the bodies lie. */
static int send_where(mscope_client *c, mscope_message *f)
{
    uint8_t head[MSCOPE_HEADER_LEN], body[MSCOPE_SHM_DESCRIPTOR_MAX];
    mscope_shm_descriptor w = { .shm = f->shm->id, .parts = f->parts };
    mscope_header h;

    if (mscope_header_decode(f->header, sizeof f->header, &h, NULL) != 0)
        return 0;
    h.flags |= MSCOPE_FLAG_SHM;
    mscope_header_encode(&h, head);
    memcpy(w.part, f->body, sizeof w.part);
    return zmq_send(c->sock, head, sizeof head, ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0 &&
           zmq_send(c->sock, body, mscope_shm_descriptor_encode(&w, body), ZMQ_DONTWAIT) >= 0;
}

/* Made for a shm that is gone: ZeroMQ gets copies, because a message acknowledged over another connection is freed while
 * its socket may still hold this one. */
static int send_copies(mscope_client *c, mscope_message *f)
{
    int whole = 1;

    if (zmq_send(c->sock, f->header, sizeof f->header, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
        return 0;
    for (unsigned i = 0; i < f->parts; i++)
        whole &= zmq_send(c->sock, f->shm->at + f->body[i].offset, f->body[i].len,
                          ZMQ_DONTWAIT | (i + 1 < f->parts ? ZMQ_SNDMORE : 0)) >= 0;
    return whole;
}

/* A message whose pipe dies half way stays open inside libzmq until its last part has been handed over, so the
 * rest is handed over whatever happens; the message then counts as unsent and HELLO will ask for it. */
static int send_part(mscope_client *c, mscope_message *f)
{
    int whole = 1;

    if (f->shm != NULL)
        return f->shm->state == MSCOPE_SHM_UP ? send_where(c, f)
             : f->shm->mode == MSCOPE_TRANSPORT_SHM ? 0 : send_copies(c, f);

    if (zmq_send(c->sock, f->header, sizeof f->header, ZMQ_DONTWAIT | (f->parts > 0 ? ZMQ_SNDMORE : 0)) < 0)
        return 0;
    for (unsigned i = 0; i < f->parts; i++) {
        zmq_msg_t copy;
        zmq_msg_init(&copy);
        if (zmq_msg_copy(&copy, &f->part[i]) != 0 ||
            zmq_msg_send(&copy, c->sock, ZMQ_DONTWAIT | (i + 1 < f->parts ? ZMQ_SNDMORE : 0)) < 0) {
            zmq_msg_close(&copy);
            whole = 0;
        }
    }
    return whole;
}

/* A message larger than the daemon's whole credit goes alone, or it would never go. */
static int within_credit(const mscope_client *c, const mscope_message *f)
{
    const mscope_queue *q = &c->queue;

    return q->sent == 0 || (q->sent < c->credit_messages && q->sent_bytes + f->wire <= c->credit_bytes);
}

static void send_queue(mscope_client *c)
{
    mscope_queue *q = &c->queue;

    while (q->sent < q->len) {
        mscope_message *f = mscope_queue_at(q, q->sent);
        if (!within_credit(c, f) || !send_part(c, f))
            return;
        if (f->seq < c->resent_below)
            c->stats.messages_resent++;
        mscope_queue_sent(q);
    }
}

/* A wrong address looks like a daemon that is not there yet; both are worth one line. */
static void tell_alone(mscope_client *c)
{
    if (c->stats.epoch != 0 || c->stats.errors > 0) {
        c->opened_at = 0;
    } else if (c->opened_at != 0 && c->tables > 0 && mscope_now_ns() - c->opened_at > ALONE_MS * MS) {
        c->opened_at = 0;
        if (!c->quiet)
            fprintf(stderr, "momentscope: no daemon has answered at %s for %d s; training goes on. Start momentscoped, "
                    "or set MOMENTSCOPE_INGEST or endpoint to where it listens\n", c->endpoint.address, ALONE_MS / 1000);
    }
}

static void take_in(mscope_client *c)
{
    watch_connection(c);
    while (receive(c))
        ;
    if (c->opened_at != 0)
        tell_alone(c);
    c->looked_at = mscope_now_ns();
    if (!c->up)
        return;
    say_hello(c, c->looked_at);
    mscope_shm_pump(c);
}

/* Looking for answers takes a dozen system calls, from cold caches in a trainer. Nothing depends on the newest answer
 * while all is sent and half the buffer is empty, and a connection that is gone lets the next message unsent. */
static int worth_a_look(const mscope_client *c)
{
    const mscope_queue *q = &c->queue;

    if (!c->established || q->sent < q->len || q->sent >= LOOK_FRAMES || q->bytes > c->buffer_bytes / 2 ||
        (c->shm.mode != MSCOPE_TRANSPORT_ZMQ && c->shm.state != MSCOPE_SHM_UP))
        return 1;
    for (size_t i = 0; i < c->tables; i++)
        if (c->table[i].syncing || c->table[i].inexact || c->table[i].refused || c->table[i].ref_next < c->table[i].nrefs)
            return 1;
    return mscope_now_ns() - c->looked_at > LOOK_MS * MS;
}

void mscope_link_take(mscope_client *c)
{
    if (worth_a_look(c))
        take_in(c);
}

void mscope_link_send(mscope_client *c)
{
    if (c->up && c->established)
        send_queue(c);
}

void mscope_link_pump(mscope_client *c)
{
    take_in(c);
    mscope_link_send(c);
}

void mscope_link_wait(mscope_client *c, int wait_ms)
{
    zmq_pollitem_t item[3] = { { c->sock, 0, ZMQ_POLLIN, 0 }, { c->mon, 0, ZMQ_POLLIN, 0 },
                               { NULL, c->shm.socket, ZMQ_POLLIN, 0 } };

    if (wait_ms > 10 && c->up && !c->established)
        wait_ms = 10;                        /* a HELLO may be due, or its pipe not there yet */
    (void)zmq_poll(item, c->shm.state == MSCOPE_SHM_ASKED ? 3 : 2, wait_ms);
}
