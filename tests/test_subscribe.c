/* test_subscribe.c - a listener against a publisher that loses, repeats and garbles on purpose */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>
#include <zmq.h>

#include "mscope/client.h"

struct station {
    void *ctx, *pub, *replay;
    char live[128], again[128];
    uint64_t epoch, kept_from;               /* replay still holds sequence numbers >= kept_from */
    mscope_subscriber *s;
    uint64_t sent, next_of_b;
    unsigned requests;
};

static void start(struct station *t, int with_replay)
{
    static int number;
    const int none = 0;

    memset(t, 0, sizeof *t);
    t->ctx = zmq_ctx_new();
    t->epoch = 7;
    snprintf(t->live, sizeof t->live, "ipc:///tmp/momentscope-test-sub-%ld-%d", (long)getpid(), number);
    snprintf(t->again, sizeof t->again, "ipc:///tmp/momentscope-test-again-%ld-%d", (long)getpid(), number++);
    t->pub = zmq_socket(t->ctx, ZMQ_XPUB);
    t->replay = zmq_socket(t->ctx, ZMQ_ROUTER);
    zmq_setsockopt(t->pub, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(t->replay, ZMQ_LINGER, &none, sizeof none);
    assert_int_equal(zmq_bind(t->pub, t->live), 0);
    assert_int_equal(zmq_bind(t->replay, t->again), 0);
    assert_int_equal(mscope_subscribe(&t->s, t->live, with_replay ? t->again : "", ""), 0);
    char joined[16];
    assert_true(zmq_recv(t->pub, joined, sizeof joined, 0) > 0);    /* the subscription has arrived */
}

static void stop(struct station *t)
{
    mscope_subscriber_close(t->s);
    zmq_close(t->pub);
    zmq_close(t->replay);
    zmq_ctx_term(t->ctx);
    unlink(t->live + strlen("ipc://"));
    unlink(t->again + strlen("ipc://"));
}

static int encode(const struct station *t, const char *table, uint64_t seq, char topic[MSCOPE_TOPIC_MAX], uint8_t *body)
{
    mscope_record r = { .kind = MSCOPE_REC_TABLE };

    memset(&r.u, 0, sizeof r.u);
    snprintf(r.u.table.table, sizeof r.u.table.table, "%s", table);
    r.u.table.epoch = t->epoch;
    r.u.table.step = seq;
    mscope_record_topic(&r, topic);
    int len = mscope_record_encode(&r, body, MSCOPE_RECORD_MAX);
    assert_true(len > 0);
    return len;
}

static void send_to(void *sock, const char *topic, uint64_t seq, const void *body, int len)
{
    uint8_t number[8];

    for (int i = 0; i < 8; i++)
        number[i] = (uint8_t)(seq >> (56 - 8 * i));
    zmq_send(sock, topic, strlen(topic), ZMQ_SNDMORE);
    zmq_send(sock, number, sizeof number, ZMQ_SNDMORE);
    zmq_send(sock, body, (size_t)len, 0);
}

static void publish(struct station *t, const char *table, uint64_t seq)
{
    char topic[MSCOPE_TOPIC_MAX];
    uint8_t body[MSCOPE_RECORD_MAX];
    int len = encode(t, table, seq, topic, body);

    send_to(t->pub, topic, seq, body, len);
}

/* Answer one replay request with seq .. upto - 1 as far as they are kept. table NULL: whatever it asks for. */
static void answer(struct station *t, const char *table, uint64_t upto)
{
    char who[64], asked[MSCOPE_TOPIC_MAX], topic[MSCOPE_TOPIC_MAX];
    uint8_t number[8], body[MSCOPE_RECORD_MAX];
    uint64_t first = 0;
    int n = zmq_recv(t->replay, who, sizeof who, 0);

    assert_true(n > 0);
    int len = zmq_recv(t->replay, asked, sizeof asked - 1, 0);
    assert_true(len > 0);
    asked[len] = '\0';
    assert_int_equal(zmq_recv(t->replay, number, sizeof number, 0), 8);
    for (int i = 0; i < 8; i++)
        first = first << 8 | number[i];
    t->requests++;
    for (uint64_t seq = first < t->kept_from ? t->kept_from : first; seq < upto; seq++) {
        int bytes = encode(t, table != NULL ? table : asked + strlen("table/"), seq, topic, body);
        assert_string_equal(topic, asked);
        zmq_send(t->replay, who, (size_t)n, ZMQ_SNDMORE);
        send_to(t->replay, topic, seq, body, bytes);
    }
    zmq_send(t->replay, who, (size_t)n, ZMQ_SNDMORE);
    send_to(t->replay, asked, UINT64_MAX, "", 0);
}

static void expect(struct station *t, const char *table, uint64_t seq)
{
    mscope_telemetry m;
    char topic[MSCOPE_TOPIC_MAX];

    assert_int_equal(mscope_subscriber_next(t->s, &m, 2000), 0);
    snprintf(topic, sizeof topic, "table/%s", table);
    assert_string_equal(m.topic, topic);
    assert_int_equal(m.seq, seq);
    assert_int_equal(m.record.u.table.step, seq);
}

static void expect_nothing(struct station *t, int wait_ms)
{
    mscope_telemetry m;

    assert_int_equal(mscope_subscriber_next(t->s, &m, wait_ms), MSCOPE_EAGAIN);
}

static mscope_subscriber_stats stats(const struct station *t)
{
    mscope_subscriber_stats s;

    mscope_subscriber_stats_get(t->s, &s);
    return s;
}

static void test_records_come_in_order_and_repeats_do_not(void **state)
{
    struct station t;

    (void)state;
    start(&t, 1);
    publish(&t, "a", 5);                     /* the first record seen: none before 5 is missing */
    publish(&t, "b", 0);
    publish(&t, "a", 5);                     /* repeated because another subscriber joined */
    publish(&t, "a", 6);
    expect(&t, "a", 5);
    expect(&t, "b", 0);
    expect(&t, "a", 6);
    expect_nothing(&t, 50);
    mscope_subscriber_stats s = stats(&t);
    assert_int_equal(s.received, 3);
    assert_int_equal(s.lost, 0);
    assert_int_equal(s.repeats, 1);
    stop(&t);
}

static void test_holes_are_filled_before_newer_records(void **state)
{
    struct station t;

    (void)state;
    start(&t, 1);
    publish(&t, "a", 0);
    expect(&t, "a", 0);
    publish(&t, "a", 4);
    publish(&t, "a", 5);
    publish(&t, "b", 0);
    expect(&t, "b", 0);                      /* another topic does not wait */
    answer(&t, "a", 7);                      /* one record more than missing and held ones */
    publish(&t, "a", 6);
    for (uint64_t i = 1; i <= 6; i++)
        expect(&t, "a", i);
    expect_nothing(&t, 50);
    mscope_subscriber_stats s = stats(&t);
    assert_int_equal(t.requests, 1);
    assert_int_equal(s.received, 8);
    assert_in_range(s.replayed, 3, 4);       /* 6 may come by the answer as well */
    assert_int_equal(s.lost, 0);
    stop(&t);
}

static void test_what_replay_no_longer_has_is_lost(void **state)
{
    struct station t;

    (void)state;
    start(&t, 1);
    publish(&t, "a", 0);
    expect(&t, "a", 0);
    t.kept_from = 7;
    publish(&t, "a", 9);
    expect_nothing(&t, 50);
    answer(&t, "a", 10);
    expect(&t, "a", 7);
    expect(&t, "a", 8);
    expect(&t, "a", 9);
    mscope_subscriber_stats s = stats(&t);
    assert_int_equal(s.lost, 6);
    assert_int_equal(s.received + s.lost, 10);
    stop(&t);
}

static void test_silent_or_absent_replay_costs_a_second_at_most(void **state)
{
    struct station t;

    (void)state;
    start(&t, 1);
    publish(&t, "a", 0);
    publish(&t, "a", 3);
    publish(&t, "a", 4);
    expect(&t, "a", 0);
    expect(&t, "a", 3);
    expect(&t, "a", 4);
    assert_int_equal(stats(&t).lost, 2);
    stop(&t);
    start(&t, 0);
    publish(&t, "a", 0);
    publish(&t, "a", 3);
    expect(&t, "a", 0);
    expect(&t, "a", 3);
    assert_int_equal(stats(&t).lost, 2);
    stop(&t);
}

/* A daemon takes few requests at a time, and says so to one too many. */
static void test_holes_in_many_topics_are_filled_in_turn(void **state)
{
    enum { TOPICS = 100 };
    static const char busy[] = "\x84\xa5" "error\xa1x\xa5" "field\xa8requests\xa5value\xa2" "32\xa5range\xa1x";
    struct station t;
    char name[32], who[64], asked[MSCOPE_TOPIC_MAX];
    int got = 0, most = 0, waiting = 0;
    mscope_telemetry m;

    (void)state;
    start(&t, 1);
    for (uint64_t round = 0; round < 3; round += 2)
        for (int i = 0; i < TOPICS; i++) {
            snprintf(name, sizeof name, "t%d", i);
            publish(&t, name, round);
            if (round == 0)
                expect(&t, name, 0);
        }
    expect_nothing(&t, 100);
    int n = zmq_recv(t.replay, who, sizeof who, 0), len = zmq_recv(t.replay, asked, sizeof asked - 1, 0);
    assert_true(n > 0 && len > 0);
    asked[len] = '\0';
    zmq_recv(t.replay, name, 8, 0);
    zmq_send(t.replay, who, (size_t)n, ZMQ_SNDMORE);
    send_to(t.replay, asked, UINT64_MAX, busy, (int)sizeof busy - 1);
    for (int turn = 0; turn < 2000 && got < 2 * TOPICS; turn++) {
        zmq_pollitem_t in = { t.replay, 0, ZMQ_POLLIN, 0 };
        for (waiting = 0; zmq_poll(&in, 1, 1) > 0; waiting++)
            answer(&t, NULL, 2);
        most = waiting > most ? waiting : most;
        while (mscope_subscriber_next(t.s, &m, 0) == 0)
            got++;
    }
    assert_int_equal(got, 2 * TOPICS);
    assert_int_equal(stats(&t).lost, 0);
    assert_int_equal(stats(&t).replayed, TOPICS);
    assert_in_range(most, 2, 64);
    stop(&t);
}

/* A listener that had no processor for a while has not been kept waiting. */
static void test_time_without_a_look_does_not_count(void **state)
{
    struct station t;

    (void)state;
    start(&t, 1);
    for (uint64_t seq = 0; seq <= 4; seq += 2)
        publish(&t, "a", seq);
    expect(&t, "a", 0);
    expect_nothing(&t, 50);
    answer(&t, "a", 4);                      /* the answer is there before the listener is back */
    (void)usleep(1200000);
    for (uint64_t seq = 1; seq <= 4; seq++)
        expect(&t, "a", seq);
    publish(&t, "a", 6);
    expect_nothing(&t, 50);
    (void)usleep(1200000);
    expect_nothing(&t, 50);
    answer(&t, "a", 6);                      /* and comes only after it is back */
    expect(&t, "a", 5);
    expect(&t, "a", 6);
    assert_int_equal(stats(&t).lost, 0);
    stop(&t);
}

static void test_new_epoch_starts_anew(void **state)
{
    struct station t;

    (void)state;
    start(&t, 1);
    publish(&t, "a", 40);
    t.epoch++;
    publish(&t, "a", 0);
    publish(&t, "a", 1);
    expect(&t, "a", 40);
    expect(&t, "a", 0);
    expect(&t, "a", 1);
    assert_int_equal(stats(&t).epochs, 2);
    assert_int_equal(stats(&t).lost, 0);
    stop(&t);
}

static void test_malformed_records_are_counted_and_passed_over(void **state)
{
    struct station t;
    mscope_telemetry m;

    (void)state;
    start(&t, 0);
    publish(&t, "a", 0);
    expect(&t, "a", 0);
    send_to(t.pub, "table/a", 1, "junk", 4);
    send_to(t.pub, "no/such/kind", 1, "junk", 4);
    zmq_send(t.pub, "table/a", 7, 0);
    zmq_send(t.pub, "", 0, ZMQ_SNDMORE);
    zmq_send(t.pub, "", 0, 0);
    publish(&t, "a", 2);
    for (int i = 0; i < 4; i++)
        assert_int_equal(mscope_subscriber_next(t.s, &m, 2000), MSCOPE_EPROTO);
    expect(&t, "a", 2);
    mscope_subscriber_stats s = stats(&t);
    assert_int_equal(s.malformed, 4);
    assert_int_equal(s.lost, 0);
    assert_int_equal(s.received, 3);         /* the malformed record of this topic counts as received */
    stop(&t);
}

static void test_many_topics(void **state)
{
    struct station t;
    char name[32];

    (void)state;
    start(&t, 0);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 400; i++) {      /* so many that the table of topics grows */
            snprintf(name, sizeof name, "t%d", i);
            publish(&t, name, (uint64_t)round);
            expect(&t, name, (uint64_t)round);
        }
    assert_int_equal(stats(&t).lost, 0);
    stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_come_in_order_and_repeats_do_not),
        cmocka_unit_test(test_holes_are_filled_before_newer_records),
        cmocka_unit_test(test_what_replay_no_longer_has_is_lost),
        cmocka_unit_test(test_silent_or_absent_replay_costs_a_second_at_most),
        cmocka_unit_test(test_holes_in_many_topics_are_filled_in_turn),
        cmocka_unit_test(test_time_without_a_look_does_not_count),
        cmocka_unit_test(test_new_epoch_starts_anew),
        cmocka_unit_test(test_malformed_records_are_counted_and_passed_over),
        cmocka_unit_test(test_many_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
