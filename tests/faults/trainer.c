/* trainer.c - a trainer whose weights do not know the daemon, for tests/faults/rig.py
 *
 *     fault_trainer STEPS SEED [ENDPOINT [FORK_AT]]
 *
 * Sparse least squares: a step draws rows, their gradients depend on the weights, momentum moves every row (dense heavy
 * ball, float32). Without ENDPOINT nothing is pushed. At step FORK_AT a child leaves by exit, another one trains on by
 * itself for a while and is killed. Prints one JSON object: a digest of all weights and momenta, what the client says,
 * and how long pushes took.                                                                                         */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mscope/client.h"

enum { ROWS = 512, DIM = 4, ACTIVE = 12 };

static float theta[ROWS][DIM], m[ROWS][DIM];
static const float ETA = 0.3f, EPS = 0.1f;

static uint64_t rnd(uint64_t *state)         /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double now_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t digest(void)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < sizeof theta; i++)
        h = (h ^ ((const uint8_t *)theta)[i]) * 0x100000001b3u;
    for (size_t i = 0; i < sizeof m; i++)
        h = (h ^ ((const uint8_t *)m)[i]) * 0x100000001b3u;
    return h;
}

/* One step of training; rows and gradients are left for the push. */
static void train(uint64_t *state, uint32_t rows[ACTIVE], float grads[ACTIVE][DIM])
{
    static float G[ROWS][DIM];

    memset(G, 0, sizeof G);
    for (int i = 0; i < ACTIVE; i++) {
        const double u = (double)(rnd(state) >> 11) * 0x1p-53;
        rows[i] = (uint32_t)(ROWS * u * u * u);
        for (int k = 0; k < DIM; k++) {
            const float noise = (float)((double)(rnd(state) >> 11) * 0x1p-53 - 0.5);
            grads[i][k] = theta[rows[i]][k] - (float)(rows[i] % 7) + noise;
        }
    }
    for (int i = 0; i < ACTIVE; i++)
        for (int k = 0; k < DIM; k++)
            G[rows[i]][k] += grads[i][k] / ACTIVE;
    for (int i = 0; i < ACTIVE; i++)
        for (int k = 0; k < DIM; k++)
            grads[i][k] /= ACTIVE;
    for (int r = 0; r < ROWS; r++)
        for (int k = 0; k < DIM; k++) {
            m[r][k] = (1 - EPS) * m[r][k] + EPS * G[r][k];
            theta[r][k] -= ETA * m[r][k];
        }
}

/* Two children, as a data loader and a careless script have them. Neither may harm the parent's client. */
static void fork_children(mscope_client *c, int table)
{
    pid_t child = fork();

    if (child == 0)
        exit(0);
    (void)waitpid(child, NULL, 0);
    child = fork();
    if (child == 0) {
        const mscope_step step = { .eta = 1, .eps = 1, .batch = 1 };
        const uint32_t row = 0;
        const float g[DIM] = { 1, 1, 1, 1 };
        for (int i = 0; i < 100; i++)
            if (mscope_client_push(c, table, &step, &row, g, MSCOPE_F32, NULL, 1) != MSCOPE_EINVAL)
                abort();
        for (;;)
            (void)pause();
    }
    (void)usleep(20000);
    (void)kill(child, 9);
    (void)waitpid(child, NULL, 0);
}

static void print(const mscope_client *c, const double *took, uint64_t steps, uint64_t refused,
                  int flushed)
{
    mscope_client_stats s = { 0 };
    double most = 0, sum = 0, V = 0;
    uint64_t above = 0;

    if (c != NULL)
        mscope_client_stats_get(c, &s);
    for (uint64_t i = 0; i < steps; i++) {
        most = fmax(most, took[i]);
        sum += took[i];
        above += took[i] > 1e-3;
    }
    for (int r = 0; r < ROWS; r++)
        for (int k = 0; k < DIM; k++)
            V += (double)m[r][k] * m[r][k];
    printf("{\"digest\":\"%016" PRIx64 "\",\"V\":%.17g,\"steps\":%" PRIu64 ",\"sent\":%" PRIu64, digest(), V, steps,
           s.steps_sent);
    printf(",\"dropped\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"exact\":%d,\"flushed\":%d", s.steps_dropped, refused,
           s.exact, flushed);
    printf(",\"push_most\":%.9g,\"push_mean\":%.9g,\"push_above_1ms\":%" PRIu64 "}\n", most,
           sum / (double)steps, above);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const uint64_t steps = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    const uint64_t fork_at = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
    const mscope_client_options opt = { .endpoint = argc > 3 ? argv[3] : NULL, .name = "faults", .quiet = 1,
                                        .buffer_bytes = 1 << 20 };
    const mscope_attach_info info = { .table = "faults", .rows = ROWS, .dim = DIM, .capacity = ACTIVE,
                                      .theta = theta, .m = m, .fresh = 1 };
    const mscope_step step = { .eta = (double)ETA, .eps = (double)EPS, .batch = ACTIVE };
    double *const took = calloc(steps + 1, sizeof *took);
    mscope_client *c = NULL;
    int table = -1, flushed = 0;
    uint64_t refused = 0;

    if (steps == 0 || took == NULL || (argc > 3 && (mscope_client_open(&c, &opt) != 0 ||
                                                    (table = mscope_client_attach(c, &info)) < 0))) {
        fprintf(stderr, "usage: fault_trainer STEPS SEED [ENDPOINT [FORK_AT]]\n");
        return 2;
    }
    for (uint64_t i = 0; i < steps; i++) {
        uint32_t rows[ACTIVE];
        float grads[ACTIVE][DIM];

        train(&state, rows, grads);
        if (c == NULL)
            continue;
        const double before = now_s();
        if (mscope_client_push(c, table, &step, rows, grads, MSCOPE_F32, NULL, ACTIVE) < 0)
            refused++;                       /* no room: counted by the client too */
        took[i] = now_s() - before;
        if (i + 1 == fork_at)
            fork_children(c, table);
        if (i % 8 == 7)
            (void)usleep(1000);
    }
    for (int i = 0; c != NULL && i < 300 && !flushed; i++) {
        mscope_client_stats s;
        const int arrived = mscope_client_flush(c, 100) == 0;
        mscope_client_stats_get(c, &s);
        flushed = arrived && s.exact;
    }
    print(c, took, steps, refused, flushed);
    for (struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN }; c != NULL && poll(&in, 1, 0) == 0;)
        (void)mscope_client_poll(c, 20);     /* until the rig has read the daemon; a new one is healed meanwhile */
    mscope_client_close(c, 1000);
    free(took);
    return 0;
}
