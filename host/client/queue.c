/* queue.c - messages in sequence order, held until the daemon has acknowledged them
 *
 * The queue is a ring of pointers: the bytes of a zmq_msg_t must not move, so messages stay where they were made. */
#include "queue.h"

#include <stdlib.h>
#include <string.h>

mscope_message *mscope_message_new(uint8_t kind)
{
    mscope_message *f = calloc(1, sizeof *f);

    if (f != NULL) {
        f->kind = kind;
        f->wire = MSCOPE_HEADER_LEN;
    }
    return f;
}

int mscope_message_in_ring(mscope_message *f, mscope_shm_ring *r, uint64_t bytes)
{
    if (mscope_shm_ring_reserve(r, bytes, &f->begin, &f->end) != 0)
        return 1;
    f->ring = r;
    f->used = f->end - mscope_shm_aligned(bytes);
    return 0;
}

static void *body_in_ring(mscope_message *f, size_t len)
{
    uint64_t at = f->used % f->ring->len, whole = mscope_shm_aligned(len);

    if (whole > f->end - f->used)
        return NULL;
    f->body[f->parts++] = (mscope_shm_extent){ at, len };
    f->used += whole;
    f->wire += len;
    return f->ring->at + at;
}

void *mscope_message_body(mscope_message *f, size_t len)
{
    zmq_msg_t *m = &f->part[f->parts];

    if (f->parts == MSCOPE_BODIES)
        return NULL;
    if (f->ring != NULL)
        return body_in_ring(f, len);
    if (zmq_msg_init_size(m, len) != 0)
        return NULL;
    f->parts++;
    f->wire += len;
    return zmq_msg_data(m);
}

int mscope_message_share(mscope_message *f, zmq_msg_t *body)
{
    zmq_msg_t *m = &f->part[f->parts];

    if (f->parts == MSCOPE_BODIES)
        return MSCOPE_ENOMEM;
    zmq_msg_init(m);
    f->parts++;
    if (zmq_msg_copy(m, body) != 0)
        return MSCOPE_ENOMEM;
    f->wire += zmq_msg_size(body);
    return 0;
}

void mscope_message_free(mscope_message *f)
{
    if (f == NULL)
        return;
    for (unsigned i = 0; i < f->parts && f->ring == NULL; i++)
        zmq_msg_close(&f->part[i]);
    if (f->ring != NULL)
        mscope_shm_ring_release(f->ring, f->begin, f->end);
    free(f);
}

uint64_t mscope_message_held(const mscope_message *f)
{
    return f->wire + sizeof *f;
}

static int grow(mscope_queue *q)
{
    size_t cap = q->cap ? 2 * q->cap : 64;
    mscope_message **ring = malloc(cap * sizeof *ring);

    if (ring == NULL)
        return MSCOPE_ENOMEM;
    for (size_t i = 0; i < q->len; i++)
        ring[i] = mscope_queue_at(q, i);
    free(q->ring);
    q->ring = ring;
    q->cap = cap;
    q->head = 0;
    return 0;
}

int mscope_queue_push(mscope_queue *q, mscope_message *f, mscope_header *h)
{
    if (q->len == q->cap && grow(q) != 0)
        return MSCOPE_ENOMEM;
    h->session = q->session;
    f->seq = h->seq = q->next_seq++;
    f->step = h->step;
    f->table = h->table;
    h->kind = f->kind;
    mscope_header_encode(h, f->header);
    q->ring[(q->head + q->len++) & (q->cap - 1)] = f;
    q->bytes += mscope_message_held(f);
    q->wire += f->wire;
    return 0;
}

int mscope_queue_offer(mscope_queue *q, mscope_message *f, mscope_header *h)
{
    if (q->bytes + mscope_message_held(f) <= q->limit && mscope_queue_push(q, f, h) == 0)
        return 0;
    mscope_message_free(f);
    return 1;
}

uint64_t mscope_queue_half(const mscope_queue *q)
{
    return q->limit / 2 - MSCOPE_MESSAGE_BYTES;
}

mscope_message *mscope_queue_at(const mscope_queue *q, size_t i)
{
    return q->ring[(q->head + i) & (q->cap - 1)];
}

mscope_message *mscope_queue_find(const mscope_queue *q, uint64_t seq)
{
    uint64_t first = q->next_seq - q->len;

    return seq >= first && seq < q->next_seq ? mscope_queue_at(q, (size_t)(seq - first)) : NULL;
}

void mscope_queue_sent(mscope_queue *q)
{
    q->sent_bytes += mscope_queue_at(q, q->sent++)->wire;
}

void mscope_queue_done(mscope_queue *q, uint64_t seq)
{
    while (q->len > 0 && q->next_seq - q->len <= seq) {
        mscope_message *f = mscope_queue_at(q, 0);
        q->head = (q->head + 1) & (q->cap - 1);
        q->len--;
        q->bytes -= mscope_message_held(f);
        q->wire -= f->wire;
        if (q->sent > 0) {
            q->sent--;
            q->sent_bytes -= f->wire;
        }
        mscope_message_free(f);
    }
}

void mscope_queue_rewind(mscope_queue *q)
{
    q->sent = 0;
    q->sent_bytes = 0;
}

void mscope_queue_fini(mscope_queue *q)
{
    if (q->len > 0)
        mscope_queue_done(q, q->next_seq);
    free(q->ring);
    memset(q, 0, sizeof *q);
}
