/* dialog.c - HELLO for each table, and the daemon's answers: WELCOME, ACK, ERROR
 *
 * protocol/README.md, section 1, has the rules; link.c decides when. */
#include "dialog.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "clock.h"
#include "heal.h"
#include "protocol/refusal.h"

enum { HELLO_FIRST_MS = 100, HELLO_LAST_MS = 2000, REFUSED_MS = 1000, REFUSED_LAST_MS = 30000, SHM_LOST_MS = 1000,
       ASKED_MOST = 4 };

/* -- HELLO ------------------------------------------------------------------------------------------ */

void mscope_dialog_doubt(mscope_client *c)
{
    c->established = 0;
    for (size_t i = 0; i < c->tables; i++) {
        c->table[i].welcomed = c->table[i].refused = c->table[i].hello_sent = 0;
        c->table[i].hello_wait = HELLO_FIRST_MS * MSCOPE_CLIENT_MS;
    }
}

/* The step before the first STEP of this table that is still queued, or before the next one pushed. */
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
    mscope_client_table *t = &c->table[handle];
    const mscope_attach_info *in = &t->info;
    mscope_hello hello = { .rows = in->rows, .dim = in->dim, .capacity = in->capacity, .acf_rows = in->acf_rows,
                           .state = (int)in->state, .form = (int)in->form, .nesterov = in->nesterov, .nll = in->nll,
                           .width = in->width, .narrow = in->narrow };
    mscope_header h = { .kind = MSCOPE_HELLO, .session = c->queue.session, .table = handle };
    uint8_t body[MSCOPE_HELLO_MAX], head[MSCOPE_HEADER_LEN];

    hello.step = continues_from(c, handle);
    hello.fresh = in->fresh && hello.step == in->step;
    memcpy(hello.table, t->name, sizeof hello.table);
    memcpy(hello.reference, t->reference, sizeof hello.reference);
    memcpy(hello.optimizer, t->optimizer, sizeof hello.optimizer);
    memcpy(hello.client, c->name, sizeof hello.client);
    h.seq = c->queue.next_seq - c->queue.len;
    h.step = hello.step;
    int len = mscope_hello_encode(&hello, body, sizeof body);
    if (len < 0)
        return;
    mscope_header_encode(&h, head);
    if (zmq_send(c->sock, head, sizeof head, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
        return;                              /* there is no pipe yet: the next pump tries again */
    if (zmq_send(c->sock, body, (size_t)len, ZMQ_DONTWAIT) < 0)
        return;
    t->hello_sent = 1;
    t->hello_seq = h.seq;
    t->hello_step = h.step;
    t->hello_at = now + t->hello_wait;
    if (t->hello_wait < HELLO_LAST_MS * MSCOPE_CLIENT_MS)
        t->hello_wait *= 2;
}

void mscope_dialog_hello(mscope_client *c, uint64_t now)
{
    int settled = 1;

    for (size_t i = 0; i < c->tables; i++) {
        mscope_client_table *t = &c->table[i];
        if (!t->welcomed && (!t->hello_sent || now >= t->hello_at) && (c->hello_until == 0 || now < c->hello_until))
            send_hello(c, (uint32_t)i, now);
        settled &= t->welcomed || t->refused;
    }
    c->established = settled;
}

/* -- answers ---------------------------------------------------------------------------------------- */

int mscope_dialog_some_welcomed(const mscope_client *c)
{
    for (size_t i = 0; i < c->tables; i++)
        if (c->table[i].welcomed)
            return 1;
    return 0;
}

int mscope_dialog_turned_away(const mscope_client *c, const mscope_client_table *t)
{
    return t->refused && !t->welcomed && mscope_dialog_some_welcomed(c);
}

/* Messages sent before the connection was established go again. A table refused only for a while must not rewind the
 * others. */
static void resume(mscope_client *c, uint64_t next_seq, int others)
{
    const uint64_t sent_to = c->queue.next_seq - c->queue.len + c->queue.sent;

    if (next_seq > 0)
        mscope_queue_done(&c->queue, next_seq - 1);
    if (c->established && others)
        return;
    if (sent_to > c->resent_below)
        c->resent_below = sent_to;
    mscope_queue_rewind(&c->queue);
}

static void take_welcome(mscope_client *c, uint32_t handle, const mscope_welcome *w)
{
    mscope_client_table *t = &c->table[handle];
    const int others = mscope_dialog_some_welcomed(c);
    int fresh_daemon = c->stats.epoch != w->epoch;

    if (t->welcomed || !t->hello_sent)
        return;                              /* to a repeated HELLO, or from a connection that is gone */
    if (fresh_daemon) {
        for (size_t i = 0; i < c->tables; i++) {
            c->table[i].ref_next = 0;
            c->table[i].sync_last = 0;
        }
        c->stats.epoch = w->epoch;
    }
    t->welcomed = 1;
    t->refused = 0;
    t->hello_wait = HELLO_FIRST_MS * MSCOPE_CLIENT_MS;
    c->credit_messages = w->credit_messages;
    c->credit_bytes = w->credit_bytes;
    c->shm.offered = w->shm ? 1 : -1;
    resume(c, w->next_seq, others);
    if (t->asking && !c->quiet)
        fprintf(stderr, "momentscope: the daemon has taken table %s now\n", t->name);
    t->asking = 0;
    t->refused_wait = 0;
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
        mscope_client_table *t = &c->table[i];
        int inexact = i == h->table && (h->flags & MSCOPE_FLAG_INEXACT) != 0;
        if (t->syncing || h->seq < t->sync_last || !t->welcomed)
            continue;                        /* sent before the daemon has seen the whole SYNC under way */
        if (inexact)
            mscope_heal_start(t);
        else if (i == h->table)
            mscope_heal_forgive(t);
        if (inexact || i == h->table || t->sync_last != 0)
            t->inexact = inexact;
    }
}

/* Rows that the daemon refuses (a NaN) are refused again when they are sent again at once. Several chunks may be on
 * their way: all refusals of one attempt count as one. */
static void put_off_sync(mscope_client *c, mscope_client_table *t, uint64_t now)
{
    const uint64_t most = REFUSED_LAST_MS * MSCOPE_CLIENT_MS;

    mscope_heal_start(t);
    if (now < t->sync_after)
        return;
    if (t->sync_wait == 0) {
        t->sync_wait = REFUSED_MS * MSCOPE_CLIENT_MS;
        if (!c->quiet)
            fprintf(stderr, "momentscope: the daemon refused the rows of table %s, which stays inexact; they are sent "
                    "again after 1, 2, 4 .. %d s. Look for a NaN or an infinity in them\n", t->name,
                    REFUSED_LAST_MS / 1000);
    }
    t->sync_after = now + t->sync_wait;
    t->sync_wait = t->sync_wait < most / 2 ? 2 * t->sync_wait : most;
}

/* What other trainers hold may become free without anybody's help. */
static int may_pass(const mscope_refusal *why)
{
    return why->code == MSCOPE_EBUSY || why->code == MSCOPE_ENOMEM || why->code == MSCOPE_ESTATE;
}

static void tell_asking(mscope_client *c, mscope_client_table *t, const mscope_refusal *why)
{
    char fate[96] = "are not sent";

    if (t->asking || !may_pass(why))
        return;
    t->asking = 1;
    if (c->quiet || ++c->asked > ASKED_MOST)
        return;
    if (!mscope_dialog_some_welcomed(c))
        (void)snprintf(fate, sizeof fate, "wait in the buffer (%llu bytes)", (unsigned long long)c->queue.limit);
    fprintf(stderr, "momentscope: table %s is offered to the daemon again every %.3g s, and training goes on; its "
            "steps %s until then%s%s\n", t->name, REFUSED_MS / 1e3, fate,
            why->code == MSCOPE_EBUSY ? ". The name of a trainer that was killed becomes free by itself, after the "
                                        "daemon's --takeover time" : "",
            c->asked == ASKED_MOST ? ". Further tables like it are not named" : "");
}

static void take_refused_hello(mscope_client *c, mscope_client_table *t, const mscope_refusal *why, uint64_t now)
{
    const uint64_t first = REFUSED_MS * MSCOPE_CLIENT_MS, last = REFUSED_LAST_MS * MSCOPE_CLIENT_MS;

    t->refused_wait = may_pass(why) || t->refused_wait == 0 ? first
                      : t->refused_wait < last / 2 ? 2 * t->refused_wait : last;
    t->refused = 1;
    t->hello_at = now + t->refused_wait;
    mscope_refusal_note(c, "daemon refused", why);
    tell_asking(c, t, why);
}

/* The daemon has given the place of a table to another. It is offered again at once; what was on its way is refused
 * too, for a reason that says less than the first one. Returns 1: there is no more to do. */
static int lose_table(mscope_client *c, mscope_client_table *t, const mscope_refusal *why, uint64_t now)
{
    if (why->code != MSCOPE_ESTATE || strcmp(why->field, "table (handle)") != 0)
        return 0;
    if (t->welcomed) {
        mscope_refusal_note(c, "daemon refused", why);
        t->welcomed = 0;
        t->refused = 1;
        t->hello_at = now;
    } else {
        c->stats.errors++;
    }
    mscope_heal_start(t);
    return 1;
}

static void take_error(mscope_client *c, const mscope_header *h, const mscope_refusal *why, uint64_t now)
{
    mscope_client_table *t = h->table < c->tables ? &c->table[h->table] : NULL;
    const mscope_message *f = mscope_queue_find(&c->queue, h->seq);
    int shm = why->code == MSCOPE_ESTATE && strcmp(why->field, "shm") == 0;
    int gap = why->code == MSCOPE_EGAP && strcmp(why->field, "seq") == 0;
    int sequence = shm || gap || strcmp(why->field, "session") == 0;

    if (shm)
        mscope_shm_down(&c->shm, now + SHM_LOST_MS * MSCOPE_CLIENT_MS);
    if (sequence) {
        if (c->established)                  /* otherwise it answers messages sent before the HELLO under way */
            mscope_dialog_doubt(c);
        return;
    }
    if (t != NULL && !t->welcomed && t->hello_sent && h->seq == t->hello_seq && h->step == t->hello_step) {
        take_refused_hello(c, t, why, now);
        return;
    }
    if (t != NULL && lose_table(c, t, why, now))
        return;
    mscope_refusal_note(c, "daemon refused", why);
    if (t == NULL || f == NULL || f->table != h->table)
        return;
    if (f->kind == MSCOPE_SYNC) {
        put_off_sync(c, t, now);
    } else if (f->kind == MSCOPE_STEP && why->code != MSCOPE_EGAP) {
        t->inexact = 1;                      /* consumed and not applied: only a SYNC closes that hole */
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
    if (h.session != c->queue.session) {           /* session 0: about a header that the daemon could not read */
        if (h.session == 0 && h.kind == MSCOPE_ERROR && mscope_refusal_decode(body, len, &why) == 0)
            mscope_refusal_note(c, "daemon refused", &why);
        else
            c->stats.errors++;
        return;
    }
    if (h.kind == MSCOPE_ACK)
        take_ack(c, &h);
    else if (h.kind == MSCOPE_WELCOME && h.table < c->tables && mscope_welcome_decode(body, len, &w, &why) == 0)
        take_welcome(c, h.table, &w);
    else if (h.kind == MSCOPE_ERROR && mscope_refusal_decode(body, len, &why) == 0)
        take_error(c, &h, &why, mscope_client_now_ns());
    else
        c->stats.errors++;
}

/* One whole message: its header and one body; further parts are passed over. */
int mscope_dialog_receive(mscope_client *c)
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

