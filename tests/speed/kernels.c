/* kernels.c - the row kernels against a loop that only moves their bytes
 *
 * Table of 64 M coordinates (256 MB each of theta, m and reference) on huge pages, visited in steps of 4096 distinct
 * rows, uniform or Zipf. Ours: catch-up with a map of its own for every row, injection, statistics as named, by the
 * kernel a table would choose. Peer: theta += g, m += g (+ reference where it is read) by the same rows, vectorised
 * by hand, at whichever is best for it of several prefetch distances, with and without our loads of the next 64 rows
 * before them. Both read the same gradient frame. Repeats are interleaved, each on rows that neither has visited for
 * a while; the ratio is of neighbouring repeats. One JSON line a row; exit status 1 when a result differs from the
 * reference kernel's, whatever the ratios.
 * Usage: kernels [--repeats N] [--kernel NAME] [width ...] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "core/kern.h"
#include "../harness.h"

#define COORDINATES ((size_t)1 << 26)
#define STEP 4096u                   /* distinct rows in a step, and in the gradient frame */
#define MOST_REPEATS 201
#define CHECKED_JOBS 64

typedef struct bench {
    size_t dim, rows, listed, chunk; /* width, rows in the table, entries of order, rows a repeat */
    float *theta, *m, *ref, *g;
    uint32_t *order;
    size_t at;                       /* next entry of order */
    mscope_idle idle[MSCOPE_JOB_ROWS];
    mscope_kick kick;
    const mscope_kern *kern;
} bench;

static void *huge(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    (void)madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);      /* not the time of whoever else runs here */
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* -- the peer ------------------------------------------------------------------------------ */

typedef struct how_far {              /* how the peer brings rows in */
    size_t ahead;                    /* rows that a prefetch is ahead */
    int reach;                /* every 64 rows: loads from each of the next 64, as the kernels do; 2: from every line */
} how_far;

static void load(const float *p)
{
    (void)*(const volatile float *)p;
}

static void reach(const bench *b, const uint32_t *row, size_t from, size_t n, int every, int with_ref)
{
    for (size_t k = from; k < from + 64 && k < n; k++)
        for (size_t i = 0; i < (every ? b->dim : 1); i += 16) {
            load(b->theta + row[k] * b->dim + i);
            load(b->m + row[k] * b->dim + i);
            if (with_ref)
                load(b->ref + row[k] * b->dim + i);
        }
}

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx512f")))
#endif
typedef float v16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));

/* A row of 16 or more: its blocks, and the same blocks of the row `ahead` further on fetched. */
#define MOVE(name, vec, attribute)                                                                               \
    attribute static void name(const bench *b, const uint32_t *row, size_t n, how_far far, int with_ref)         \
    {                                                                                                            \
        const size_t lanes = sizeof(vec) / sizeof(float);                                                        \
                                                                                                                 \
        for (size_t k = 0; k < n; k++) {                                                                         \
            size_t here = row[k] * b->dim, next = row[k + far.ahead < n ? k + far.ahead : k] * b->dim;           \
            const float *g = b->g + k % STEP * b->dim;                                                           \
                                                                                                                 \
            if (far.reach && k % 64 == 0)                                                                        \
                reach(b, row, k + 64, n, far.reach == 2, with_ref);                                              \
            for (size_t i = 0; i < b->dim; i += lanes) {                                                         \
                vec *t = (vec *)(b->theta + here + i), *m = (vec *)(b->m + here + i), in = *(const vec *)(g + i); \
                                                                                                                 \
                if (far.ahead && i % 16 == 0) {                                                                  \
                    __builtin_prefetch(b->theta + next + i, 1);                                                  \
                    __builtin_prefetch(b->m + next + i, 1);                                                      \
                    if (with_ref)                                                                                \
                        __builtin_prefetch(b->ref + next + i);                                                   \
                }                                                                                                \
                *t += in;                                                                                        \
                if (with_ref)                                                                                    \
                    in += *(const vec *)(b->ref + here + i);                                                     \
                *m += in;                                                                                        \
            }                                                                                                    \
        }                                                                                                        \
    }
#if defined(__x86_64__)
MOVE(move_512, v16, WIDE)
#endif
MOVE(move_256, v8, )

static void move_narrow(const bench *b, const uint32_t *row, size_t n, how_far far, int with_ref)
{
    for (size_t k = 0; k < n; k++) {
        size_t here = row[k] * b->dim, next = row[k + far.ahead < n ? k + far.ahead : k] * b->dim;
        const float *g = b->g + k % STEP * b->dim;

        if (far.reach && k % 64 == 0)
            reach(b, row, k + 64, n, 0, with_ref);
        if (far.ahead) {
            __builtin_prefetch(b->theta + next, 1);
            __builtin_prefetch(b->m + next, 1);
            if (with_ref)
                __builtin_prefetch(b->ref + next);
        }
        for (size_t i = 0; i < b->dim; i++) {
            b->theta[here + i] += g[i];
            b->m[here + i] += with_ref ? g[i] + b->ref[here + i] : g[i];
        }
    }
}

static void move(const bench *b, const uint32_t *row, size_t n, how_far far, int with_ref)
{
    if (b->dim < 16)
        move_narrow(b, row, n, far, with_ref);
#if defined(__x86_64__)
    else if (__builtin_cpu_supports("avx512f"))
        move_512(b, row, n, far, with_ref);
#endif
    else
        move_256(b, row, n, far, with_ref);
}

/* -- ours ---------------------------------------------------------------------------------- */

static void update(const bench *b, const uint32_t *row, size_t n, enum mscope_statistics how, int with_ref)
{
    const void *g[MSCOPE_JOB_ROWS];
    mscope_sums sums[MSCOPE_JOB_ROWS];
    mscope_job job = { b->theta, b->m, with_ref ? b->ref : NULL, b->dim, 0, n, row, g, b->idle, UINT64_MAX, &b->kick,
                       sums };
    mscope_rows_fn *rows = b->kern->rows[MSCOPE_STATE_F32][how];

    rows(&job);
    job.n = MSCOPE_JOB_ROWS;
    for (size_t k = 0; k < n; k += MSCOPE_JOB_ROWS) {
        for (size_t i = 0; i < MSCOPE_JOB_ROWS; i++)
            g[i] = b->g + (k + i) % STEP * b->dim;
        job.row = row + k;
        job.known = n - k;
        rows(&job);
    }
}

/* Jobs here and there, again by the reference on copies of their rows: parameters, momenta and sums, bit for bit. */
static int checked(const bench *b, enum mscope_statistics how, int with_ref)
{
    size_t bytes = MSCOPE_JOB_ROWS * b->dim * sizeof(float);
    float *theta = malloc(bytes), *m = malloc(bytes), *ref = malloc(bytes);
    int same = 1;

    if (!theta || !m || !ref)
        exit(2);
    for (size_t c = 0; c < CHECKED_JOBS; c++) {
        const uint32_t *row = b->order + c * (b->listed / CHECKED_JOBS / MSCOPE_JOB_ROWS) * MSCOPE_JOB_ROWS;
        uint32_t plain[MSCOPE_JOB_ROWS];
        const void *g[MSCOPE_JOB_ROWS];
        mscope_sums ours[MSCOPE_JOB_ROWS], truth[MSCOPE_JOB_ROWS];
        mscope_job job = { b->theta, b->m, with_ref ? b->ref : NULL, b->dim, MSCOPE_JOB_ROWS, MSCOPE_JOB_ROWS, row, g,
                           b->idle, UINT64_MAX, &b->kick, ours };

        memset(ours, 0, sizeof ours);
        memset(truth, 0, sizeof truth);
        for (size_t i = 0; i < MSCOPE_JOB_ROWS; i++) {
            plain[i] = (uint32_t)i;
            g[i] = b->g + i * b->dim;
            memcpy(theta + i * b->dim, b->theta + row[i] * b->dim, b->dim * sizeof(float));
            memcpy(m + i * b->dim, b->m + row[i] * b->dim, b->dim * sizeof(float));
            memcpy(ref + i * b->dim, b->ref + row[i] * b->dim, b->dim * sizeof(float));
        }
        b->kern->rows[MSCOPE_STATE_F32][how](&job);
        job.theta = theta;
        job.m = m;
        job.ref = with_ref ? ref : NULL;
        job.row = plain;
        job.out = truth;
        mscope_kern_ref.rows[MSCOPE_STATE_F32][how](&job);
        same &= memcmp(ours, truth, sizeof ours) == 0;
        for (size_t i = 0; i < MSCOPE_JOB_ROWS; i++)
            same &= memcmp(theta + i * b->dim, b->theta + row[i] * b->dim, b->dim * sizeof(float)) == 0 &&
                    memcmp(m + i * b->dim, b->m + row[i] * b->dim, b->dim * sizeof(float)) == 0;
    }
    free(theta);
    free(m);
    free(ref);
    return same;
}

/* -- one row of the table ------------------------------------------------------------------ */

static const uint32_t *next_chunk(bench *b)
{
    const uint32_t *row = b->order + b->at;

    b->at += b->chunk;
    if (b->at + b->chunk > b->listed)
        b->at = 0;
    return row;
}

static double time_move(bench *b, how_far far, int with_ref)
{
    const uint32_t *row = next_chunk(b);
    double start = now_ns();

    move(b, row, b->chunk, far, with_ref);
    return (double)(b->chunk * b->dim) / (now_ns() - start) * 1e3;
}

static double time_update(bench *b, enum mscope_statistics how, int with_ref)
{
    const uint32_t *row = next_chunk(b);
    double start = now_ns();

    update(b, row, b->chunk, how, with_ref);
    return (double)(b->chunk * b->dim) / (now_ns() - start) * 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double quantile(double *x, size_t n, double q)
{
    qsort(x, n, sizeof *x, by_value);
    return x[(size_t)(q * (double)(n - 1) + 0.5)];
}

/* The way in which the peer is fastest, medians of nine taken in turn: each way meets the same load. */
static how_far best_way(bench *b, int with_ref)
{
    static const how_far ways[] = { { 1, 0 }, { 4, 0 }, { 8, 0 }, { 16, 0 }, { 32, 0 }, { 64, 0 },
                                    { 0, 1 }, { 4, 1 }, { 8, 1 }, { 16, 1 }, { 32, 1 }, { 0, 2 }, { 4, 2 } };
    double speed[LEN(ways)][9], most = 0.0;
    size_t best = 0;

    for (size_t k = 0; k < LEN(speed[0]); k++)
        for (size_t i = 0; i < LEN(ways); i++)
            speed[i][k] = time_move(b, ways[i], with_ref);
    for (size_t i = 0; i < LEN(ways); i++) {
        double median = quantile(speed[i], LEN(speed[0]), 0.5);

        if (median > most) {
            most = median;
            best = i;
        }
    }
    return ways[best];
}

typedef struct mode {
    const char *name;
    enum mscope_statistics how;
    int with_ref;
    double target[3];                /* width 1, 16, 64 and more; 0: none stated */
} mode;

static const mode modes[] = {
    { "no statistics", MSCOPE_STATISTICS_NONE, 0, { 0.65, 0.80, 0.90 } },
    { "statistics float", MSCOPE_STATISTICS_FLOAT, 0, { 0.50, 0.75, 0.85 } },
    { "statistics double", MSCOPE_STATISTICS_DOUBLE, 0, { 0.45, 0.65, 0.75 } },
    { "statistics float, reference", MSCOPE_STATISTICS_FLOAT, 1, { 0.70, 0.70, 0.70 } },
    { "statistics double, reference", MSCOPE_STATISTICS_DOUBLE, 1, { 0, 0, 0 } },
};

static int measure(bench *b, const char *order, const mode *how, size_t repeats)
{
    double ours[MOST_REPEATS], peer[MOST_REPEATS], ratio[MOST_REPEATS];
    double target = how->target[b->dim >= 64 ? 2 : b->dim >= 16 ? 1 : 0];
    how_far far = best_way(b, how->with_ref);
    int same = checked(b, how->how, how->with_ref);
    char stated[32] = "null";

    for (size_t i = 0; i < repeats; i++) {
        if (i % 2)
            ours[i] = time_update(b, how->how, how->with_ref);
        peer[i] = time_move(b, far, how->with_ref);
        if (i % 2 == 0)
            ours[i] = time_update(b, how->how, how->with_ref);
        ratio[i] = ours[i] / peer[i];
    }
    if (target > 0.0)
        snprintf(stated, sizeof stated, "%.2f", target);
    printf("{\"bench\":\"kernel\",\"row\":\"width %zu, %s, %s\",\"ours\":%.1f,\"peer\":%.1f,"
           "\"unit\":\"M coordinates/s\",\"peer_name\":\"gather/scatter, %zu rows ahead%s\",\"ratio\":%.3f,"
           "\"q25\":%.3f,\"q75\":%.3f,\"repeats\":%zu,\"target\":%s,\"better\":\"higher\",\"kernel\":\"%s\","
           "\"checked\":%s}\n",
           b->dim, order, how->name, quantile(ours, repeats, 0.5), quantile(peer, repeats, 0.5), far.ahead,
           far.reach ? " of loads" : "", quantile(ratio, repeats, 0.5), quantile(ratio, repeats, 0.25),
           quantile(ratio, repeats, 0.75), repeats, stated, b->kern->name, same ? "true" : "false");
    fflush(stdout);
    return same;
}

/* -- row orders ------------------------------------------------------------------------------ */

/* Ranks are scattered over the table, so that frequent rows are not neighbours. */
static uint32_t zipf_row(size_t rows)
{
    size_t rank = (size_t)exp(rng_uniform() * log((double)rows));

    return (uint32_t)((rank * 0x9e3779b1u) & (rows - 1));
}

static void list_rows(bench *b, int zipf, uint32_t *seen, uint32_t *step)
{
    for (size_t i = 0; i < b->listed; i++) {
        uint32_t row;

        if (i % STEP == 0)
            ++*step;
        do
            row = zipf ? zipf_row(b->rows) : (uint32_t)(rng_u64() >> 32) & (uint32_t)(b->rows - 1);
        while (seen[row] == *step);
        seen[row] = *step;
        b->order[i] = row;
    }
    b->at = 0;
}

static int bench_width(bench *b, size_t repeats)
{
    static const char *const names[] = { "uniform", "Zipf" };
    static uint32_t *seen, step;
    int same = 1;

    b->rows = COORDINATES / b->dim;
    /* A repeat of a millisecond or two, so that neighbours meet the same load; a round through the list touches many
     * times the cache. */
    b->chunk = b->dim <= 32 ? 16 * STEP : b->dim <= 256 ? 512 / b->dim * STEP : STEP;
    b->listed = 96 * b->chunk;
    if (seen == NULL)
        seen = huge(COORDINATES * sizeof *seen);
    b->order = huge(b->listed * sizeof *b->order);
    for (size_t i = 0; i < STEP * b->dim; i++)
        b->g[i] = (float)rng_normal();
    for (int zipf = 0; zipf < 2; zipf++) {
        list_rows(b, zipf, seen, &step);
        for (size_t i = 0; i < LEN(modes); i++)
            same &= measure(b, names[zipf], &modes[i], repeats);
    }
    munmap(b->order, b->listed * sizeof *b->order);
    return same;
}

static void fill(bench *b)
{
    rng_seed(5);
    b->theta = huge(COORDINATES * sizeof(float));
    b->m = huge(COORDINATES * sizeof(float));
    b->ref = huge(COORDINATES * sizeof(float));
    b->g = huge(STEP * 4096 * sizeof(float));
    for (size_t i = 0; i < COORDINATES; i++) {
        b->theta[i] = (float)(rng_uniform() - 0.5);
        b->m[i] = (float)(rng_uniform() - 0.5);
        b->ref[i] = (float)(rng_uniform() - 0.5);
    }
    b->kick = (mscope_kick){ 1.0, -0.01, 0.0, 0.01, 0.0, -0.1, 0.0 };
    for (size_t i = 0; i < MSCOPE_JOB_ROWS; i++) {
        double beta = pow(0.99, (double)(i + 1));

        b->idle[i] = (mscope_idle){ 1.0, 0.0, -0.1 * (1 - beta) / 0.01, 0.0, 1.0, beta - 1.0 };
    }
}

int main(int argc, char **argv)
{
    static const size_t standard[] = { 1, 16, 64, 256, 512 };
    static bench b;
    size_t widths[16], n = 0, repeats = 101;
    int same = 1;

    b.kern = mscope_kern_pick(NULL);
    for (int i = 1; i < argc; i++) {
        size_t value;

        if (strcmp(argv[i], "--kernel") == 0 && i + 1 < argc) {
            b.kern = mscope_kern_pick(argv[++i]);
            continue;
        }
        if (strcmp(argv[i], "--repeats") == 0 && i + 1 < argc) {
            repeats = strtoul(argv[++i], NULL, 10);
            continue;
        }
        value = strtoul(argv[i], NULL, 10);
        if (value < 1 || value > 4096 || (value & (value - 1)) || n == LEN(widths)) {
            fprintf(stderr, "kernels: width %s: wanted up to 16 powers of two, 1 .. 4096\n", argv[i]);
            return 2;
        }
        widths[n++] = value;
    }
    if (b.kern == NULL || repeats < 3 || repeats > MOST_REPEATS) {
        fprintf(stderr, "kernels: unknown kernel, or repeats not in 3 .. %d\n", MOST_REPEATS);
        return 2;
    }
    for (; n < LEN(standard) && argc == 1; n++)
        widths[n] = standard[n];
    if (n == 0)
        memcpy(widths, standard, (n = LEN(standard)) * sizeof *widths);
    fill(&b);
    for (size_t i = 0; i < n; i++) {
        b.dim = widths[i];
        same &= bench_width(&b, repeats);
    }
    return !same;
}
