/* test_engine.c - the engine without sockets: no allocation in its loop, no harm from any bytes, a ring that counts
 *
 * Linked with --wrap for every allocator, so a call from any of our objects is seen.                          */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/engine.h"
#include "daemon/log.h"
#include "daemon/messages.h"
#include "daemon/publish.h"
#include "daemon/records.h"
#include "daemon/restore.h"
#include "daemon/saver.h"
#include "daemon/shadow.h"
#include "daemon/slices.h"
#include "daemon/store.h"
#include "protocol/header.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* -- allocators, counted ---------------------------------------------------------------------- */

static unsigned long allocations;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);

void *__wrap_malloc(size_t n)
{
    allocations++;
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    allocations++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    allocations++;
    return __real_realloc(p, n);
}

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
    allocations++;
    return __real_mmap(at, len, prot, flags, fd, off);
}

/* -- an engine and a trainer ------------------------------------------------------------------ */

#define TABLES 4
#define SLOTS 1024

static mscope_engine engine;
static mscope_shadow shadows[TABLES];
static mscope_record slots[SLOTS];
static mscope_ring ring;
static mscope_outside outside;
static mscope_topic topics[1024];
static uint8_t replay_mem[1 << 20];
static mscope_publisher publisher;
static mscope_answer answer;
static uint64_t seed = 88172645463325252u, next_seq, session, now_ns;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static int set_up(void **state)
{
    const mscope_engine_config cfg = { .max_tables = TABLES, .history = 1024, .max_bytes = 1 << 26, .max_part = 1 << 24,
                                       .credit_messages = 64, .credit_bytes = 1 << 20, .takeover_ns = 1000000000,
                                       .interval_steps = 10, .interval = 0.1 };
    (void)state;
    (void)mscope_log_open("/dev/null", MSCOPE_LOG_ERROR);
    memset(shadows, 0, sizeof shadows);
    memset(topics, 0, sizeof topics);
    assert_int_equal(mscope_ring_init(&ring, slots, sizeof slots[0], SLOTS), 0);
    mscope_engine_init(&engine, &cfg, shadows, &ring, &outside, 1, 0);
    publisher = (mscope_publisher){ .ring = &ring, .outside = &outside,
                                    .topics = { .at = topics, .slots = LEN(topics) } };
    mscope_replay_init(&publisher.replay, replay_mem, sizeof replay_mem, NULL);
    next_seq = 1;
    session = 9;
    now_ns = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)mscope_engine_fini(&engine);
    return 0;
}

static const mscope_reply *say(const mscope_header *h, const mscope_part *f, size_t n)
{
    uint8_t header[MSCOPE_HEADER_LEN];
    mscope_part parts[MSCOPE_MESSAGE_PARTS] = { { header, sizeof header } };

    mscope_header_encode(h, header);
    for (size_t i = 0; i < n; i++)
        parts[i + 1] = f[i];
    mscope_engine_message(&engine, parts, n + 1, now_ns, &answer);
    assert_true(answer.n >= 1);
    return &answer.at[0];
}

static void hello_rows(uint32_t handle, int table_state, int form, uint32_t table_rows)
{
    mscope_hello v = { .client = "test", .reference = "zero", .rows = table_rows, .dim = 5, .capacity = 16,
                       .acf_rows = 4, .state = table_state, .form = form, .fresh = 1, .nll = 1 };
    mscope_header h = { .kind = MSCOPE_HELLO, .session = session, .seq = next_seq, .table = handle };
    uint8_t body[MSCOPE_HELLO_MAX];
    mscope_part f = { body, 0 };
    int n;

    (void)snprintf(v.table, sizeof v.table, "t%u", handle);
    n = mscope_hello_encode(&v, body, sizeof body);
    assert_true(n > 0);
    f.len = (size_t)n;
    assert_int_equal(say(&h, &f, 1)->header.kind, MSCOPE_WELCOME);
}

static void hello(uint32_t handle, int table_state, int form)
{
    hello_rows(handle, table_state, form, 64);
}

static uint32_t idx[16];
static float values[64 * 5], momenta[64 * 5];

/* Words of 4 bytes as they go over the wire, little-endian whatever the processor. */
static mscope_part wire(uint8_t *out, const void *from, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        uint32_t u;

        memcpy(&u, (const uint8_t *)from + 4 * i, 4);
        for (int k = 0; k < 4; k++)
            out[4 * i + (size_t)k] = (uint8_t)(u >> 8 * k);
    }
    return (mscope_part){ out, 4 * words };
}

/* FNV-1a over bytes that left the engine: make check-arch compares it between processors. */
static uint64_t left;

static void fold(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        left = (left ^ p[i]) * 0x100000001b3u;
}

static int step(uint32_t handle, uint64_t number, uint32_t n)
{
    mscope_header h = { .kind = MSCOPE_STEP, .session = 9, .seq = next_seq++, .table = handle, .step = number, .a = 0.1,
                        .b = 0.1, .count = n, .extra = 8, .index_type = n ? 4 : 0,
                        .value_type = n ? MSCOPE_F32 : MSCOPE_NONE };
    uint8_t rows[sizeof idx], grads[sizeof values];
    mscope_part f[2];

    for (uint32_t i = 0; i < n; i++)
        idx[i] = (uint32_t)(rnd() % (i % 2 ? shadows[handle].hello.rows : 8));
    for (uint32_t i = 0; i < 5 * n; i++)
        values[i] = (float)(int64_t)rnd() * 0x1p-63f;
    f[0] = wire(rows, idx, n);
    f[1] = wire(grads, values, 5 * (size_t)n);
    return say(&h, f, n ? 2 : 0)->header.kind;
}

static int rows(int kind, uint32_t handle, uint64_t number, uint32_t first, uint32_t n)
{
    mscope_header h = { .kind = (uint8_t)kind, .session = 9, .seq = next_seq++, .table = handle, .step = number,
                        .count = n, .extra = first, .value_type = MSCOPE_F32 };
    uint8_t theta[sizeof values], m[sizeof momenta];
    mscope_part f[2] = { wire(theta, values, 5 * (size_t)n), wire(m, momenta, 5 * (size_t)n) };

    return say(&h, f, kind == MSCOPE_SYNC ? 2 : 1)->header.kind;
}

static int probe(uint32_t handle, uint64_t number)
{
    mscope_header h = { .kind = MSCOPE_PROBE, .session = 9, .seq = next_seq++, .table = handle, .step = number,
                        .a = 1e-3, .count = 8, .index_type = 4, .value_type = MSCOPE_F32 };
    uint8_t rows[sizeof idx], hm[sizeof values];
    mscope_part f[2] = { wire(rows, idx, 8), wire(hm, values, 40) };

    return say(&h, f, 2)->header.kind;
}

/* What the publisher does with each record, its sockets apart. */
static unsigned take_records(void)
{
    uint8_t body[MSCOPE_RECORD_MAX];
    char name[MSCOPE_TOPIC_MAX];
    const mscope_record *r;
    unsigned n = 0;

    for (; (r = mscope_ring_peek(&ring)) != NULL; n++) {
        int len = mscope_record_encode(r, body, sizeof body);
        mscope_topic *t;
        if ((int)r->kind == MSCOPE_REC_DROPPED) {
            mscope_topics_drop(&publisher.topics, r->u.table.table, r->u.table.attached);
            mscope_ring_release(&ring);
            continue;
        }
        assert_true(len > 0);
        if (r->kind == MSCOPE_REC_BAND || r->kind == MSCOPE_REC_ACF || r->kind == MSCOPE_REC_ALERT)
            fold(body, (size_t)len);         /* the others name the kernel, which may differ */
        (void)mscope_record_topic(r, name);
        t = mscope_topic_make(&publisher.topics, name);
        assert_non_null(t);
        t->gone = 0;
        mscope_replay_store(&publisher.replay, &publisher.topics, t, body, (size_t)len);
        t->next++;
        mscope_ring_release(&ring);
    }
    return n;
}

/* -- promises --------------------------------------------------------------------------------- */

static void test_loop_allocates_nothing(void **state)
{
    unsigned records = 0;
    (void)state;

    for (uint32_t t = 0; t < 4; t++)
        hello(t, (int)t % 3, (int)t % 2);
    take_records();
    allocations = 0;
    left = 0xcbf29ce484222325u;
    for (uint64_t k = 1; k <= 600; k++) {
        for (uint32_t t = 0; t < 4; t++) {
            if (k == 2)
                assert_int_equal(rows(MSCOPE_REFERENCE, t, k - 1, 0, 64), MSCOPE_ACK);
            if (k % 50 == 0)
                assert_int_equal(probe(t, k), MSCOPE_ACK);
            if (k % 100 == 7)
                continue;                        /* this step is lost */
            assert_int_equal(step(t, k, (uint32_t)(rnd() % 17)), MSCOPE_ACK);
            if (k % 100 == 8)
                assert_int_equal(rows(MSCOPE_SYNC, t, k, 0, 64), MSCOPE_ACK);
            if (k % 30 == 0)
                assert_int_equal(step(t, k, 3), MSCOPE_ERROR);
            if (k % 31 == 0) {
                next_seq--;
                assert_int_equal(step(t, k, 3), MSCOPE_ACK);
            }
        }
        mscope_engine_publish(&engine, k * 20000000, k % 97 ? MSCOPE_PUBLISH_MOVED : MSCOPE_PUBLISH_ALL);
        records += take_records();
    }
    assert_int_equal(allocations, 0);
    assert_int_equal(atomic_load(&ring.dropped), 0);
    printf("# note %u records, %llu messages, %lu allocations, digest %016llx\n", records,
           (unsigned long long)engine.count.messages_in, allocations, (unsigned long long)left);
    hello(0, 0, 0);                              /* the same HELLO again keeps the table */
    assert_int_equal(allocations, 0);
}

/* A good message of a random kind for a table in its present state; parts in mem[1..], number of them returned. */
static size_t good_message(mscope_header *h, uint8_t *mem[MSCOPE_MESSAGE_PARTS], size_t len[MSCOPE_MESSAGE_PARTS])
{
    static const uint8_t kinds[] = { MSCOPE_STEP, MSCOPE_STEP, MSCOPE_PROBE, MSCOPE_REFERENCE, MSCOPE_SYNC };
    uint32_t table = (uint32_t)(rnd() % 3), n = 1 + (uint32_t)(rnd() % 12);
    uint8_t kind = kinds[rnd() % LEN(kinds)], type = (uint8_t)(MSCOPE_F32 + rnd() % 3);
    int entries = kind == MSCOPE_STEP || kind == MSCOPE_PROBE;
    uint64_t done = mscope_table_steps(mscope_shadow_find(&engine, 9, table)->core);
    size_t parts = 0, bytes = (size_t)n * 5 * mscope_value_size(type);

    *h = (mscope_header){ .kind = kind, .session = 9, .seq = next_seq, .table = table, .step = done + (entries ? 1 : 0),
                          .a = entries ? 0.1 : 0, .b = kind == MSCOPE_STEP ? 0.1 : 0, .count = n,
                          .extra = kind == MSCOPE_STEP ? 8 : kind == MSCOPE_PROBE ? 0 : (uint32_t)(rnd() % 50),
                          .index_type = entries ? 8 : 0, .value_type = type };
    if (entries)
        len[++parts] = (size_t)n * 8;
    len[++parts] = bytes;
    if (kind == MSCOPE_SYNC)
        len[++parts] = bytes;
    if (kind == MSCOPE_STEP && rnd() % 2) {
        h->flags |= MSCOPE_FLAG_COUNTS;
        len[++parts] = (size_t)n * 4;
    }
    if (kind == MSCOPE_STEP && rnd() % 2) {
        h->flags |= MSCOPE_FLAG_SCHEDULE;
        len[++parts] = 24;
    }
    for (size_t f = 1; f <= parts; f++) {
        mem[f] = calloc(len[f] + 64, 1);         /* zeros are good values, indices and schedules ... */
        assert_non_null(mem[f]);
        for (size_t i = 0; len[f] == (size_t)n * 4 && i < n; i++)
            mem[f][4 * i] = 1;                   /* ... but a count is at least 1 */
    }
    return parts;
}

/* One thing about a message is changed; most changes make it bad, some leave it good. */
static size_t damage(mscope_header *h, uint8_t header[MSCOPE_HEADER_LEN], uint8_t *mem[MSCOPE_MESSAGE_PARTS],
                     size_t len[MSCOPE_MESSAGE_PARTS], size_t parts)
{
    size_t f = (size_t)(1 + rnd() % parts), at = len[f] ? (size_t)(rnd() % len[f]) : 0;

    switch (rnd() % 8) {
    case 0:
        header[rnd() % MSCOPE_HEADER_LEN] ^= (uint8_t)(1u << rnd() % 8);
        return parts;
    case 1:                                      /* a field, under a good checksum */
        switch (rnd() % 9) {
        case 0: h->kind = (uint8_t)(2 + rnd() % 64); break;
        case 1: h->flags = (uint16_t)(1u << rnd() % 16); break;
        case 2: h->seq += rnd() % 5 - 2; break;
        case 3: h->step += rnd() % 5 - 2; break;
        case 4: h->a = (double)(int64_t)rnd(); break;
        case 5: h->count = (uint32_t)rnd() >> rnd() % 32; break;
        case 6: h->extra = (uint32_t)rnd() >> rnd() % 32; break;
        case 7: h->index_type = (uint8_t)(4 * (rnd() % 3)); break;
        default: h->value_type = (uint8_t)(rnd() % 2 * 16 + rnd() % 6);
        }
        if (h->kind == MSCOPE_BYE)
            h->kind = MSCOPE_SAVE;
        mscope_header_encode(h, header);
        return parts;
    case 2:
        len[f] = (size_t)(rnd() % (len[f] + 1));
        return parts;
    case 3:
        len[f] += (size_t)(1 + rnd() % 63);
        return parts;
    case 4:
        return parts - 1;
    case 5:
        for (size_t i = at; i < len[f] && i < at + 8; i++)
            mem[f][i] = 0xff;
        return parts;
    default:
        mem[f][at] = (uint8_t)rnd();
        return parts;
    }
}

static void check_answer(unsigned *errors)
{
    mscope_refusal why;

    for (unsigned i = 0; i < answer.n; i++) {
        if (answer.at[i].header.kind != MSCOPE_ERROR) {
            next_seq = answer.at[i].header.seq + 1;
            continue;
        }
        assert_int_equal(mscope_refusal_decode(answer.at[i].body, answer.at[i].body_len, &why), 0);
        assert_true(why.code < 0 && why.field[0] && why.value[0] && why.range[0] && why.text[0]);
        (*errors)++;
    }
}

/* Good messages, most of them damaged: an answer with words or an acknowledgement, and never a fault (each part is a
 * heap block of its own, so AddressSanitizer sees a byte read too many). */
static void test_damaged_messages_are_answered(void **state)
{
    unsigned errors = 0;
    uint64_t applied;
    (void)state;

    for (uint32_t t = 0; t < 3; t++)
        hello(t, (int)t, (int)t % 2);
    for (int k = 0; k < 40000; k++) {
        uint8_t header[MSCOPE_HEADER_LEN], *mem[MSCOPE_MESSAGE_PARTS] = { NULL };
        size_t len[MSCOPE_MESSAGE_PARTS] = { 0 }, made, parts;
        mscope_part f[MSCOPE_MESSAGE_PARTS] = { { header, sizeof header } };
        mscope_header h;

        parts = made = good_message(&h, mem, len);
        mscope_header_encode(&h, header);
        if (rnd() % 4 != 0)
            parts = damage(&h, header, mem, len, parts);
        for (size_t i = 1; i <= parts; i++) {
            uint8_t *exact = malloc(len[i] ? len[i] : 1);
            assert_non_null(exact);
            memcpy(exact, mem[i], len[i]);
            free(mem[i]);
            mem[i] = exact;
            f[i] = (mscope_part){ exact, len[i] };
        }
        mscope_engine_message(&engine, f, parts + 1, (uint64_t)k * 1000000, &answer);
        check_answer(&errors);
        for (size_t i = 1; i <= made; i++)
            free(mem[i]);
        take_records();
    }
    applied = engine.count.steps_applied;
    printf("# note %u refused, %llu steps applied, %llu duplicates, %llu lost\n", errors, (unsigned long long)applied,
           (unsigned long long)engine.count.duplicate_messages, (unsigned long long)engine.count.lost_steps);
    assert_true(errors > 10000 && applied > 4000 && engine.count.duplicate_messages > 10);
}

static int same_image(const uint8_t *a, size_t n, const uint8_t *b, size_t m)
{
    return n == m && memcmp(a, b, n) == 0;
}

static void test_state_image_round_trips(void **state)
{
    char path[64] = "/tmp/mscope-image-XXXXXX";
    uint8_t *one, *two;
    size_t n, m;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    for (uint32_t t = 0; t < 3; t++)
        hello(t, (int)t, (int)t % 2);
    for (uint64_t k = 1; k < 100; k++)
        for (uint32_t t = 0; t < 3; t++)
            assert_int_equal(step(t, k, 8), MSCOPE_ACK);
    assert_int_equal(mscope_store_image(&engine, &one, &n), 0);
    assert_int_equal(mscope_store_save(&engine, path, &(mscope_saved){ 0 }), 0);
    tear_down(state);
    set_up(state);
    assert_int_equal(mscope_restore_state(&engine, path, 0), 0);
    assert_int_equal(mscope_store_image(&engine, &two, &m), 0);
    assert_true(same_image(one, n, two, m));
    left = 0xcbf29ce484222325u;
    fold(one, n);
    printf("# note state image: %zu bytes, digest %016llx\n", n, (unsigned long long)left);
    (void)munmap(two, m);
    tear_down(state);
    set_up(state);
    engine.cfg.history = 512;                    /* another --history: a table keeps the one it was made with */
    assert_int_equal(mscope_restore_state(&engine, path, 0), 0);
    assert_int_equal(mscope_store_image(&engine, &two, &m), 0);
    assert_true(same_image(one, n, two, m));
    (void)munmap(one, n);
    (void)munmap(two, m);
    (void)remove(path);
    (void)remove(strcat(path, ".previous"));
    assert_int_equal(mscope_restore_state(&engine, path, 0), 1);
}

/* Totals of the last table record, and of all rows now. */
static void published_and_true(double *published, double *truth)
{
    const mscope_record *r;
    mscope_band b;

    for (; (r = mscope_ring_peek(&ring)) != NULL; mscope_ring_release(&ring))
        if (r->kind == MSCOPE_REC_TABLE)
            *published = r->u.table.V;
    *truth = 0.0;
    assert_int_equal(mscope_table_resum(shadows[0].core), 0);
    for (unsigned i = 0; i < MSCOPE_BANDS; i++) {
        assert_int_equal(mscope_table_band(shadows[0].core, i, &b), 0);
        *truth += b.V;
    }
}

/* A large table is published as it stands, and gone over in slices afterwards, steps in between. */
static void test_a_large_table_is_resummed_in_slices(void **state)
{
    const uint32_t many = 10 * MSCOPE_AT_ONCE;
    double published = 0, truth = 0;
    unsigned slices = 0;
    uint64_t k = 0;
    (void)state;

    hello_rows(0, MSCOPE_STATE_F64, MSCOPE_FORM_EMA, many);
    shadows[0].passed = 1000;                    /* no young table: those are resummed at once */
    while (k < 9)                            /* by steps the engine publishes at 10, see set_up */
        assert_int_equal(step(0, ++k, 16), MSCOPE_ACK);
    assert_false(mscope_resum_wanted(&engine));
    mscope_publish_begin(&engine, 5000, 4000, MSCOPE_PUBLISH_MOVED);
    assert_true(mscope_publish_slice(&engine, 5000));
    assert_false(mscope_publish_slice(&engine, 6000));
    assert_int_equal(engine.timing.late.ever_ns, 2000);
    assert_true(mscope_resum_wanted(&engine) && shadows[0].passing);
    for (; shadows[0].passing; slices++) {
        assert_int_equal(step(0, ++k, 16), MSCOPE_ACK);
        mscope_resum_slice(&engine);
        mscope_resum_took(&engine, MSCOPE_SLICE_NS);
        (void)take_records();
        assert_true(slices < 1000);
    }
    assert_int_equal(slices, 10);
    assert_int_equal(step(0, ++k, 16), MSCOPE_ACK);
    mscope_publish_begin(&engine, 7000, 0, MSCOPE_PUBLISH_MOVED);
    while (mscope_publish_slice(&engine, 7000)) {
        /* the table, then the daemon */
    }
    published_and_true(&published, &truth);
    assert_true(truth > 0.0 && fabs(published - truth) <= 1e-12 * truth);
    /* What a publication grants is used up however many rows there are. */
    engine.slice_rows = 256;
    shadows[0].passing = 1;
    engine.resum_ns = MSCOPE_RESUM_NS;
    for (slices = 0; mscope_resum_wanted(&engine); slices++) {
        mscope_resum_slice(&engine);
        mscope_resum_took(&engine, 40 * MSCOPE_SLICE_NS);
    }
    assert_int_equal(slices, 2);
    assert_true(shadows[0].passing);
}

static void test_full_ring_drops_the_new_record_and_counts(void **state)
{
    mscope_record four[4];
    mscope_ring r;
    (void)state;

    assert_int_equal(mscope_ring_init(&r, four, sizeof four[0], 3), MSCOPE_EINVAL);
    assert_int_equal(mscope_ring_init(&r, four, sizeof four[0], 4), 0);
    for (unsigned i = 0; i < 7; i++) {
        mscope_record *s = mscope_ring_reserve(&r);
        assert_true((s != NULL) == (i < 4));
        if (s == NULL)
            continue;
        s->kind = MSCOPE_REC_ALERT;
        s->u.alert.step = i;
        mscope_ring_commit(&r);
    }
    assert_int_equal(atomic_load(&r.dropped), 3);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(((const mscope_record *)mscope_ring_peek(&r))->u.alert.step, i);
        mscope_ring_release(&r);
    }
    assert_null(mscope_ring_peek(&r));
}

static void *produce(void *at)
{
    mscope_ring *r = at;

    for (uint64_t i = 1; i <= 200000; i++) {
        mscope_record *s = mscope_ring_reserve(r);
        if (s == NULL)
            continue;
        s->u.alert.step = i;
        mscope_ring_commit(r);
    }
    return NULL;
}

/* Taken + dropped = made, in order, under a real second thread (ThreadSanitizer watches the memory). */
static void test_ring_between_two_threads(void **state)
{
    static mscope_record many[64];
    mscope_ring r;
    pthread_t thread;
    uint64_t last = 0, taken = 0;
    int done = 0;
    (void)state;

    assert_int_equal(mscope_ring_init(&r, many, sizeof many[0], 64), 0);
    assert_int_equal(pthread_create(&thread, NULL, produce, &r), 0);
    while (!done) {
        const mscope_record *rec;
        done = taken + atomic_load(&r.dropped) >= 200000;
        while ((rec = mscope_ring_peek(&r)) != NULL) {
            assert_true(rec->u.alert.step > last);
            last = rec->u.alert.step;
            taken++;
            mscope_ring_release(&r);
        }
    }
    (void)pthread_join(thread, NULL);
    assert_int_equal(taken + atomic_load(&r.dropped), 200000);
}

/* Names come, go and come back in a small table: a topic stays where it is as long as its table is there. */
static void test_topics_are_found_where_they_were(void **state)
{
    enum { NAMES = 100, PLACES = 64, MOST = (PLACES - 1) * 3 / 4 + 1 };
    static mscope_topic *where[NAMES];
    static uint64_t last[NAMES];
    uint64_t refused = 0, back = 0;
    size_t there = 0;

    (void)state;
    publisher.topics.slots = PLACES;
    for (int round = 0; round < 200000; round++) {
        const unsigned i = (unsigned)(rnd() % NAMES);
        char name[MSCOPE_TOPIC_MAX];
        mscope_topic *t;
        (void)snprintf(name, sizeof name, "table/t%u", i);
        t = mscope_topic_find(&publisher.topics, name);
        assert_true(t == where[i] || (t == NULL && (where[i]->gone != 0 || strcmp(where[i]->name, name) != 0)));
        if (t != NULL && t->gone == 0 && rnd() % 2 == 0) {
            t->gone = ++publisher.topics.tables_gone;
            there--;
            continue;
        }
        const int comes = t == NULL || t->gone != 0;
        t = mscope_topic_make(&publisher.topics, name);
        assert_true(t != NULL || there >= MOST);
        if (t == NULL) {
            refused++;
            continue;
        }
        assert_string_equal(t->name, name);
        assert_true(t->next >= last[i]);
        back += comes && last[i] > 0;
        there += (size_t)comes;
        t->gone = 0;
        last[i] = ++t->next;
        where[i] = t;
        size_t named = 0;
        for (size_t k = 0; k < PLACES; k++)
            named += topics[k].name[0] != '\0';
        assert_true(named == publisher.topics.count && named <= MOST);
    }
    printf("# note %llu times a name came back, %llu refused\n", (unsigned long long)back, (unsigned long long)refused);
}

static const mscope_topic *topic_of(uint32_t table)
{
    char name[MSCOPE_TOPIC_MAX];

    (void)snprintf(name, sizeof name, "table/t%u", table);
    return mscope_topic_find(&publisher.topics, name);
}

/* The publisher learns of every dropped table, also when the ring was full while tables came and went in one place. */
static void test_a_full_ring_loses_no_dropped_table(void **state)
{
    mscope_record *r;
    (void)state;

    for (uint32_t t = 0; t < TABLES; t++)
        hello(t, 0, 0);
    mscope_engine_publish(&engine, 0, MSCOPE_PUBLISH_ALL);
    (void)take_records();
    while ((r = mscope_ring_reserve(&ring)) != NULL) {
        memset(r, 0, sizeof *r);
        r->kind = MSCOPE_REC_ALERT;
        mscope_ring_commit(&ring);
    }
    for (session = 10; session < 13; session++) {
        now_ns += 2000000000;                    /* the session before is silent by now */
        for (uint32_t t = 0; t < TABLES; t++)
            hello((uint32_t)session * 10 + t, 0, 0);
    }
    for (uint32_t t = 0; t < TABLES; t++)
        assert_int_equal(topic_of(t)->gone, 0);
    (void)take_records();                        /* alerts, no word of tables: the ring was full */
    mscope_engine_publish(&engine, now_ns, MSCOPE_PUBLISH_ALL);
    (void)take_records();
    for (uint32_t t = 0; t < TABLES; t++) {
        assert_int_not_equal(topic_of(t)->gone, 0);
        assert_null(topic_of(100 + t));
        assert_null(topic_of(110 + t));
        assert_int_equal(topic_of(120 + t)->gone, 0);
    }
    assert_int_equal(publisher.topics.tables_gone, TABLES);
    now_ns += 2000000000;
    hello(200, 0, 0);                           /* with room in the ring it goes ahead of the newcomer's first record */
    (void)take_records();
    assert_int_equal(publisher.topics.tables_gone, TABLES + 1);
}

/* Told to stop while it wakes for something else: the word must not go with the wake-up that it reads. */
static void test_a_saver_told_to_stop_stops(void **state)
{
    const uint64_t one = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        mscope_saver s = { .work_fd = eventfd(0, EFD_NONBLOCK), .done_fd = -1 };
        struct timespec until;
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, mscope_saver_run, &s), 0);
        for (int i = 0; i < 20; i++)
            assert_int_equal(write(s.work_fd, &one, sizeof one), sizeof one);
        atomic_store_explicit(&s.stop, 1, memory_order_release);
        assert_int_equal(write(s.work_fd, &one, sizeof one), sizeof one);
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 10;
        assert_int_equal(pthread_timedjoin_np(thread, NULL, &until), 0);
        (void)close(s.work_fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_loop_allocates_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_messages_are_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_state_image_round_trips, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_large_table_is_resummed_in_slices, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_full_ring_loses_no_dropped_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_topics_are_found_where_they_were, set_up, tear_down),
        cmocka_unit_test(test_full_ring_drops_the_new_record_and_counts),
        cmocka_unit_test(test_ring_between_two_threads),
        cmocka_unit_test(test_a_saver_told_to_stop_stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
