/* zap.c - requests to the thread that lets peers in (ZAP), over a socket within the process
 *
 * Each gets one answer of six parts: 200 for the one key that is listed, in a request that is right, else 400.     */
#include <zmq.h>

#include "fuzz.h"
#include "protocol/meet/doorman.h"

static void *asks;
static mscope_doorman door;
static int told;

static void tell(void *context, enum mscope_doorman_news what, int at, const char *who, const char *why)
{
    (void)context;
    (void)at;
    told += what == MSCOPE_DOORMAN_UNLISTED && strlen(who) <= MSCOPE_KEY_LEN && why[0] != '\0';
}

/* The doorman without its thread and without the folder of keys: one peer is allowed. */
static void open_once(void)
{
    static mscope_allowed one = { .name = "gpu7" };
    uint8_t key[32];
    void *const context = zmq_ctx_new();

    memset(key, 7, sizeof key);
    mscope_key_hex(key, one.key);
    door = (mscope_doorman){ .dir = "/nowhere", .tell = tell, .allowed = &one, .n = 1, .context = context,
                             .zap = zmq_socket(context, ZMQ_REP) };
    asks = zmq_socket(context, ZMQ_DEALER);
    FUZZ_HOLDS(zmq_bind(door.zap, "inproc://zap") == 0 && zmq_connect(asks, "inproc://zap") == 0);
}

static size_t part(char *to, size_t cap)
{
    const int n = zmq_recv(asks, to, cap, ZMQ_DONTWAIT);

    FUZZ_HOLDS(n >= 0);
    return (size_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    fuzz_input in = { bytes, len };
    char text[256];
    int more = 1, parts = 0, right = 1;
    size_t size = sizeof more;

    if (asks == NULL)
        open_once();
    const unsigned n = (unsigned)fuzz_take(&in, 1) % 10 + 1;
    FUZZ_HOLDS(zmq_send(asks, "", 0, ZMQ_SNDMORE) == 0);
    for (unsigned i = 0; i < n; i++) {
        const size_t want = (size_t)fuzz_take(&in, 1), take = want < in.left ? want : in.left;
        right &= i != 5 || (take == 5 && memcmp(in.at, "CURVE", 5) == 0);
        right &= i != 6 || (take == 32 && in.at[0] == 7 && memcmp(in.at, in.at + 1, 31) == 0);
        FUZZ_HOLDS(zmq_send(asks, in.at, take, i + 1 < n ? ZMQ_SNDMORE : 0) >= 0);
        in.at += take;
        in.left -= take;
    }
    told = 0;
    mscope_doorman_answer(&door);
    for (; more; parts++) {
        const size_t got = part(text, sizeof text);
        if (parts == 3)
            FUZZ_HOLDS(got == 3 && memcmp(text, right && n == 7 ? "200" : "400", 3) == 0);
        FUZZ_HOLDS(zmq_getsockopt(asks, ZMQ_RCVMORE, &more, &size) == 0);
    }
    FUZZ_HOLDS(parts == 7 && told == !(right && n == 7));
    return 0;
}
