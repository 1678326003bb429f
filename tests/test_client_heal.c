/* test_client_heal.c - what the daemon lost, refused or forgot is healed from the trainer's rows */
#include "fake_daemon.h"

/* kill -9, then a start without a state file: the new daemon gets all rows by SYNC. */
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

/* A daemon that restarts from an older state file is behind what it acknowledged before. */
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

/* The daemon does not know the session then. All of it goes in order afterwards: a BYE right behind it arrives. */
static void test_nothing_is_sent_while_every_table_is_refused(void **state)
{
    struct daemon d;
    struct trainer t;

    (void)state;
    start(&d);
    d.refuse_hello = 1000;
    train_open(&t, &d, (mscope_client_options){ 0 }, 1);
    for (int i = 0; i < 14; i++) {
        train(&t);
        run(&d, t.c, 20);
    }
    run(&d, t.c, 300);
    assert_int_equal(t.c->queue.sent, 0);
    assert_true(t.c->queue.len >= 14);
    assert_int_equal(d.n, 0);
    d.refuse_hello = 0;
    run_until_connected(&d, t.c);
    run(&d, t.c, 200);
    assert_int_equal(d.gaps, 0);
    assert_healed(&d, &t);
    assert_steps_in_order(&d);
    mscope_client_close(t.c, 0);
    stop(&d);
}

/* A HELLO that is taken when its client is gone would hold the name without a BYE. */
static void test_close_without_time_says_no_hello(void **state)
{
    struct daemon d;
    struct trainer t;
    unsigned hellos;

    (void)state;
    start(&d);
    d.refuse_hello = 1000;
    train_open(&t, &d, (mscope_client_options){ 0 }, 1);
    train(&t);
    while (stats(&t).errors == 0)
        run(&d, t.c, 50);
    run(&d, t.c, 300);
    hellos = d.hellos;
    usleep(1100000);                         /* the next HELLO is due */
    mscope_client_close(t.c, 0);
    run(&d, NULL, 300);
    assert_int_equal(d.hellos, hellos);
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

/* Rows that the daemon refuses are sent again less and less often; resync, after a cure, sends them at once. */
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
    assert_true(stats(&t).errors <= 30);     /* at 0, 1 and 3 s, each time all chunks on their way */
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
        const mscope_attach_info in = { .table = "t", .rows = 4, .dim = DIM, .capacity = 4, .fresh = 1,
                                        .narrow = narrow };
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
        cmocka_unit_test(test_restarted_daemon_is_healed),
        cmocka_unit_test(test_restored_daemon_is_healed),
        cmocka_unit_test(test_full_buffer_drops_steps_and_heals),
        cmocka_unit_test(test_flush_heals_a_dropped_tail),
        cmocka_unit_test(test_refused_step_is_healed_and_told),
        cmocka_unit_test(test_busy_table_is_asked_for_again),
        cmocka_unit_test(test_nothing_is_sent_while_every_table_is_refused),
        cmocka_unit_test(test_close_without_time_says_no_hello),
        cmocka_unit_test(test_not_fresh_table_is_sent_whole),
        cmocka_unit_test(test_refused_sync_backs_off),
        cmocka_unit_test(test_narrow_rows_are_announced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
