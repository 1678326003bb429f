/* test_wire.c - the wire's promises: round trips, no damaged byte accepted, words in every refusal, golden messages */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mscope/wire.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static const mscope_header step = { .kind = MSCOPE_STEP, .flags = 3, .session = 0x1122334455667788, .seq = 9,
                                    .step = 41, .a = 0.1, .b = 0.01, .table = 3, .count = 2, .extra = 17,
                                    .index_type = 8, .value_type = MSCOPE_BF16 };
static const mscope_header probe = { .kind = MSCOPE_PROBE, .session = 0x1122334455667788, .seq = 10, .step = 42,
                                     .a = 0.001, .table = 3, .count = 5, .index_type = 4, .value_type = MSCOPE_F32 };
static const mscope_header sync_ = { .kind = MSCOPE_SYNC, .flags = 4, .session = 0x1122334455667788, .seq = 11,
                                     .step = 42, .table = 3, .count = 96, .extra = 4000, .value_type = MSCOPE_F64 };
static const mscope_header ack = { .kind = MSCOPE_ACK, .flags = 8, .session = 0x1122334455667788, .seq = 11, .table = 3,
                                   .count = 64 };
static const mscope_header hello_head = { .kind = MSCOPE_HELLO, .session = 1, .seq = 1, .table = 3 };
static const mscope_header bye = { .kind = MSCOPE_BYE, .session = 1, .seq = 4 };

static size_t golden(const char *name, uint8_t *out, size_t cap)
{
    char path[128];
    size_t n = 0;
    int c;
    unsigned byte;
    FILE *f;

    (void)snprintf(path, sizeof path, "protocol/golden/%s.hex", name);
    f = fopen(path, "r");
    assert_non_null(f);
    while ((c = fgetc(f)) != '\n' && c != EOF)
        ;
    while (n < cap && fscanf(f, "%2x", &byte) == 1)
        out[n++] = (uint8_t)byte;
    (void)fclose(f);
    return n;
}

static int same_header(const mscope_header *x, const mscope_header *y)
{
    uint8_t p[64], q[64];

    mscope_header_encode(x, p);
    mscope_header_encode(y, q);
    return memcmp(p, q, 64) == 0;
}

static void test_header_round_trip_and_golden(void **state)
{
    const struct {
        const char *name;
        const mscope_header *h;
    } cases[] = {
        { "header_step", &step }, { "header_probe", &probe }, { "header_sync", &sync_ }, { "header_ack", &ack }
    };
    (void)state;

    for (size_t i = 0; i < LEN(cases); i++) {
        uint8_t bytes[65] = { 0 }, gold[128];
        mscope_header got = { 0 };

        bytes[64] = 0xa5;
        mscope_header_encode(cases[i].h, bytes);
        assert_int_equal(bytes[64], 0xa5);
        assert_int_equal(golden(cases[i].name, gold, sizeof gold), 64);
        assert_memory_equal(bytes, gold, 64);
        assert_int_equal(mscope_header_decode(gold, 64, &got, NULL), 0);
        assert_true(same_header(&got, cases[i].h));
    }
}

/* The wire's 1 to 4 are the four of C; each other number is another one on the wire, and is refused under that one. */
static void test_value_types_are_one_to_one(void **state)
{
    int seen[256] = { 0 };
    (void)state;

    for (unsigned v = 0; v < 256; v++) {
        const int known = v >= MSCOPE_F32 && v <= MSCOPE_F64;
        mscope_header h = step, got;
        mscope_refusal why = { 0 };
        uint8_t bytes[MSCOPE_HEADER_LEN];
        char number[8];

        h.value_type = (uint8_t)v;
        mscope_header_encode(&h, bytes);
        assert_int_equal(seen[bytes[61]]++, 0);
        if (known)
            assert_int_equal(bytes[61], v - MSCOPE_F32 + 1);
        assert_int_equal(mscope_header_decode(bytes, sizeof bytes, &got, &why), known ? 0 : MSCOPE_EINVAL);
        snprintf(number, sizeof number, "%u", bytes[61]);
        if (known)
            assert_int_equal(got.value_type, v);
        else
            assert_string_equal(why.value, number);
        assert_int_equal(mscope_value_size(v) > 0, known);
    }
}

static void test_header_refuses_every_flip_and_length(void **state)
{
    uint8_t bytes[65] = { 0 };
    mscope_header got = { .seq = 77 };
    mscope_refusal why;
    (void)state;

    mscope_header_encode(&step, bytes);
    for (unsigned bit = 0; bit < 512; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(mscope_header_decode(bytes, 64, &got, &why) < 0);
        assert_true(why.code < 0 && why.field[0] && why.value[0] && why.range[0] && why.text[0]);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len <= 65; len++)
        assert_int_equal(mscope_header_decode(bytes, len, &got, &why), len == 64 ? 0 : MSCOPE_EPROTO);
}

static void test_header_names_each_wrong_field(void **state)
{
    static const struct {
        const char *field;
        int code;
        const mscope_header *from;
        mscope_header to;
    } cases[] = {
#define BAD(field, code, from, ...) { field, code, &from, { __VA_ARGS__ } }
        BAD("kind", MSCOPE_EINVAL, step, .kind = 0),
        BAD("kind", MSCOPE_EINVAL, step, .kind = 11),
        BAD("kind", MSCOPE_EINVAL, step, .kind = 63),
        BAD("kind", MSCOPE_EINVAL, step, .kind = 67),
        BAD("kind", MSCOPE_EINVAL, step, .kind = 255),
        BAD("flags", MSCOPE_EINVAL, step, .kind = 2, .flags = 4),
        BAD("flags", MSCOPE_EINVAL, step, .kind = 2, .flags = 32),
        BAD("flags", MSCOPE_EINVAL, step, .kind = 2, .flags = 16, .session = 1, .seq = 1, .extra = 1),
        BAD("flags", MSCOPE_EINVAL, probe, .kind = 3, .flags = 16, .session = 1, .seq = 1, .a = 1),
        BAD("flags", MSCOPE_EINVAL, sync_, .kind = 5, .flags = 16),
        BAD("flags", MSCOPE_EINVAL, step, .kind = 2, .flags = 0x8000),
        BAD("flags", MSCOPE_EINVAL, probe, .kind = 3, .flags = 1),
        BAD("flags", MSCOPE_EINVAL, sync_, .kind = 5, .flags = 2),
        BAD("flags", MSCOPE_EINVAL, step, .kind = 2, .flags = 1, .session = 1, .seq = 1, .extra = 1),
        BAD("session", MSCOPE_EINVAL, step, .kind = 2),
        BAD("seq", MSCOPE_EINVAL, step, .kind = 2, .session = 1),
        BAD("a (eta)", MSCOPE_EINVAL, step, .kind = 2, .session = 1, .seq = 1, .a = -1e-300, .extra = 1),
        BAD("a (eta)", MSCOPE_ENONFINITE, step, .kind = 2, .session = 1, .seq = 1, .a = NAN, .extra = 1),
        BAD("a (eta)", MSCOPE_ENONFINITE, step, .kind = 2, .session = 1, .seq = 1, .a = INFINITY, .extra = 1),
        BAD("b (eps)", MSCOPE_EINVAL, step, .kind = 2, .session = 1, .seq = 1, .b = 1.0000000000000002, .extra = 1),
        BAD("b (eps)", MSCOPE_EINVAL, step, .kind = 2, .session = 1, .seq = 1, .b = -1e-300, .extra = 1),
        BAD("b (eps)", MSCOPE_ENONFINITE, step, .kind = 2, .session = 1, .seq = 1, .b = NAN, .extra = 1),
        BAD("extra (batch)", MSCOPE_EINVAL, step, .kind = 2, .session = 1, .seq = 1),
        BAD("index_type", MSCOPE_EINVAL, step, .kind = 2, .session = 1, .seq = 1, .extra = 1, .count = 1,
            .value_type = MSCOPE_F32),
        BAD("index_type", MSCOPE_EINVAL, step, .kind = 2, .session = 1, .seq = 1, .extra = 1, .count = 1,
            .index_type = 5, .value_type = MSCOPE_F32),
        BAD("index_type", MSCOPE_EINVAL, step, .kind = 2, .session = 1, .seq = 1, .extra = 1, .index_type = 4),
        BAD("value_type", MSCOPE_EINVAL, step, .kind = 2, .session = 1, .seq = 1, .extra = 1, .count = 1,
            .index_type = 4),
        BAD("value_type", MSCOPE_EINVAL, step, .kind = 2, .session = 1, .seq = 1, .extra = 1, .count = 1,
            .index_type = 4, .value_type = 5),
        BAD("value_type", MSCOPE_EINVAL, step, .kind = 2, .session = 1, .seq = 1, .extra = 1, .value_type = MSCOPE_F32),
        BAD("a (delta)", MSCOPE_EINVAL, probe, .kind = 3, .session = 1, .seq = 1),
        BAD("a (delta)", MSCOPE_ENONFINITE, probe, .kind = 3, .session = 1, .seq = 1, .a = -INFINITY),
        BAD("b", MSCOPE_EINVAL, probe, .kind = 3, .session = 1, .seq = 1, .a = 1, .b = 1),
        BAD("extra", MSCOPE_EINVAL, probe, .kind = 3, .session = 1, .seq = 1, .a = 1, .extra = 1),
        BAD("a", MSCOPE_EINVAL, probe, .kind = 8, .session = 1, .seq = 1, .a = 1),
        BAD("b", MSCOPE_EINVAL, probe, .kind = 8, .session = 1, .seq = 1, .b = 1),
        BAD("extra", MSCOPE_EINVAL, probe, .kind = 8, .session = 1, .seq = 1, .extra = 1),
        BAD("flags", MSCOPE_EINVAL, probe, .kind = 8, .flags = 16, .session = 1, .seq = 1),
        BAD("index_type", MSCOPE_EINVAL, probe, .kind = 8, .session = 1, .seq = 1, .count = 1,
            .value_type = MSCOPE_F32),
        BAD("value_type", MSCOPE_EINVAL, probe, .kind = 8, .session = 1, .seq = 1, .count = 1, .index_type = 4,
            .value_type = MSCOPE_F64),
        BAD("step", MSCOPE_EINVAL, probe, .kind = 8, .session = 1, .seq = 1, .step = MSCOPE_STEP_MAX + 1),
        BAD("count", MSCOPE_EINVAL, sync_, .kind = 5, .session = 1, .seq = 1, .value_type = MSCOPE_F32),
        BAD("index_type", MSCOPE_EINVAL, sync_, .kind = 5, .session = 1, .seq = 1, .count = 1, .value_type = MSCOPE_F32,
            .index_type = 4),
        BAD("value_type", MSCOPE_EINVAL, sync_, .kind = 4, .session = 1, .seq = 1, .count = 1),
        BAD("a", MSCOPE_EINVAL, sync_, .kind = 4, .session = 1, .seq = 1, .count = 1, .a = 1),
        BAD("a", MSCOPE_EINVAL, hello_head, .kind = 1, .session = 1, .seq = 1, .a = 1),
        BAD("count", MSCOPE_EINVAL, hello_head, .kind = 1, .session = 1, .seq = 1, .count = 1),
        BAD("extra", MSCOPE_EINVAL, bye, .kind = 6, .session = 1, .seq = 1, .extra = 1),
        BAD("value_type", MSCOPE_EINVAL, bye, .kind = 7, .session = 1, .seq = 1, .value_type = MSCOPE_F32),
    };
    (void)state;

    for (size_t i = 0; i < LEN(cases); i++) {
        uint8_t bytes[64];
        mscope_header got = *cases[i].from, before = got;
        mscope_refusal why = { 0 };
        int code;

        mscope_header_encode(&cases[i].to, bytes);
        code = mscope_header_decode(bytes, 64, &got, &why);
        if (code != cases[i].code || strcmp(why.field, cases[i].field) != 0)
            fail_msg("case %zu: %s (%d), want %s (%d)", i, why.field, code, cases[i].field, cases[i].code);
        assert_memory_equal(&got, &before, sizeof got);
        assert_true(why.value[0] && why.range[0] && why.text[0]);
    }
}

static void test_header_of_another_version_is_told_apart(void **state)
{
    uint8_t bytes[64];
    unsigned crc = 0;
    mscope_header got;
    mscope_refusal why;
    (void)state;

    mscope_header_encode(&step, bytes);
    bytes[4] = 2;
    for (int i = 0; i < 62; i++) {
        crc ^= (unsigned)bytes[i] << 8;
        for (int b = 0; b < 8; b++)
            crc = (crc << 1 ^ (crc & 0x8000u ? 0x1021u : 0u)) & 0xffffu;
    }
    bytes[62] = (uint8_t)crc;
    bytes[63] = (uint8_t)(crc >> 8);
    assert_int_equal(mscope_header_decode(bytes, 64, &got, &why), MSCOPE_EVERSION);
    assert_string_equal(why.field, "version");
    assert_string_equal(why.value, "2");
}

static void test_values_of_every_half_are_exact(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        uint8_t in[2] = { (uint8_t)h, (uint8_t)(h >> 8) };
        uint32_t e = h >> 10 & 31, m = h & 1023, bits;
        double want = e == 0 ? ldexp(m, -24) : ldexp(1024 + m, (int)e - 25), d;
        float f;

        mscope_values_decode(in, MSCOPE_BF16, 1, &f, 0);
        memcpy(&bits, &f, 4);
        assert_int_equal(bits, h << 16);
        mscope_values_decode(in, MSCOPE_F16, 1, &f, 0);
        mscope_values_decode(in, MSCOPE_F16, 1, &d, 1);
        if (e == 31) {
            assert_true(m ? isnan(f) && isnan(d) : isinf(f) && isinf(d));
            assert_int_equal(signbit(f) != 0, h >> 15);
            continue;
        }
        want = h >> 15 ? -want : want;
        assert_true((double)f == want && d == want && !signbit(f) == !signbit(want));
    }
}

/* n floats or doubles as the wire has them: lowest byte first. */
static void lay(uint8_t *out, const void *from, size_t n, size_t width)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t half;
        uint64_t u;

        if (width == 8) {
            memcpy(&u, (const uint8_t *)from + 8 * i, 8);
        } else {
            memcpy(&half, (const uint8_t *)from + 4 * i, 4);
            u = half;
        }
        for (size_t k = 0; k < width; k++)
            out[width * i + k] = (uint8_t)(u >> 8 * k);
    }
}

static void test_values_any_alignment_and_canary(void **state)
{
    (void)state;
    for (size_t n = 0; n < 20; n++)
        for (size_t off = 0; off < 8; off++) {
            uint8_t in[8 + 20 * 8];
            double x[20], out[21];
            float y[20], outf[21];

            for (size_t i = 0; i < n; i++) {
                x[i] = (double)(int64_t)rnd() * 0x1p-40;
                y[i] = (float)x[i];
            }
            out[n] = outf[n] = 12345;
            lay(in + off, x, n, 8);
            mscope_values_decode(in + off, MSCOPE_F64, n, out, 1);
            assert_memory_equal(out, x, 8 * n);
            lay(in + off, y, n, 4);
            mscope_values_decode(in + off, MSCOPE_F32, n, outf, 0);
            assert_memory_equal(outf, y, 4 * n);
            assert_true(out[n] == 12345 && outf[n] == 12345);
        }
}

static void test_indices_stop_at_the_first_one_out_of_range(void **state)
{
    static const uint64_t idx[] = { 0, 9, 3, 10, UINT64_C(1) << 32, 2 };
    uint8_t in4[24], in8[48];
    uint32_t out[7];
    (void)state;

    for (size_t i = 0; i < 6; i++)
        for (int b = 0; b < 8; b++) {
            in8[8 * i + (size_t)b] = (uint8_t)(idx[i] >> 8 * b);
            if (b < 4)
                in4[4 * i + (size_t)b] = (uint8_t)(idx[i] >> 8 * b);
        }
    assert_int_equal(mscope_indices_decode(in8, MSCOPE_U64, 6, 10, out), 3);
    assert_int_equal(mscope_indices_decode(in8, MSCOPE_U64, 6, 11, out), 4);
    assert_int_equal(mscope_indices_decode(in4, MSCOPE_U32, 3, 10, out), 3);
    assert_int_equal(mscope_indices_decode(in4, MSCOPE_U32, 0, 1, out), 0);
    assert_int_equal(out[1], 9);
}

static const mscope_hello hello = { .table = "embed.weight", .client = "trainer 42", .reference = "zero", .rows = 4096,
                                    .dim = 32, .capacity = 512, .acf_rows = 8, .state = MSCOPE_STATE_MIXED,
                                    .form = MSCOPE_FORM_TORCH, .nesterov = 1, .fresh = 1, .narrow = 1 };
static const mscope_welcome welcome = { .epoch = (UINT64_C(1) << 63) + 5, .next_seq = 7, .step = 300, .exact = 1,
                                        .shm = 1, .credit_messages = 64, .credit_bytes = 67108864 };
static const mscope_refusal refusal = { .code = -1, .field = "b (eps)", .value = "1.5", .range = "0..1",
                                        .text = "out of range" };

static void test_bodies_golden_and_truncated(void **state)
{
    uint8_t out[MSCOPE_HELLO_MAX], gold[MSCOPE_HELLO_MAX];
    mscope_hello h = { 0 };
    mscope_welcome w = { 0 };
    mscope_refusal r = { 0 }, why;
    int n;
    (void)state;

    n = mscope_hello_encode(&hello, out, sizeof out);
    assert_int_equal(n, golden("hello", gold, sizeof gold));
    assert_memory_equal(out, gold, (size_t)n);
    assert_int_equal(mscope_hello_decode(gold, (size_t)n, &h, &why), 0);
    assert_int_equal(mscope_hello_encode(&h, gold, sizeof gold), n);
    assert_memory_equal(out, gold, (size_t)n);
    for (int k = 0; k < n; k++) {
        assert_true(mscope_hello_decode(out, (size_t)k, &h, &why) < 0);
        assert_int_equal(mscope_hello_encode(&hello, gold, (size_t)k), MSCOPE_ENOMEM);
    }
    out[n] = 0xc0;
    assert_int_equal(mscope_hello_decode(out, (size_t)n + 1, &h, &why), MSCOPE_EPROTO);
    out[2]--;                                /* one entry less: the last, narrow, is optional */
    h.narrow = 1;
    assert_int_equal(mscope_hello_decode(out, (size_t)n - 8, &h, &why), 0);
    assert_int_equal(h.narrow, 0);
    assert_string_equal(h.table, "embed.weight");

    n = mscope_welcome_encode(&welcome, out, sizeof out);
    assert_int_equal(n, golden("welcome", gold, sizeof gold));
    assert_memory_equal(out, gold, (size_t)n);
    assert_int_equal(mscope_welcome_decode(gold, (size_t)n, &w, &why), 0);
    assert_true(w.epoch == welcome.epoch && w.credit_bytes == welcome.credit_bytes && w.exact == 1);

    n = mscope_refusal_encode(&refusal, out, sizeof out);
    assert_int_equal(n, golden("error", gold, sizeof gold));
    assert_memory_equal(out, gold, (size_t)n);
    assert_int_equal(mscope_refusal_decode(gold, (size_t)n, &r), 0);
    assert_int_equal(r.code, -1);
    assert_string_equal(r.field, "b (eps)");
}

static void test_direction_golden_and_its_ranges(void **state)
{
    static const struct {
        const char *field;
        mscope_direction d;
    } cases[] = {
#define D(...) { .values = 1, __VA_ARGS__ }
        { "values", { .values = 0 } },
        { "curvature", D(.curvature = NAN) },
        { "curvature", D(.curvature = 1e146) },
        { "product", D(.product = -1e146) },
        { "noise", D(.noise = -1e-300) },
        { "outside_curvature", D(.outside_curvature = NAN) },
        { "outside_noise", D(.outside_noise = -1) },
        { "top_share", D(.top_share = 1.0000000000000002) },
    };
    mscope_direction got, before = { .values = 7 };
    uint8_t gold[256], out[256];
    mscope_refusal why;
    size_t n = golden("direction", gold, sizeof gold);
    (void)state;

    assert_int_equal(mscope_direction_decode(gold, n, &got, &why), 0);
    assert_int_equal(got.along, MSCOPE_TANGENT);
    assert_int_equal(got.spans, MSCOPE_SPANS_ALL);
    assert_true(got.noise == 0.125 && got.outside_curvature == -0.0625 && got.top_row == 17);
    assert_int_equal(mscope_direction_encode(&got, out, sizeof out), n);
    assert_memory_equal(out, gold, n);
    got.along = 2;
    assert_int_equal(mscope_direction_encode(&got, out, sizeof out), MSCOPE_EINVAL);
    for (size_t i = 0; i < LEN(cases); i++) {
        int len = mscope_direction_encode(&cases[i].d, out, sizeof out);
        got = before;
        assert_true(len > 0);
        assert_true(mscope_direction_decode(out, (size_t)len, &got, &why) < 0);
        assert_string_equal(why.field, cases[i].field);
        assert_memory_equal(&got, &before, sizeof got);
    }
}

#pragma GCC diagnostic push
#ifdef __clang__
#pragma GCC diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic ignored "-Woverride-init"
#endif
static void test_hello_names_each_wrong_field(void **state)
{
    static const struct {
        const char *field;
        mscope_hello h;
    } cases[] = {
#define H(...) { .table = "t", .client = "c", .rows = 1, .dim = 1, .capacity = 1, __VA_ARGS__ }
        { "table", H(.table = "") },
        { "table", H(.table = "a/b") },
        { "table", H(.table = "a b") },
        { "client", H(.client = "\xff") },
        { "client", H(.client = "a\nb") },
        { "client", H(.client = "\xed\xa0\x80") },
        { "reference", H(.reference = "\xc0\x80") },
        { "rows", H(.rows = 0) },
        { "rows", H(.rows = 0x80000001u) },
        { "dim", H(.dim = 0) },
        { "dim", H(.dim = 65537) },
        { "capacity", H(.capacity = 0) },
        { "acf_rows", H(.acf_rows = 65) },
        { "step", H(.step = MSCOPE_STEP_MAX + 1) },
        { "step", H(.step = UINT64_MAX) },
    };
    uint8_t out[MSCOPE_HELLO_MAX];
    (void)state;

    for (size_t i = 0; i < LEN(cases); i++) {
        mscope_hello got = hello;
        mscope_refusal why = { 0 };
        int n = mscope_hello_encode(&cases[i].h, out, sizeof out);

        assert_true(n > 0);
        assert_int_equal(mscope_hello_decode(out, (size_t)n, &got, &why), MSCOPE_EINVAL);
        if (strcmp(why.field, cases[i].field) != 0)
            fail_msg("case %zu: %s, want %s", i, why.field, cases[i].field);
        assert_memory_equal(&got, &hello, sizeof got);
        assert_true(why.range[0] && why.text[0]);
    }
}

#pragma GCC diagnostic pop

/* Random damage to good bodies: anything but a crash or an overrun (ASan watches), and refusals carry words. */
static void test_bodies_survive_damage(void **state)
{
    uint8_t good[MSCOPE_RECORD_MAX], bad[MSCOPE_RECORD_MAX];
    size_t n = golden("record_band", good, sizeof good), h = golden("hello", bad, sizeof bad);
    mscope_record r;
    mscope_hello got;
    mscope_refusal why;
    (void)state;

    for (int k = 0; k < 20000; k++) {
        uint8_t *hb = malloc(h), *rb = malloc(n);
        assert_true(hb != NULL && rb != NULL);
        memcpy(hb, bad, h);
        memcpy(rb, good, n);
        for (unsigned j = 0; j <= rnd() % 4; j++) {
            hb[rnd() % h] = (uint8_t)rnd();
            rb[rnd() % n] = (uint8_t)rnd();
        }
        if (mscope_hello_decode(hb, h, &got, &why) < 0)
            assert_true(why.field[0] && why.text[0]);
        if (mscope_record_decode("band/name-0/5", rb, n, &r, &why) < 0)
            assert_true(why.field[0] && why.text[0]);
        free(hb);
        free(rb);
    }
}

static void test_records_golden_every_kind(void **state)
{
    static const struct {
        const char *name, *topic;
    } cases[] = { { "record_band", "band/name-0/5" },
                  { "record_table", "table/name-0" },
                  { "record_acf", "acf/name-0/5" },
                  { "record_stability", "stability/name-0" },
                  { "record_daemon", "daemon" },
                  { "record_alert", "alert" } };
    (void)state;

    for (size_t i = 0; i < LEN(cases); i++) {
        uint8_t gold[MSCOPE_RECORD_MAX], out[MSCOPE_RECORD_MAX];
        size_t n = golden(cases[i].name, gold, sizeof gold);
        char topic[MSCOPE_TOPIC_MAX];
        mscope_record r, before;
        mscope_refusal why;

        memset(&before, 0, sizeof before);
        assert_int_equal(mscope_record_decode(cases[i].topic, gold, n, &r, &why), 0);
        assert_int_equal(mscope_record_encode(&r, out, sizeof out), n);
        assert_memory_equal(out, gold, n);
        assert_int_equal(mscope_record_topic(&r, topic), strlen(cases[i].topic));
        assert_string_equal(topic, cases[i].topic);
        r = before;
        for (size_t k = 0; k < n; k++) {
            assert_true(mscope_record_decode(cases[i].topic, gold, k, &r, &why) < 0);
            assert_int_equal(mscope_record_encode(&r, out, 0), MSCOPE_ENOMEM);
        }
        assert_memory_equal(&r, &before, sizeof r);
        assert_int_equal(mscope_record_decode("band/other/5", gold, n, &r, &why), MSCOPE_EPROTO);
    }
}

static void test_records_fit_their_bound(void **state)
{
    mscope_record r;
    uint8_t out[MSCOPE_RECORD_MAX];
    (void)state;

    for (int kind = MSCOPE_REC_BAND; kind <= MSCOPE_REC_ALERT; kind++) {
        memset(&r, 0x7e, sizeof r);          /* '~' in every string, large numbers everywhere, lists over-full */
        r.kind = (enum mscope_record_kind)kind;
        int n = mscope_record_encode(&r, out, sizeof out);
        assert_true(n > 0);
        printf("# note record kind %d: at most %d of %d bytes\n", kind, n, MSCOPE_RECORD_MAX);
    }
}

static void test_metrics_table_lists_every_field(void **state)
{
    size_t n = 0;
    (void)state;

    while (mscope_metrics[n].name != NULL) {
        assert_true(mscope_metrics[n].help[0] != '\0' && mscope_metrics[n].kind[0] != '\0');
        n++;
    }
    assert_true(n > 80);
    assert_string_equal(mscope_metrics[0].record, "band");
    assert_string_equal(mscope_metrics[n - 1].name, "text");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_round_trip_and_golden),
        cmocka_unit_test(test_value_types_are_one_to_one),
        cmocka_unit_test(test_header_refuses_every_flip_and_length),
        cmocka_unit_test(test_header_names_each_wrong_field),
        cmocka_unit_test(test_header_of_another_version_is_told_apart),
        cmocka_unit_test(test_values_of_every_half_are_exact),
        cmocka_unit_test(test_values_any_alignment_and_canary),
        cmocka_unit_test(test_indices_stop_at_the_first_one_out_of_range),
        cmocka_unit_test(test_bodies_golden_and_truncated),
        cmocka_unit_test(test_direction_golden_and_its_ranges),
        cmocka_unit_test(test_hello_names_each_wrong_field),
        cmocka_unit_test(test_bodies_survive_damage),
        cmocka_unit_test(test_records_golden_every_kind),
        cmocka_unit_test(test_records_fit_their_bound),
        cmocka_unit_test(test_metrics_table_lists_every_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
