/* send.c - messages of the queue to the socket: whole, in order, within the daemon's credit */
#include "send.h"

#include <string.h>

#include "clock.h"
#include "protocol/shm.h"

enum { SEND_NS = 200000 };           /* what waited for a connection goes in portions: a trainer waits */

/* The bodies lie in the ring: only the header and their places go through the socket. */
static int send_where(mscope_client *c, mscope_message *f)
{
    uint8_t head[MSCOPE_HEADER_LEN], body[MSCOPE_SHM_DESCRIPTOR_MAX];
    mscope_shm_descriptor w = { .shm = c->shm.id, .parts = f->parts };
    mscope_header h;

    if (mscope_header_decode(f->header, sizeof f->header, &h, NULL) != 0)
        return 0;
    h.flags |= MSCOPE_FLAG_SHM;
    mscope_header_encode(&h, head);
    memcpy(w.part, f->body, sizeof w.part);
    return zmq_send(c->sock, head, sizeof head, ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0 &&
           zmq_send(c->sock, body, mscope_shm_descriptor_encode(&w, body), ZMQ_DONTWAIT) >= 0;
}

/* The bodies lie in a ring that the daemon does not have any more. ZeroMQ gets copies: the piece of the ring is freed
 * when another connection acknowledges the message, and the old socket may still hold it then. */
static int send_copies(mscope_client *c, mscope_message *f)
{
    int whole = 1;

    if (zmq_send(c->sock, f->header, sizeof f->header, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
        return 0;
    for (unsigned i = 0; i < f->parts; i++)
        whole &= zmq_send(c->sock, f->ring->at + f->body[i].offset, f->body[i].len,
                          ZMQ_DONTWAIT | (i + 1 < f->parts ? ZMQ_SNDMORE : 0)) >= 0;
    return whole;
}

/* When a pipe dies in the middle of a message, libzmq waits for its last part. So the rest is handed over whatever
 * happens; the message counts as unsent, and the next WELCOME asks for it. */
static int send_message(mscope_client *c, mscope_message *f)
{
    int whole = 1;

    if (f->ring != NULL)
        return c->shm.state == MSCOPE_SHM_UP ? send_where(c, f)
             : c->shm.mode == MSCOPE_TRANSPORT_SHM ? 0 : send_copies(c, f);

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

/* A message larger than the daemon's whole credit goes when no other is unanswered, or it would never go. */
static int within_credit(const mscope_client *c, const mscope_message *f)
{
    const mscope_queue *q = &c->queue;

    return q->sent == 0 || (q->sent < c->credit_messages && q->sent_bytes + f->wire <= c->credit_bytes);
}

void mscope_send_queue(mscope_client *c)
{
    mscope_queue *q = &c->queue;
    const uint64_t begin = q->len - q->sent > 1 ? mscope_client_now_ns() : 0;

    for (size_t n = 0; q->sent < q->len; n++) {
        mscope_message *f = mscope_queue_at(q, q->sent);
        if (n > 0 && mscope_client_now_ns() - begin > SEND_NS) {
            c->more_to_send = 1;
            return;
        }
        if (!within_credit(c, f) || !send_message(c, f))
            return;
        if (f->seq < c->resent_below)
            c->stats.messages_resent++;
        mscope_queue_sent(q);
    }
}

