/* pusher.c - trainers without end, for soak.py and crowd.py: many clients, many tables, sessions that come and go
 *
 *     pusher ENDPOINT [KEY=NUMBER]... [name=TEXT]
 *
 * clients (1) of tables (1) each, of rows (512) x dim (4), active (12) rows a step. rate (0): steps a second of every
 * table, 0: as many as the daemon takes. life (0): seconds after which a client leaves and, pause (0) seconds later,
 * comes again under the next of names (1) names, with fresh tables. every (10): seconds between two lines.
 *
 * Sparse least squares under dense heavy ball, float32. Prints one JSON object a line: what the clients said, and how
 * long pushes took since the line before. SIGTERM ends the training: it waits until every table is exact, prints what
 * each holds, and stays, so that the daemon's records can be compared, until its input ends.                        */
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "mscope/client.h"
#include "times.h"

typedef struct table {
    int handle;
    uint64_t steps;
    float *theta, *m, *G;
    char name[64];
} table;

typedef struct trainer {
    mscope_client *client;           /* NULL between two lives */
    table *tables;
    uint64_t lives;
    double until, from;              /* when this life ends, or the next begins */
} trainer;

typedef struct settings {
    double clients, tables, rows, dim, active, rate, life, pause, names, every, seed;
    const char *name, *endpoint;
} settings;

static settings opt = { .clients = 1, .tables = 1, .rows = 512, .dim = 4, .active = 12, .names = 1, .every = 10,
                        .seed = 1, .name = "t" };
static mscope_client_stats gone;     /* sums over the clients that have left */
static uint64_t lives, unheard;      /* unheard: clients that left before everything was acknowledged */
static volatile sig_atomic_t ended;
static uint64_t state;
static uint32_t *rows_now;
static float *grads_now;

static void end(int signal)
{
    (void)signal;
    ended = 1;
}

static uint64_t rnd(void)            /* splitmix64 */
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* One step of training; rows and gradients are left for the push. */
static void train(table *t)
{
    const size_t rows = (size_t)opt.rows, dim = (size_t)opt.dim, active = (size_t)opt.active;
    const float eta = 0.3f, eps = 0.1f;

    for (size_t i = 0; i < active; i++) {
        const double u = (double)(rnd() >> 11) * 0x1p-53;
        const uint32_t r = rows_now[i] = (uint32_t)(opt.rows * u * u * u);
        uint64_t noise = rnd();
        for (size_t k = 0; k < dim; k++, noise = noise * 6364136223846793005u + 1) {
            const float g = t->theta[r * dim + k] - (float)(r % 7) + (float)(noise >> 40) * 0x1p-24f - 0.5f;
            grads_now[i * dim + k] = g / (float)active;
        }
    }
    for (size_t i = 0; i < active; i++)
        for (size_t k = 0; k < dim; k++)
            t->G[rows_now[i] * dim + k] += grads_now[i * dim + k];
    for (size_t i = 0; i < rows * dim; i++) {
        t->m[i] = (1 - eps) * t->m[i] + eps * t->G[i];
        t->theta[i] -= eta * t->m[i];
    }
    for (size_t i = 0; i < active; i++)
        memset(t->G + rows_now[i] * dim, 0, dim * sizeof *t->G);
    t->steps++;
}

static void leave(trainer *r)
{
    mscope_client_stats s;

    if (mscope_client_flush(r->client, 2000) != 0)
        unheard++;
    mscope_client_stats_get(r->client, &s);
    gone.steps_sent += s.steps_sent;
    gone.steps_dropped += s.steps_dropped;
    gone.errors += s.errors;
    gone.reconnects += s.reconnects;
    gone.syncs += s.syncs;
    mscope_client_close(r->client, 1000);
    r->client = NULL;
    r->from = mscope_monotonic_s() + opt.pause;
}

static int come(trainer *r, size_t number)
{
    char who[64];
    const mscope_client_options options = { .endpoint = opt.endpoint, .name = who, .quiet = 1 };
    const size_t n = (size_t)(opt.rows * opt.dim);

    (void)snprintf(who, sizeof who, "%s%zu", opt.name, number);
    if (mscope_client_open(&r->client, &options) != 0)
        return -1;
    for (size_t k = 0; k < (size_t)opt.tables; k++) {
        table *const t = &r->tables[k];
        memset(t->theta, 0, n * sizeof *t->theta);
        memset(t->m, 0, n * sizeof *t->m);
        t->steps = 0;
        (void)snprintf(t->name, sizeof t->name, "%s%zu.%" PRIu64 ".%zu", opt.name, number,
                       r->lives % (uint64_t)opt.names, k);
        const mscope_attach_info info = { .table = t->name, .rows = (uint32_t)opt.rows, .dim = (uint32_t)opt.dim,
                                          .capacity = (uint32_t)opt.active, .theta = t->theta, .m = t->m, .fresh = 1 };
        if ((t->handle = mscope_client_attach(r->client, &info)) < 0)
            return -1;
    }
    r->lives++;
    lives++;
    r->until = opt.life > 0 ? mscope_monotonic_s() + opt.life : INFINITY;
    return 0;
}

/* A step of each table. At full speed a client far ahead of the daemon waits a little, outside of its pushes. */
static void round_of(trainer *r, faults_times *took)
{
    static const mscope_step step = { .eta = (double)0.3f, .eps = (double)0.1f, .batch = 1 };
    mscope_step now = step;
    mscope_client_stats s;

    now.batch = (uint32_t)opt.active;
    for (size_t k = 0; k < (size_t)opt.tables; k++) {
        table *const t = &r->tables[k];
        train(t);
        const faults_moment before = faults_now();
        (void)!mscope_client_push(r->client, t->handle, &now, rows_now, grads_now, MSCOPE_F32, NULL,
                                  (size_t)opt.active);       /* a step without room is counted by the client */
        faults_times_note(took, before, faults_now());
    }
    mscope_client_stats_get(r->client, &s);
    if (opt.rate <= 0 && s.messages_unacked > 256)
        (void)mscope_client_poll(r->client, 1);
}

static void print(const trainer *all, faults_times *took, int last)
{
    mscope_client_stats sum = gone;
    uint64_t steps = 0, here = 0, exact = 0, connected = 0;

    for (size_t i = 0; i < (size_t)opt.clients; i++) {
        mscope_client_stats s;
        if (all[i].client == NULL)
            continue;
        mscope_client_stats_get(all[i].client, &s);
        sum.steps_sent += s.steps_sent;
        sum.steps_dropped += s.steps_dropped;
        sum.errors += s.errors;
        sum.reconnects += s.reconnects;
        sum.syncs += s.syncs;
        sum.messages_unacked += s.messages_unacked;
        here++;
        exact += s.exact != 0;
        connected += s.connected != 0;
    }
    steps = sum.steps_sent + sum.steps_dropped;
    printf("{\"steps\":%" PRIu64 ",\"sent\":%" PRIu64 ",\"dropped\":%" PRIu64 ",\"unacked\":%" PRIu64
           ",\"clients\":%" PRIu64 ",\"connected\":%" PRIu64 ",\"exact\":%" PRIu64,
           steps, sum.steps_sent, sum.steps_dropped, sum.messages_unacked, here, connected, exact);
    printf(",\"syncs\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"reconnects\":%" PRIu64 ",\"lives\":%" PRIu64
           ",\"unheard\":%" PRIu64, sum.syncs, sum.errors, sum.reconnects, lives, unheard);
    printf(",");
    faults_times_print(took, "push");
    *took = (faults_times){ 0 };
    if (last) {
        const char *sep = "";
        printf(",\"tables\":{");
        for (size_t i = 0; i < (size_t)opt.clients; i++)
            for (size_t k = 0; all[i].client != NULL && k < (size_t)opt.tables; k++, sep = ",") {
                const table *const t = &all[i].tables[k];
                double V = 0;
                for (size_t j = 0; j < (size_t)(opt.rows * opt.dim); j++)
                    V += (double)t->m[j] * (double)t->m[j];
                printf("%s\"%s\":[%" PRIu64 ",%.17g]", sep, t->name, t->steps, V);
            }
        printf("}");
    }
    printf("}\n");
    (void)fflush(stdout);
}

static void heal(trainer *all)
{
    const double end_s = mscope_monotonic_s() + 30;

    for (size_t left = 1; left != 0 && mscope_monotonic_s() < end_s;) {
        left = 0;
        for (size_t i = 0; i < (size_t)opt.clients; i++)
            left += all[i].client != NULL && mscope_client_flush(all[i].client, 50) != 0;
    }
}

static int read_settings(int argc, char **argv)
{
    const struct { const char *key; double *to; } key[] = {
        { "clients", &opt.clients }, { "tables", &opt.tables }, { "rows", &opt.rows }, { "dim", &opt.dim },
        { "active", &opt.active }, { "rate", &opt.rate }, { "life", &opt.life }, { "pause", &opt.pause },
        { "names", &opt.names }, { "every", &opt.every }, { "seed", &opt.seed } };

    opt.endpoint = argc > 1 ? argv[1] : NULL;
    for (int i = 2; i < argc; i++) {
        const size_t n = strcspn(argv[i], "=");
        size_t k = 0;
        if (strncmp(argv[i], "name=", 5) == 0) {
            opt.name = argv[i] + 5;
            continue;
        }
        while (k < sizeof key / sizeof *key && (strlen(key[k].key) != n || strncmp(key[k].key, argv[i], n) != 0))
            k++;
        if (k == sizeof key / sizeof *key || argv[i][n] == '\0')
            return -1;
        *key[k].to = strtod(argv[i] + n + 1, NULL);
    }
    return argc > 1 ? 0 : -1;
}

static trainer *make(void)
{
    const size_t n = (size_t)(opt.rows * opt.dim);
    trainer *const all = calloc((size_t)opt.clients, sizeof *all);

    rows_now = calloc((size_t)opt.active, sizeof *rows_now);
    grads_now = calloc((size_t)(opt.active * opt.dim), sizeof *grads_now);
    for (size_t i = 0; all != NULL && i < (size_t)opt.clients; i++) {
        all[i].tables = calloc((size_t)opt.tables, sizeof *all[i].tables);
        for (size_t k = 0; all[i].tables != NULL && k < (size_t)opt.tables; k++) {
            float *const room = calloc(3 * n, sizeof *room);
            if (room == NULL)
                return NULL;
            all[i].tables[k] = (table){ .theta = room, .m = room + n, .G = room + 2 * n };
        }
        if (all[i].tables == NULL)
            return NULL;
    }
    return rows_now == NULL || grads_now == NULL ? NULL : all;
}

int main(int argc, char **argv)
{
    static faults_times took;
    trainer *all;

    (void)signal(SIGTERM, end);
    if (read_settings(argc, argv) != 0 || (all = make()) == NULL) {
        fprintf(stderr, "usage: pusher ENDPOINT [KEY=NUMBER]... [name=TEXT]\n");
        return 2;
    }
    state = (uint64_t)opt.seed;
    double next = mscope_monotonic_s(), line = next + opt.every;
    while (!ended) {
        double now = mscope_monotonic_s();
        for (size_t i = 0; i < (size_t)opt.clients && !ended; i++) {
            if (all[i].client == NULL && now >= all[i].from && come(&all[i], i) != 0)
                return 1;
            if (all[i].client != NULL)
                round_of(&all[i], &took);
            if (all[i].client != NULL && now >= all[i].until)
                leave(&all[i]);
        }
        if ((now = mscope_monotonic_s()) >= line) {
            print(all, &took, 0);
            line = fmax(line + opt.every, now);
        }
        next = opt.rate > 0 ? fmax(next + 1 / opt.rate, now - 1) : now;
        if (next > now)
            (void)usleep((useconds_t)((next - now) * 1e6));
    }
    heal(all);
    print(all, &took, 1);
    for (struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN }; poll(&in, 1, 20) == 0;)
        for (size_t i = 0; i < (size_t)opt.clients; i++)
            if (all[i].client != NULL)
                (void)mscope_client_poll(all[i].client, 0);
    for (size_t i = 0; i < (size_t)opt.clients; i++)
        mscope_client_close(all[i].client, 1000);
    return 0;
}
