/* test_tape.c - recordings: written entries are read, a cut is noticed, no damage passes as a recording */
#include "harness.h"

#include <signal.h>

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "protocol/bytes.h"
#include "tape/contents.h"

#define SEED 20260711

static char path[256];

static int fresh_path(void **state)
{
    static int n;

    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/momentscope-tape-%ld-%d", (long)getpid(), n++);
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    if (strncmp(path, "/tmp/", 5) == 0)
        (void)unlink(path);
    return 0;
}

/* -- a small recording of ours ------------------------------------------------------------------------------- */

enum { ROWS = 20, DIM = 3, STEPS = 12 };

static void append(mscope_tape_writer *w, const mscope_header *h, const void *a, size_t na, const void *b, size_t nb)
{
    const void *from[3] = { NULL, a, b };
    const size_t len[3] = { MSCOPE_HEADER_LEN, na, nb };
    const unsigned n = 1u + (na > 0) + (nb > 0);
    zmq_msg_t part[3];
    uint8_t head[MSCOPE_HEADER_LEN];

    mscope_header_encode(h, head);
    from[0] = head;
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(zmq_msg_init_size(&part[i], len[i]), 0);
        memcpy(zmq_msg_data(&part[i]), from[i], len[i]);
    }
    const int rc = mscope_tape_append(w, part, n);
    assert_true(rc == 0 || rc == MSCOPE_EIO);       /* the latter only of a full disk, whose test counts */
    for (unsigned i = 0; i < n; i++)
        (void)zmq_msg_close(&part[i]);
}

static void append_hello(mscope_tape_writer *w)
{
    mscope_hello hello = { .table = "t", .client = "test", .rows = ROWS, .dim = DIM, .capacity = 8, .fresh = 1 };
    mscope_header h = { .kind = MSCOPE_HELLO, .session = 3, .seq = 1 };
    uint8_t body[MSCOPE_HELLO_MAX];
    const int len = mscope_hello_encode(&hello, body, sizeof body);

    assert_true(len > 0);
    append(w, &h, body, (size_t)len, NULL, 0);
}

static void append_step(mscope_tape_writer *w, uint64_t k)
{
    const uint32_t rows[2] = { (uint32_t)(k % ROWS), (uint32_t)(7 * k % ROWS) };
    float g[2 * DIM];

    for (size_t i = 0; i < LEN(g); i++)
        g[i] = (float)rng_normal();
    const mscope_header h = { .kind = MSCOPE_STEP, .session = 3, .seq = k, .step = k, .a = 0.1, .b = 0.05, .count = 2,
                              .extra = 4, .index_type = MSCOPE_U32, .value_type = MSCOPE_F32 };
    append(w, &h, rows, sizeof rows, g, sizeof g);
}

static void append_all(mscope_tape_writer *w)
{
    append_hello(w);
    for (uint64_t k = 1; k <= STEPS; k++)
        append_step(w, k);
    const int rc = mscope_tape_lost(w, 3, STEPS + 1, STEPS + 2);
    assert_true(rc == 0 || rc == MSCOPE_EIO);
}

static void record(void)
{
    mscope_tape_writer *w = NULL;
    mscope_tape_sum sum;
    mscope_refusal why;

    assert_int_equal(mscope_tape_create(&w, path, 1 << 20, &why), 0);
    append_all(w);
    assert_int_equal(mscope_tape_finish(w, 2, &sum, &why), 0);
    assert_int_equal(sum.messages, STEPS + 1);
    assert_int_equal(sum.lost, 2);
}

static size_t load(uint8_t **bytes)
{
    FILE *f = fopen(path, "rb");
    long n;

    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    n = ftell(f);
    assert_true(n > 0);
    rewind(f);
    (void)unlink(path);
    *bytes = malloc((size_t)n);
    assert_non_null(*bytes);
    assert_int_equal(fread(*bytes, 1, (size_t)n, f), (size_t)n);
    (void)fclose(f);
    return (size_t)n;
}

/* From here on the recording lies in memory: thousands of damaged copies need no disk. */
static void store(const uint8_t *bytes, size_t n)
{
    static int fd = -1;

    if (fd < 0)
        fd = memfd_create("tape", 0);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, bytes, n, 0), n);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
}

typedef struct outcome {
    int rc, ended, cut;
    uint64_t entries;
    mscope_refusal why;
} outcome;

static outcome look(void)
{
    outcome o = { .rc = 0 };
    mscope_tape t;
    mscope_entry e;

    o.rc = mscope_tape_open(&t, path, &o.why);
    if (o.rc != 0)
        return o;
    while ((o.rc = mscope_tape_next(&t, &e, &o.why)) > 0)
        o.entries++;
    o.ended = t.ended;
    o.cut = t.cut;
    mscope_tape_close(&t);
    return o;
}

/* -- promises --------------------------------------------------------------------------------------------------- */

static void test_crc_is_the_usual_one(void **state)
{
    const char *text = "123456789";
    uint8_t bytes[100];

    (void)state;
    assert_int_equal(mscope_crc32(0, text, 9), 0xcbf43926u);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)rng_u64();
    const uint32_t whole = mscope_crc32(0, bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut++)
        CHECK(mscope_crc32(mscope_crc32(0, bytes, cut), bytes + cut, sizeof bytes - cut) == whole, "cut %zu", cut);
}

static void test_what_is_written_is_read(void **state)
{
    mscope_contents c;
    mscope_refusal why;
    mscope_tape t;

    (void)state;
    record();
    assert_int_equal(mscope_tape_open(&t, path, &why), 0);
    assert_int_equal(mscope_contents_read(&c, &t, &why), 0);
    assert_int_equal(c.tables, 1);
    assert_string_equal(c.table[0].hello.table, "t");
    assert_int_equal(c.table[0].steps, STEPS);
    assert_int_equal(c.table[0].entries, 2 * STEPS);
    assert_int_equal(c.messages, STEPS + 1);
    assert_int_equal(c.lost, 2);
    assert_false(c.cut);
    assert_false(mscope_contents_whole(&c));
    mscope_contents_free(&c);
    mscope_tape_close(&t);
}

/* Cut anywhere: the whole entries before the cut are read, and the rest is known to be cut, never damage. */
static void test_every_truncation_is_a_cut(void **state)
{
    uint8_t *bytes;
    uint64_t last = 0;

    (void)state;
    record();
    const size_t n = load(&bytes);
    for (size_t cut = 0; cut < n; cut++) {
        store(bytes, cut);
        const outcome o = look();
        if (cut < MSCOPE_TAPE_HEADER) {
            CHECK(o.rc == MSCOPE_EPROTO, "cut %zu: %d", cut, o.rc);
            continue;
        }
        CHECK(o.rc == 0 && !o.ended && o.entries >= last, "cut %zu: %d, %llu entries", cut, o.rc,
              (unsigned long long)o.entries);
        last = o.entries;
    }
    assert_int_equal(last, STEPS + 2);       /* all but END */
    free(bytes);
}

/* A flipped bit is refused with field, value and range, or (in a length) makes the tail a cut. */
static void test_no_flipped_bit_passes(void **state)
{
    uint8_t *bytes;
    size_t refused = 0, cut = 0;

    (void)state;
    record();
    const size_t n = load(&bytes);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        store(bytes, n);
        const outcome o = look();
        CHECK(o.rc < 0 || (o.cut && !o.ended), "bit %zu: %d, %llu entries", bit, o.rc, (unsigned long long)o.entries);
        CHECK(o.rc >= 0 || (o.why.field[0] && o.why.value[0] && o.why.range[0] && o.why.text[0]), "bit %zu: no words",
              bit);
        refused += o.rc < 0;
        cut += o.rc == 0;
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    NOTE("%zu flipped bits: %zu refused in words, %zu seen as a cut", 8 * n, refused, cut);
    free(bytes);
}

/* Bytes of no meaning behind a good header, with checksums made right where it hurts most: nothing crashes. */
static void test_nonsense_with_good_checksums(void **state)
{
    uint8_t *bytes;

    (void)state;
    rng_seed(SEED);
    record();
    assert_true(load(&bytes) > MSCOPE_TAPE_HEADER);
    for (int round = 0; round < 2000; round++) {
        uint8_t file[MSCOPE_TAPE_HEADER + MSCOPE_TAPE_ENTRY + 256];
        uint8_t *e = file + MSCOPE_TAPE_HEADER;
        const uint32_t len = (uint32_t)(rng_u64() % 257);
        memcpy(file, bytes, MSCOPE_TAPE_HEADER);
        for (size_t i = 0; i < MSCOPE_TAPE_ENTRY + len; i++)
            e[i] = (uint8_t)(rng_u64() % 5 == 0 ? rng_u64() : rng_u64() % 4);
        memcpy(e, &len, 4);
        e[4] = (uint8_t)(rng_u64() % 5);
        e[6] = e[7] = 0;
        memset(e + 8, 0, 16);
        e[8] = 1;
        const uint32_t body = mscope_crc32(0, e + MSCOPE_TAPE_ENTRY, len);
        memcpy(e + 24, &body, 4);
        const uint32_t head = mscope_crc32(0, e, 28);
        memcpy(e + 28, &head, 4);
        store(file, MSCOPE_TAPE_HEADER + MSCOPE_TAPE_ENTRY + len);
        const outcome o = look();
        CHECK(o.rc < 0 || o.entries == 1, "round %d: %d", round, o.rc);
    }
    free(bytes);
}

/* A disk that does not keep up: what finds no room is not taken, and said so at once. */
static void test_a_full_buffer_takes_nothing(void **state)
{
    enum { BIG = 4 << 20, TRIES = 200 };
    mscope_tape_writer *w = NULL;
    mscope_tape_sum sum;
    mscope_refusal why;
    zmq_msg_t part[2];
    mscope_header h = { .kind = MSCOPE_BYE, .session = 3, .seq = 1 };
    int taken = 0;

    (void)state;
    assert_int_equal(mscope_tape_create(&w, path, BIG + BIG / 2, &why), 0);
    assert_int_equal(zmq_msg_init_size(&part[0], MSCOPE_HEADER_LEN), 0);
    assert_int_equal(zmq_msg_init_size(&part[1], BIG), 0);
    mscope_header_encode(&h, zmq_msg_data(&part[0]));
    memset(zmq_msg_data(&part[1]), 7, BIG);
    for (int i = 0; i < TRIES && taken == i; i++) {
        const int rc = mscope_tape_append(w, part, 2);
        assert_true(rc == 0 || rc == MSCOPE_EAGAIN);
        taken += rc == 0;
    }
    assert_in_range(taken, 1, TRIES - 1);    /* copying by reference is faster than any disk */
    assert_false(mscope_tape_room(w));
    assert_int_equal(mscope_tape_finish(w, 0, &sum, &why), 0);
    assert_int_equal(sum.messages, taken);
    const outcome o = look();
    assert_int_equal(o.entries, taken + 1);
    assert_true(o.ended);
    (void)zmq_msg_close(&part[0]);
    (void)zmq_msg_close(&part[1]);
}

/* A disk that is full after any number of bytes: counted messages can be read, the file tells how many are lost. */
static void test_a_full_disk_is_told_to_the_byte(void **state)
{
    mscope_tape_sum sum;
    mscope_refusal why;
    mscope_contents c;
    mscope_tape t;
    struct rlimit before;
    uint8_t *bytes;
    int ended = 0, unended = 0;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    record();
    const size_t n = load(&bytes);
    free(bytes);
    for (size_t room = MSCOPE_TAPE_HEADER; room < n; room += 3) {
        const struct rlimit limit = { room, before.rlim_max };
        mscope_tape_writer *w = NULL;
        uint64_t numbered = 0, missing = 0;
        mscope_entry e;
        assert_int_equal(mscope_tape_create(&w, path, 1 << 20, &why), 0);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        append_all(w);
        const int rc = mscope_tape_finish(w, 2, &sum, &why);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        CHECK(rc == MSCOPE_EIO && why.text[0] != '\0', "room %zu: %d", room, rc);
        CHECK(sum.messages + sum.lost == STEPS + 3 && sum.bytes <= room, "room %zu: %llu in, %llu lost, %llu bytes",
              room, (unsigned long long)sum.messages, (unsigned long long)sum.lost, (unsigned long long)sum.bytes);
        assert_int_equal(mscope_tape_open(&t, path, &why), 0);
        assert_int_equal(t.size, sum.bytes);
        assert_int_equal(mscope_contents_read(&c, &t, &why), 0);
        while (mscope_tape_next(&t, &e, &why) > 0) {
            numbered += e.kind == MSCOPE_ENTRY_MESSAGE && e.header.kind != MSCOPE_HELLO;
            missing += e.kind == MSCOPE_ENTRY_LOST ? e.lost_last - e.lost_first + 1 : 0;
        }
        CHECK(!t.cut && c.messages == sum.messages, "room %zu: %llu of %llu", room, (unsigned long long)c.messages,
              (unsigned long long)sum.messages);
        CHECK(!t.ended || (numbered + missing == STEPS + 2 && c.lost == sum.lost && !mscope_contents_whole(&c)),
              "room %zu: %llu steps in, %llu said missing, %llu of %llu", room, (unsigned long long)numbered,
              (unsigned long long)missing, (unsigned long long)c.lost, (unsigned long long)sum.lost);
        ended += t.ended;
        unended += !t.ended;
        mscope_contents_free(&c);
        mscope_tape_close(&t);
        (void)unlink(path);
    }
    /* only where not even LOST and END fit behind the header */
    CHECK(3 * unended <= 2 * MSCOPE_TAPE_ENTRY + 40 + 2, "%d unended", unended);
    NOTE("%d sizes of a full disk: the loss in the file in all but the %d smallest", ended + unended, unended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc_is_the_usual_one),
        cmocka_unit_test_setup_teardown(test_what_is_written_is_read, fresh_path, remove_path),
        cmocka_unit_test_setup_teardown(test_every_truncation_is_a_cut, fresh_path, remove_path),
        cmocka_unit_test_setup_teardown(test_no_flipped_bit_passes, fresh_path, remove_path),
        cmocka_unit_test_setup_teardown(test_nonsense_with_good_checksums, fresh_path, remove_path),
        cmocka_unit_test_setup_teardown(test_a_full_buffer_takes_nothing, fresh_path, remove_path),
        cmocka_unit_test_setup_teardown(test_a_full_disk_is_told_to_the_byte, fresh_path, remove_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
