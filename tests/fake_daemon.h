/* fake_daemon.h - a small daemon around one ROUTER socket, and a trainer for it
 *
 * The fake daemon keeps the state that protocol/README.md asks of a real one: next sequence number, completed steps,
 * rows covered by a SYNC. A test decides what it acknowledges, refuses and forgets, and when it is there at all. */
#ifndef TESTS_FAKE_DAEMON_H
#define TESTS_FAKE_DAEMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <unistd.h>
#include <zmq.h>

#include "client/state.h"

enum { ROWS = 40, DIM = 3, FRAMES_MAX = 4096 };

struct seen {
    mscope_header h;
    int duplicate;
};

struct daemon {
    void *ctx, *sock;
    char endpoint[128];
    uint64_t epoch, credit_messages, credit_bytes;
    /* what a real one would hold */
    uint64_t session, next_seq, step, restored_step;
    uint32_t covered;
    int known, exact, silent, deaf;          /* silent: read, never answer; deaf: do not even read */
    int refuse_hello;                        /* times to answer EBUSY                              */
    int refuse_sync;                         /* refuse every SYNC with ENONFINITE                  */
    uint64_t refuse_seq;                     /* refuse this message with EINVAL                      */
    /* what happened */
    struct seen seen[FRAMES_MAX];
    unsigned n, steps, syncs, hellos, lost, references, gaps, byes;
    mscope_hello hello;
    float theta[ROWS][DIM], m[ROWS][DIM];
    double schedule[3];
    uint32_t rows[64], count0;
    float grad[64][DIM];
    uint32_t counts[64];
};

static inline uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static inline void up(struct daemon *d)
{
    const int none = 0;

    d->ctx = zmq_ctx_new();
    d->sock = zmq_socket(d->ctx, ZMQ_ROUTER);
    zmq_setsockopt(d->sock, ZMQ_LINGER, &none, sizeof none);
    for (int tries = 0; zmq_bind(d->sock, d->endpoint) != 0; tries++) {
        assert_true(tries < 100);
        usleep(10000);
    }
    d->epoch++;
}

/* forget 1: the daemon is killed and has no state file; 0: only the connection breaks. */
static inline void down(struct daemon *d, int forget)
{
    zmq_close(d->sock);
    zmq_ctx_term(d->ctx);
    d->sock = NULL;
    if (forget) {
        d->known = d->exact = 0;
        d->step = d->covered = 0;
        memset(d->theta, 0, sizeof d->theta);
        memset(d->m, 0, sizeof d->m);
    } else {
        d->epoch--;
    }
}

static inline void start(struct daemon *d)
{
    static int number;

    memset(d, 0, sizeof *d);
    snprintf(d->endpoint, sizeof d->endpoint, "ipc:///tmp/momentscope-test-client-%ld-%d", (long)getpid(), number++);
    d->credit_messages = 100;
    d->credit_bytes = 1 << 20;
    up(d);
}

static inline void stop(struct daemon *d)
{
    if (d->sock != NULL)
        down(d, 1);
    unlink(d->endpoint + strlen("ipc://"));
}

static inline void answer(struct daemon *d, zmq_msg_t *who, mscope_header h, const void *body, int len)
{
    uint8_t head[MSCOPE_HEADER_LEN];

    if (d->silent)
        return;
    mscope_header_encode(&h, head);
    zmq_send(d->sock, zmq_msg_data(who), zmq_msg_size(who), ZMQ_SNDMORE);
    zmq_send(d->sock, head, sizeof head, len > 0 ? ZMQ_SNDMORE : 0);
    if (len > 0)
        zmq_send(d->sock, body, (size_t)len, 0);
}

static inline void refuse(struct daemon *d, zmq_msg_t *who, const mscope_header *h, int code, const char *field,
                          uint64_t range)
{
    mscope_refusal why = { .code = code };
    uint8_t body[MSCOPE_HELLO_MAX];

    snprintf(why.field, sizeof why.field, "%s", field);
    snprintf(why.range, sizeof why.range, "%llu", (unsigned long long)range);
    snprintf(why.text, sizeof why.text, "refused by the test");
    int len = mscope_refusal_encode(&why, body, sizeof body);
    mscope_header e = { .kind = MSCOPE_ERROR, .session = h->session, .seq = h->seq, .step = h->step,
                        .table = h->table };
    answer(d, who, e, body, len);
}

static inline void take_hello(struct daemon *d, zmq_msg_t *who, const mscope_header *h, zmq_msg_t *part)
{
    mscope_refusal why;
    uint8_t body[MSCOPE_HELLO_MAX];

    assert_int_equal(mscope_hello_decode(zmq_msg_data(part), zmq_msg_size(part), &d->hello, &why), 0);
    d->hellos++;
    if (d->refuse_hello > 0) {
        d->refuse_hello--;
        refuse(d, who, h, MSCOPE_EBUSY, "table", 0);
        return;
    }
    if (!d->known || d->session != h->session) {
        d->next_seq = h->seq;
        d->step = d->restored_step ? d->restored_step : d->hello.step;
        d->exact = d->hello.fresh && d->step == d->hello.step;
    }
    if (h->seq > d->next_seq)
        d->next_seq = h->seq;
    d->known = 1;
    d->session = h->session;
    mscope_welcome w = { .epoch = d->epoch, .next_seq = d->next_seq, .step = d->step, .exact = d->exact,
                         .credit_messages = d->credit_messages, .credit_bytes = d->credit_bytes };
    int len = mscope_welcome_encode(&w, body, sizeof body);
    mscope_header a = { .kind = MSCOPE_WELCOME, .session = h->session, .table = h->table, .seq = h->seq,
                        .count = (uint32_t)d->credit_messages };
    answer(d, who, a, body, len);
}

static inline void apply_step(struct daemon *d, const mscope_header *h, zmq_msg_t *part, int parts)
{
    int counts = (h->flags & MSCOPE_FLAG_COUNTS) != 0, schedule = (h->flags & MSCOPE_FLAG_SCHEDULE) != 0;
    int want = (h->count > 0 ? 2 : 0) + counts + schedule;

    assert_int_equal(parts, want);
    if (h->step != d->step + 1) {
        d->lost += (unsigned)(h->step - d->step - 1);
        d->exact = 0;
        d->covered = 0;
    }
    d->step = h->step;
    d->steps++;
    if (h->count > 0 && h->count <= 64) {
        assert_int_equal(zmq_msg_size(&part[0]), 4 * h->count);
        assert_int_equal(zmq_msg_size(&part[1]), h->count * DIM * mscope_value_size(h->value_type));
        memcpy(d->rows, zmq_msg_data(&part[0]), 4 * h->count);
        if (h->value_type == MSCOPE_F32)
            memcpy(d->grad, zmq_msg_data(&part[1]), 4 * DIM * h->count);
        if (h->flags & MSCOPE_FLAG_COUNTS)
            memcpy(d->counts, zmq_msg_data(&part[2]), 4 * h->count);
    }
    /* the rule of train() below, so that a step lost, doubled or out of order shows in the copy */
    for (uint32_t i = 0; h->count == 2 && h->value_type == MSCOPE_F32 && i < 2; i++)
        for (int j = 0; j < DIM; j++) {
            d->m[d->rows[i]][j] += d->grad[i][j];
            d->theta[d->rows[i]][j] -= 0.5f * d->m[d->rows[i]][j];
        }
    if (h->flags & MSCOPE_FLAG_SCHEDULE)
        memcpy(d->schedule, zmq_msg_data(&part[parts - 1]), 24);
}

static inline int apply_sync(struct daemon *d, const mscope_header *h, zmq_msg_t *part)
{
    if (h->step < d->step)
        return 0;
    d->lost += (unsigned)(h->step - d->step);
    d->step = h->step;
    size_t len = (size_t)h->count * DIM * 4;
    assert_int_equal(zmq_msg_size(&part[0]), len);
    assert_true(h->extra + h->count <= ROWS);
    memcpy(d->theta[h->extra], zmq_msg_data(&part[0]), len);
    memcpy(d->m[h->extra], zmq_msg_data(&part[1]), len);
    d->syncs++;
    if (h->extra == 0)
        d->covered = h->count;
    else if (h->extra == d->covered)
        d->covered += h->count;
    if (d->covered == ROWS)
        d->exact = 1;
    return 1;
}

static inline void handle(struct daemon *d, zmq_msg_t *who, zmq_msg_t *part, int parts)
{
    mscope_header h;
    mscope_refusal why;
    int good = 1;

    assert_int_equal(mscope_header_decode(zmq_msg_data(&part[0]), zmq_msg_size(&part[0]), &h, &why), 0);
    if (h.kind == MSCOPE_HELLO) {
        take_hello(d, who, &h, &part[1]);
        return;
    }
    if (!d->known || d->session != h.session) {
        refuse(d, who, &h, MSCOPE_ESTATE, "session", 0);
        return;
    }
    if (h.seq > d->next_seq) {
        d->gaps++;
        refuse(d, who, &h, MSCOPE_EGAP, "seq", d->next_seq);
        return;
    }
    assert_true(d->n < FRAMES_MAX);
    d->seen[d->n].h = h;
    d->seen[d->n++].duplicate = h.seq < d->next_seq;
    if (h.seq == d->next_seq) {
        d->next_seq++;
        if (h.seq == d->refuse_seq || (d->refuse_sync && h.kind == MSCOPE_SYNC)) {
            refuse(d, who, &h, MSCOPE_ENONFINITE, "values", 0);
            good = 0;
        } else if (h.kind == MSCOPE_STEP) {
            apply_step(d, &h, part + 1, parts - 1);
        } else if (h.kind == MSCOPE_SYNC) {
            good = apply_sync(d, &h, part + 1);
            if (!good)
                refuse(d, who, &h, MSCOPE_EGAP, "step", d->step);
        } else if (h.kind == MSCOPE_REFERENCE) {
            d->references += h.count;
        }
        d->byes += h.kind == MSCOPE_BYE;
    }
    mscope_header a = { .kind = MSCOPE_ACK, .session = h.session, .seq = d->next_seq - 1, .table = h.table,
                        .flags = d->exact ? 0 : MSCOPE_FLAG_INEXACT, .count = (uint32_t)d->credit_messages };
    answer(d, who, a, NULL, 0);
}

/* Let both sides run until nothing moves for 100 ms, or ms have passed. */
static inline void run(struct daemon *d, mscope_client *c, int ms)
{
    uint64_t end = now_ms() + (uint64_t)ms, quiet = now_ms();

    while (now_ms() < end && now_ms() - quiet < 100) {
        if (c != NULL)
            mscope_client_poll(c, 0);
        while (d->sock != NULL && !d->deaf) {
            zmq_msg_t who, part[6];
            int parts = 0, more = 1;
            zmq_msg_init(&who);
            if (zmq_msg_recv(&who, d->sock, ZMQ_DONTWAIT) < 0)
                break;
            for (; more && parts < 6; parts++) {
                zmq_msg_init(&part[parts]);
                assert_true(zmq_msg_recv(&part[parts], d->sock, 0) >= 0);
                more = zmq_msg_more(&part[parts]);
            }
            handle(d, &who, part, parts);
            for (int i = 0; i < parts; i++)
                zmq_msg_close(&part[i]);
            zmq_msg_close(&who);
            quiet = now_ms();
        }
        usleep(1000);
    }
}

static inline void run_until_connected(struct daemon *d, mscope_client *c)
{
    mscope_client_stats s = { 0 };

    for (int i = 0; i < 100 && !s.connected; i++) {
        run(d, c, 200);
        mscope_client_stats_get(c, &s);
    }
    assert_true(s.connected);
}

/* -- a trainer -------------------------------------------------------------------------------------- */

struct trainer {
    mscope_client *c;
    int table;
    float theta[ROWS][DIM], m[ROWS][DIM];
    unsigned steps, settled;
};

static inline void settle(void *ctx, uint32_t first, uint32_t n)
{
    ((struct trainer *)ctx)->settled += n;
    assert_true(first + n <= ROWS);
}

static inline void train_open(struct trainer *t, struct daemon *d, mscope_client_options opt, int fresh)
{
    memset(t, 0, sizeof *t);
    opt.endpoint = d->endpoint;
    opt.quiet = 1;
    assert_int_equal(mscope_client_open(&t->c, &opt), 0);
    mscope_attach_info in = { .table = "words", .rows = ROWS, .dim = DIM, .capacity = 64, .theta = t->theta, .m = t->m,
                              .fresh = fresh, .settle = settle, .settle_ctx = t, .reference = "zero" };
    t->table = mscope_client_attach(t->c, &in);
    assert_int_equal(t->table, 0);
}

static inline int train(struct trainer *t)
{
    const mscope_step step = { .eta = 0.1, .eps = 0.25, .batch = 8 };
    const uint32_t rows[2] = { t->steps % ROWS, (t->steps + 7) % ROWS };
    float g[2][DIM];

    for (int i = 0; i < 2; i++)
        for (int j = 0; j < DIM; j++) {
            g[i][j] = (float)(t->steps + 1) * (float)(i + 1) + (float)j;
            t->m[rows[i]][j] += g[i][j];
            t->theta[rows[i]][j] -= 0.5f * t->m[rows[i]][j];
        }
    t->steps++;
    return mscope_client_push(t->c, t->table, &step, rows, g, MSCOPE_F32, NULL, 2);
}

static inline mscope_client_stats stats(const struct trainer *t)
{
    mscope_client_stats s;

    mscope_client_stats_get(t->c, &s);
    return s;
}

static inline void assert_healed(struct daemon *d, struct trainer *t)
{
    for (int i = 0; i < 300 && !stats(t).exact; i++) {
        assert_true(mscope_client_flush(t->c, 0) <= 0);
        run(d, t->c, 60);
    }
    assert_true(stats(t).exact);
    assert_true(d->exact);
    assert_int_equal(d->step, t->steps);
    assert_memory_equal(d->theta, t->theta, sizeof d->theta);
    assert_memory_equal(d->m, t->m, sizeof d->m);
}

/* Every STEP that was applied, in order, once. */
static inline void assert_steps_in_order(const struct daemon *d)
{
    uint64_t last = 0;

    for (unsigned i = 0; i < d->n; i++)
        if (d->seen[i].h.kind == MSCOPE_STEP && !d->seen[i].duplicate) {
            assert_true(d->seen[i].h.step > last);
            last = d->seen[i].h.step;
        }
}

static inline void assert_fault(int code, const char *field, const char *value, const char *range)
{
    mscope_refusal why;

    mscope_client_fault(&why);
    assert_int_equal(why.code, code);
    assert_string_equal(why.field, field);
    assert_string_equal(why.value, value);
    if (strstr(why.range, range) == NULL)
        fail_msg("%s: range '%s' has no '%s'", field, why.range, range);
}

#endif
