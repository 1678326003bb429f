/* replay.c - requests for lost records, over real sockets within the process: each gets an end, whatever it was */
#include <zmq.h>

#include "daemon/replay.h"
#include "fuzz.h"

static void *router, *dealer;
static mscope_topic topics[16];
static mscope_topics all = { .at = topics, .slots = 16 };
static mscope_replay replay;
static mscope_outside outside;

static void open_once(void)
{
    static uint8_t mem[1 << 16];
    void *const context = zmq_ctx_new();

    router = zmq_socket(context, ZMQ_ROUTER);
    dealer = zmq_socket(context, ZMQ_DEALER);
    FUZZ_HOLDS(zmq_bind(router, "inproc://replay") == 0 && zmq_connect(dealer, "inproc://replay") == 0);
    mscope_replay_init(&replay, mem, sizeof mem, router);
    mscope_topic *const t = mscope_topic_make(&all, "band/words/3");
    FUZZ_HOLDS(t != NULL);
    for (; t->next < 20; t->next++)
        mscope_replay_store(&replay, &all, t, (const uint8_t *)"record", 6);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    fuzz_input in = { bytes, len };

    if (router == NULL)
        open_once();
    const unsigned parts = (unsigned)fuzz_take(&in, 1) % 5 + 1;
    for (unsigned i = 0; i < parts; i++) {
        const size_t want = (size_t)fuzz_take(&in, 1), n = want < in.left ? want : in.left;
        FUZZ_HOLDS(zmq_send(dealer, in.at, n, i + 1 < parts ? ZMQ_SNDMORE : 0) >= 0);
        in.at += n;
        in.left -= n;
    }
    int ended = 0;
    for (int turn = 0; turn < 64 && !ended; turn++) {
        char topic[256];
        mscope_replay_serve(&replay, &all, &outside);
        for (int n; (n = zmq_recv(dealer, topic, sizeof topic, ZMQ_DONTWAIT)) >= 0;) {
            int more = 1;
            size_t size = sizeof more;
            unsigned rest = 0;
            for (; zmq_getsockopt(dealer, ZMQ_RCVMORE, &more, &size) == 0 && more; rest++)
                n = zmq_recv(dealer, topic, sizeof topic, 0);
            ended |= !mscope_replay_busy(&replay);
            FUZZ_HOLDS(rest > 0);
        }
    }
    FUZZ_HOLDS(ended && !mscope_replay_busy(&replay));
    return 0;
}
