/* inbox.c - see inbox.h; the rules of messages are messages.c's */
#include "inbox.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include <zmq.h>

#include "clock.h"
#include "doors.h"

enum {
    HOLD_MESSAGES = 16,              /* most messages that held ACKs stand for, ..                */
    HOLD_BYTES = 1 << 20,            /* .. and bytes, so that a trainer does not run out of credit */
    HOLD_NS = 1000000,               /* longest time an ACK is held                               */
    LOOK_NS = 1000000000             /* between two looks at silent trainers; twice that is silence */
};

/* Messages may be megabytes long and are freed on the engine's thread. Their memory is kept for the next messages
 * instead of being unmapped, mapped again and faulted in page by page. */
static void keep_memory(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_MMAP_THRESHOLD, 32 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 128 << 20);
#endif
}

void mscope_inbox_init(mscope_inbox *in, mscope_engine *engine, void *router)
{
    keep_memory();
    memset(in, 0, sizeof *in);
    in->engine = engine;
    in->router = router;
}

/* -- answers ---------------------------------------------------------------------------------- */

/* An answer that cannot be sent is dropped: a peer that left, or does not read, learns the same by its next HELLO.
 * Returns whether there is such a connection. */
static int send_reply(const mscope_inbox *in, const mscope_peer *to, const mscope_header *h, const uint8_t *body,
                      size_t len)
{
    uint8_t header[MSCOPE_HEADER_LEN];

    mscope_header_encode(h, header);
    if (zmq_send(in->router, to->id, to->len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return errno != EHOSTUNREACH;
    if (zmq_send(in->router, header, sizeof header, (len ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT) >= 0 && len)
        (void)zmq_send(in->router, body, len, ZMQ_DONTWAIT);
    return 1;
}

void mscope_inbox_release(mscope_inbox *in)
{
    for (unsigned i = 0; i < in->holds; i++)
        (void)send_reply(in, &in->held[i].to, &in->held[i].ack, NULL, 0);
    in->holds = 0;
    in->held_messages = in->held_bytes = 0;
}

static void hold(mscope_inbox *in, const mscope_peer *to, const mscope_header *ack, uint64_t bytes)
{
    unsigned i = 0;

    while (i < in->holds && !(in->held[i].ack.table == ack->table && in->held[i].to.len == to->len &&
                              memcmp(in->held[i].to.id, to->id, to->len) == 0))
        i++;
    if (i == MSCOPE_INBOX_HELD) {
        mscope_inbox_release(in);
        i = 0;
    }
    if (in->holds == 0)
        in->held_ns = mscope_clock_ns();
    if (i == in->holds) {
        in->held[i].to.len = to->len;
        memcpy(in->held[i].to.id, to->id, to->len);
        in->holds++;
    }
    in->held[i].ack = *ack;
    in->held_messages++;
    in->held_bytes += bytes;
    if (in->held_messages >= HOLD_MESSAGES || in->held_bytes >= HOLD_BYTES ||
        mscope_clock_ns() - in->held_ns >= HOLD_NS)
        mscope_inbox_release(in);
}

static void reply(mscope_inbox *in, const mscope_peer *to, const mscope_answer *a, uint64_t bytes)
{
    if (a->n == 1 && a->at[0].header.kind == MSCOPE_ACK) {
        hold(in, to, &a->at[0].header, bytes);
        return;
    }
    mscope_inbox_release(in);
    for (unsigned i = 0; i < a->n; i++)
        (void)send_reply(in, to, &a->at[i].header, a->at[i].body, a->at[i].body_len);
}

/* -- who is still there ------------------------------------------------------------------------- */

/* Over which connection a session was last heard. */
static void remember(mscope_inbox *in, uint64_t session, const mscope_peer *from)
{
    unsigned i = 0;

    while (i < MSCOPE_SESSIONS && in->engine->sessions[i].id != session)
        i++;
    if (session == 0 || i == MSCOPE_SESSIONS ||
        (in->peer[i].session == session && in->peer[i].at.len == from->len &&
         memcmp(in->peer[i].at.id, from->id, from->len) == 0))
        return;
    in->peer[i].session = session;
    in->peer[i].at.len = from->len;
    memcpy(in->peer[i].at.id, from->id, from->len);
}

void mscope_inbox_look(mscope_inbox *in, uint64_t now_ns)
{
    mscope_header ack;

    if (now_ns - in->looked_ns < LOOK_NS)
        return;
    in->looked_ns = now_ns;
    for (unsigned i = 0; i < MSCOPE_SESSIONS; i++) {
        const int known = in->peer[i].session == in->engine->sessions[i].id;
        const uint64_t quiet = known ? 2 * (uint64_t)LOOK_NS : in->engine->cfg.takeover_ns;
        if (mscope_engine_beat(in->engine, i, now_ns, quiet, &ack) &&
            (!known || !send_reply(in, &in->peer[i].at, &ack, NULL, 0)))
            mscope_engine_gone(in->engine, i);
    }
}

/* -- messages --------------------------------------------------------------------------------- */

/* Parts beyond MSCOPE_MESSAGE_PARTS are counted and dropped. The engine reads bodies where ZeroMQ put them; they
 * are freed when it has returned. */
int mscope_inbox_one(mscope_inbox *in, uint64_t now_ns)
{
    zmq_msg_t msg[MSCOPE_MESSAGE_PARTS], more_than;
    mscope_part parts[MSCOPE_MESSAGE_PARTS] = { { NULL, 0 } };
    mscope_answer answer;
    mscope_peer from;
    uint64_t bytes = in->engine->count.bytes_in;
    size_t n = 0, size = sizeof(int), held = 0;
    int more = 0, fd = -1, len = zmq_recv(in->router, from.id, sizeof from.id, ZMQ_DONTWAIT);

    if (len < 0)
        return 0;
    from.len = (size_t)len < sizeof from.id ? (size_t)len : sizeof from.id;
    while (zmq_getsockopt(in->router, ZMQ_RCVMORE, &more, &size) == 0 && more) {
        zmq_msg_t *m = n < MSCOPE_MESSAGE_PARTS ? &msg[n] : &more_than;
        (void)zmq_msg_init(m);
        (void)zmq_msg_recv(m, in->router, ZMQ_DONTWAIT);
        held += zmq_msg_size(m);
        fd = zmq_msg_get(m, ZMQ_SRCFD);
        if (m == &more_than)
            (void)zmq_msg_close(m);
        else
            parts[n] = (mscope_part){ zmq_msg_data(m), zmq_msg_size(m) };
        n++;
    }
    mscope_engine_message(in->engine, parts, n, now_ns, &answer);
    mscope_doors_taken(fd, n, held, answer.n > 0 && answer.at[0].header.kind == MSCOPE_WELCOME);
    remember(in, answer.n > 0 ? answer.at[0].header.session : 0, &from);
    reply(in, &from, &answer, in->engine->count.bytes_in - bytes);
    for (size_t i = 0; i < n && i < MSCOPE_MESSAGE_PARTS; i++)
        (void)zmq_msg_close(&msg[i]);
    return 1;
}
