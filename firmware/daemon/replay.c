/* replay.c - see replay.h
 *
 * Block: [u32 length of body][u32 topic slot][u64 seq][u64 place before][u64 place after][body, padded to 32] ...; a
 * record never wraps: when the rest of the block is too short it is filled by a record of topic slot PAD. Offsets are
 * absolute and only grow. A place is an offset + 1, or 0: none. A place below the block's first record is as good as
 * none.                                                                                                           */
#include "replay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <zmq.h>

#include "protocol/fields.h"
#include "doors.h"
#include "log.h"

#define PAD UINT32_MAX
#define HEAD sizeof(entry)
#define BURST 64                         /* records that one call sends for one job */
#define REQUESTS 256                     /* that one call takes                     */
#define DONE UINT64_MAX

typedef struct entry {
    uint32_t len, topic;
    uint64_t seq, before, after;         /* places of the topic's records around it */
} entry;

void mscope_replay_init(mscope_replay *r, uint8_t *mem, size_t cap, void *socket)
{
    memset(r, 0, sizeof *r);
    r->mem = mem;
    r->cap = cap & ~(size_t)31;
    r->socket = socket;
}

static entry entry_at(const mscope_replay *r, uint64_t at)
{
    entry e;

    memcpy(&e, r->mem + at % r->cap, sizeof e);
    return e;
}

static uint64_t size_of(uint32_t len)
{
    return HEAD + ((uint64_t)len + 31) / 32 * 32;
}

static void append(mscope_replay *r, entry e, const uint8_t *body)
{
    while (r->end + size_of(e.len) > r->first + r->cap)
        r->first += size_of(entry_at(r, r->first).len);
    memcpy(r->mem + r->end % r->cap, &e, sizeof e);
    if (body != NULL)
        memcpy(r->mem + r->end % r->cap + HEAD, body, e.len);
    r->end += size_of(e.len);
}

void mscope_replay_store(mscope_replay *r, const mscope_topics *topics, mscope_topic *t, const uint8_t *body,
                         size_t len)
{
    const size_t rest = r->cap - (size_t)(r->end % r->cap);
    const uint64_t before = t->newest;

    if (rest < size_of((uint32_t)len))
        append(r, (entry){ .len = (uint32_t)(rest - HEAD), .topic = PAD }, NULL);
    t->newest = r->end + 1;
    append(r, (entry){ .len = (uint32_t)len, .topic = (uint32_t)(t - topics->at), .seq = t->next, .before = before },
           body);
    if (before > r->first) {
        entry e = entry_at(r, before - 1);
        e.after = t->newest;
        memcpy(r->mem + (before - 1) % r->cap, &e, sizeof e);
    }
}

/* The place of the oldest record of a topic from number `next` on, or 0: there is none. */
static uint64_t find_from(const mscope_replay *r, const mscope_topic *t, uint64_t next)
{
    uint64_t found = 0;

    for (uint64_t at = t->newest; at > r->first;) {
        const entry e = entry_at(r, at - 1);
        if (e.seq < next)
            break;
        found = at;
        at = e.before;
    }
    return found;
}

int mscope_replay_busy(const mscope_replay *r)
{
    for (unsigned i = 0; i < MSCOPE_REPLAY_JOBS; i++)
        if (r->jobs[i].busy)
            return 1;
    return 0;
}

/* Returns 0: sent; 1: the peer's queue is full, try later; -1: the peer is gone. Only the first part of a message
 * can meet a full queue. */
static int answer(mscope_replay *r, const mscope_replay_job *j, uint64_t seq, const uint8_t *body, size_t len)
{
    uint8_t be[8];

    for (int i = 0; i < 8; i++)
        be[i] = (uint8_t)(seq >> (56 - 8 * i));
    if (zmq_send(r->socket, j->peer, j->peer_len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return zmq_errno() == EAGAIN ? 1 : -1;
    if ((j->envelope && zmq_send(r->socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) ||
        zmq_send(r->socket, j->topic, strlen(j->topic), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_send(r->socket, be, sizeof be, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_send(r->socket, body, len, ZMQ_DONTWAIT) < 0)
        return -1;
    return 0;
}

/* A topic that was let go meanwhile has no records any more. Those of the topic that had a slot before have
 * numbers below the new topic's first, where jobs on the new one begin (parse). */
static void serve_job(mscope_replay *r, const mscope_topics *topics, mscope_replay_job *j)
{
    const mscope_topic *t = &topics->at[j->slot];
    const int there = t->generation == j->generation;
    int status = 0;

    if (!there)
        j->at = 0;
    for (unsigned i = 0; i < BURST && status == 0; i++) {
        if (there && j->at <= r->first)
            j->at = find_from(r, t, j->next);
        if (j->at == 0)
            break;
        const entry e = entry_at(r, j->at - 1);
        status = answer(r, j, e.seq, r->mem + (j->at - 1) % r->cap + HEAD, e.len);
        if (status > 0)
            return;
        j->next = e.seq + 1;
        j->at = e.after;
    }
    if (status == 0 && j->at == 0 && (!there || find_from(r, t, j->next) == 0))
        status = answer(r, j, DONE, (const uint8_t *)"", 0) > 0 ? 1 : -1;
    j->busy = status >= 0;
}

/* -- requests --------------------------------------------------------------------------------- */

typedef struct complaint {
    char error[MSCOPE_TEXT_MAX + 1], field[32], value[48], range[64];
} complaint;

static const mscope_field complaint_fields[] = {
#define TEXT(name) { #name, MSCOPE_FIELD_text, offsetof(complaint, name), sizeof(((complaint *)0)->name), 0, 0, NULL }
    TEXT(error), TEXT(field), TEXT(value), TEXT(range)
};

static void refuse(mscope_replay *r, const mscope_replay_job *j, const mscope_refusal *why)
{
    complaint c;
    uint8_t body[512];
    int len;

    memcpy(c.error, why->text, sizeof c.error);
    memcpy(c.field, why->field, sizeof c.field);
    memcpy(c.value, why->value, sizeof c.value);
    memcpy(c.range, why->range, sizeof c.range);
    len = mscope_fields_encode(complaint_fields, 4, &c, body, sizeof body);
    mscope_log(MSCOPE_LOG_DEBUG, "replay", "refused a request: %s is %s, expected %s", why->field, why->value,
               why->range);
    (void)answer(r, j, DONE, body, len > 0 ? (size_t)len : 0);
}

/* The parts after the routing id: the first 3, each cut to 256 bytes; n counts all of them. */
typedef struct request {
    uint8_t at[3][256];
    size_t len[3], n;
} request;

static int receive(mscope_replay *r, mscope_replay_job *j, request *q)
{
    int more = 1, len = zmq_recv(r->socket, j->peer, sizeof j->peer, ZMQ_DONTWAIT);
    size_t size = sizeof more, held = 0;
    int fd = -1;

    if (len < 0)
        return 0;
    j->peer_len = (size_t)len < sizeof j->peer ? (size_t)len : sizeof j->peer;
    q->n = 0;
    for (;;) {
        zmq_msg_t m;
        (void)zmq_getsockopt(r->socket, ZMQ_RCVMORE, &more, &size);
        if (!more)
            break;
        (void)zmq_msg_init(&m);
        (void)zmq_msg_recv(&m, r->socket, ZMQ_DONTWAIT);
        if (q->n < 3) {
            q->len[q->n] = zmq_msg_size(&m);
            memcpy(q->at[q->n], zmq_msg_data(&m), q->len[q->n] < 256 ? q->len[q->n] : 256);
        }
        held += zmq_msg_size(&m);
        fd = zmq_msg_get(&m, ZMQ_SRCFD);
        (void)zmq_msg_close(&m);
        q->n++;
    }
    mscope_doors_taken(fd, q->n, held, 0);
    return 1;
}

static int parse(mscope_replay_job *j, const request *q, const mscope_topics *topics, mscope_refusal *why)
{
    size_t first = 0;
    const mscope_topic *t;
    char range[64];

    j->envelope = q->n > 0 && q->len[0] == 0;
    j->topic[0] = '\0';
    if (j->envelope)
        first = 1;
    if (q->n > first && q->len[first] < sizeof j->topic && memchr(q->at[first], 0, q->len[first]) == NULL) {
        memcpy(j->topic, q->at[first], q->len[first]);
        j->topic[q->len[first]] = '\0';
    }
    if (q->n != first + 2)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "parts", "2: topic, first sequence number",
                                  "not a replay request", "%zu", q->n - first);
    if (q->len[first + 1] != 8)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "seq", "8 bytes, big-endian", "not a sequence number",
                                  "%zu bytes", q->len[first + 1]);
    if (q->len[first] >= sizeof j->topic) {
        (void)snprintf(range, sizeof range, "at most %zu bytes", sizeof j->topic - 1);
        return mscope_refusal_set(why, MSCOPE_EINVAL, "topic", range, "a topic too long", "%zu bytes", q->len[first]);
    }
    t = j->topic[0] != '\0' ? mscope_topic_find(topics, j->topic) : NULL;
    if (t == NULL)
        return mscope_refusal_set(why, MSCOPE_EINVAL, "topic", "a topic published since start", "unknown topic",
                                  "%.40s", j->topic);
    j->next = 0;
    for (int i = 0; i < 8; i++)
        j->next = j->next << 8 | q->at[first + 1][i];
    if (j->next < t->first)
        j->next = t->first;
    j->slot = (uint32_t)(t - topics->at);
    j->generation = t->generation;
    return 0;
}

static void serve_jobs(mscope_replay *r, const mscope_topics *topics)
{
    for (unsigned i = 0; i < MSCOPE_REPLAY_JOBS; i++)
        if (r->jobs[i].busy)
            serve_job(r, topics, &r->jobs[i]);
}

/* A place for one more job, or NULL. Most jobs are done at once, so places are free again after a turn. */
static mscope_replay_job *free_place(mscope_replay *r, const mscope_topics *topics)
{
    for (int turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; i < MSCOPE_REPLAY_JOBS; i++)
            if (!r->jobs[i].busy)
                return &r->jobs[i];
        serve_jobs(r, topics);
    }
    return NULL;
}

void mscope_replay_serve(mscope_replay *r, const mscope_topics *topics, mscope_outside *outside)
{
    mscope_replay_job asked;
    mscope_refusal why;
    request q;

    for (unsigned i = 0; i < REQUESTS && receive(r, &asked, &q); i++) {
        mscope_replay_job *slot = free_place(r, topics);
        if (parse(&asked, &q, topics, &why) == 0 && slot != NULL) {
            asked.busy = 1;
            asked.at = 0;
            *slot = asked;
            atomic_fetch_add_explicit(&outside->replay_requests, 1, memory_order_relaxed);
            continue;
        }
        if (slot == NULL)
            (void)mscope_refusal_set(&why, MSCOPE_EBUSY, "requests", "at most 32 at once", "too many replay requests",
                                     "32");
        atomic_fetch_add_explicit(&outside->replay_refused, 1, memory_order_relaxed);
        refuse(r, &asked, &why);
    }
    serve_jobs(r, topics);
}
