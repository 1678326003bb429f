/* path_latency.c - time from a received part to its record at a subscriber, against a raw PUB and SUB
 *
 * Ours: the engine is handed a STEP (noted by --wrap) and publishes after each; a SUB on another context reads the
 * table's record of that step; 64 rows of width 32 in a step. Raw: a PUB sends three parts of the same sizes, a SUB
 * reads them. Both ipc, one message every few milliseconds, alternating. The second pass has two busy processes
 * beside. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include <sys/wait.h>
#include <unistd.h>

#include <zmq.h>

#include "daemon/messages.h"
#include "mscope/client.h"
#include "path.h"

enum { ROWS = 4096, DIM = 32, ACTIVE = 64, GAP_US = 3000, MOST = 4000, BODY = 700 };

static _Atomic uint64_t received_ns;

void __real_mscope_engine_message(mscope_engine *e, const mscope_part *parts, size_t n, uint64_t now_ns,
                                  mscope_answer *out);
void __wrap_mscope_engine_message(mscope_engine *e, const mscope_part *parts, size_t n, uint64_t now_ns,
                                  mscope_answer *out);

void __wrap_mscope_engine_message(mscope_engine *e, const mscope_part *parts, size_t n, uint64_t now_ns,
                                  mscope_answer *out)
{
    atomic_store(&received_ns, wall_ns());
    __real_mscope_engine_message(e, parts, n, now_ns, out);
}

static void *subscriber(void *ctx, const char *endpoint, const char *topic)
{
    void *s = zmq_socket(ctx, ZMQ_SUB);
    const int none = 0;

    NEED(s != NULL && zmq_setsockopt(s, ZMQ_LINGER, &none, sizeof none) == 0);
    NEED(zmq_setsockopt(s, ZMQ_SUBSCRIBE, topic, strlen(topic)) == 0 && zmq_connect(s, endpoint) == 0);
    return s;
}

/* One three-part message; the bytes of its body, -1: nothing came in time. */
static int receive(void *sub, uint8_t *body, size_t cap, int wait_ms)
{
    zmq_pollitem_t item = { sub, 0, ZMQ_POLLIN, 0 };
    uint8_t head[128];

    if (zmq_poll(&item, 1, wait_ms) <= 0)
        return -1;
    NEED(zmq_recv(sub, head, sizeof head, 0) > 0 && zmq_recv(sub, head, sizeof head, 0) == 8);
    return zmq_recv(sub, body, cap, 0);
}

typedef struct sides {
    void *context, *pub, *raw_sub, *sub;
    mscope_client *client;
    int table;
    uint64_t step;
    uint32_t rows[ACTIVE];
    float g[ACTIVE * DIM];
} sides;

static double once_ours(sides *s)
{
    const mscope_step step = { .eta = 0.1, .eps = 0.1, .batch = 32 };
    uint8_t body[MSCOPE_RECORD_MAX];
    mscope_record r;
    mscope_refusal why;

    NEED(mscope_client_push(s->client, s->table, &step, s->rows, s->g, MSCOPE_F32, NULL, ACTIVE) == 0);
    s->step++;
    for (;;) {
        int n = receive(s->sub, body, sizeof body, 5000);
        uint64_t now = wall_ns();
        NEED(n > 0 && mscope_record_decode("table/t", body, (size_t)n, &r, &why) == 0);
        NEED(r.u.table.step <= s->step);
        if (r.u.table.step == s->step)       /* older: a repeat for a change of state */
            return (double)(now - atomic_load(&received_ns)) / 1e3;
    }
}

static double once_raw(sides *s)
{
    static uint8_t body[BODY], got[BODY];
    uint64_t from = wall_ns();

    memcpy(body, &from, sizeof from);
    NEED(zmq_send(s->pub, "table/t", 7, ZMQ_SNDMORE) == 7 && zmq_send(s->pub, body, 8, ZMQ_SNDMORE) == 8);
    NEED(zmq_send(s->pub, body, sizeof body, 0) == BODY);
    NEED(receive(s->raw_sub, got, sizeof got, 5000) == BODY && memcmp(got, body, sizeof body) == 0);
    return (double)(wall_ns() - from) / 1e3;
}

/* Quantiles over all records; quartiles of their ratio over five parts of the run. */
static void report(const char *load, double *ours, double *raw, unsigned n)
{
    enum { PARTS = 5 };
    static const double at[] = { 0.5, 0.99, 1.0 };
    static const char *const names[] = { "p50", "p99", "max" };
    double ratio[3][PARTS];

    for (unsigned part = 0; part < PARTS; part++)
        for (int i = 0; i < 3; i++)
            ratio[i][part] = quantile(ours + part * (n / PARTS), n / PARTS, at[i]) /
                             quantile(raw + part * (n / PARTS), n / PARTS, at[i]);
    for (int i = 0; i < 3; i++) {
        double a = quantile(ours, n, at[i]), b = quantile(raw, n, at[i]);
        printf("{\"bench\":\"path\",\"row\":\"telemetry latency %s, %s\",\"ours\":%.1f,\"peer\":%.1f,\"unit\":\"us\","
               "\"peer_name\":\"raw ipc PUB/SUB one-way\",\"ratio\":%.3f,\"q25\":%.3f,\"q75\":%.3f,\"repeats\":%u,"
               "\"target\":%s,\"better\":\"lower\",\"checked\":true}\n", names[i], load, a, b, a / b,
               quantile(ratio[i], PARTS, 0.25), quantile(ratio[i], PARTS, 0.75), n,
               i < 2 && strcmp(load, "idle") == 0 ? "2.0" : "null");
    }
    fflush(stdout);
}

static void measure(sides *s, const char *load, unsigned records)
{
    static double ours[MOST], raw[MOST];

    for (unsigned i = 0; i < records + 50; i++) {
        double a, b;
        (void)usleep(GAP_US);
        a = once_ours(s);
        (void)usleep(GAP_US);
        b = once_raw(s);
        if (i >= 50) {                       /* the first ones warm up */
            ours[i - 50] = a;
            raw[i - 50] = b;
        }
    }
    report(load, ours, raw, records);
}

int path_latency(unsigned records)
{
    static sides s;
    path_daemon d;
    char raw[96];
    const mscope_attach_info info = {
        .table = "t", .rows = ROWS, .dim = DIM, .capacity = ACTIVE, .form = MSCOPE_FORM_EMA, .fresh = 1
    };
    pid_t busy[2];

    records = records < MOST ? records : MOST;
    path_daemon_start(&d, 0, 1);
    (void)snprintf(raw, sizeof raw, "ipc://%s/raw", d.dir);
    s.context = zmq_ctx_new();
    s.pub = zmq_socket(s.context, ZMQ_PUB);
    NEED(zmq_bind(s.pub, raw) == 0);
    void *other = zmq_ctx_new();
    s.raw_sub = subscriber(other, raw, "table/");
    s.sub = subscriber(other, d.telemetry, "table/");
    const mscope_client_options opt = { .endpoint = d.ingest, .block_ms = 5000 };
    NEED(mscope_client_open(&s.client, &opt) == 0 && (s.table = mscope_client_attach(s.client, &info)) >= 0);
    for (uint32_t i = 0; i < ACTIVE; i++)
        s.rows[i] = i * 13 % ROWS;
    for (uint32_t i = 0; i < ACTIVE * DIM; i++)
        s.g[i] = (float)(i % 7) - 3;
    NEED(mscope_client_flush(s.client, 5000) == 0);
    (void)usleep(300000);                    /* subscriptions arrive */
    measure(&s, "idle", records);
    for (int i = 0; i < 2; i++)
        if ((busy[i] = fork()) == 0)
            for (;;)
                ;
    measure(&s, "two busy processes beside", records);
    for (int i = 0; i < 2; i++) {
        (void)kill(busy[i], SIGKILL);
        (void)waitpid(busy[i], NULL, 0);
    }
    mscope_client_close(s.client, 1000);
    zmq_close(s.pub);
    zmq_close(s.sub);
    zmq_close(s.raw_sub);
    zmq_ctx_term(s.context);
    zmq_ctx_term(other);
    (void)unlink(raw + 6);
    path_daemon_stop(&d);
    return 0;
}
