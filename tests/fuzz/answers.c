/* answers.c - a trainer's client, and whatever a daemon answers in whatever order
 *
 * Steps, notes and resyncs of two tables, WELCOME, ACK and ERROR with any numbers, events of the connection, parts of
 * any bytes, and time. The buffer's limit holds, each step is counted once, no number is left out in what is sent, and
 * what waited for a connection goes in portions of SEND_NS. An orderly daemon at the end gets all that is
 * unacknowledged, in order. */
#include "fake_zmq.h"
#include "mscope/client.h"

enum { TABLES = 2, ROWS = 16, DIM = 4, BUFFER = 1 << 14, FREE_OF_LIMIT = 1 << 12, SEND_NS = 200000, SENDS = 3 };

static float theta[ROWS * DIM], m[ROWS * DIM];
static uint64_t session, highest, acknowledged;  /* highest: of what was sent */
static uint64_t expected;                        /* what the orderly daemon gets next; 0: it is not there */
static unsigned sent;                            /* messages of the call under way */
static int honest;                               /* the daemon has acknowledged nothing that was not sent */
static int inside;                               /* a message: its header has been sent, more parts follow */

static void fake_sent(void *socket, const void *bytes, size_t len, int more)
{
    mscope_header h;

    (void)socket;
    const int first = !inside;
    inside = more;
    if (!first)
        return;
    FUZZ_HOLDS(mscope_header_decode(bytes, len, &h, NULL) == 0);
    session = h.session;
    if (h.kind == MSCOPE_HELLO)
        return;
    FUZZ_HOLDS(!honest || h.seq <= highest + 1);
    FUZZ_HOLDS(expected == 0 || h.seq == expected++);
    sent++;
    highest = h.seq > highest ? h.seq : highest;
}

static void answer(fake_socket *s, const mscope_header *h, const uint8_t *body, int len)
{
    uint8_t head[MSCOPE_HEADER_LEN];

    mscope_header_encode(h, head);
    if (len < 0 || s->parts + 2 > FAKE_PARTS)
        return;
    fake_put(s, head, sizeof head, len > 0);
    if (len > 0)
        fake_put(s, body, (size_t)len, 0);
}

/* A number of what was sent, mostly; what a daemon consumed it has received. */
static uint64_t number(fuzz_input *in)
{
    const unsigned how = (unsigned)fuzz_take(in, 1);
    const uint64_t n = how < 8 ? fuzz_take(in, 8) : how < 128 ? highest : highest - (how < 192 ? 1 : fuzz_take(in, 1));

    honest &= n <= highest;
    acknowledged = n > acknowledged ? n : acknowledged;
    return n;
}

static void welcome(fuzz_input *in, fake_socket *s, uint32_t table)
{
    uint8_t body[MSCOPE_HELLO_MAX];
    const unsigned how = (unsigned)fuzz_take(in, 1);
    const mscope_welcome w = { .epoch = 1 + how % 2, .next_seq = number(in) + 1, .step = fuzz_take(in, 1),
                               .credit_messages = how & 2 ? 64 : fuzz_take(in, 1),
                               .credit_bytes = how & 4 ? 1 << 16 : fuzz_take(in, 3), .exact = how >> 3 & 1,
                               .shm = how >> 4 & 1 };
    const mscope_header h = { .kind = MSCOPE_WELCOME, .session = session, .table = table };

    answer(s, &h, body, mscope_welcome_encode(&w, body, sizeof body));
}

static void refuse(fuzz_input *in, fake_socket *s, uint32_t table)
{
    static const int codes[] = { MSCOPE_EINVAL, MSCOPE_EBUSY, MSCOPE_EGAP, MSCOPE_ENOMEM, MSCOPE_ESTATE };
    uint8_t body[MSCOPE_HELLO_MAX];
    const unsigned how = (unsigned)fuzz_take(in, 1);
    const mscope_refusal why = { .code = codes[how % 5], .field = "field", .value = "1", .range = "2", .text = "" };
    const mscope_header h = { .kind = MSCOPE_ERROR, .session = how & 128 ? 0 : session, .table = table,
                              .seq = number(in), .step = fuzz_take(in, 1) };

    answer(s, &h, body, mscope_refusal_encode(&why, body, sizeof body));
}

static void acknowledge(fuzz_input *in, fake_socket *s, uint32_t table)
{
    const unsigned how = (unsigned)fuzz_take(in, 1);
    const mscope_header h = { .kind = MSCOPE_ACK, .session = session, .table = table, .seq = number(in),
                              .count = how & 1 ? 64 : (uint32_t)fuzz_take(in, 4),
                              .flags = how & 2 ? MSCOPE_FLAG_INEXACT : 0 };

    answer(s, &h, NULL, 0);
}

static void orderly_daemon(mscope_client *c, fake_socket *s)
{
    static const mscope_welcome none;
    mscope_client_stats stats;
    uint8_t body[MSCOPE_HELLO_MAX];

    s->parts = 0;
    s->monitor->parts = 0;
    fake.tick_ns = 0;
    fake_event(s, ZMQ_EVENT_DISCONNECTED, (uint32_t)-1);
    (void)mscope_client_poll(c, 0);
    expected = acknowledged + 1;
    fake_event(s, ZMQ_EVENT_CONNECTED, (uint32_t)-1);
    fake_event(s, ZMQ_EVENT_HANDSHAKE_SUCCEEDED, 0);
    for (int i = 0; i < 100; i++, fake.now_ns += 100000000) {
        (void)mscope_client_poll(c, 0);
        for (uint32_t table = 0; i == 0 && table < TABLES; table++) {
            const mscope_header h = { .kind = MSCOPE_WELCOME, .session = session, .table = table };
            mscope_welcome w = none;
            w.epoch = 3;
            w.next_seq = expected;
            w.credit_messages = 64;
            w.credit_bytes = 1 << 16;
            answer(s, &h, body, mscope_welcome_encode(&w, body, sizeof body));
        }
        const mscope_header ack = { .kind = MSCOPE_ACK, .session = session, .seq = expected - 1, .count = 64 };
        if (i > 0 && expected > acknowledged + 1)
            answer(s, &ack, NULL, 0);
    }
    mscope_client_stats_get(c, &stats);
    FUZZ_HOLDS(stats.messages_unacked == 0);
}

/* Returns steps that the client has counted. */
static uint64_t train(fuzz_input *in, mscope_client *c, int table)
{
    static const mscope_step step = { .eta = 0.1, .eps = 0.5, .batch = 8 };
    static const float grads[ROWS * DIM];
    uint32_t rows[ROWS];
    const size_t n = (size_t)fuzz_take(in, 1) % ROWS;

    for (size_t i = 0; i < n; i++)
        rows[i] = (uint32_t)(i * fuzz_take(in, 1) % ROWS);
    return mscope_client_push(c, table, &step, rows, grads, MSCOPE_F32, NULL, n) != MSCOPE_EINVAL || n > 0;
}

static uint64_t happen(fuzz_input *in, mscope_client *c, fake_socket *s)
{
    static const uint16_t events[] = { ZMQ_EVENT_CONNECTED, ZMQ_EVENT_HANDSHAKE_SUCCEEDED, ZMQ_EVENT_DISCONNECTED,
                                       ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL };
    const unsigned what = (unsigned)fuzz_take(in, 1);
    const int table = (int)(what / 16 % TABLES);

    switch (what % 16) {
    case 0: welcome(in, s, (uint32_t)table + (what > 250)); break;
    case 1:
    case 2: acknowledge(in, s, (uint32_t)table + (what > 250)); break;
    case 3: refuse(in, s, (uint32_t)table + (what > 250)); break;
    case 4: fake_put_anything(in, s); break;
    case 5: fake_event(s, events[fuzz_take(in, 1) % 4], (uint32_t)-1); break;
    case 6:
        fake_event(s, ZMQ_EVENT_CONNECTED, (uint32_t)-1);
        fake_event(s, ZMQ_EVENT_HANDSHAKE_SUCCEEDED, 0);
        break;
    case 7: fake.now_ns += fuzz_take(in, 2) * 1000000; break;
    case 8: (void)mscope_client_resync(c, table); break;
    case 9: (void)!mscope_client_note(c, table, "words"); break;
    case 10: return mscope_client_skip(c, table) == 1;
    case 11:
        (void)mscope_client_poll(c, (int)(fuzz_take(in, 1) % 4));
        sent = 0;                                /* it goes on for as long as it was told to wait */
        break;
    case 12: fake.tick_ns = fuzz_take(in, 1) * 1000; break;
    default: return train(in, c, table);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const mscope_client_options options = { .endpoint = "tcp://127.0.0.1:1", .name = "fuzz", .quiet = 1,
                                                   .buffer_bytes = BUFFER, .transport = MSCOPE_TRANSPORT_ZMQ };
    fuzz_input in = { bytes, len };
    mscope_client_stats stats;
    mscope_client *c;
    uint64_t steps = 0;

    fake_begin();
    session = highest = acknowledged = expected = 0;
    honest = 1;
    inside = 0;
    FUZZ_HOLDS(mscope_client_open(&c, &options) == 0);
    for (int i = 0; i < TABLES; i++) {
        const mscope_attach_info info = { .table = i == 0 ? "words" : "more", .rows = ROWS, .dim = DIM,
                                          .capacity = ROWS, .theta = theta, .m = i == 0 ? m : NULL };
        FUZZ_HOLDS(mscope_client_attach(c, &info) == i);
    }
    while (in.left > 0) {
        sent = 0;
        steps += happen(&in, c, &fake.socket[0]);
        FUZZ_HOLDS(fake.tick_ns == 0 || sent <= SENDS * (SEND_NS / fake.tick_ns + 2));
        mscope_client_stats_get(c, &stats);
        FUZZ_HOLDS(stats.bytes_unacked <= BUFFER + FREE_OF_LIMIT);
        FUZZ_HOLDS(stats.steps_sent + stats.steps_dropped == steps);
    }
    if (honest)
        orderly_daemon(c, &fake.socket[0]);
    expected = 0;
    mscope_client_close(c, 0);
    fake.on = 0;
    return 0;
}
