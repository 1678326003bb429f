/* test_client_words.c - what the client refuses and reports, in words: field, value and range */
#include "fake_daemon.h"

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

static void test_endpoint_and_options(void **state)
{
    char out[256];
    mscope_client *c;
    const mscope_client_options bad = { .endpoint = "nonsense" }, negative = { .block_ms = -5 };
    const mscope_client_options small = { .buffer_bytes = 1 };
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

/* Of every refusal the caller can read the field, its value and the allowed range. */
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
        { { .table = "t", .rows = 1, .dim = 1, .capacity = 1, .step = 1ull << 53 },
          "step", "9007199254740992", "0 to 9007" },
        { { .table = "t", .rows = 1, .dim = 1, .capacity = 1, .state = (enum mscope_state)7 },
          "state", "7", "MSCOPE_STATE" },
        /* the one enum in the place of the other would let MIXED read float32 momentum as float64 */
        { { .table = "t", .rows = 1, .dim = 1, .capacity = 1, .state = (enum mscope_state)MSCOPE_F32 },
          "state", "17", "MSCOPE_STATE" },
        { { .table = "t", .rows = 1, .dim = 1, .capacity = 1, .state = (enum mscope_state)MSCOPE_F64 },
          "state", "20", "MSCOPE_STATE" },
        { { .table = "t", .rows = 1, .dim = 1, .capacity = 1, .form = (enum mscope_form)9 },
          "form", "9", "MSCOPE_FORM" },
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
    const mscope_client_options opt = { .endpoint = "ipc:///tmp/momentscope-test-nobody", .buffer_bytes = 5000,
                                        .quiet = 1 };
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
    assert_int_equal(mscope_client_push64(c, 0, &good, &far, g, (enum mscope_value)MSCOPE_STATE_F64, NULL, 1),
                     MSCOPE_EINVAL);
    assert_fault(MSCOPE_EINVAL, "value_type", "2", "MSCOPE_F32");
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

/* A step larger than the buffer is reported, and a full buffer does not keep BYE back. */
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

/* What is written to stderr while work runs. */
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

struct meeting {
    struct daemon d;
    mscope_client *c;
};

static void refused_then_taken(void *ctx)
{
    struct meeting *m = ctx;
    uint64_t end = now_ms() + 10000;

    while (m->d.hellos < 3 && now_ms() < end)
        run(&m->d, m->c, 300);
    run_until_connected(&m->d, m->c);
}

static void test_a_held_name_is_told_with_what_happens_next(void **state)
{
    const mscope_attach_info in = { .table = "t", .rows = 4, .dim = 2, .capacity = 4 };
    static struct meeting m;
    char said[2048];
    const char *at;

    (void)state;
    start(&m.d);
    m.d.refuse_hello = 2;
    const mscope_client_options opt = { .endpoint = m.d.endpoint };
    assert_int_equal(mscope_client_open(&m.c, &opt), 0);
    assert_int_equal(mscope_client_attach(m.c, &in), 0);
    stderr_of(refused_then_taken, &m, said, sizeof said);
    assert_non_null(at = strstr(said, "table t is offered to the daemon again every 1 s, and training goes on"));
    assert_non_null(strstr(at, "becomes free by itself"));
    assert_null(strstr(at + 20, "is offered"));          /* once, although it was refused twice */
    assert_non_null(strstr(at, "the daemon has taken table t now\n"));
    mscope_client_close(m.c, 0);
    stop(&m.d);
}

static void leave(void *ctx)
{
    mscope_client_close(ctx, 0);
}

/* Three steps that nobody acknowledges, for three reasons; each with what would have helped. */
static void test_steps_left_behind_are_told_with_their_reason(void **state)
{
    static const char *const words[] = { "no daemon has answered at ipc:///", "refused table words", "A longer wait" };
    char said[1024];

    (void)state;
    for (int reason = 0; reason < 3; reason++) {
        struct daemon d;
        struct trainer t;
        start(&d);
        d.refuse_hello = reason == 1 ? 1000 : 0;
        if (reason == 0)
            stop(&d);
        train_open(&t, &d, (mscope_client_options){ 0 }, 1);
        if (reason == 2)
            run_until_connected(&d, t.c);
        for (int i = 0; i < 3; i++)
            train(&t);
        for (int i = 0; reason == 1 && stats(&t).errors == 0 && i < 100; i++)
            run(&d, t.c, 50);
        t.c->quiet = 0;
        stderr_of(leave, t.c, said, sizeof said);
        for (int i = 0; i < 3; i++)
            assert_int_equal(strstr(said, words[i]) != NULL, i == reason);
        assert_non_null(strstr(said, "last 3 steps"));
        if (reason != 0)
            stop(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_arguments_are_refused_and_count_as_steps),
        cmocka_unit_test(test_endpoint_and_options),
        cmocka_unit_test(test_refusals_name_field_value_and_range),
        cmocka_unit_test(test_small_buffer_is_told_and_bye_still_leaves),
        cmocka_unit_test(test_nobody_there_is_told_once),
        cmocka_unit_test(test_a_held_name_is_told_with_what_happens_next),
        cmocka_unit_test(test_steps_left_behind_are_told_with_their_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
