/* test_client.c - every push arrives at the daemon once and in order, and nothing waits */
#include "fake_daemon.h"

#include <sys/wait.h>

#include "client/gather.h"

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
    assert_int_equal(stats(&t).messages_unacked, 0);
    mscope_client_close(t.c, 0);
    stop(&d);
}

static void test_lookups_arrive_as_distinct_rows(void **state)
{
    struct daemon d;
    struct trainer t;
    const mscope_step step = { .eta = 0.5, .eps = 0.125, .batch = 32 };
    const int64_t lookups[6] = { 39, 3, 39, 0, 3, 39 }, negative[2] = { 3, -1 }, far[1] = { ROWS };
    const uint32_t counts[3] = { 1, 2, 3 };
    float dense[ROWS][DIM];

    (void)state;
    start(&d);
    train_open(&t, &d, (mscope_client_options){ 0 }, 1);
    run_until_connected(&d, t.c);
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < DIM; j++)
            dense[i][j] = (float)(i * DIM + j);
    for (int twice = 1; twice <= 2; twice++) {       /* the tally starts again from zero */
        assert_int_equal(mscope_client_push_lookups(t.c, 0, &step, lookups, 6, dense, MSCOPE_F32), 0);
        run(&d, t.c, 2000);
        assert_int_equal(d.steps, twice);
        assert_int_equal(d.seen[d.n - 1].h.count, 3);
        assert_true(d.rows[0] == 0 && d.rows[1] == 3 && d.rows[2] == 39);
        assert_memory_equal(d.counts, counts, sizeof counts);
        assert_memory_equal(d.grad[0], dense[0], sizeof dense[0]);
        assert_memory_equal(d.grad[1], dense[3], sizeof dense[3]);
        assert_memory_equal(d.grad[2], dense[39], sizeof dense[39]);
    }
    assert_int_equal(mscope_client_push_lookups(t.c, 0, &step, NULL, 0, dense, MSCOPE_F32), 0);
    run(&d, t.c, 2000);
    assert_int_equal(d.seen[d.n - 1].h.count, 0);
    assert_int_equal(stats(&t).steps_dropped, 0);
    assert_int_equal(mscope_client_push_lookups(t.c, 0, &step, negative, 2, dense, MSCOPE_F32), MSCOPE_EINDEX);
    assert_fault(MSCOPE_EINDEX, "row", "-1", "0 to 39");
    assert_int_equal(mscope_client_push_lookups(t.c, 0, &step, far, 1, dense, MSCOPE_F32), MSCOPE_EINDEX);
    assert_int_equal(mscope_client_push_lookups(t.c, 0, &step, NULL, 1, dense, MSCOPE_F32), MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "lookups", "NULL", "n rows");
    assert_int_equal(mscope_client_push_lookups(t.c, 0, &step, lookups, 6, NULL, MSCOPE_F32), MSCOPE_EINVAL);
    assert_int_equal(mscope_client_push_lookups(t.c, 7, &step, lookups, 6, dense, MSCOPE_F32), MSCOPE_EINVAL);
    assert_int_equal(stats(&t).steps_dropped, 4);
    mscope_client_close(t.c, 0);
    stop(&d);
}

/* Every way into a message against a plain copy: sizes below and above the one from which the cache is bypassed, tails,
 * misaligned sources and targets, a canary behind the target. */
static void test_copies_are_exact(void **state)
{
    static const uint32_t dims[] = { 1, 3, 4, 16, 33, 64 };
    static const size_t ns[] = { 0, 1, 2, 63, 1024, 5003 };
    enum { MOST = 5003 * 64 * 4, CANARY = 16 };
    char *from = malloc(MOST + 64), *to = aligned_alloc(64, MOST + 128);
    int64_t *lookups = malloc(5003 * sizeof *lookups);
    static uint32_t rows[5003];

    (void)state;
    assert_true(from != NULL && to != NULL && lookups != NULL);
    for (size_t i = 0; i < MOST + 64; i++)
        from[i] = (char)(i * 2654435761u >> 13);
    for (size_t k = 0; k < sizeof dims / sizeof dims[0] * sizeof ns / sizeof ns[0] * 8; k++) {
        const size_t n = ns[k / 8 % 6], off = k % 4 * 4, aim = k & 4;
        mscope_client_table t = { .info = { .rows = 5003, .dim = dims[k / 48] } };
        const size_t row = t.info.dim * 4, bytes = n * row;
        mscope_gradient g = { .values = from + off, .value_type = MSCOPE_F32, .row_bytes = row, .n = n };
        memset(to + aim + bytes, 0x5a, CANARY);
        mscope_fill_values(to + aim, NULL, &g, &t);
        assert_memory_equal(to + aim, from + off, bytes);
        for (size_t i = 0; i < n; i++)
            lookups[i] = (int64_t)((i * 3 + 1) % 5003);       /* 3 and 5003 have no common factor: each once */
        assert_int_equal(mscope_tally(&t, lookups, n, &g.n), 0);
        assert_int_equal(g.n, n);
        g.tallied = 1;
        assert_int_equal(mscope_fill_rows(rows, &g, &t), 0);
        mscope_fill_values(to + aim, rows, &g, &t);
        for (size_t r = 0, at = 0; r < 5003; r++)
            if (t.marks[r / 64] >> r % 64 & 1)
                assert_memory_equal(to + aim + at++ * row, from + off + r * row, row);
        for (int i = 0; i < CANARY; i++)
            assert_int_equal(to[aim + bytes + (size_t)i], 0x5a);
        mscope_tally_forget(&t);
    }
    free(from);
    free(to);
    free(lookups);
}

/* The trainer starts before the daemon: everything is kept and arrives in order. */
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
    assert_int_equal(stats(&t).messages_unacked, 50);
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

/* The connection breaks with messages on their way: those not acknowledged are sent again, none is applied twice. */
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
    assert_true(stats(&t).messages_resent >= 20);
    assert_int_equal(stats(&t).messages_unacked, 0);
    assert_true(stats(&t).exact);
    assert_steps_in_order(&d);
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
    d.known = d.exact = 0;                   /* the daemon forgets the session; the connection lives */
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
    assert_int_equal(d.hellos, 2);           /* one HELLO more, not one for each refused message */
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
    d.credit_messages = 4;
    train_open(&t, &d, (mscope_client_options){ 0 }, 1);
    run_until_connected(&d, t.c);
    d.deaf = 1;
    for (int i = 0; i < 30; i++)
        assert_int_equal(train(&t), 0);
    zmq_pollitem_t first = { d.sock, 0, ZMQ_POLLIN, 0 };
    for (int i = 0; i < 100 && zmq_poll(&first, 1, 0) == 0; i++)
        run(&d, t.c, 60);
    run(&d, t.c, 60);                        /* the others */
    int arrived = 0;
    for (;;) {                               /* count the messages on the wire, and apply them */
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

/* A data loader forked from the trainer has the client's memory, but not libzmq's thread. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_push_arrives_as_sent),
        cmocka_unit_test(test_lookups_arrive_as_distinct_rows),
        cmocka_unit_test(test_copies_are_exact),
        cmocka_unit_test(test_daemon_that_comes_late_gets_everything),
        cmocka_unit_test(test_reconnect_resends_exactly_once),
        cmocka_unit_test(test_unknown_session_says_hello_again),
        cmocka_unit_test(test_sequence_hole_is_resent),
        cmocka_unit_test(test_credit_is_never_exceeded),
        cmocka_unit_test(test_garbage_answers_are_counted),
        cmocka_unit_test(test_push_never_waits),
        cmocka_unit_test(test_block_ms_waits_for_room_and_no_longer),
        cmocka_unit_test(test_forked_child_touches_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
