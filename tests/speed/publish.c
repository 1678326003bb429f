/* publish.c - what a publication costs the engine: 64 bands over 1 M rows, in slices between messages
 *
 * Two tables of 512 Ki rows x 4, each with rows in all 32 bands, fed through the engine as a trainer would. A
 * publication is the records of both tables and the slices of resums it grants. Checked: 64 band records each time,
 * and every total as published against a full resum of the same rows, within its own published bound and 1e-9.
 * Times are the thread's own (a busy machine interrupts for milliseconds); the longest piece by the clock is told
 * beside. One JSON object a row; --publications N (default 60). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/messages.h"
#include "daemon/slices.h"
#include "daemon/log.h"
#include "protocol/header.h"

enum { TABLES = 2, ROWS = 1 << 19, DIM = 4, QUIET = 4096, GROUP = ROWS / MSCOPE_BANDS, ACTIVE = 1024, SLOTS = 1024,
       MOST = 400 };

static mscope_engine engine;
static mscope_shadow shadows[TABLES];
static mscope_record slots[SLOTS];
static mscope_ring ring;
static mscope_outside outside;
static uint64_t longest_wall, seq = 1, steps[TABLES], seed = 88172645463325252u;
static uint32_t idx[GROUP], counts[GROUP];
static float values[GROUP * DIM];

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void say(const mscope_header *h, const mscope_part *f, size_t n)
{
    static mscope_answer answer;
    uint8_t header[MSCOPE_HEADER_LEN];
    mscope_part parts[MSCOPE_MESSAGE_PARTS] = { { header, sizeof header } };

    mscope_header_encode(h, header);
    for (size_t i = 0; i < n; i++)
        parts[i + 1] = f[i];
    mscope_engine_message(&engine, parts, n + 1, 0, &answer);
    if (answer.n == 0 || answer.at[0].header.kind == MSCOPE_ERROR) {
        fprintf(stderr, "publish: the engine refused a message\n");
        exit(1);
    }
}

static void hello(uint32_t table)
{
    mscope_hello v = {
        .client = "bench", .reference = "zero", .rows = ROWS, .dim = DIM, .capacity = GROUP, .fresh = 1
    };
    const mscope_header h = { .kind = MSCOPE_HELLO, .session = 9, .seq = seq, .table = table };
    uint8_t body[MSCOPE_HELLO_MAX];
    mscope_part f = { body, 0 };
    int n;

    (void)snprintf(v.table, sizeof v.table, "t%u", table);
    n = mscope_hello_encode(&v, body, sizeof body);
    f.len = n > 0 ? (size_t)n : 0;
    say(&h, &f, 1);
}

static void step(uint32_t table, uint32_t n, uint32_t batch)
{
    const mscope_header h = { .kind = MSCOPE_STEP, .session = 9, .seq = seq++, .table = table, .step = ++steps[table],
                              .a = 0.05, .b = 0.1, .count = n, .extra = batch, .index_type = n ? 4 : 0,
                              .value_type = n ? MSCOPE_F32 : MSCOPE_NONE, .flags = n ? MSCOPE_FLAG_COUNTS : 0 };
    const mscope_part f[3] = { { (const uint8_t *)idx, 4 * (size_t)n },
                               { (const uint8_t *)values, 4 * DIM * (size_t)n },
                               { (const uint8_t *)counts, 4 * (size_t)n } };

    for (uint32_t i = 0; i < n * DIM; i++)
        values[i] = (float)(int64_t)rnd() * 0x1p-63f;
    say(&h, f, n ? 3 : 0);
}

/* R counts about a reference, so the rows of zeros that stand for it have to arrive. */
static void reference(uint32_t table)
{
    memset(values, 0, sizeof values);
    for (uint32_t first = 0; first < ROWS; first += GROUP) {
        const mscope_header h = { .kind = MSCOPE_REFERENCE, .session = 9, .seq = seq++, .table = table,
                                  .step = steps[table], .count = GROUP, .extra = first,
                                  .value_type = MSCOPE_F32 };
        const mscope_part f = { (const uint8_t *)values, sizeof values };
        say(&h, &f, 1);
    }
}

/* A row first active after QUIET steps occurs counts/(batch QUIET) times a sample: .75 2^-b or thereabouts. */
static void fill(uint32_t table)
{
    hello(table);
    reference(table);
    for (int k = 0; k < QUIET; k++)
        step(table, 0, 1);
    for (uint32_t b = 0; b < MSCOPE_BANDS; b++) {
        double p = 0.75 * ldexp(1.0, -(int)b) * QUIET;
        uint32_t n = p >= 1.0 ? (uint32_t)(p + 0.5) : 1, batch = p >= 1.0 ? 1 : (uint32_t)(1.0 / p + 0.5);
        for (uint32_t i = 0; i < GROUP; i++) {
            idx[i] = b + MSCOPE_BANDS * i;
            counts[i] = n;
        }
        step(table, GROUP, batch);
    }
}

/* One slice of whatever waits, as the daemon's loop does it between messages. */
static uint64_t slice(void)
{
    uint64_t wall = now_ns(CLOCK_MONOTONIC), start = now_ns(CLOCK_THREAD_CPUTIME_ID), took;
    int publishing = engine.publishing;

    if (publishing)
        (void)mscope_publish_slice(&engine, wall);
    else
        mscope_resum_slice(&engine);
    took = now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
    wall = now_ns(CLOCK_MONOTONIC) - wall;
    longest_wall = wall > longest_wall ? wall : longest_wall;
    if (!publishing)
        mscope_resum_took(&engine, took);
    return took;
}

/* Records out of the ring; the totals of the last table records. */
static unsigned take_records(mscope_rec_table last[TABLES], double bound[TABLES])
{
    const mscope_record *r;
    unsigned bands = 0;

    bound[0] = bound[1] = 0;
    for (; (r = mscope_ring_peek(&ring)) != NULL; mscope_ring_release(&ring)) {
        if (r->kind == MSCOPE_REC_TABLE)
            last[r->u.table.table[1] - '0'] = r->u.table;
        if (r->kind != MSCOPE_REC_BAND)
            continue;
        bands++;
        bound[r->u.band.table[1] - '0'] += r->u.band.r_bound * r->u.band.R;
    }
    return bands;
}

static double apart(double a, double b, double bound)
{
    double d = fabs(a - b) / fabs(b);

    return fabs(a - b) > bound + 1e-12 * fabs(b) ? INFINITY : d;
}

/* Worst relative difference of R, V and C as published from those of a resum of every row. */
static double check(const mscope_rec_table last[TABLES], const double bound[TABLES])
{
    double worst = 0;

    for (int t = 0; t < TABLES; t++) {
        mscope_band b;
        double R = 0, V = 0, C = 0;
        if (mscope_table_resum(shadows[t].core) != 0)
            return INFINITY;
        for (unsigned i = 0; i <= MSCOPE_BANDS; i++)
            if (mscope_table_band(shadows[t].core, i < MSCOPE_BANDS ? i : MSCOPE_BAND_SILENT, &b) == 0) {
                R += b.R;
                V += b.V;
                C += b.C;
            }
        worst = fmax(worst, fmax(apart(last[t].R, R, bound[t]), apart(last[t].V, V, 1e-9 * V)));
        worst = fmax(worst, apart(last[t].C, C, 1e-9 * sqrt(R * V)));
    }
    return worst;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void row(const char *name, double *x, int n, double bar, const char *unit, int checked)
{
    qsort(x, (size_t)n, sizeof *x, by_value);
    printf("{\"bench\":\"publish\",\"row\":\"%s\",\"ours\":%.4g,\"peer\":%g,\"unit\":\"%s\","
           "\"peer_name\":\"the bar\",\"ratio\":%.4g,\"q25\":%.4g,\"q75\":%.4g,\"repeats\":%d,\"target\":1,"
           "\"better\":\"lower\",\"checked\":%s}\n",
           name, x[n / 2], bar, unit, x[n / 2] / bar, x[n / 4] / bar, x[3 * n / 4] / bar, n,
           checked ? "true" : "false");
}

static double total[MOST], longest[MOST], records[MOST], full[MOST], all[1 << 16];
static int slices;

static int start_engine(void)
{
    const mscope_engine_config cfg = { .max_tables = TABLES, .history = 16384, .max_bytes = UINT64_C(1) << 32,
                                       .max_part = 1 << 26, .credit_messages = 64, .credit_bytes = 1 << 26,
                                       .takeover_ns = 1000000000, .interval = 0.2 };

    (void)mscope_log_open("/dev/null", MSCOPE_LOG_ERROR);
    if (mscope_ring_init(&ring, slots, sizeof slots[0], SLOTS) != 0)
        return -1;
    mscope_engine_init(&engine, &cfg, shadows, &ring, &outside, 1, 0);
    for (uint32_t t = 0; t < TABLES; t++)
        fill(t);
    mscope_engine_publish(&engine, 0, MSCOPE_PUBLISH_ALL);
    return 0;
}

/* Slices of the resum that the publication before granted, a message between any two so that rows move; then the
 * records. Fills total (ms), records and longest (us) at k. */
static void publication(int k)
{
    double in_records = 0;

    while (mscope_resum_wanted(&engine)) {
        double took = (double)slice();
        total[k] += took;
        longest[k] = fmax(longest[k], took);
        if (slices < 1 << 16)
            all[slices++] = took / 1e3;
        for (uint32_t i = 0; i < ACTIVE; i++) {
            idx[i] = (uint32_t)(rnd() % ROWS);
            counts[i] = 1;
        }
        step((uint32_t)(rnd() % TABLES), ACTIVE, 64);
    }
    for (uint32_t t = 0; t < TABLES; t++)
        step(t, ACTIVE, 64);
    mscope_publish_begin(&engine, 0, 0, MSCOPE_PUBLISH_MOVED);
    while (engine.publishing) {
        double took = (double)slice();
        in_records += took;
        longest[k] = fmax(longest[k], took);
    }
    total[k] = (total[k] + in_records) / 1e6;
    records[k] = in_records / 1e3;
    longest[k] /= 1e3;
}

int main(int argc, char **argv)
{
    int n = argc == 3 && strcmp(argv[1], "--publications") == 0 ? atoi(argv[2]) : 60, checked = 1;
    mscope_rec_table last[TABLES];
    double bound[TABLES], worst = 0;

    if (n < 4 || n > MOST || (argc != 1 && argc != 3)) {
        fprintf(stderr, "usage: publish [--publications 4..%d]\n", MOST);
        return 2;
    }
    if (start_engine() != 0)
        return 1;
    (void)take_records(last, bound);
    for (int k = 0; k < n; k++) {
        publication(k);
        checked &= take_records(last, bound) == TABLES * MSCOPE_BANDS;
        if (k % 10 == 9) {                   /* a resum here spoils the pass under way: only now and then */
            const uint64_t start = now_ns(CLOCK_THREAD_CPUTIME_ID);
            worst = fmax(worst, check(last, bound));
            full[k / 10] = (double)(now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / 1e6;
        }
    }
    checked &= worst < 1e-9;
    row("64 bands, 1 M rows: work of a publication, slices and records", total, n, 5, "ms", checked);
    row("64 bands, 1 M rows: longest piece of a publication", longest, n, 200, "us", checked);
    row("a slice of the resum", all, slices, 200, "us", checked);
    row("records of 64 bands and 2 tables", records, n, 200 * TABLES, "us", checked);
    printf("# published totals against a resum of every row: worst %.1e; that resum takes %.3g ms; longest piece by "
           "the clock, interruptions included: %.3g ms\n", worst, full[0], (double)longest_wall / 1e6);
    (void)mscope_engine_fini(&engine);
    return checked ? 0 : 1;
}
