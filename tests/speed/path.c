/* path.c - from the trainer to the applied row, against raw libzmq moving and reading the same parts
 *
 * Four receivers, each a process of its own, fed by this one with the same parts in interleaved repeats:
 *   raw    a ROUTER that adds up every word of header, indices and values; window and copies as ours
 *   ipc    the daemon, every row applied by the core        shm   the same through shared memory
 *   sink   the daemon's end of shared memory without its core: every body is copied out, its words are added up
 * beside the core alone, on the same parts in memory. Checked: the words' sums; the daemon's sum of |m|^2 against a
 * table of our own; every step applied. Then the trainer's time inside push, and the telemetry's latency.
 * Usage: path [--repeats N] [--records N] */
#include <math.h>
#include <signal.h>
#include <stdatomic.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <zmq.h>

#include "daemon/inbox.h"
#include "daemon/shm.h"
#include "daemon/log.h"
#include "daemon/sockets.h"
#include "protocol/shm.h"
#include "mscope/client.h"
#include "path.h"

enum { KINDS = 8, MOST = 64 };
enum { RAW, IPC, SHM, SINK, CORE, MODES };

typedef struct shared {                  /* between the receivers and this process */
    _Atomic uint64_t words, parts;
    _Atomic int ready;
    path_daemon at;
} shared;

typedef struct load {
    uint32_t rows, dim, n;
    unsigned parts;                     /* in a repeat */
    uint32_t *index[KINDS];
    float *value[KINDS];
} load;

static const mscope_step schedule = { .eta = 0.01, .eps = 0.1, .batch = 64 };

static uint64_t sum_words(const void *p, size_t bytes)
{
    const uint32_t *w = p;
    uint64_t part[8] = { 0 };

    for (size_t i = 0; i + 8 <= bytes / 4; i += 8)
        for (int l = 0; l < 8; l++)
            part[l] += w[i + (size_t)l];
    for (size_t i = bytes / 32 * 8; i < bytes / 4; i++)
        part[0] += w[i];
    return part[0] + part[1] + part[2] + part[3] + part[4] + part[5] + part[6] + part[7];
}

/* -- receivers -------------------------------------------------------------------------------- */

static void raw_receiver(shared *s)
{
    void *ctx = zmq_ctx_new(), *r = zmq_socket(ctx, ZMQ_ROUTER);
    uint8_t id[256];

    (void)snprintf(s->at.dir, sizeof s->at.dir, "/tmp/mscope-raw-XXXXXX");
    NEED(mkdtemp(s->at.dir) != NULL);
    (void)snprintf(s->at.ingest, sizeof s->at.ingest, "ipc://%s/i", s->at.dir);
    NEED(zmq_bind(r, s->at.ingest) == 0);
    atomic_store(&s->ready, 1);
    for (uint64_t k = 1;; k++) {
        int more = 1, len = zmq_recv(r, id, sizeof id, 0);
        size_t size = sizeof more;
        uint64_t words = 0;
        while (more) {
            zmq_msg_t m;
            (void)zmq_msg_init(&m);
            (void)zmq_msg_recv(&m, r, 0);
            words += sum_words(zmq_msg_data(&m), zmq_msg_size(&m));
            (void)zmq_msg_close(&m);
            (void)zmq_getsockopt(r, ZMQ_RCVMORE, &more, &size);
        }
        atomic_fetch_add(&s->words, words);
        atomic_store(&s->parts, k);
        (void)zmq_send(r, id, (size_t)len, ZMQ_SNDMORE);
        (void)zmq_send(r, &k, sizeof k, 0);
    }
}

static void daemon_receiver(shared *s)
{
    path_daemon d;

    path_daemon_start(&d, 0.2, 0);
    s->at = d;
    atomic_store(&s->ready, 1);
    for (;;)
        (void)pause();
}

/* One message of the sink: STEPs through shared memory are read as the daemon reads them; the engine takes
 * all other messages. */
static void sink_message(shared *s, mscope_engine *e, void *router, uint8_t *scratch)
{
    zmq_msg_t part[3];
    mscope_part f[3];
    mscope_header h = { 0 };
    mscope_shm_descriptor w;
    mscope_answer a = { 0 };
    uint8_t head[MSCOPE_HEADER_LEN];
    unsigned n = 0;
    int more = 1;
    size_t size = sizeof more;

    for (; more && n < 3; n++) {
        (void)zmq_msg_init(&part[n]);
        NEED(zmq_msg_recv(&part[n], router, 0) >= 0);
        f[n] = (mscope_part){ zmq_msg_data(&part[n]), zmq_msg_size(&part[n]) };
        (void)zmq_getsockopt(router, ZMQ_RCVMORE, &more, &size);
    }
    NEED(!more && mscope_header_decode(f[1].at, f[1].len, &h, NULL) == 0);
    if (h.kind == MSCOPE_STEP) {
        NEED(mscope_shm_descriptor_decode(f[2].at, f[2].len, &w, NULL) == 0);
        for (unsigned i = 0; i < MSCOPE_SHM_PLACES; i++)
            if (e->shm[i].at != NULL && e->shm[i].id == w.shm) {
                NEED(mscope_shm_descriptor_check(&w, e->shm[i].len, NULL) == 0);
                for (unsigned k = 0; k < w.parts; k++)
                    for (size_t at = 0, piece; at < w.part[k].len; at += piece) {
                        piece = w.part[k].len - at < 4096 ? w.part[k].len - at : 4096;
                        memcpy(scratch + at, e->shm[i].at + w.part[k].offset + at, piece);
                        atomic_fetch_add_explicit(&s->words, sum_words(scratch + at, piece), memory_order_relaxed);
                    }
            }
        atomic_fetch_add(&s->parts, 1);
        a.n = 1;
        a.at[0].header = (mscope_header){ .kind = MSCOPE_ACK, .session = h.session, .seq = h.seq, .count = 64 };
    } else {
        mscope_engine_message(e, f + 1, n - 1, wall_ns(), &a);
    }
    for (unsigned i = 0; i < a.n; i++) {
        mscope_header_encode(&a.at[i].header, head);
        (void)zmq_send(router, f[0].at, f[0].len, ZMQ_SNDMORE);
        (void)zmq_send(router, head, sizeof head, a.at[i].body_len ? ZMQ_SNDMORE : 0);
        if (a.at[i].body_len)
            (void)zmq_send(router, a.at[i].body, a.at[i].body_len, 0);
    }
    for (unsigned i = 0; i < n; i++)
        (void)zmq_msg_close(&part[i]);
}

static void sink_receiver(shared *s)
{
    static mscope_engine e;
    static mscope_shadow shadows[2];
    static mscope_record slots[64];
    static mscope_ring ring;
    static mscope_outside outside;
    static mscope_options o = { .max_part = 1 << 26 };
    const mscope_engine_config cfg = { .max_tables = 2, .history = 1024, .max_bytes = 1 << 30, .max_part = 1 << 26,
                                       .credit_messages = 64, .credit_bytes = 1 << 26, .takeover_ns = 10000000000u };
    mscope_sockets sockets;
    mscope_shm_server shm;
    uint8_t *scratch = malloc(1 << 24);

    (void)snprintf(s->at.dir, sizeof s->at.dir, "/tmp/mscope-sink-XXXXXX");
    NEED(scratch != NULL && mkdtemp(s->at.dir) != NULL);
    (void)snprintf(s->at.ingest, sizeof s->at.ingest, "ipc://%s/i", s->at.dir);
    (void)snprintf(o.ingest, sizeof o.ingest, "ipc://%s/i", s->at.dir);
    (void)snprintf(o.telemetry, sizeof o.telemetry, "ipc://%s/t", s->at.dir);
    (void)snprintf(o.replay, sizeof o.replay, "ipc://%s/r", s->at.dir);
    (void)mscope_log_open("/dev/null", MSCOPE_LOG_ERROR);
    NEED(mscope_sockets_open(&sockets, &o) == 0 && mscope_ring_init(&ring, slots, sizeof slots[0], 64) == 0);
    mscope_engine_init(&e, &cfg, shadows, &ring, &outside, 1, wall_ns());
    NEED(mscope_shm_server_init(&shm, &e, sockets.shm) == 0);
    atomic_store(&s->ready, 1);
    for (;;) {
        zmq_pollitem_t item[2] = { { sockets.ingest, 0, ZMQ_POLLIN, 0 }, { NULL, shm.epoll, ZMQ_POLLIN, 0 } };
        NEED(zmq_poll(item, 2, -1) >= 0);
        if (item[1].revents)
            mscope_shm_server_serve(&shm, wall_ns());
        for (int more = item[0].revents; more;) {
            size_t size = sizeof more;
            sink_message(s, &e, sockets.ingest, scratch);
            (void)zmq_getsockopt(sockets.ingest, ZMQ_EVENTS, &more, &size);
            more &= ZMQ_POLLIN;
        }
    }
}

/* -- this side -------------------------------------------------------------------------------- */

typedef struct side {
    shared *with;
    pid_t pid;
    void *ctx, *sock;                    /* raw */
    mscope_client *client;
    int table;
    mscope_table *core;
    void *mem;
    uint64_t sent, expected;
} side;

static void raw_send(side *s, const load *l, unsigned k, unsigned window)
{
    static uint8_t header[MSCOPE_HEADER_LEN];
    const void *from[2] = { l->index[k], l->value[k] };
    const size_t len[2] = { l->n * 4, (size_t)l->n * l->dim * 4 };
    uint64_t acked;

    NEED(zmq_send(s->sock, header, sizeof header, ZMQ_SNDMORE) >= 0);
    for (int i = 0; i < 2; i++) {
        zmq_msg_t m;
        NEED(zmq_msg_init_size(&m, len[i]) == 0);
        memcpy(zmq_msg_data(&m), from[i], len[i]);
        NEED(zmq_msg_send(&m, s->sock, i == 0 ? ZMQ_SNDMORE : 0) >= 0);
    }
    s->sent++;
    acked = atomic_load(&s->with->parts);
    while (s->sent - acked >= window)
        NEED(zmq_recv(s->sock, &acked, sizeof acked, 0) == sizeof acked);
    while (zmq_recv(s->sock, &acked, sizeof acked, ZMQ_DONTWAIT) > 0)
        ;
}

/* One repeat: every part sent, and done with at the other end. Seconds. */
static double repeat(side *s, const load *l, int mode)
{
    uint64_t from = wall_ns();

    for (unsigned i = 0; i < l->parts; i++) {
        unsigned k = (unsigned)(s->expected++ % KINDS);
        if (mode == RAW) {
            raw_send(s, l, k, 16 << 20 > l->n * (l->dim + 1) * 64 ? 64 : 16);
        } else if (mode == CORE) {
            NEED(mscope_table_step_begin(s->core, &schedule) == 0);
            NEED(mscope_table_apply(s->core, l->index[k], l->value[k], NULL, l->n) == 0);
            NEED(mscope_table_step_end(s->core) == 0);
        } else
            NEED(mscope_client_push(s->client, s->table, &schedule, l->index[k], l->value[k], MSCOPE_F32, NULL, l->n) ==
                 0);
    }
    if (mode == RAW)
        while (atomic_load(&s->with->parts) < s->sent) {
            uint64_t acked;
            NEED(zmq_recv(s->sock, &acked, sizeof acked, 0) == sizeof acked);
        }
    else if (mode != CORE)
        NEED(mscope_client_flush(s->client, 20000) == 0);
    return (double)(wall_ns() - from) / 1e9;
}

static void start(side *s, int mode, const load *l)
{
    void (*const run[])(shared *) = { raw_receiver, daemon_receiver, daemon_receiver, sink_receiver };

    memset(s, 0, sizeof *s);
    if (mode == CORE)
        return;
    s->with = mmap(NULL, sizeof *s->with, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    NEED(s->with != MAP_FAILED);
    s->pid = fork();
    NEED(s->pid >= 0);
    if (s->pid == 0) {
        run[mode](s->with);
        _exit(0);
    }
    (void)l;
}

static void join(side *s, int mode, const load *l)
{
    const mscope_table_config cfg = { .rows = l->rows, .dim = l->dim, .capacity = l->n, .history = 8192 };
    const mscope_attach_info info = { .table = "t", .rows = l->rows, .dim = l->dim, .capacity = l->n,
                                      .form = MSCOPE_FORM_EMA, .fresh = 1 };
    const int hwm = 0;

    if (mode == CORE) {
        s->mem = aligned_alloc(1 << 21, (mscope_table_mem(&cfg) + (1 << 21)) & ~(size_t)((1 << 21) - 1));
        NEED(s->mem != NULL);
        (void)madvise(s->mem, mscope_table_mem(&cfg), MADV_HUGEPAGE);        /* as the daemon does */
        NEED(mscope_table_init(&s->core, &cfg, s->mem, mscope_table_mem(&cfg)) == 0);
        return;
    }
    while (!atomic_load(&s->with->ready))
        (void)usleep(1000);
    if (mode == RAW) {
        s->ctx = zmq_ctx_new();
        s->sock = zmq_socket(s->ctx, ZMQ_DEALER);
        NEED(zmq_setsockopt(s->sock, ZMQ_LINGER, &hwm, sizeof hwm) == 0 &&
             zmq_connect(s->sock, s->with->at.ingest) == 0);
        return;
    }
    const mscope_client_options opt = { .endpoint = s->with->at.ingest, .block_ms = 20000, .buffer_bytes = 16 << 20,
                                        .transport = mode == IPC ? MSCOPE_TRANSPORT_ZMQ : MSCOPE_TRANSPORT_SHM };
    NEED(mscope_client_open(&s->client, &opt) == 0 && (s->table = mscope_client_attach(s->client, &info)) >= 0);
    NEED(mscope_client_flush(s->client, 10000) == 0);
}

/* The daemon's V of the last step, as published. */
static double published(const side *s)
{
    mscope_subscriber *sub;
    mscope_telemetry m;
    uint64_t until = wall_ns() + 10000000000u;

    NEED(mscope_subscribe(&sub, s->with->at.telemetry, NULL, "table/t") == 0);
    do
        NEED(wall_ns() < until);
    while (mscope_subscriber_next(sub, &m, 100) != 0 || m.record.u.table.step != s->expected);
    mscope_subscriber_close(sub);
    NEED(m.record.u.table.lost_steps == 0 && m.record.u.table.exact);
    return m.record.u.table.V;
}

static int check(const side *s, int mode, const load *l, double V)
{
    uint64_t words = 0, every[KINDS];

    if (mode == IPC || mode == SHM)
        return fabs(published(s) / V - 1) < 1e-9;
    for (unsigned k = 0; k < KINDS; k++)
        every[k] = sum_words(l->index[k], l->n * 4) + sum_words(l->value[k], (size_t)l->n * l->dim * 4);
    for (uint64_t i = 0; i < s->expected; i++)
        words += every[i % KINDS];
    return atomic_load(&s->with->words) == words && atomic_load(&s->with->parts) == s->expected;
}

static void finish(side *s, int mode)
{
    char command[128];

    if (mode == CORE) {
        free(s->mem);
        return;
    }
    if (s->client != NULL)
        mscope_client_close(s->client, 0);
    if (s->sock != NULL) {
        zmq_close(s->sock);
        zmq_ctx_term(s->ctx);
    }
    (void)kill(s->pid, SIGKILL);
    (void)waitpid(s->pid, NULL, 0);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", s->with->at.dir);
    NEED(system(command) == 0);
    (void)munmap(s->with, sizeof *s->with);
}

static int report(const char *what, const load *l, double (*t)[MOST], int a, int b, unsigned n, const char *target,
                  int checked)
{
    static const char *const names[] = { "raw libzmq ROUTER/DEALER", "", "", "", "the core alone" };
    double ratio[MOST], ours[MOST], peer[MOST], bytes = (double)l->parts * l->n * (l->dim + 1) * 4;

    for (unsigned i = 0; i < n; i++) {
        ours[i] = bytes / t[a][i] / 1e9;
        peer[i] = bytes / t[b][i] / 1e9;
        ratio[i] = ours[i] / peer[i];
    }
    printf("{\"bench\":\"path\",\"row\":\"%s, parts of %u KB, width %u\",\"ours\":%.3f,\"peer\":%.3f,\"unit\":\"GB/s\","
           "\"peer_name\":\"%s\",\"ratio\":%.3f,\"q25\":%.3f,\"q75\":%.3f,\"repeats\":%u,\"target\":%s,"
           "\"better\":\"higher\",\"checked\":%s}\n", what, (l->n * (l->dim + 1) * 4 + 512) / 1024, l->dim,
           quantile(ours, n, 0.5), quantile(peer, n, 0.5), names[b], quantile(ratio, n, 0.5), quantile(ratio, n, 0.25),
           quantile(ratio, n, 0.75), n, target, checked ? "true" : "false");
    fflush(stdout);
    return checked ? 0 : 1;
}

static int throughput(uint32_t dim, size_t bytes, unsigned repeats)
{
    static double t[MODES][MOST];
    load l = { .rows = (1u << 22) / dim, .dim = dim, .n = (uint32_t)(bytes / (4 * (dim + 1))) };
    side s[MODES];
    int ok[MODES], bad = 0;
    double V = 0;
    mscope_band b;
    uint64_t r = 88172645463325252u;

    l.parts = (unsigned)((48 << 20) / bytes);
    for (int k = 0; k < KINDS; k++) {
        NEED((l.index[k] = malloc(l.n * 4)) != NULL && (l.value[k] = malloc((size_t)l.n * dim * 4)) != NULL);
        for (size_t i = 0; i < (size_t)l.n * dim; i++) {
            r = r * 6364136223846793005u + 1442695040888963407u;
            l.value[k][i] = (float)((double)(r >> 40) / 8388608.0 - 1.0);
            if (i < l.n)
                l.index[k][i] = (uint32_t)((r >> 32) % l.rows);
        }
    }
    for (int m = 0; m < MODES; m++)
        start(&s[m], m, &l);
    for (int m = 0; m < MODES; m++)
        join(&s[m], m, &l);
    for (unsigned i = 0; i <= repeats; i++)
        for (int m = 0; m < MODES; m++)
            t[m][i > 0 ? i - 1 : 0] = repeat(&s[m], &l, m);      /* the first, which warms up, is overwritten */
    for (unsigned i = 0; i < MSCOPE_BANDS; i++)
        V += mscope_table_band(s[CORE].core, i, &b) == 0 ? b.V : 0;
    for (int m = 0; m < CORE; m++)
        ok[m] = check(&s[m], m, &l, V);
    ok[CORE] = 1;
    bad += report("ingest, every row applied", &l, t, IPC, RAW, repeats, "0.9", ok[IPC] && ok[RAW]);
    bad += report("ingest through shared memory, every row applied", &l, t, SHM, RAW, repeats, "null",
                  ok[SHM] && ok[RAW]);
    bad += report("ingest, every row applied, of what the core can do", &l, t, IPC, CORE, repeats, "null", ok[IPC]);
    bad += report("shared memory, every row applied, of what the core can do", &l, t, SHM, CORE, repeats, "null",
                  ok[SHM]);
    bad += report("shared memory, moved and read", &l, t, SINK, RAW, repeats, bytes > 1 << 19 ? "3.0" : "null",
                  ok[SINK] && ok[RAW]);
    for (int m = 0; m < MODES; m++)
        finish(&s[m], m);
    for (int k = 0; k < KINDS; k++) {
        free(l.index[k]);
        free(l.value[k]);
    }
    return bad;
}

/* Time on the trainer's thread inside push, one every few milliseconds as a trainer would. */
static int trainer(uint32_t n, enum mscope_transport shm)
{
    enum { STEPS = 300, DIM = 128, ROWS = 20000 };
    static double us[STEPS];
    shared *with;
    side s;
    load l = { .rows = ROWS, .dim = DIM, .n = n };
    uint32_t *rows = malloc(n * 4);
    float *g = malloc((size_t)n * DIM * 4);
    mscope_client_stats stats;

    NEED(rows != NULL && g != NULL);
    start(&s, shm == MSCOPE_TRANSPORT_ZMQ ? IPC : SHM, &l);
    join(&s, shm == MSCOPE_TRANSPORT_ZMQ ? IPC : SHM, &l);
    with = s.with;
    for (uint32_t i = 0; i < n; i++)
        rows[i] = (uint32_t)(i * 7919u % ROWS);
    for (unsigned k = 0; k < STEPS; k++) {
        for (size_t i = 0; i < (size_t)n * DIM; i++)
            g[i] = (float)(i % 17) - 8 + (float)k;               /* as fresh from a backward pass */
        (void)usleep(5000);
        uint64_t from = wall_ns();
        NEED(mscope_client_push(s.client, s.table, &schedule, rows, g, MSCOPE_F32, NULL, n) == 0);
        us[k] = (double)(wall_ns() - from) / 1e3;
        s.expected++;
    }
    NEED(mscope_client_flush(s.client, 10000) == 0);
    mscope_client_stats_get(s.client, &stats);
    NEED(with == s.with && stats.steps_sent == STEPS && stats.steps_dropped == 0);
    printf("{\"bench\":\"path\",\"row\":\"time in push, %u rows x %u, %s\",\"ours\":%.1f,\"peer\":null,\"unit\":\"us\","
           "\"peer_name\":\"none\",\"ratio\":%.1f,\"q25\":%.1f,\"q75\":%.1f,\"max\":%.1f,\"repeats\":%d,\"target\":150,"
           "\"better\":\"lower\",\"checked\":true}\n",
           n, DIM, shm == MSCOPE_TRANSPORT_ZMQ ? "ipc" : "shm", quantile(us, STEPS, 0.5), quantile(us, STEPS, 0.5),
           quantile(us, STEPS, 0.25), quantile(us, STEPS, 0.75), quantile(us, STEPS, 1), STEPS);
    fflush(stdout);
    finish(&s, IPC);
    free(rows);
    free(g);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned repeats = 7, records = 500;
    int bad = 0;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--repeats") == 0)
            repeats = (unsigned)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--records") == 0)
            records = (unsigned)strtoul(argv[i + 1], NULL, 10);
    }
    NEED(repeats >= 1 && repeats <= MOST && records >= 10);
    for (unsigned i = 0; i < 4; i++)
        bad += throughput(i % 2 ? 512 : 64, i / 2 ? 1 << 20 : 1 << 16, repeats);
    for (unsigned i = 0; i < 4; i++)
        bad += trainer(i / 2 ? 6144 : 1024, i % 2 ? MSCOPE_TRANSPORT_SHM : MSCOPE_TRANSPORT_ZMQ);
    bad += path_latency(records);
    return bad ? 1 : 0;
}
