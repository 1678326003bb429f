/* step.c - cost of a step in the core beside its vector work, and its growth; JSON lines for tests/speed/run
 *
 * bookkeeping  begin + apply + end of 4096 distinct rows, less the same vector work alone: the row kernel with
 *              the same rows late, and the gradients' norms, on a copy of theta and m; step by step in turn,
 *              statistics in double
 * schedule     begin + end without rows, on a table whose bands are populated and whose sweep looks at one row a step
 * flat         the whole step at 1 M rows against 100 k
 * threads      the whole step with two threads against one, on tables beyond cache; states must have the same bits
 * memory       bytes of a row beside its coordinates; resum: whole and in slices
 * Theta and m on huge pages, as the daemon has them. Checked: sampled rows against dense float64, totals against a
 * resum within their bounds, and after it against the vectors. Exit status 1 if a check fails, whatever the times.
 * Usage: step [PART ...]     bookkeeping schedule flat threads memory resum */
#include "core/kern.h"
#include "mscope/workers.h"

#include "fixture.h"

#define SLICE 8192u
#define LEAST 15                     /* the last repeats count even when they were disturbed */

/* -- bookkeeping of a row ---------------------------------------------------------------- */

typedef struct alone {               /* the same vectors once more, moved by the kernel alone */
    float *theta, *m;
    uint32_t *clock;
    const mscope_kern *kern;
    mscope_idle idle[MSCOPE_JOB_ROWS];
    mscope_kick kick;
    uint64_t late[STEP / MSCOPE_JOB_ROWS];
    double norm[STEP];
} alone;

static void open_alone(alone *a, const fixture *f)
{
    size_t bytes = (size_t)f->rows * f->dim * sizeof(float);

    a->theta = huge(bytes);
    a->m = huge(bytes);
    memcpy(a->theta, f->theta, bytes);
    memset(a->m, 0, bytes);
    a->clock = huge(f->rows * sizeof *a->clock);
    a->kern = mscope_kern_pick(NULL);
    a->kick = (mscope_kick){ 1.0, -EPS, 0.0, EPS, 0.0, -ETA, 0.0 };
    for (size_t i = 0; i < MSCOPE_JOB_ROWS; i++) {
        double beta = pow(1.0 - EPS, (double)(i + 1));

        a->idle[i] = (mscope_idle){ 1.0, 0.0, -ETA * (1.0 - beta) / EPS, 0.0, 1.0, beta - 1.0 };
    }
}

static void close_alone(alone *a, const fixture *f)
{
    munmap(a->theta, (size_t)f->rows * f->dim * sizeof(float));
    munmap(a->m, (size_t)f->rows * f->dim * sizeof(float));
    munmap(a->clock, f->rows * sizeof *a->clock);
}

/* Which rows of step k are behind it: those that were not in step k - 1. Not part of any time. */
static void note_late(alone *a, const uint32_t *rows, uint32_t k)
{
    for (uint32_t i = 0; i < STEP; i++) {
        uint64_t bit = (uint64_t)1 << i % MSCOPE_JOB_ROWS;

        a->late[i / MSCOPE_JOB_ROWS] = (i % MSCOPE_JOB_ROWS ? a->late[i / MSCOPE_JOB_ROWS] : 0) |
                                       (a->clock[rows[i]] != k ? bit : 0);
        a->clock[rows[i]] = k + 1;
    }
}

static double time_alone(alone *a, const fixture *f, const uint32_t *rows)
{
    const void *g[MSCOPE_JOB_ROWS];
    mscope_sums sums[MSCOPE_JOB_ROWS];
    mscope_job job = { a->theta, a->m, NULL, f->dim, 0, STEP, rows, g, a->idle, 0, &a->kick, sums };
    mscope_rows_fn *run = a->kern->rows[MSCOPE_STATE_F32][MSCOPE_STATISTICS_DOUBLE];
    double start = cpu_ns();

    a->kern->sumsq[0](f->g, f->dim, STEP, a->norm);
    run(&job);
    job.n = MSCOPE_JOB_ROWS;
    for (size_t k = 0; k < STEP; k += MSCOPE_JOB_ROWS) {
        for (size_t i = 0; i < MSCOPE_JOB_ROWS; i++)
            g[i] = f->g + (k + i) * f->dim;
        job.row = rows + k;
        job.known = STEP - k;
        job.late = a->late[k / MSCOPE_JOB_ROWS];
        run(&job);
    }
    return (cpu_ns() - start) / STEP;
}

static double time_step(fixture *f, const uint32_t *rows)
{
    double start = cpu_ns();

    step(f, rows, STEP, ETA, EPS);
    return (cpu_ns() - start) / STEP;
}

static int bench_bookkeeping(void)
{
    static fixture f;
    static alone a;
    static const uint32_t dims[] = { 1, 16, 64 }, tables[] = { 100000, 1000000 };
    int good = 1;

    for (size_t c = 0; c < LEN(dims) * LEN(tables) * 2; c++) {
        uint32_t dim = dims[c / 4], rows = tables[c / 2 % 2], warm = rows / STEP * 2, repeats = 201, n = 0;
        double extra[MOST_REPEATS], whole[MOST_REPEATS], vectors[MOST_REPEATS];
        char name[96], more[128];
        int zipf = (int)(c % 2), checked;

        open_table(&f, rows, dim, warm + repeats, zipf);
        open_alone(&a, &f);
        for (uint32_t k = 0; k < warm; k++)
            note_late(&a, rows_of(&f, k), k);
        warm_up(&f, warm, STEP);
        for (uint32_t i = 0; i < repeats; i++) {
            const uint32_t *now = rows_of(&f, warm + i);
            long taken = preemptions();

            note_late(&a, now, warm + i);
            a.kern->sumsq[0](f.g, dim, STEP, a.norm);            /* both find the part where a socket left it */
            if (i % 2)
                vectors[n] = time_alone(&a, &f, now);
            whole[n] = time_step(&f, now);
            if (i % 2 == 0)
                vectors[n] = time_alone(&a, &f, now);
            extra[n] = whole[n] - vectors[n];
            n += preemptions() == taken || repeats - i <= LEAST;
            dense_step(&f, now, STEP, ETA, EPS);
        }
        checked = right(&f);
        snprintf(name, sizeof name, "bookkeeping, width %u, %u k rows, %s", dim, rows / 1000,
                 zipf ? "Zipf" : "uniform");
        snprintf(more, sizeof more, ",\"whole\":%.4g,\"vector_work\":%.4g,\"kernel\":\"%s\"", quantile(whole, n, 0.5),
                 quantile(vectors, n, 0.5), a.kern->name);
        print_value("step", name, "ns/row", extra, n, 120.0, checked, more);
        good &= checked;
        close_alone(&a, &f);
        close_table(&f);
    }
    return good;
}

/* -- the schedule ------------------------------------------------------------------------ */

static int bench_schedule(void)
{
    enum { EACH = 128, REPEATS = 61 };
    static fixture f;
    int good = 1;

    for (int moving = 0; moving < 2; moving++) {
        double x[REPEATS];
        char more[64];
        unsigned bands = 0;
        size_t n = 0;
        int checked;

        open_table(&f, 8192, 16, 200, 1);        /* half the history: one row a step for the sweep */
        warm_up(&f, f.steps, 64);                /* few rows a step: they spread over the bands */
        for (uint32_t i = 0; i < REPEATS; i++) {
            long taken = preemptions();
            double start = cpu_ns();

            for (uint32_t k = 0; k < EACH; k++)
                step(&f, NULL, 0, moving ? ETA / (1.0 + 0.001 * k) : ETA, moving ? EPS + 0.001 * k : EPS);
            x[n] = (cpu_ns() - start) / EACH;
            n += preemptions() == taken || REPEATS - i <= LEAST;
            for (uint32_t k = 0; k < EACH; k++)
                dense_step(&f, NULL, 0, moving ? ETA / (1.0 + 0.001 * k) : ETA, moving ? EPS + 0.001 * k : EPS);
        }
        for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
            mscope_band band;

            bands += mscope_table_band(f.t, b, &band) == MSCOPE_OK && band.rows > 0;
        }
        checked = right(&f);
        snprintf(more, sizeof more, ",\"bands\":%u", bands);
        print_value("step", moving ? "schedule step, eta and eps moving" : "schedule step, eta and eps constant", "ns",
                    x, n, 150.0, checked, more);
        good &= checked;
        close_table(&f);
    }
    return good;
}

/* -- flat in N --------------------------------------------------------------------------- */

static int bench_flat(void)
{
    static fixture small, large;
    static versus v;
    uint32_t warm = 490, repeats = 201;
    int checked;

    open_table(&small, 100000, 64, warm + repeats, 0);
    open_table(&large, 1000000, 64, warm + repeats, 0);
    warm_up(&small, warm, STEP);
    warm_up(&large, warm, STEP);
    v.n = 0;
    for (uint32_t k = warm; k < warm + repeats; k++) {
        long taken = preemptions();
        double first = k % 2 ? time_step(&small, rows_of(&small, k)) : 0.0;
        double ours = time_step(&large, rows_of(&large, k));
        double peer = k % 2 ? first : time_step(&small, rows_of(&small, k));

        if (preemptions() == taken || warm + repeats - k <= LEAST)
            versus_add(&v, ours, peer);
        dense_step(&small, rows_of(&small, k), STEP, ETA, EPS);
        dense_step(&large, rows_of(&large, k), STEP, ETA, EPS);
    }
    checked = right(&small) & right(&large);
    print_versus("step", "flat: 4096 of 1 M rows, width 64", "ns/row", "of 100 k rows", &v, 1.3, 0, checked, "");
    close_table(&small);
    close_table(&large);
    return checked;
}

/* -- threads ----------------------------------------------------------------------------- */

static int same_state(fixture *a, fixture *b)
{
    double x[3], y[3], e[3];
    size_t bytes = (size_t)a->rows * a->dim * sizeof(float);

    totals(a, x, e);
    totals(b, y, e);
    return memcmp(x, y, sizeof x) == 0 && memcmp(a->theta, b->theta, bytes) == 0 && memcmp(a->m, b->m, bytes) == 0;
}

enum { EACH = 4 };                   /* steps of one table before the other's turn */

/* Wall time of steps k .. k + EACH - 1 with one thread, then with two. Only a repeat in which no thread of ours waited
 * for a processor counts. What a thread waited is entered when it gets one, hence the nap before looking. */
static void race(versus *v, fixture *one, fixture *two, uint32_t k)
{
    const struct timespec nap = { 0, 2000000 };
    double waited = waited_ns(), start = wall_ns(), single, both;

    for (uint32_t s = 0; s < EACH; s++)
        step(one, rows_of(one, k + s), STEP, ETA, EPS);
    single = wall_ns() - start;
    start = wall_ns();
    for (uint32_t s = 0; s < EACH; s++)
        step(two, rows_of(two, k + s), STEP, ETA, EPS);
    both = wall_ns() - start;
    nanosleep(&nap, NULL);
    if (waited >= 0.0 && waited_ns() - waited < 0.02 * both)
        versus_add(v, EACH * STEP / both * 1e3, EACH * STEP / single * 1e3);
    for (uint32_t s = 0; s < EACH; s++)
        dense_step(two, rows_of(two, k + s), STEP, ETA, EPS);
}

static int bench_threads(void)
{
    enum { REPEATS = 61 };
    static const uint32_t dims[] = { 16, 64, 256 };
    static fixture one, two;
    mscope_workers *pool;
    mscope_parallel p;
    int good = 1;

    if (mscope_workers_start(&pool, 2) != MSCOPE_OK)
        exit(2);
    p = mscope_workers_parallel(pool);
    for (size_t c = 0; c < LEN(dims); c++) {
        static versus v;
        uint32_t rows = (64u << 20) / dims[c], warm = 40;
        char name[64], more[64];
        int checked;

        open_table(&one, rows, dims[c], warm + EACH * REPEATS, 0);
        open_table(&two, rows, dims[c], warm + EACH * REPEATS, 0);
        mscope_table_parallel(two.t, &p);
        warm_up(&one, warm, STEP);
        warm_up(&two, warm, STEP);
        v.n = 0;
        for (uint32_t i = 0; i < REPEATS; i++)
            race(&v, &one, &two, warm + i * EACH);
        checked = same_state(&one, &two) & right(&two);
        snprintf(name, sizeof name, "two threads, width %u, 64 M coordinates", dims[c]);
        snprintf(more, sizeof more, ",\"disturbed\":%zu", REPEATS - v.n);
        if (v.n < LEAST)
            fprintf(stderr, "%s: no figure: the processors were busy in %zu of %d repeats; the states were %s\n", name,
                    REPEATS - v.n, REPEATS, checked ? "right" : "WRONG");
        else
            print_versus("step", name, "M rows/s", "one thread", &v, 1.7, 1, checked, more);
        good &= checked;
        close_table(&one);
        close_table(&two);
    }
    mscope_workers_stop(pool);
    return good;
}

/* -- memory and resum -------------------------------------------------------------------- */

/* Linear in rows: two sizes give the slope, a third checks it; the rest is constant and depends on history and
 * capacity. */
static int bench_memory(void)
{
    mscope_table_config cfg = { .rows = 1u << 20, .dim = 64, .capacity = STEP, .acf_rows = 8 };
    size_t a = mscope_table_mem(&cfg), b, c;
    double x[1];
    char more[64];
    int checked;

    cfg.rows *= 2;
    b = mscope_table_mem(&cfg);
    cfg.rows *= 2;
    c = mscope_table_mem(&cfg);
    x[0] = (double)(b - a) / (1 << 20) - 8.0 * cfg.dim;
    checked = c - b == 2 * (b - a);
    snprintf(more, sizeof more, ",\"constant\":%zu", a - (b - a));
    print_value("step", "memory of a row beside 8 B a coordinate", "B", x, 1, 64.0, checked, more);
    return checked;
}

static int bench_resum(void)
{
    static fixture f;
    static versus v;
    double sum[3], err[3], again[3], again_err[3], longest[MOST_REPEATS];
    uint32_t repeats = 21;
    int checked;

    open_table(&f, 1000000, 64, 500, 1);
    warm_up(&f, f.steps, STEP);
    v.n = 0;
    for (uint32_t i = 0; i < repeats; i++) {
        double start = cpu_ns(), whole, slices, last;
        int done = 0;

        step(&f, rows_of(&f, i), STEP, ETA, EPS);
        dense_step(&f, rows_of(&f, i), STEP, ETA, EPS);
        start = cpu_ns();
        if (mscope_table_resum(f.t) != MSCOPE_OK)
            return 0;
        whole = cpu_ns() - start;
        longest[i] = slices = 0.0;
        while (!done) {
            last = cpu_ns();
            done = mscope_table_resum_slice(f.t, SLICE);
            last = cpu_ns() - last;
            slices += last;
            longest[i] = fmax(longest[i], 1e-3 * last);
        }
        versus_add(&v, slices / f.rows, whole / f.rows);
    }
    totals(&f, sum, err);
    checked = mscope_table_resum(f.t) == MSCOPE_OK;
    totals(&f, again, again_err);
    for (int i = 0; i < 3; i++)              /* another order of summation */
        checked &= !off("a total from slices", sum[i], again[i], err[i] + again_err[i]);
    checked &= right(&f);
    print_versus("step", "resum of 1 M rows in slices of 8192", "ns/row", "all at once", &v, 0.0, 0, checked, "");
    print_value("step", "the longest of these slices", "us", longest, repeats, 0.0, checked, "");
    close_table(&f);
    return checked;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(void);
    } part[] = { { "bookkeeping", bench_bookkeeping }, { "schedule", bench_schedule }, { "flat", bench_flat },
                 { "threads", bench_threads }, { "memory", bench_memory }, { "resum", bench_resum } };
    int good = 1, ran = 0;

    for (size_t i = 0; i < LEN(part); i++) {
        int wanted = argc == 1;

        for (int k = 1; k < argc; k++)
            wanted |= strcmp(argv[k], part[i].name) == 0;
        if (wanted)
            good &= part[i].run();
        ran += wanted;
    }
    if (ran < (argc > 1 ? argc - 1 : 1)) {
        fprintf(stderr, "usage: step [PART ...]     bookkeeping schedule flat threads memory resum\n");
        return 2;
    }
    return !good;
}
