/* model.c - a whole engine under random message sequences, beside dense heavy ball in float64
 *
 * STEP with duplicates, counts, schedules and gaps; SYNC, SAVE and restore, publications between them. After them the
 * rows are compared, and V of the active rows. Equations: protocol/README.md 1.4, written here a second time.        */
#include <math.h>

#include <sys/mman.h>

#include "engine.h"

/* Momentum that has decayed by more than 1e-140 is flushed to 0 (core/schedule.c): nothing is said of such squares. */
static const double FLUSHED = 1e-270;

enum { ROWS = 24, DIM = 3, MOST = 12 };

static struct dense {
    double theta[ROWS][DIM], m[ROWS][DIM];
    int torch, nesterov, made, active[ROWS];
    uint64_t step;
} dense;

static fuzz_engine one, other, *now;
static uint64_t seq, compared;

static void silent_or_not(double g[ROWS][DIM], double eta, double eps, const double schedule[3])
{
    const double decay = schedule[0], decoupled = schedule[1], kept = dense.made ? 1 - schedule[2] : 1;

    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < DIM; i++) {
            double *const theta = &dense.theta[r][i], *const m = &dense.m[r][i];
            const double x = g[r][i] + decay * *theta;
            *theta *= 1 - eta * decoupled;
            if (dense.torch && eps == 1) {
                *theta -= eta * x;
                continue;
            }
            *m = (1 - eps) * *m + (dense.torch ? kept : eps) * x;
            if (dense.nesterov)
                *theta -= eta * (dense.torch ? x + (1 - eps) * *m : (1 - eps) * *m + eps * x);
            else
                *theta -= eta * *m;
        }
    dense.made |= eps != 1;
    dense.step++;
}

/* -- messages --------------------------------------------------------------------------------------------- */

static int say(mscope_header *h, mscope_part *part, size_t parts)
{
    static uint8_t header[MSCOPE_HEADER_LEN];

    h->session = 9;
    h->seq = seq;
    mscope_header_encode(h, header);
    part[0] = (mscope_part){ header, sizeof header };
    const int kind = fuzz_engine_say(now, part, parts)->header.kind;
    if (h->kind != MSCOPE_HELLO)
        seq++;
    return kind;
}

static size_t put_values(uint8_t *to, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t u;
        memcpy(&u, &x[i], 8);
        mscope_put_le(to + 8 * i, u, 8);
    }
    return 8 * n;
}

static void hello(unsigned bits)
{
    static uint8_t body[MSCOPE_HELLO_MAX];
    mscope_hello v = { .client = "fuzz", .table = "t", .fresh = 1, .rows = ROWS, .dim = DIM, .capacity = 16,
                       .acf_rows = 1, .state = MSCOPE_STATE_F64, .form = bits & 1, .nesterov = bits >> 1 & 1 };
    mscope_header h = { .kind = MSCOPE_HELLO };
    mscope_part part[2] = { { NULL, 0 }, { body, 0 } };
    const int n = mscope_hello_encode(&v, body, sizeof body);

    memset(&dense, 0, sizeof dense);
    dense.torch = v.form == MSCOPE_FORM_TORCH;
    dense.nesterov = v.nesterov;
    FUZZ_HOLDS(n > 0);
    part[1].len = (size_t)n;
    FUZZ_HOLDS(say(&h, part, 2) == MSCOPE_WELCOME);
}

static void step(fuzz_input *in)
{
    static uint8_t rows[4 * MOST], values[8 * MOST * DIM], counts[4 * MOST], three[24];
    const unsigned bits = (unsigned)fuzz_take(in, 1), n = (unsigned)fuzz_take(in, 1) % (MOST + 1);
    const uint64_t gap = bits % 16 == 0 ? fuzz_take(in, 1) : 0;
    const double eta = (double)fuzz_take(in, 1) / 512;
    const double eps = (bits >> 4 & 3) == 0 ? 1 : (double)(fuzz_take(in, 1) + 1) / 256;
    double schedule[3] = { 0, 0, 0 }, g[ROWS][DIM] = { { 0 } }, none[ROWS][DIM] = { { 0 } };
    mscope_header h = { .kind = MSCOPE_STEP, .step = dense.step + gap + 1, .a = eta, .b = eps, .count = n, .extra = 8 };
    mscope_part part[MSCOPE_MESSAGE_PARTS];
    size_t parts = 1;

    for (unsigned i = 0; i < n; i++) {
        const unsigned r = (unsigned)fuzz_take(in, 1) % ROWS;
        double x[DIM];
        for (int k = 0; k < DIM; k++)
            g[r][k] += x[k] = fuzz_unit(in);
        mscope_put_le(rows + 4 * i, r, 4);
        mscope_put_le(counts + 4 * i, i % 3 + 1, 4);
        (void)put_values(values + 8 * DIM * i, x, DIM);
        dense.active[r] = 1;
    }
    if (n > 0) {
        h.index_type = MSCOPE_U32;
        h.value_type = MSCOPE_F64;
        part[parts++] = (mscope_part){ rows, 4 * n };
        part[parts++] = (mscope_part){ values, 8 * DIM * n };
        if (bits & 64) {
            h.flags |= MSCOPE_FLAG_COUNTS;
            part[parts++] = (mscope_part){ counts, 4 * n };
        }
    }
    if (bits & 128) {
        h.flags |= MSCOPE_FLAG_SCHEDULE;
        schedule[0] = (double)fuzz_take(in, 1) / 4096;
        schedule[1] = (double)fuzz_take(in, 1) / 1024;
        schedule[2] = dense.torch && !dense.nesterov ? (double)fuzz_take(in, 1) / 256 : 0;
        (void)put_values(three, schedule, 3);
        part[parts++] = (mscope_part){ three, 24 };
    }
    FUZZ_HOLDS(say(&h, part, parts) == MSCOPE_ACK);
    for (uint64_t i = 0; i < gap; i++)
        silent_or_not(none, eta, eps, schedule);
    silent_or_not(g, eta, eps, schedule);
    compared++;
}

static void sync_rows(fuzz_input *in)
{
    static uint8_t theta[8 * ROWS * DIM], m[8 * ROWS * DIM];
    const unsigned first = (unsigned)fuzz_take(in, 1) % ROWS, n = (unsigned)fuzz_take(in, 1) % (ROWS - first) + 1;
    mscope_header h = { .kind = MSCOPE_SYNC, .step = dense.step, .count = n, .extra = first, .value_type = MSCOPE_F64 };
    mscope_part part[3] = { { NULL, 0 }, { theta, 8 * DIM * n }, { m, 8 * DIM * n } };

    for (unsigned r = first; r < first + n; r++)
        for (int i = 0; i < DIM; i++)
            dense.theta[r][i] = fuzz_unit(in), dense.m[r][i] = fuzz_unit(in);
    (void)put_values(theta, dense.theta[first], DIM * n);
    (void)put_values(m, dense.m[first], DIM * n);
    /* A chunk from the middle is taken only where the one before it ended. The model goes with the answer. */
    if (say(&h, part, 3) != MSCOPE_ACK)
        FUZZ_HOLDS(0);
}

/* A daemon that ends and another one that goes on from its state file. */
static void restart(void)
{
    fuzz_engine *const next = now == &one ? &other : &one;
    uint8_t *image;
    size_t len;

    FUZZ_HOLDS(mscope_store_image(&now->engine, &image, &len) == 0);
    fuzz_engine_open(next);
    FUZZ_HOLDS(mscope_restore_bytes(&next->engine, image, len, "FILE", now->now_ns) == 0);
    (void)munmap(image, len);
    fuzz_engine_close(now);
    now = next;
}

/* -- comparison ------------------------------------------------------------------------------------------- */

static double size_of(double x[ROWS][DIM])
{
    double most = 1;

    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < DIM; i++)
            most = fmax(most, fabs(x[r][i]));
    return most;
}

static void compare(void)
{
    static double theta[ROWS][DIM], m[ROWS][DIM];
    mscope_table *const t = now->shadows[0].core;
    double V = 0, found = 0, bound = 0;

    FUZZ_HOLDS(mscope_table_steps(t) == dense.step);
    FUZZ_HOLDS(mscope_table_rows_get(t, 0, ROWS, theta, m) == 0);
    const double near = 1e-10 * size_of(dense.theta), near_m = 1e-10 * size_of(dense.m);
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < DIM; i++) {
            FUZZ_HOLDS(fabs(theta[r][i] - dense.theta[r][i]) <= near);
            FUZZ_HOLDS(fabs(m[r][i] - dense.m[r][i]) <= near_m);
            V += dense.active[r] ? dense.m[r][i] * dense.m[r][i] : 0;
        }
    for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
        mscope_band band;
        if (mscope_table_band(t, b, &band) == 0 && band.rows > 0) {
            found += band.V;
            bound += band.V_err;
        }
    }
    const int holds = fabs(found - V) <= 1e-9 * V + bound + FLUSHED;
    if (!holds)
        dprintf(fuzz_errors, "step %llu: V %.17g, of the bands %.17g with bound %.3g\n",
                (unsigned long long)dense.step, V, found, bound);
    FUZZ_HOLDS(holds);
}

static void tell(void)
{
    dprintf(fuzz_errors, "model: %llu steps compared with dense heavy ball\n", (unsigned long long)compared);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static int told;
    fuzz_input in = { bytes, len };

    if (told++ == 0)
        (void)atexit(tell);
    now = &one;
    seq = 1;
    fuzz_engine_open(now);
    hello((unsigned)fuzz_take(&in, 1));
    while (in.left > 0) {
        const unsigned op = (unsigned)fuzz_take(&in, 1);
        if (op < 235)
            step(&in);
        else if (op < 242)
            mscope_engine_publish(&now->engine, now->now_ns += 50000000, MSCOPE_PUBLISH_ALL);
        else if (op < 250)
            compare();
        else if (op < 255)
            sync_rows(&in);
        else if (fuzz_take(&in, 1) < 16)     /* a snapshot takes as long as a thousand steps */
            restart();
        (void)fuzz_engine_records(now);
    }
    compare();
    fuzz_engine_close(now);
    return 0;
}
