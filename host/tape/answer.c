/* answer.c - see answer.h */
#include "answer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "protocol/refusal.h"

enum { CREDIT_MESSAGES = 64 };
#define CREDIT_BYTES (64ull << 20)

void mscope_answerer_init(mscope_answerer *a)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    a->epoch = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void error(uint64_t session, const mscope_header *of, const mscope_refusal *why, mscope_reply_message *out)
{
    const mscope_header h = {
        .kind = MSCOPE_ERROR, .session = session, .seq = of->seq, .table = of->table, .step = of->step
    };
    const int len = mscope_refusal_encode(why, out->body, sizeof out->body);

    mscope_header_encode(&h, out->header);
    out->len = len > 0 ? (size_t)len : 0;
}

void mscope_answer_refused(const mscope_header *h, const mscope_refusal *why, mscope_reply_message *out)
{
    error(h->session, h, why, out);
}

int mscope_answer_stray(const mscope_refusal *why, mscope_reply_message *out)
{
    const mscope_header none = { 0 };

    error(0, &none, why, out);
    return 1;
}

void mscope_answer_unknown(uint64_t session, mscope_reply_message *out)
{
    const mscope_header none = { 0 };
    mscope_refusal why;

    (void)mscope_refusal_set(&why, MSCOPE_ESTATE, "session", "a session that said HELLO",
                             "the daemon does not know the session: say HELLO", "%llu", (unsigned long long)session);
    error(session, &none, &why, out);
}

static int welcome(const mscope_answerer *a, const mscope_relay_tape *t, const mscope_header *h,
                   mscope_reply_message *out)
{
    const mscope_recorded_table *x = mscope_contents_find(&t->seen, h->session, h->table);
    const mscope_taped_session *s = mscope_relay_tape_session(t, h->session);
    mscope_refusal why;

    if (x == NULL || s == NULL) {
        (void)mscope_refusal_set(&why, MSCOPE_EPROTO, "HELLO", "protocol/README.md, HELLO map", "not understood",
                                 "a table");
        error(h->session, h, &why, out);
        return 1;
    }
    const mscope_welcome w = { .epoch = a->epoch, .next_seq = s->next, .step = x->step, .exact = x->known,
                               .credit_messages = CREDIT_MESSAGES, .credit_bytes = CREDIT_BYTES };
    const mscope_header head = { .kind = MSCOPE_WELCOME, .session = h->session, .seq = h->seq, .table = h->table,
                                 .step = x->step, .count = CREDIT_MESSAGES };
    const int len = mscope_welcome_encode(&w, out->body, sizeof out->body);
    mscope_header_encode(&head, out->header);
    out->len = len > 0 ? (size_t)len : 0;
    return 1;
}

int mscope_answer(const mscope_answerer *a, const mscope_relay_tape *t, const mscope_header *h,
                  mscope_reply_message *out)
{
    const mscope_recorded_table *x = mscope_contents_find(&t->seen, h->session, h->table);
    const mscope_taped_session *s = mscope_relay_tape_session(t, h->session);
    char range[32];
    mscope_refusal why;

    out->len = 0;
    if (h->kind >= MSCOPE_WELCOME)
        return 0;
    if (h->kind == MSCOPE_HELLO)
        return welcome(a, t, h, out);
    if (s == NULL) {
        mscope_answer_unknown(h->session, out);
        return 1;
    }
    if (h->seq >= s->next) {
        (void)snprintf(range, sizeof range, "%llu", (unsigned long long)s->next);
        (void)mscope_refusal_set(&why, MSCOPE_EGAP, "seq", range,
                                 "messages before this one are missing: send them again", "%llu",
                                 (unsigned long long)h->seq);
        error(h->session, h, &why, out);
        return 1;
    }
    const mscope_header head = { .kind = MSCOPE_ACK, .session = h->session, .seq = s->next - 1, .table = h->table,
                                 .step = x != NULL ? x->step : 0, .count = CREDIT_MESSAGES,
                                 .flags = x != NULL && !x->known ? MSCOPE_FLAG_INEXACT : 0 };
    mscope_header_encode(&head, out->header);
    return 1;
}

void mscope_answer_amend(const mscope_relay_tape *t, const mscope_header *h, zmq_msg_t *body)
{
    const mscope_recorded_table *x = mscope_contents_find(&t->kept, h->session, h->table);
    const int ask = t->writer != NULL && t->limit == NULL && x != NULL && !x->known;
    mscope_refusal why;
    mscope_welcome w;
    uint8_t out[MSCOPE_HELLO_MAX];

    if (mscope_welcome_decode(zmq_msg_data(body), zmq_msg_size(body), &w, &why) != 0 || !(w.shm || (w.exact && ask)))
        return;
    w.shm = 0;
    w.exact &= !ask;
    const int len = mscope_welcome_encode(&w, out, sizeof out);
    zmq_msg_t changed;
    if (len < 0 || zmq_msg_init_size(&changed, (size_t)len) != 0)
        return;
    memcpy(zmq_msg_data(&changed), out, (size_t)len);
    (void)zmq_msg_move(body, &changed);
    (void)zmq_msg_close(&changed);
}
