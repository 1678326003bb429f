/* trainer.c - a trainer whose weights do not know the daemon, for tests/faults/rig.py and kills.py
 *
 *     trainer --steps N --seed S --table ROWSxDIM [--table ..] [--dense] [--reference] [--endpoint E]
 *             [--fork-at K] [--log FILE]
 *
 * The tables of table.h, a step of each in turn. Without --endpoint nothing is pushed. With --steps 0 it trains until a
 * line comes on stdin, as fast as the daemon takes the steps, and at its own speed while there is none. After step K of
 * the first table a child leaves by exit, another one trains on by itself for a while and is killed. --log: the sums
 * after each of the last steps, for whoever maps the file. Prints one JSON object at the end: a digest of all weights
 * and momenta, what the client says, how long steps and pushes took. Then it waits for the end of stdin. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mscope/client.h"
#include "table.h"
#include "times.h"

#define BUFFER (8u << 20)
enum { TABLES = 8, LOGGED = 1 << 22 };

typedef struct logged {                      /* of one step, at step % LOGGED                              */
    _Atomic uint64_t step;                   /* 0 while it is being written                                */
    faults_sums sums;
} logged;

typedef struct trainer {
    uint64_t steps, seed, fork_at;
    const char *endpoint, *log;
    int dense, reference, tables;
    uint32_t shape[TABLES][2];
    faults_table table[TABLES];
    int handle[TABLES];
    logged *at[TABLES];
    mscope_client *client;
    uint64_t refused;
    faults_times step, own, push;            /* own: the part of a step without the client */
} trainer;

static int fail(const char *what)
{
    fprintf(stderr, "trainer: %s; see the first lines of trainer.c for its options\n", what);
    return 2;
}

static int add_table(trainer *t, const char *shape)
{
    uint32_t rows, dim;
    int n;

    if (t->tables == TABLES || sscanf(shape, "%" SCNu32 "x%" SCNu32 "%n", &rows, &dim, &n) != 2 || shape[n] != '\0' ||
        rows < 2 * ROWS_A_STEP || dim == 0)
        return -1;
    t->shape[t->tables][0] = rows;
    t->shape[t->tables++][1] = dim;
    return 0;
}

static int options(trainer *t, int argc, char **argv)
{
    static const struct option known[] = {
        { "steps", 1, NULL, 'n' }, { "seed", 1, NULL, 's' }, { "table", 1, NULL, 't' }, { "reference", 0, NULL, 'r' },
        { "dense", 0, NULL, 'd' },
        { "endpoint", 1, NULL, 'e' }, { "fork-at", 1, NULL, 'f' }, { "log", 1, NULL, 'l' }, { NULL, 0, NULL, 0 } };
    int o;

    while ((o = getopt_long(argc, argv, "", known, NULL)) != -1)
        switch (o) {
        case 'n': t->steps = strtoull(optarg, NULL, 10); break;
        case 's': t->seed = strtoull(optarg, NULL, 10); break;
        case 'f': t->fork_at = strtoull(optarg, NULL, 10); break;
        case 'e': t->endpoint = optarg; break;
        case 'l': t->log = optarg; break;
        case 'd': t->dense = 1; break;
        case 'r': t->reference = 1; break;
        case 't':
            if (add_table(t, optarg) != 0)
                return fail("--table wants ROWSxDIM, up to eight times");
            break;
        default: return fail("an option that it does not know");
        }
    return t->tables == 0 ? fail("--table is missing") : 0;
}

static int open_log(trainer *t)
{
    const size_t each = LOGGED * sizeof(logged), len = each * (size_t)t->tables;
    const int fd = open(t->log, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char *base = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, (off_t)len) == 0)
        base = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        (void)close(fd);
    for (int i = 0; base != MAP_FAILED && i < t->tables; i++)
        t->at[i] = (logged *)(void *)(base + each * (size_t)i);
    return base == MAP_FAILED ? -1 : 0;
}

static int attach(trainer *t, int i)
{
    faults_table *x = &t->table[i];
    char name[16];
    mscope_attach_info info = { .table = name, .rows = x->rows, .dim = x->dim, .capacity = ENTRIES, .fresh = 1,
                                .reference = x->ref != NULL ? "random numbers" : NULL };

    (void)snprintf(name, sizeof name, "faults%d", i);
    if (x->clock != NULL) {
        info.read = faults_table_read;
        info.read_ctx = x;
    } else {
        info.theta = x->theta;
        info.m = x->m;
    }
    t->handle[i] = mscope_client_attach(t->client, &info);
    if (t->handle[i] < 0)
        return -1;
    return x->ref != NULL ? mscope_client_reference(t->client, t->handle[i], 0, x->rows, x->ref, MSCOPE_F32) : 0;
}

static int set_up(trainer *t)
{
    const mscope_client_options opt = { .endpoint = t->endpoint, .name = "faults", .quiet = 1, .buffer_bytes = BUFFER };

    for (int i = 0; i < t->tables; i++)
        if (faults_table_make(&t->table[i], t->shape[i][0], t->shape[i][1], t->seed + (uint64_t)i, t->dense,
                              t->reference) != 0)
            return -1;
    if (t->log != NULL && open_log(t) != 0)
        return -1;
    if (t->endpoint == NULL)
        return 0;
    if (mscope_client_open(&t->client, &opt) != 0)
        return -1;
    for (int i = 0; i < t->tables; i++)
        if (attach(t, i) != 0)
            return -1;
    return 0;
}

/* Two children, as a data loader and a careless script have them. Neither may harm the parent's client. */
static void fork_children(trainer *t)
{
    const faults_table *x = &t->table[0];
    pid_t child = fork();

    if (child == 0)
        exit(0);
    (void)waitpid(child, NULL, 0);
    child = fork();
    if (child == 0) {
        const mscope_step step = { .eta = 1, .eps = 1, .batch = 1 };
        for (int i = 0; i < 100; i++)
            if (mscope_client_push(t->client, t->handle[0], &step, x->row, x->grad, MSCOPE_F32, NULL, 1) !=
                MSCOPE_EINVAL)
                abort();
        for (;;)
            (void)pause();
    }
    (void)usleep(20000);
    (void)kill(child, 9);
    (void)waitpid(child, NULL, 0);
}

/* What the client was about in a push that took long by its own doing. */
static void tell_long(const trainer *t, faults_moment from, faults_moment to)
{
    mscope_client_stats s;

    mscope_client_stats_get(t->client, &s);
    fprintf(stderr, "trainer: a push took %.2f ms, %.2f on a processor, %.2f of them in the kernel, %ld page faults, "
            "%ld waits: daemon %" PRIu64 ", connected %d, "
            "shm %d, exact %d, %" PRIu64 " syncs, %" PRIu64 " resent, %" PRIu64 " bytes unacknowledged\n",
            1e3 * (to.wall - from.wall), 1e3 * (to.cpu - from.cpu), 1e3 * (to.kernel - from.kernel),
            to.faulted - from.faulted, to.gave_up - from.gave_up, s.reconnects,
            s.connected, s.shm, s.exact, s.syncs, s.messages_resent, s.bytes_unacked);
}

static void one_step(trainer *t, int i)
{
    static const mscope_step step = { .eta = FAULTS_ETA, .eps = FAULTS_EPS, .batch = ENTRIES };
    faults_table *x = &t->table[i];
    const faults_moment begin = faults_now();

    faults_table_train(x);
    if (t->at[i] != NULL) {                  /* before the push: the daemon may publish at once */
        logged *l = &t->at[i][x->step % LOGGED];
        atomic_store(&l->step, 0);
        l->sums = faults_table_sums(x);
        atomic_store(&l->step, x->step);
    }
    if (t->client != NULL) {
        const faults_moment before = faults_now();
        (void)faults_times_note(&t->own, begin, before);
        if (mscope_client_push(t->client, t->handle[i], &step, x->row, x->grad, MSCOPE_F32, NULL, ENTRIES) < 0)
            t->refused++;
        const faults_moment after = faults_now();
        if (faults_times_note(&t->push, before, after))
            tell_long(t, before, after);
    }
    (void)faults_times_note(&t->step, begin, faults_now());
}

static int stdin_has(void)
{
    struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };

    return poll(&in, 1, 0) != 0;
}

/* Without an end: not faster than a daemon that is there takes it, since steps that are dropped test nothing. */
static void pace(trainer *t, uint64_t done)
{
    mscope_client_stats s;

    if (t->steps > 0 || t->client == NULL) {
        if (done % 8 == 0)
            (void)usleep(1000);
        return;
    }
    for (int i = 0; i < 100; i++) {
        mscope_client_stats_get(t->client, &s);
        if (!s.connected || s.bytes_unacked < BUFFER / 4)
            return;
        (void)mscope_client_poll(t->client, 1);
    }
}

static void train(trainer *t)
{
    for (uint64_t n = 1; t->steps > 0 ? n <= t->steps : n % 256 != 0 || !stdin_has(); n++) {
        for (int i = 0; i < t->tables; i++)
            one_step(t, i);
        if (n == t->fork_at && t->client != NULL)
            fork_children(t);
        pace(t, n);
    }
}

static int flushed(trainer *t)
{
    mscope_client_stats s = { 0 };

    for (int i = 0; t->client != NULL && i < 300; i++) {
        const int arrived = mscope_client_flush(t->client, 100) == 0;
        mscope_client_stats_get(t->client, &s);
        if (arrived && s.exact)
            return 1;
    }
    return 0;
}

static void print(const trainer *t, int flush_done)
{
    mscope_client_stats s = { 0 };
    uint64_t h = 0xcbf29ce484222325u;

    if (t->client != NULL)
        mscope_client_stats_get(t->client, &s);
    for (int i = 0; i < t->tables; i++)
        h = faults_table_digest(&t->table[i], h);
    printf("{\"digest\":\"%016" PRIx64 "\",\"tables\":[", h);
    for (int i = 0; i < t->tables; i++) {
        const faults_sums u = faults_table_sums(&t->table[i]);
        printf("%s{\"step\":%" PRIu64 ",\"R\":%.17g,\"V\":%.17g,\"C\":%.17g}", i > 0 ? "," : "", t->table[i].step, u.R,
               u.V, u.C);
    }
    printf("],\"sent\":%" PRIu64 ",\"dropped\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"resent\":%" PRIu64, s.steps_sent,
           s.steps_dropped, t->refused, s.messages_resent);
    printf(",\"syncs\":%" PRIu64 ",\"reconnects\":%" PRIu64 ",\"exact\":%d,\"flushed\":%d,", s.syncs, s.reconnects,
           s.exact, flush_done);
    faults_times_print(&t->step, "step");
    printf(",");
    faults_times_print(&t->own, "own");
    printf(",");
    faults_times_print(&t->push, "push");
    printf("}\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static trainer t;
    int status = options(&t, argc, argv);
    char line[64];

    if (status != 0)
        return status;
    faults_times_skip_stops();
    if (set_up(&t) != 0)
        return fail("no memory, no log file, or no client");
    train(&t);
    if (t.steps == 0 && read(STDIN_FILENO, line, sizeof line) < 0)
        return fail("no stdin");
    print(&t, flushed(&t));
    while (t.client != NULL && !stdin_has())
        (void)mscope_client_poll(t.client, 20);      /* until it was read; a new daemon is healed meanwhile */
    mscope_client_close(t.client, 1000);
    for (int i = 0; i < t.tables; i++)
        faults_table_free(&t.table[i]);
    return 0;
}
