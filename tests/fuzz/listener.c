/* listener.c - a subscriber, and whatever comes on its two sockets in whatever order
 *
 * Records of three topics and two daemons with any number, what replay answers, events of connections, parts of any
 * bytes, and time. Each record is given once, in order; received + lost = sent. */
#include "fake_zmq.h"
#include "mscope/client.h"

enum { TOPICS = 3, EPOCHS = 2 };

typedef struct heard {
    uint64_t epoch, next;
    int begun;
} heard;

static const char *const topics[TOPICS] = { "daemon", "table/words", "alert" };
static uint8_t map[TOPICS][EPOCHS][MSCOPE_RECORD_MAX];
static size_t len[TOPICS][EPOCHS];

static void fake_sent(void *socket, const void *bytes, size_t n, int more)
{
    (void)socket, (void)bytes, (void)n, (void)more;
}

static void make_records(void)
{
    for (int i = 0; i < TOPICS; i++)
        for (int e = 0; e < EPOCHS; e++) {
            static const mscope_record none;
            mscope_record r = none;
            r.kind = i == 0 ? MSCOPE_REC_DAEMON : i == 1 ? MSCOPE_REC_TABLE : MSCOPE_REC_ALERT;
            if (i == 0)
                r.u.daemon.epoch = 1 + (uint64_t)e;
            else if (i == 1)
                r.u.table.epoch = 1 + (uint64_t)e, strcpy(r.u.table.table, "words");
            else
                r.u.alert.epoch = 1 + (uint64_t)e, strcpy(r.u.alert.table, "words");
            const int n = mscope_record_encode(&r, map[i][e], sizeof map[i][e]);
            FUZZ_HOLDS(n > 0);
            len[i][e] = (size_t)n;
        }
}

static void put(fake_socket *s, const char *topic, uint64_t seq, const void *body, size_t n)
{
    uint8_t number[8];

    for (int i = 0; i < 8; i++)
        number[i] = (uint8_t)(seq >> (56 - 8 * i));
    if (s->parts + 3 > FAKE_PARTS)
        return;
    fake_put(s, topic, strlen(topic), 1);
    fake_put(s, number, sizeof number, 1);
    fake_put(s, body, n, 0);
}

static void happen(fuzz_input *in, fake_socket *live, fake_socket *replay)
{
    static const char busy[] = "\x81\xa5" "field\xa8" "requests";
    static const uint16_t events[] = { ZMQ_EVENT_CONNECTED, ZMQ_EVENT_DISCONNECTED, ZMQ_EVENT_HANDSHAKE_SUCCEEDED,
                                       ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH };
    const unsigned what = (unsigned)fuzz_take(in, 1), t = what / 16 % TOPICS, e = what / 64 % EPOCHS;

    switch (what % 16) {
    case 8: fake_put_anything(in, live); break;
    case 9: fake_put_anything(in, replay); break;
    case 10: fake_event(what & 128 ? live : replay, events[fuzz_take(in, 1) % 5], (uint32_t)-1); break;
    case 11: fake.now_ns += fuzz_take(in, 2) * 1000000; break;
    case 12: put(replay, topics[t], UINT64_MAX, busy, sizeof busy - 1); break;
    case 13:
    case 14: put(replay, topics[t], UINT64_MAX, "\x80", 1); break;
    case 5:
    case 6:
    case 7: put(replay, topics[t], fuzz_take(in, 1), map[t][e], len[t][e]); break;
    default: put(live, topics[t], fuzz_take(in, 1), map[t][e], len[t][e]); break;
    }
}

/* Everything that there is. Adds to *sent the records from the first one to the last one of each topic and daemon. */
static void take_all(mscope_subscriber *s, heard at[TOPICS + 1], uint64_t *given, uint64_t *sent)
{
    static mscope_telemetry got;
    int rc, i;

    while ((rc = mscope_subscriber_next(s, &got, 0)) != MSCOPE_EAGAIN) {
        if (rc != 0)
            continue;
        for (i = 0; i < TOPICS && strcmp(got.topic, topics[i]) != 0; i++)
            ;
        const uint64_t epoch = i == 0 ? got.record.u.daemon.epoch : i == 1 ? got.record.u.table.epoch
                                                                          : got.record.u.alert.epoch;
        const int same = at[i].begun && epoch == at[i].epoch;
        ++*given;
        FUZZ_HOLDS(!same || i == TOPICS || got.seq >= at[i].next);
        *sent += same ? got.seq + 1 - at[i].next : 1;
        at[i] = (heard){ epoch, got.seq + 1, 1 };
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    fuzz_input in = { bytes, n };
    heard at[TOPICS + 1] = { { 0 } };            /* the last one: of topics that the fuzzer made up */
    mscope_subscriber_stats stats;
    mscope_subscriber *s;
    uint64_t sent = 0, given = 0;

    if (len[0][0] == 0)
        make_records();
    fake_begin();
    FUZZ_HOLDS(mscope_subscribe(&s, "tcp://127.0.0.1:1", "tcp://127.0.0.1:2", "") == 0);
    const int past = (int)fuzz_take(&in, 1) & 1;
    if (past)
        mscope_subscriber_past(s);
    while (in.left > 0) {
        happen(&in, &fake.socket[0], &fake.socket[1]);
        if (in.left % 2 == 0)
            take_all(s, at, &given, &sent);
    }
    for (int i = 0; i < 400; i++, fake.now_ns += 50000000)       /* nobody answers any more */
        take_all(s, at, &given, &sent);
    mscope_subscriber_stats_get(s, &stats);
    FUZZ_HOLDS(stats.received >= given && stats.received - given <= stats.malformed);
    if (stats.malformed == 0 && !past && !at[TOPICS].begun)
        FUZZ_HOLDS(stats.received + stats.lost == sent);
    mscope_subscriber_close(s);
    fake.on = 0;
    return 0;
}
