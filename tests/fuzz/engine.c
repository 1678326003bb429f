/* engine.c - a whole engine under messages whose headers are mostly right and whose parts are anything
 *
 * An input is a list of messages. Half of the header's fields come from what would be right now, the others from the
 * input, so that inputs reach the code behind the checks. Between messages records are published and time goes on.  */
#include "engine.h"

enum { PART_MAX = 4096 };

static size_t parts_of(fuzz_input *in, mscope_part part[MSCOPE_MESSAGE_PARTS])
{
    const size_t n = (size_t)(fuzz_take(in, 1) % MSCOPE_MESSAGE_PARTS);

    for (size_t i = 1; i <= n && i < MSCOPE_MESSAGE_PARTS; i++) {
        size_t len = (size_t)fuzz_take(in, 1) * 4;
        len = len > in->left ? in->left : len;
        part[i] = (mscope_part){ in->at, len };
        in->at += len;
        in->left -= len;
    }
    return n < MSCOPE_MESSAGE_PARTS ? n + 1 : MSCOPE_MESSAGE_PARTS;
}

static void hello(fuzz_engine *f, fuzz_input *in, uint64_t seq, uint32_t handle)
{
    static uint8_t body[MSCOPE_HELLO_MAX], header[MSCOPE_HEADER_LEN];
    mscope_hello v = { .client = "fuzz", .fresh = (int)fuzz_take(in, 1) % 2, .rows = (uint32_t)fuzz_take(in, 1) + 1,
                       .dim = (uint32_t)fuzz_take(in, 1) % 9 + 1, .capacity = (uint32_t)fuzz_take(in, 1) + 1,
                       .acf_rows = (uint32_t)fuzz_take(in, 1) % 5, .step = fuzz_take(in, 1) % 3 };
    mscope_header h = { .kind = MSCOPE_HELLO, .session = 9, .seq = seq, .table = handle };
    mscope_part part[2] = { { header, sizeof header }, { body, 0 } };
    const unsigned bits = (unsigned)fuzz_take(in, 2);

    v.state = bits % 3;
    v.form = bits >> 2 & 1;
    v.nesterov = bits >> 3 & 1;
    v.nll = bits >> 4 & 1;
    if (bits >> 5 & 1)
        snprintf(v.reference, sizeof v.reference, "zeros");
    snprintf(v.table, sizeof v.table, "t%u", bits >> 6 & 3);
    const int n = mscope_hello_encode(&v, body, sizeof body);
    if (n <= 0)
        return;
    part[1].len = (size_t)n;
    mscope_header_encode(&h, header);
    (void)fuzz_engine_say(f, part, 2);
}

static void message(fuzz_engine *f, fuzz_input *in)
{
    static uint8_t header[MSCOPE_HEADER_LEN];
    const unsigned op = (unsigned)fuzz_take(in, 1), own = (unsigned)fuzz_take(in, 1);
    mscope_part part[MSCOPE_MESSAGE_PARTS] = { { header, sizeof header } };
    const uint32_t handle = op >> 4 & 3;
    uint64_t seq = 1, step = 0;

    for (size_t i = 0; i < MSCOPE_SESSIONS; i++)
        if (f->engine.sessions[i].id == 9)
            seq = f->engine.sessions[i].next;
    for (size_t i = 0; i < FUZZ_TABLES; i++)
        if (f->shadows[i].used && f->shadows[i].handle == handle)
            step = mscope_table_steps(f->shadows[i].core);
    if (op % 9 == 0) {
        hello(f, in, seq, handle);
        return;
    }
    mscope_header h = { .kind = (uint8_t)(op % 9 + 1), .session = own & 1 ? fuzz_take(in, 8) : 9,
                        .seq = own & 2 ? fuzz_take(in, 2) : seq,
                        .step = own & 4 ? fuzz_take(in, 8) : step + (op % 9 < 3),
                        .table = own & 8 ? (uint32_t)fuzz_take(in, 4) : handle };
    h.flags = (uint16_t)(own & 16 ? fuzz_take(in, 1) : 0);
    h.count = (uint32_t)fuzz_take(in, 1);
    h.extra = (uint32_t)fuzz_take(in, 1);
    h.index_type = (uint8_t)(own & 32 ? fuzz_take(in, 1) : MSCOPE_U32);
    h.value_type = (uint8_t)(own & 32 ? fuzz_take(in, 1) : MSCOPE_F32);
    h.a = own & 64 ? (double)fuzz_take(in, 8) : 0.1;
    h.b = own & 64 ? fuzz_unit(in) : 0.1;
    mscope_header_encode(&h, header);
    (void)fuzz_engine_say(f, part, parts_of(in, part));
    /* Bytes that are no header at all. */
    if (own & 128 && in->left > MSCOPE_HEADER_LEN) {
        part[0].at = in->at;
        (void)fuzz_engine_say(f, part, 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static fuzz_engine f;
    fuzz_input in = { bytes, len };

    fuzz_engine_open(&f);
    while (in.left > 0) {
        message(&f, &in);
        const uint64_t next = fuzz_take(&in, 1);
        f.now_ns += next << 22;
        if (next % 4 == 0)
            mscope_engine_publish(&f.engine, f.now_ns, next % 8 ? MSCOPE_PUBLISH_MOVED : MSCOPE_PUBLISH_ALL);
        (void)fuzz_engine_records(&f);
    }
    fuzz_engine_close(&f);
    return 0;
}
