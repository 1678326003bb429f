/* test_client.c - the trainer's side against a daemon made of a ROUTER and a few lines
 *
 * The fake daemon keeps what protocol/README.md asks of a real one: next sequence number, completed steps, SYNC
 * coverage; a test decides what it acknowledges, refuses, forgets and when it is there at all.                */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "client/private.h"

enum { ROWS = 40, DIM = 3, FRAMES_MAX = 4096 };

struct seen {
    mscope_header h;
    int duplicate;
};

struct daemon {
    void *ctx, *sock;
    char endpoint[128];
    uint64_t epoch, credit_frames, credit_bytes;
    /* what a real one would hold */
    uint64_t session, next_seq, step, restored_step;
    uint32_t covered;
    int known, exact, silent, deaf;          /* silent: read, never answer; deaf: do not even read */
    int refuse_hello;                        /* times to answer EBUSY                              */
    int refuse_sync;                         /* refuse every SYNC with ENONFINITE                  */
    uint64_t refuse_seq;                     /* refuse this frame with EINVAL                      */
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

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static void up(struct daemon *d)
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

/* forget: a daemon killed without a state file; otherwise only the connection breaks. */
static void down(struct daemon *d, int forget)
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

static void start(struct daemon *d)
{
    static int number;

    memset(d, 0, sizeof *d);
    snprintf(d->endpoint, sizeof d->endpoint, "ipc:///tmp/momentscope-test-client-%ld-%d", (long)getpid(), number++);
    d->credit_frames = 100;
    d->credit_bytes = 1 << 20;
    up(d);
}

static void stop(struct daemon *d)
{
    if (d->sock != NULL)
        down(d, 1);
    unlink(d->endpoint + strlen("ipc://"));
}

static void answer(struct daemon *d, zmq_msg_t *who, mscope_header h, const void *body, int len)
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

static void refuse(struct daemon *d, zmq_msg_t *who, const mscope_header *h, int code, const char *field, uint64_t range)
{
    mscope_refusal why = { .code = code };
    uint8_t body[MSCOPE_HELLO_MAX];

    snprintf(why.field, sizeof why.field, "%s", field);
    snprintf(why.range, sizeof why.range, "%llu", (unsigned long long)range);
    snprintf(why.text, sizeof why.text, "refused by the test");
    int len = mscope_refusal_encode(&why, body, sizeof body);
    mscope_header e = { .kind = MSCOPE_ERROR, .session = h->session, .seq = h->seq, .step = h->step, .table = h->table };
    answer(d, who, e, body, len);
}

static void take_hello(struct daemon *d, zmq_msg_t *who, const mscope_header *h, zmq_msg_t *part)
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
                         .credit_frames = d->credit_frames, .credit_bytes = d->credit_bytes };
    int len = mscope_welcome_encode(&w, body, sizeof body);
    mscope_header a = { .kind = MSCOPE_WELCOME, .session = h->session, .table = h->table, .seq = h->seq,
                        .count = (uint32_t)d->credit_frames };
    answer(d, who, a, body, len);
}

static void apply_step(struct daemon *d, const mscope_header *h, zmq_msg_t *part, int parts)
{
    int want = (h->count > 0 ? 2 : 0) + ((h->flags & MSCOPE_FLAG_COUNTS) != 0) + ((h->flags & MSCOPE_FLAG_SCHEDULE) != 0);

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
    /* the trainer's own toy rule, so that a shadow that lost, doubled or reordered a step shows it */
    for (uint32_t i = 0; h->count == 2 && h->value_type == MSCOPE_F32 && i < 2; i++)
        for (int j = 0; j < DIM; j++) {
            d->m[d->rows[i]][j] += d->grad[i][j];
            d->theta[d->rows[i]][j] -= 0.5f * d->m[d->rows[i]][j];
        }
    if (h->flags & MSCOPE_FLAG_SCHEDULE)
        memcpy(d->schedule, zmq_msg_data(&part[parts - 1]), 24);
}

static int apply_sync(struct daemon *d, const mscope_header *h, zmq_msg_t *part)
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

static void handle(struct daemon *d, zmq_msg_t *who, zmq_msg_t *part, int parts)
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
                        .flags = d->exact ? 0 : MSCOPE_FLAG_INEXACT, .count = (uint32_t)d->credit_frames };
    answer(d, who, a, NULL, 0);
}

/* Let both sides run until nothing moves for 100 ms, or ms have passed. */
static void run(struct daemon *d, mscope_client *c, int ms)
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

static void run_until_connected(struct daemon *d, mscope_client *c)
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

static void settle(void *ctx, uint32_t first, uint32_t n)
{
    ((struct trainer *)ctx)->settled += n;
    assert_true(first + n <= ROWS);
}

static void train_open(struct trainer *t, struct daemon *d, mscope_client_options opt, int fresh)
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

static int train(struct trainer *t)
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

static mscope_client_stats stats(const struct trainer *t)
{
    mscope_client_stats s;

    mscope_client_stats_get(t->c, &s);
    return s;
}

static void assert_healed(struct daemon *d, struct trainer *t)
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
static void assert_steps_in_order(const struct daemon *d)
{
    uint64_t last = 0;

    for (unsigned i = 0; i < d->n; i++)
        if (d->seen[i].h.kind == MSCOPE_STEP && !d->seen[i].duplicate) {
            assert_true(d->seen[i].h.step > last);
            last = d->seen[i].h.step;
        }
}

static void assert_fault(int code, const char *field, const char *value, const char *range)
{
    mscope_refusal why;

    mscope_client_fault(&why);
    assert_int_equal(why.code, code);
    assert_string_equal(why.field, field);
    assert_string_equal(why.value, value);
    if (strstr(why.range, range) == NULL)
        fail_msg("%s: range '%s' has no '%s'", field, why.range, range);
}

/* -- promises --------------------------------------------------------------------------------------- */

static void test_push_arrives_as_sent(void **state)
{
    struct daemon d;
    struct trainer t;
    const mscope_step step = { .eta = 0.5, .eps = 0.125, .batch = 32, .weight_decay = 0.01, .dampening = 0.25 };
    const int64_t rows[3] = { 5, 39, 5 };
    const float g[3][DIM] = { { 1, 2, 3 }, { 4, 5, 6 }, { 7, 8, 9 } };
    const uint32_t counts[3] = { 1, 2, 9 };

    (void)state;
    start(&d);
    train_open(&t, &d, (mscope_client_options){ 0 }, 1);
    run_until_connected(&d, t.c);
    assert_int_equal(d.hello.rows, ROWS);
    assert_string_equal(d.hello.table, "words");
    assert_string_equal(d.hello.reference, "zero");
    assert_int_equal(mscope_client_push64(t.c, 0, &step, rows, g, MSCOPE_F32, counts, 3), 0);
    run(&d, t.c, 2000);
    assert_int_equal(d.steps, 1);
    assert_memory_equal(d.grad, g, sizeof g);
    assert_memory_equal(d.counts, counts, sizeof counts);
    assert_int_equal(d.rows[1], 39);
    assert_true(d.schedule[0] == 0.01 && d.schedule[1] == 0 && d.schedule[2] == 0.25);
    const mscope_header *h = &d.seen[0].h;
    assert_true(h->a == 0.5 && h->b == 0.125);
    assert_int_equal(h->extra, 32);
    assert_int_equal(h->step, 1);
    assert_int_equal(mscope_client_push(t.c, 0, &step, NULL, NULL, MSCOPE_NONE, NULL, 0), 0);
    uint8_t mask[ROWS] = { [3] = 1, [39] = 1 };
    float dense[ROWS][DIM];
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < DIM; j++)
            dense[i][j] = (float)(i * DIM + j);
    assert_int_equal(mscope_client_push_dense(t.c, 0, &step, dense, MSCOPE_F32, mask), 0);
    run(&d, t.c, 2000);
    assert_int_equal(d.steps, 3);
    assert_int_equal(d.rows[0], 3);
    assert_int_equal(d.rows[1], 39);
    assert_memory_equal(d.grad[1], dense[39], sizeof dense[39]);
    assert_true(stats(&t).exact);
    assert_int_equal(stats(&t).frames_unacked, 0);
    mscope_client_close(t.c, 0);
    stop(&d);
}

static void test_bad_arguments_are_refused_and_count_as_steps(void **state)
{
    struct daemon d;
    struct trainer t;
    const mscope_step good = { .eta = 0.5, .eps = 0.125, .batch = 1 }, bad = { .eta = -1, .eps = 0.1, .batch = 1 };
    const uint32_t row = ROWS, zero = 0, counts = 0;
    const int64_t negative = -1;
    const float g[DIM] = { 0 };

    (void)state;
    start(&d);
    train_open(&t, &d, (mscope_client_options){ 0 }, 1);
    run_until_connected(&d, t.c);
    assert_int_equal(mscope_client_push(t.c, 1, &good, &zero, g, MSCOPE_F32, NULL, 1), MSCOPE_EINVAL);
    assert_int_equal(mscope_client_push(NULL, 0, &good, &zero, g, MSCOPE_F32, NULL, 1), MSCOPE_EINVAL);
    assert_int_equal(stats(&t).steps_dropped, 0);
    assert_int_equal(mscope_client_push(t.c, 0, &bad, &zero, g, MSCOPE_F32, NULL, 1), MSCOPE_EINVAL);
    assert_int_equal(mscope_client_push(t.c, 0, &good, &row, g, MSCOPE_F32, NULL, 1), MSCOPE_EINDEX);
    assert_int_equal(mscope_client_push64(t.c, 0, &good, &negative, g, MSCOPE_F32, NULL, 1), MSCOPE_EINDEX);
    assert_int_equal(mscope_client_push(t.c, 0, &good, &zero, g, MSCOPE_F64, NULL, 1), MSCOPE_EINVAL);
    assert_int_equal(mscope_client_push(t.c, 0, &good, &zero, g, MSCOPE_F32, &counts, 1), MSCOPE_EINVAL);
    assert_int_equal(mscope_client_push(t.c, 0, &good, &zero, NULL, MSCOPE_F32, NULL, 1), MSCOPE_EINVAL);
    assert_int_equal(mscope_client_push(t.c, 0, &good, &zero, g, MSCOPE_F32, NULL, 65), MSCOPE_EINVAL);
    assert_int_equal(stats(&t).steps_dropped, 7);
    assert_int_equal(mscope_client_probe(t.c, 0, 0, &negative, g, MSCOPE_F32, 1), MSCOPE_EINVAL);
    t.steps = 7;
    assert_int_equal(train(&t), 0);
    run(&d, t.c, 200);
    assert_int_equal(d.lost, 7);
    assert_healed(&d, &t);
    mscope_client_close(t.c, 0);
    stop(&d);
}

/* A trainer that is there first: everything is kept and arrives in order. */
static void test_daemon_that_comes_late_gets_everything(void **state)
{
    struct daemon d;
    struct trainer t;

    (void)state;
    start(&d);
    down(&d, 1);
    train_open(&t, &d, (mscope_client_options){ 0 }, 1);
    for (int i = 0; i < 50; i++)
        assert_int_equal(train(&t), 0);
    assert_int_equal(stats(&t).frames_unacked, 50);
    up(&d);
    run_until_connected(&d, t.c);
    run(&d, t.c, 2000);
    assert_int_equal(d.steps, 50);
    assert_int_equal(d.lost, 0);
    assert_int_equal(d.syncs, 0);
    assert_true(stats(&t).exact);
    assert_steps_in_order(&d);
    mscope_client_close(t.c, 0);
    stop(&d);
}

/* The connection breaks with frames in flight: what was not acknowledged is sent again, nothing is applied twice. */
static void test_reconnect_resends_exactly_once(void **state)
{
    struct daemon d;
    struct trainer t;

    (void)state;
    start(&d);
    train_open(&t, &d, (mscope_client_options){ 0 }, 1);
    run_until_connected(&d, t.c);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 10; i++)
            train(&t);
        d.silent = round & 1;                /* applied, and the acknowledgement lost */
        d.deaf = !d.silent;                  /* or never read */
        run(&d, t.c, 60);
        down(&d, 0);
        d.silent = d.deaf = 0;
        for (int i = 0; i < 10; i++)
            train(&t);
        up(&d);
        run_until_connected(&d, t.c);
        run(&d, t.c, 2000);
        assert_int_equal(d.steps, t.steps);
    }
    assert_int_equal(d.lost, 0);
    assert_int_equal(d.syncs, 0);
    assert_true(stats(&t).frames_resent >= 20);
    assert_int_equal(stats(&t).frames_unacked, 0);
    assert_true(stats(&t).exact);
    assert_steps_in_order(&d);
    mscope_client_close(t.c, 0);
    stop(&d);
}

/* kill -9 and a new start without a state file: SYNC gives the new daemon the truth. */
static void test_restarted_daemon_is_healed(void **state)
{
    struct daemon d;
    struct trainer t;

    (void)state;
    start(&d);
    train_open(&t, &d, (mscope_client_options){ .sync_bytes = 200 }, 1);
    run_until_connected(&d, t.c);
    for (int i = 0; i < 20; i++)
        train(&t);
    run(&d, t.c, 200);
    const float ref[ROWS][DIM] = { { 1 } };
    assert_int_equal(mscope_client_reference(t.c, 0, 0, ROWS, ref, MSCOPE_F32), 0);
    train(&t);
    run(&d, t.c, 200);
    assert_healed(&d, &t);
    assert_int_equal(d.references, ROWS);
    assert_int_equal(d.syncs, 0);
    uint64_t epoch = stats(&t).epoch;

    down(&d, 1);
    for (int i = 0; i < 10; i++)
        train(&t);
    d.references = 0;
    up(&d);
    run_until_connected(&d, t.c);
    assert_true(stats(&t).epoch != epoch);
    for (int i = 0; i < 30; i++) {           /* 200 bytes: 8 of 40 rows at a time */
        train(&t);
        run(&d, t.c, 60);
    }
    assert_true(d.exact);
    assert_true(d.syncs >= 5);
    assert_true(t.settled >= ROWS);
    assert_int_equal(d.references, ROWS);    /* a new daemon has lost them too */
    assert_int_equal(stats(&t).syncs, 1);
    assert_int_equal(stats(&t).steps_dropped, 0);
    mscope_client_close(t.c, 0);
    stop(&d);
}

/* A daemon back from an older state file is behind what it once acknowledged. */
static void test_restored_daemon_is_healed(void **state)
{
    struct daemon d;
    struct trainer t;

    (void)state;
    start(&d);
    train_open(&t, &d, (mscope_client_options){ 0 }, 1);
    run_until_connected(&d, t.c);
    for (int i = 0; i < 20; i++)
        train(&t);
    run(&d, t.c, 200);
    down(&d, 0);
    d.epoch++;
    d.step = 12;
    d.next_seq = 13;
    d.exact = 1;
    train(&t);
    up(&d);
    run_until_connected(&d, t.c);
    train(&t);
    run(&d, t.c, 200);
    assert_int_equal(d.lost, 8);
    assert_healed(&d, &t);
    mscope_client_close(t.c, 0);
    stop(&d);
}

static void test_unknown_session_says_hello_again(void **state)
{
    struct daemon d;
    struct trainer t;

    (void)state;
    start(&d);
    train_open(&t, &d, (mscope_client_options){ 0 }, 1);
    run_until_connected(&d, t.c);
    train(&t);
    run(&d, t.c, 200);
    d.known = d.exact = 0;                   /* forgotten, with the connection alive */
    d.step = d.covered = 0;
    memset(d.theta, 0, sizeof d.theta);
    for (int i = 0; i < 5; i++)
        train(&t);
    run(&d, t.c, 300);
    assert_int_equal(d.hellos, 2);
    assert_int_equal(d.step, t.steps);
    train(&t);
    run(&d, t.c, 200);
    assert_healed(&d, &t);
    mscope_client_close(t.c, 0);
    stop(&d);
}

static void test_sequence_hole_is_resent(void **state)
{
    struct daemon d;
    struct trainer t;

    (void)state;
    start(&d);
    train_open(&t, &d, (mscope_client_options){ 0 }, 1);
    run_until_connected(&d, t.c);
    d.deaf = 1;
    for (int i = 0; i < 5; i++)
        train(&t);
    run(&d, t.c, 60);
    for (int part = 1; part;) {              /* the first message vanishes */
        zmq_msg_t m;
        zmq_msg_init(&m);
        assert_true(zmq_msg_recv(&m, d.sock, 0) >= 0);
        part = zmq_msg_more(&m);
        zmq_msg_close(&m);
    }
    d.deaf = 0;
    run(&d, t.c, 2000);
    assert_true(d.gaps > 0);
    assert_int_equal(d.steps, 5);
    assert_int_equal(d.lost, 0);
    assert_int_equal(d.hellos, 2);           /* one doubt, not one for each refused frame */
    assert_steps_in_order(&d);
    mscope_client_close(t.c, 0);
    stop(&d);
}

static void test_credit_is_never_exceeded(void **state)
{
    struct daemon d;
    struct trainer t;

    (void)state;
    start(&d);
    d.credit_frames = 4;
    train_open(&t, &d, (mscope_client_options){ 0 }, 1);
    run_until_connected(&d, t.c);
    d.deaf = 1;
    for (int i = 0; i < 30; i++)
        assert_int_equal(train(&t), 0);
    run(&d, t.c, 60);
    int arrived = 0;
    for (;;) {                               /* count what was put on the wire, and put it to work */
        zmq_msg_t who, part[6];
        int parts = 0, more = 1;
        zmq_msg_init(&who);
        if (zmq_msg_recv(&who, d.sock, ZMQ_DONTWAIT) < 0)
            break;
        for (; more; parts++) {
            zmq_msg_init(&part[parts]);
            zmq_msg_recv(&part[parts], d.sock, 0);
            more = zmq_msg_more(&part[parts]);
        }
        handle(&d, &who, part, parts);
        for (int i = 0; i < parts; i++)
            zmq_msg_close(&part[i]);
        zmq_msg_close(&who);
        arrived++;
    }
    assert_int_equal(arrived, 4);
    d.deaf = 0;
    run(&d, t.c, 1000);
    assert_int_equal(d.steps, 30);
    assert_int_equal(d.lost, 0);
    mscope_client_close(t.c, 0);
    stop(&d);
}

static void test_full_buffer_drops_steps_and_heals(void **state)
{
    struct daemon d;
    struct trainer t;
    unsigned dropped = 0;

    (void)state;
    start(&d);
    train_open(&t, &d, (mscope_client_options){ .buffer_bytes = 20000, .sync_bytes = 300 }, 1);
    run_until_connected(&d, t.c);
    d.deaf = 1;
    for (int i = 0; i < 500; i++)
        dropped += train(&t) == 1;
    assert_true(dropped > 100);
    assert_int_equal(stats(&t).steps_dropped, dropped);
    assert_true(stats(&t).bytes_unacked <= 20000);
    d.deaf = 0;
    for (int i = 0; i < 20; i++) {
        run(&d, t.c, 60);
        train(&t);
    }
    run(&d, t.c, 200);
    assert_int_equal(d.lost, dropped);
    assert_healed(&d, &t);
    mscope_client_close(t.c, 0);
    stop(&d);
}

/* Dropped steps at the very end: flush declares them lost and sends the rows. */
static void test_flush_heals_a_dropped_tail(void **state)
{
    struct daemon d;
    struct trainer t;

    (void)state;
    start(&d);
    train_open(&t, &d, (mscope_client_options){ 0 }, 1);
    run_until_connected(&d, t.c);
    train(&t);
    for (int i = 0; i < 3; i++) {
        train(&t);
        assert_int_equal(mscope_client_skip(t.c, 0), 1);
        t.steps++;
    }
    assert_healed(&d, &t);
    assert_int_equal(d.lost, 3);
    mscope_client_close(t.c, 0);
    stop(&d);
}

static void test_refused_step_is_healed_and_told(void **state)
{
    struct daemon d;
    struct trainer t;

    (void)state;
    start(&d);
    train_open(&t, &d, (mscope_client_options){ 0 }, 1);
    run_until_connected(&d, t.c);
    d.refuse_seq = 3;
    for (int i = 0; i < 6; i++)
        train(&t);
    run(&d, t.c, 300);
    assert_int_equal(stats(&t).errors, 1);
    assert_int_equal(stats(&t).last_error.code, MSCOPE_ENONFINITE);
    assert_string_equal(stats(&t).last_error.field, "values");
    assert_int_equal(d.lost, 1);
    assert_healed(&d, &t);
    d.refuse_seq = d.next_seq;               /* the last step of all */
    train(&t);
    run(&d, t.c, 300);
    assert_int_equal(stats(&t).errors, 2);
    assert_healed(&d, &t);
    mscope_client_close(t.c, 0);
    stop(&d);
}

static void test_busy_table_is_asked_for_again(void **state)
{
    struct daemon d;
    struct trainer t;

    (void)state;
    start(&d);
    d.refuse_hello = 1;
    train_open(&t, &d, (mscope_client_options){ 0 }, 1);
    for (int i = 0; i < 40; i++) {
        train(&t);
        run(&d, t.c, 40);
    }
    assert_int_equal(stats(&t).last_error.code, MSCOPE_EBUSY);
    run_until_connected(&d, t.c);
    train(&t);
    run(&d, t.c, 200);
    assert_healed(&d, &t);
    mscope_client_close(t.c, 0);
    stop(&d);
}

static void test_not_fresh_table_is_sent_whole(void **state)
{
    struct daemon d;
    struct trainer t;

    (void)state;
    start(&d);
    train_open(&t, &d, (mscope_client_options){ .sync_bytes = 100 }, 0);
    memset(t.theta, 0x3f, sizeof t.theta);
    run_until_connected(&d, t.c);
    assert_healed(&d, &t);                   /* at step 0, before any push */
    assert_true(d.syncs >= ROWS / 4);
    assert_int_equal(stats(&t).syncs, 1);
    mscope_client_close(t.c, 0);
    stop(&d);
}

static void test_garbage_answers_are_counted(void **state)
{
    struct daemon d;
    struct trainer t;
    uint8_t junk[200];

    (void)state;
    start(&d);
    d.silent = 1;
    train_open(&t, &d, (mscope_client_options){ 0 }, 1);
    zmq_msg_t who;
    zmq_msg_init(&who);
    uint64_t end = now_ms() + 2000;
    while (zmq_msg_recv(&who, d.sock, ZMQ_DONTWAIT) < 0 && now_ms() < end) {
        mscope_client_poll(t.c, 1);
    }
    for (int more = 1; more;) {
        zmq_msg_t rest;
        zmq_msg_init(&rest);
        zmq_msg_recv(&rest, d.sock, 0);
        more = zmq_msg_more(&rest);
        zmq_msg_close(&rest);
    }
    srand(1);
    for (int i = 0; i < 200; i++) {
        for (size_t k = 0; k < sizeof junk; k++)
            junk[k] = (uint8_t)rand();
        mscope_header h = { .kind = MSCOPE_WELCOME, .session = 1 };
        if (i & 1)
            mscope_header_encode(&h, junk);
        zmq_send(d.sock, zmq_msg_data(&who), zmq_msg_size(&who), ZMQ_SNDMORE);
        zmq_send(d.sock, junk, (size_t)(i % 3 ? MSCOPE_HEADER_LEN : i), i % 2 ? ZMQ_SNDMORE : 0);
        if (i % 2)
            zmq_send(d.sock, junk, (size_t)i, 0);
    }
    zmq_msg_close(&who);
    for (int i = 0; i < 20; i++)
        mscope_client_poll(t.c, 5);
    assert_int_equal(stats(&t).errors, 200);
    d.silent = 0;
    run_until_connected(&d, t.c);
    train(&t);
    run(&d, t.c, 200);
    assert_healed(&d, &t);
    mscope_client_close(t.c, 0);
    stop(&d);
}

static void test_push_never_waits(void **state)
{
    struct daemon d;
    struct trainer t;
    uint64_t worst = 0;

    (void)state;
    start(&d);
    down(&d, 1);
    train_open(&t, &d, (mscope_client_options){ .buffer_bytes = 100000 }, 1);
    for (int i = 0; i < 20000; i++) {
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        train(&t);
        clock_gettime(CLOCK_MONOTONIC, &b);
        uint64_t ns = (uint64_t)(b.tv_sec - a.tv_sec) * 1000000000u + (uint64_t)b.tv_nsec - (uint64_t)a.tv_nsec;
        worst = ns > worst ? ns : worst;
    }
    printf("# note longest of 20000 pushes without a daemon: %.3f ms\n", (double)worst * 1e-6);
    assert_true(worst < 50000000u);
    uint64_t from = now_ms();
    mscope_client_close(t.c, 0);
    assert_true(now_ms() - from < 500);
    stop(&d);
}

static void test_block_ms_waits_for_room_and_no_longer(void **state)
{
    struct daemon d;
    struct trainer t;

    (void)state;
    start(&d);
    train_open(&t, &d, (mscope_client_options){ .buffer_bytes = 5000, .block_ms = 60 }, 1);
    run_until_connected(&d, t.c);
    while (stats(&t).bytes_unacked + 600 < 5000)
        assert_int_equal(train(&t), 0);
    uint64_t from = now_ms();
    while (train(&t) == 0)
        ;
    uint64_t took = now_ms() - from;
    assert_true(took >= 55 && took < 400);
    mscope_client_close(t.c, 0);
    stop(&d);
}

/* A data loader forked off the trainer has the client's memory, not its thread. */
static void test_forked_child_touches_nothing(void **state)
{
    struct daemon d;
    struct trainer t;
    int status = 1;

    (void)state;
    start(&d);
    train_open(&t, &d, (mscope_client_options){ 0 }, 1);
    run_until_connected(&d, t.c);
    train(&t);
    pid_t child = fork();
    if (child == 0) {
        int ok = train(&t) == MSCOPE_EINVAL && mscope_client_flush(t.c, 1000) == MSCOPE_EINVAL;
        mscope_client_close(t.c, 1000);
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    train(&t);
    run(&d, t.c, 200);
    assert_healed(&d, &t);
    assert_int_equal(d.steps, 2);
    mscope_client_close(t.c, 0);
    stop(&d);
}

static void test_endpoint_and_options(void **state)
{
    char out[256];
    mscope_client *c;
    const mscope_client_options bad = { .endpoint = "nonsense" }, negative = { .block_ms = -5 }, small = { .buffer_bytes = 1 };
    mscope_subscriber *s;

    (void)state;
    setenv("MOMENTSCOPE_INGEST", "tcp://127.0.0.1:9", 1);
    assert_int_equal(mscope_default_endpoint("ingest", out, sizeof out), 0);
    assert_string_equal(out, "tcp://127.0.0.1:9");
    unsetenv("MOMENTSCOPE_INGEST");
    assert_int_equal(mscope_default_endpoint("ingest", out, sizeof out), 0);
    assert_int_equal(strncmp(out, "ipc://", 6), 0);
    assert_int_equal(mscope_default_endpoint("ingest", out, 8), MSCOPE_ENOMEM);
    assert_int_equal(mscope_default_endpoint("other", out, sizeof out), MSCOPE_EINVAL);
    assert_int_equal(mscope_client_open(&c, &bad), MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "endpoint", "nonsense", "ipc:///PATH");
    assert_int_equal(mscope_client_open(&c, &negative), MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "block_ms", "-5", "0 or more");
    assert_int_equal(mscope_client_open(&c, &small), MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "buffer_bytes", "1", "4096 and more");
    assert_int_equal(mscope_client_open(NULL, NULL), MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "out", "NULL", "");
    setenv("MOMENTSCOPE_INGEST", "foo", 1);
    assert_int_equal(mscope_client_open(&c, NULL), MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "MOMENTSCOPE_INGEST", "foo", "tcp://HOST:PORT");
    unsetenv("MOMENTSCOPE_INGEST");
    assert_int_equal(mscope_subscribe(&s, "foo", NULL, ""), MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "telemetry", "foo", "ipc:///PATH");
    setenv("MOMENTSCOPE_REPLAY", "bar", 1);
    assert_int_equal(mscope_subscribe(&s, NULL, NULL, ""), MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "MOMENTSCOPE_REPLAY", "bar", "ipc:///PATH");
    unsetenv("MOMENTSCOPE_REPLAY");
}

/* Whatever is refused, the caller can read which field, which value and what would have been taken. */
static void test_refusals_name_field_value_and_range(void **state)
{
    static const struct {
        mscope_attach_info info;
        const char *field, *value, *range;
    } infos[] = {
        { { .table = "a b", .rows = 1, .dim = 1, .capacity = 1 }, "table", "a b", "letters" },
        { { .table = NULL, .rows = 1, .dim = 1, .capacity = 1 }, "table", "NULL", "letters" },
        { { .table = "", .rows = 1, .dim = 1, .capacity = 1 }, "table", "", "1 to 63" },
        { { .table = "t", .rows = 0, .dim = 1, .capacity = 1 }, "rows", "0", "1 to 2147483648" },
        { { .table = "t", .rows = 1, .dim = 65537, .capacity = 1 }, "dim", "65537", "1 to 65536" },
        { { .table = "t", .rows = 1, .dim = 1, .capacity = 0 }, "capacity", "0", "1 to 2147483648" },
        { { .table = "t", .rows = 1, .dim = 1, .capacity = 1, .acf_rows = 1000 }, "acf_rows", "1000", "0 to 64" },
        { { .table = "t", .rows = 1, .dim = 1, .capacity = 1, .step = 1ull << 53 }, "step", "9007199254740992", "0 to 9007" },
        { { .table = "t", .rows = 1, .dim = 1, .capacity = 1, .state = (enum mscope_state)7 }, "state", "7", "MSCOPE_STATE" },
        { { .table = "t", .rows = 1, .dim = 1, .capacity = 1, .form = (enum mscope_form)9 }, "form", "9", "MSCOPE_FORM" },
        { { .table = "t", .rows = 1, .dim = 30000, .capacity = 1 }, "buffer_bytes", "5000", "at least" },
    };
    static const struct {
        mscope_step step;
        const char *field, *value, *range;
    } steps[] = {
        { { .eta = -1, .eps = 0.1, .batch = 1 }, "lr", "-1", "0 or more" },
        { { .eta = 1, .eps = -0.5, .batch = 1 }, "momentum (eps = 1 - momentum)", "1.5", "0 to 1" },
        { { .eta = 1, .eps = 0.1, .dampening = -1, .batch = 1 }, "dampening", "-1", "0 to 1" },
        { { .eta = 1, .eps = 0.1, .batch = 0 }, "batch", "0", "1 to 4294967295" },
    };
    const mscope_client_options opt = { .endpoint = "ipc:///tmp/momentscope-test-nobody", .buffer_bytes = 5000, .quiet = 1 };
    const mscope_step good = { .eta = 1, .eps = 0.1, .batch = 1 };
    const int64_t far = -3;
    const float g[DIM] = { 0 };
    mscope_client *c;

    (void)state;
    assert_int_equal(mscope_client_open(&c, &opt), 0);
    for (size_t i = 0; i < sizeof infos / sizeof infos[0]; i++) {
        assert_int_equal(mscope_client_attach(c, &infos[i].info), MSCOPE_EINVAL);
        assert_fault(MSCOPE_EINVAL, infos[i].field, infos[i].value, infos[i].range);
    }
    mscope_attach_info in = { .table = "t", .rows = 4, .dim = DIM, .capacity = 2, .form = MSCOPE_FORM_TORCH };
    assert_int_equal(mscope_client_attach(c, &in), 0);
    assert_int_equal(mscope_client_attach(c, &in), MSCOPE_EBUSY);
    assert_fault(MSCOPE_EBUSY, "table", "t", "not attached");
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        assert_int_equal(mscope_client_push(c, 0, &steps[i].step, NULL, NULL, MSCOPE_NONE, NULL, 0), MSCOPE_EINVAL);
        assert_fault(MSCOPE_EINVAL, steps[i].field, steps[i].value, steps[i].range);
    }
    assert_int_equal(mscope_client_push64(c, 0, &good, &far, g, MSCOPE_F32, NULL, 1), MSCOPE_EINDEX);
    assert_fault(MSCOPE_EINDEX, "row", "-3", "0 to 3");
    assert_int_equal(mscope_client_push64(c, 0, &good, &far, g, MSCOPE_F64, NULL, 1), MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "value_type", "MSCOPE_F64", "_BF16");
    assert_int_equal(mscope_client_push(c, 5, &good, NULL, NULL, MSCOPE_NONE, NULL, 0), MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "table", "5", "of 1");
    assert_int_equal(mscope_client_push(NULL, 0, &good, NULL, NULL, MSCOPE_NONE, NULL, 0), MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "client", "NULL", "open");
    assert_int_equal(mscope_client_resync(c, 0), MSCOPE_ENOTSUP);
    assert_fault(MSCOPE_ENOTSUP, "theta, m, read", "NULL", "attach");
    assert_int_equal(mscope_client_reference(c, 0, 0, 1, g, MSCOPE_F32), MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "reference", "none", "attach");
    mscope_client_close(c, 0);
}

/* A step that can never fit is told, and a full buffer does not keep BYE back. */
static void test_small_buffer_is_told_and_bye_still_leaves(void **state)
{
    struct daemon d;
    const mscope_step step = { .eta = 1, .eps = 0.1, .batch = 1 };
    const uint32_t rows[64] = { 0 };
    static const float g[64][100];
    mscope_client_stats s;
    mscope_client *c;

    (void)state;
    start(&d);
    const mscope_client_options opt = { .endpoint = d.endpoint, .buffer_bytes = 4096, .quiet = 1 };
    assert_int_equal(mscope_client_open(&c, &opt), 0);
    const mscope_attach_info in = { .table = "t", .rows = 4, .dim = 100, .capacity = 64, .fresh = 1 };
    assert_int_equal(mscope_client_attach(c, &in), 0);
    run_until_connected(&d, c);
    assert_int_equal(mscope_client_push(c, 0, &step, rows, g, MSCOPE_F32, NULL, 64), 1);
    mscope_client_stats_get(c, &s);
    assert_string_equal(s.last_error.field, "buffer_bytes");
    assert_string_equal(s.last_error.value, "4096");
    assert_non_null(strstr(s.last_error.range, "at least 2"));
    while (mscope_client_push(c, 0, &step, NULL, NULL, MSCOPE_NONE, NULL, 0) == 0)
        ;
    mscope_client_close(c, 100);
    run(&d, NULL, 200);
    assert_int_equal(d.byes, 1);
    stop(&d);
}

/* What the child prints on stderr while `work` runs. */
static void stderr_of(void (*work)(void *), void *ctx, char *out, size_t cap)
{
    FILE *to = tmpfile();
    int was = dup(STDERR_FILENO);

    assert_non_null(to);
    fflush(stderr);
    dup2(fileno(to), STDERR_FILENO);
    work(ctx);
    fflush(stderr);
    dup2(was, STDERR_FILENO);
    close(was);
    rewind(to);
    out[fread(out, 1, cap - 1, to)] = '\0';
    fclose(to);
}

static void wait_alone(void *ctx)
{
    struct mscope_client *c = ctx;

    mscope_client_poll(c, 0);
    c->opened_at -= 9000000000u;
    mscope_client_poll(c, 0);
    assert_int_equal(mscope_client_skip(c, 0), 1);
    if (c->opened_at != 0)
        c->opened_at -= 2000000000u;
    for (int i = 0; i < 3; i++)
        mscope_client_poll(c, 0);
}

static void test_nobody_there_is_told_once(void **state)
{
    const mscope_attach_info in = { .table = "t", .rows = 4, .dim = 2, .capacity = 4 };
    char said[1024];

    (void)state;
    for (int quiet = 0; quiet < 2; quiet++) {
        const mscope_client_options opt = { .endpoint = "ipc:///tmp/momentscope-test-nobody", .quiet = quiet };
        mscope_client *c;
        assert_int_equal(mscope_client_open(&c, &opt), 0);
        assert_int_equal(mscope_client_attach(c, &in), 0);
        stderr_of(wait_alone, c, said, sizeof said);
        if (quiet) {
            assert_string_equal(said, "");
        } else {
            assert_non_null(strstr(said, "ipc:///tmp/momentscope-test-nobody"));
            assert_non_null(strstr(said, "MOMENTSCOPE_INGEST"));
            assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
        }
        mscope_client_close(c, 0);
    }
}

/* Rows the daemon cannot take are not sent again and again; resync, after a cure, does not wait. */
static void test_refused_sync_backs_off(void **state)
{
    struct daemon d;
    struct trainer t;

    (void)state;
    start(&d);
    train_open(&t, &d, (mscope_client_options){ .sync_bytes = 100 }, 0);
    d.refuse_sync = 1;
    run_until_connected(&d, t.c);
    for (uint64_t end = now_ms() + 3500; now_ms() < end;) {
        train(&t);
        run(&d, t.c, 60);
    }
    printf("# note refusals of a SYNC in 3.5 s: %llu\n", (unsigned long long)stats(&t).errors);
    assert_true(stats(&t).errors >= 2);
    assert_true(stats(&t).errors <= 30);     /* at 0, 1 and 3 s, each with the chunks then on their way */
    d.refuse_sync = 0;
    uint64_t from = now_ms();
    assert_int_equal(mscope_client_resync(t.c, 0), 0);
    train(&t);
    run(&d, t.c, 200);
    assert_healed(&d, &t);
    assert_true(now_ms() - from < 1500);
    mscope_client_close(t.c, 0);
    stop(&d);
}

static void test_narrow_rows_are_announced(void **state)
{
    struct daemon d;
    mscope_client *c;

    (void)state;
    for (int narrow = 0; narrow < 2; narrow++) {
        start(&d);
        const mscope_client_options opt = { .endpoint = d.endpoint, .quiet = 1 };
        const mscope_attach_info in = { .table = "t", .rows = 4, .dim = DIM, .capacity = 4, .fresh = 1, .narrow = narrow };
        assert_int_equal(mscope_client_open(&c, &opt), 0);
        assert_int_equal(mscope_client_attach(c, &in), 0);
        run_until_connected(&d, c);
        assert_int_equal(d.hello.narrow, narrow);
        mscope_client_close(c, 0);
        stop(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_push_arrives_as_sent),
        cmocka_unit_test(test_bad_arguments_are_refused_and_count_as_steps),
        cmocka_unit_test(test_daemon_that_comes_late_gets_everything),
        cmocka_unit_test(test_reconnect_resends_exactly_once),
        cmocka_unit_test(test_restarted_daemon_is_healed),
        cmocka_unit_test(test_restored_daemon_is_healed),
        cmocka_unit_test(test_unknown_session_says_hello_again),
        cmocka_unit_test(test_sequence_hole_is_resent),
        cmocka_unit_test(test_credit_is_never_exceeded),
        cmocka_unit_test(test_full_buffer_drops_steps_and_heals),
        cmocka_unit_test(test_flush_heals_a_dropped_tail),
        cmocka_unit_test(test_refused_step_is_healed_and_told),
        cmocka_unit_test(test_busy_table_is_asked_for_again),
        cmocka_unit_test(test_not_fresh_table_is_sent_whole),
        cmocka_unit_test(test_garbage_answers_are_counted),
        cmocka_unit_test(test_push_never_waits),
        cmocka_unit_test(test_block_ms_waits_for_room_and_no_longer),
        cmocka_unit_test(test_forked_child_touches_nothing),
        cmocka_unit_test(test_endpoint_and_options),
        cmocka_unit_test(test_refusals_name_field_value_and_range),
        cmocka_unit_test(test_small_buffer_is_told_and_bye_still_leaves),
        cmocka_unit_test(test_nobody_there_is_told_once),
        cmocka_unit_test(test_refused_sync_backs_off),
        cmocka_unit_test(test_narrow_rows_are_announced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
