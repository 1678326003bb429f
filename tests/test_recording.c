/* test_recording.c - the workload recording: the recorded schedule gives the recorded rows, another schedule what the
 * trainer would have done wherever the model is exact, and damaged contents are refused one by one */
#include "harness.h"

#include <unistd.h>

#include "bench/schedules.h"
#include "bench/workloads/recording.h"

extern const mscope_workload mscope_workload_recording;

#define SEED 20260722

enum { ROWS = 60, DIM = 5, BATCH = 8, STEPS = 400, CAPACITY = 16 };

/* -- a trainer that records itself ------------------------------------------------------------------------------ */

/* Every sample pulls its row to a centre of its own with curvature h; gradients are means over the batch. */
typedef struct trainer {
    mscope_tape_writer *tape;
    mscope_table *table;
    void *mem;
    mscope_hello hello;
    uint64_t seq, step;
    double h, unseen;
    int probe_every, counts;
} trainer;

static char path[128];

static void send(trainer *t, mscope_header *h, const void *const *body, const size_t *len, unsigned n)
{
    zmq_msg_t part[5];
    uint8_t head[MSCOPE_HEADER_LEN];

    h->session = 11;
    h->seq = h->kind == MSCOPE_HELLO ? 1 : ++t->seq;
    mscope_header_encode(h, head);
    for (unsigned i = 0; i <= n; i++) {
        const size_t size = i == 0 ? sizeof head : len[i - 1];
        assert_int_equal(zmq_msg_init_size(&part[i], size), 0);
        memcpy(zmq_msg_data(&part[i]), i == 0 ? head : body[i - 1], size);
    }
    assert_int_equal(mscope_tape_append(t->tape, part, n + 1), 0);
    for (unsigned i = 0; i <= n; i++)
        (void)zmq_msg_close(&part[i]);
}

static void send_rows(trainer *t, double *theta, double *m)
{
    mscope_header h = {
        .kind = MSCOPE_SYNC, .step = t->step, .count = ROWS, .flags = MSCOPE_FLAG_LAST, .value_type = MSCOPE_F64
    };
    const void *body[2] = { theta, m };
    const size_t len[2] = { ROWS * DIM * sizeof *theta, ROWS * DIM * sizeof *m };

    send(t, &h, body, len, 2);
}

static void begin(trainer *t, int form, int state, int nesterov)
{
    static int n;
    mscope_table_config cfg = { .rows = ROWS, .dim = DIM, .state = (enum mscope_state)state,
                                .form = (enum mscope_form)form, .nesterov = nesterov, .capacity = CAPACITY };
    mscope_header h = { .kind = MSCOPE_HELLO };
    mscope_refusal why;
    uint8_t map[MSCOPE_HELLO_MAX];

    (void)snprintf(path, sizeof path, "/tmp/momentscope-recording-%ld-%d", (long)getpid(), n++);
    assert_int_equal(mscope_tape_create(&t->tape, path, 64 << 20, &why), 0);
    t->table = new_table(&cfg, &t->mem);
    t->hello = (mscope_hello){ .table = "words", .client = "test", .rows = ROWS, .dim = DIM, .capacity = CAPACITY,
                               .state = state, .form = form, .nesterov = nesterov };
    const int bytes = mscope_hello_encode(&t->hello, map, sizeof map);
    assert_true(bytes > 0);
    const void *body = map;
    const size_t len = (size_t)bytes;
    send(t, &h, &body, &len, 1);
}

static uint32_t draw_row(void)
{
    return (uint32_t)(ROWS * pow(rng_uniform(), 1.5));
}

/* The samples of a step depend on the seed and the step alone: any schedule meets the same. */
static size_t draw_samples(uint64_t step, uint32_t *row, double *centre)
{
    rng_state = SEED + 977 * step;
    for (int i = 0; i < 9; i++)
        (void)rng_u64();
    const size_t n = (size_t)(rng_uniform() * (CAPACITY + 1));
    for (size_t i = 0; i < n; i++) {
        row[i] = draw_row();
        for (size_t j = 0; j < DIM; j++)
            centre[i * DIM + j] = sin(row[i] + 1.7 * (double)j) + 0.5 * rng_normal();
    }
    return n;
}

static void gradients(trainer *t, size_t n, const uint32_t *row, const double *centre, double *g)
{
    assert_int_equal(mscope_table_touch(t->table, row, n), 0);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < DIM; j++) {
            const size_t at = (size_t)row[i] * DIM + j;
            const double theta = t->hello.state == MSCOPE_STATE_F64
                                     ? ((double *)mscope_table_theta(t->table))[at]
                                     : (double)((float *)mscope_table_theta(t->table))[at];
            g[i * DIM + j] = t->h * (theta - centre[i * DIM + j]) / BATCH;
        }
}

static void probe(trainer *t, size_t n, const uint32_t *row)
{
    mscope_header h = { .kind = MSCOPE_PROBE, .step = t->step + 1, .a = 1e-3, .count = (uint32_t)n,
                        .index_type = MSCOPE_U32, .value_type = MSCOPE_F64 };
    double hm[CAPACITY * DIM];
    const double *m = mscope_table_momentum(t->table);

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < DIM; j++)
            hm[i * DIM + j] = t->h * m[(size_t)row[i] * DIM + j] / BATCH;
    const void *body[2] = { row, hm };
    const size_t len[2] = { n * sizeof *row, n * DIM * sizeof *hm };
    send(t, &h, body, len, 2);
}

/* lost: the trainer steps, and nobody is told. */
static void train_step(trainer *t, const mscope_step *s, int lost)
{
    uint32_t row[CAPACITY], counts[CAPACITY];
    double centre[CAPACITY * DIM], g[CAPACITY * DIM];
    float narrow[CAPACITY * DIM];
    const int f64 = t->hello.state == MSCOPE_STATE_F64;
    const size_t n = draw_samples(t->step, row, centre);
    const double schedule[3] = { s->weight_decay, s->decoupled_decay, s->dampening };
    unsigned bodies = 0;
    const void *body[4];
    size_t len[4];
    mscope_header h = { .kind = MSCOPE_STEP, .step = t->step + 1, .a = s->eta, .b = s->eps, .count = (uint32_t)n,
                        .extra = BATCH, .index_type = n ? MSCOPE_U32 : 0,
                        .value_type = n ? (f64 ? MSCOPE_F64 : MSCOPE_F32) : 0, .flags = MSCOPE_FLAG_SCHEDULE };

    gradients(t, n, row, centre, g);
    for (size_t i = 0; i < n * DIM; i++)
        narrow[i] = (float)g[i];
    for (size_t i = 0; i < n; i++)
        counts[i] = 1 + row[i] % 3;
    if (t->probe_every > 0 && t->step % (uint64_t)t->probe_every == 0 && n > 0 && t->tape != NULL)
        probe(t, n, row);
    if (n > 0) {
        body[bodies] = row;
        len[bodies++] = n * sizeof *row;
        body[bodies] = f64 ? (const void *)g : narrow;
        len[bodies++] = n * DIM * (f64 ? sizeof *g : sizeof *narrow);
        if (t->counts) {
            h.flags |= MSCOPE_FLAG_COUNTS;
            body[bodies] = counts;
            len[bodies++] = n * sizeof *counts;
        }
    }
    body[bodies] = schedule;
    len[bodies++] = sizeof schedule;
    if (!lost && t->tape != NULL)
        send(t, &h, body, len, bodies);
    assert_int_equal(mscope_table_step_begin(t->table, s), 0);
    assert_int_equal(
        mscope_table_apply(t->table, row, f64 ? (const void *)g : narrow, t->counts && n ? counts : NULL, n), 0);
    assert_int_equal(mscope_table_step_end(t->table), 0);
    t->step++;
}

static void end(trainer *t)
{
    mscope_tape_sum sum;
    mscope_refusal why;

    assert_int_equal(mscope_table_settle(t->table), 0);
    if (t->tape != NULL)
        assert_int_equal(mscope_tape_finish(t->tape, 0, &sum, &why), 0);
}

static double theta_of(const trainer *t, size_t at)
{
    return t->hello.state == MSCOPE_STATE_F64 ? ((double *)mscope_table_theta(t->table))[at]
                                              : (double)((float *)mscope_table_theta(t->table))[at];
}

/* -- the workload --------------------------------------------------------------------------------- */

static mscope_recording *open_recording(void)
{
    char why[512] = "";
    mscope_recording *t = NULL;
    const int rc = mscope_recording_open(&t, path, NULL, why);

    CHECK(rc == 0, "%s", why);
    (void)unlink(path);
    return t;
}

static void *start(const mscope_recording *t)
{
    const double gap = 1;
    const char *why = "";
    void *self = (void *)(uintptr_t)t;

    CHECK(mscope_workload_recording.init(&self, &gap, 1, &why) == 0, "%s", why);
    return self;
}

static void run(void *self, const mscope_bench_schedule *s, enum mscope_bench_semantics semantics, uint64_t steps)
{
    for (uint64_t k = 0; k < steps; k++) {
        mscope_bench_step at = { .t = k, .semantics = semantics, .schedule = s };
        mscope_bench_rates_at(s, (double)k, &at.all);
        CHECK(mscope_workload_recording.step(self, &at) == 0, "step %llu", (unsigned long long)k);
    }
}

static mscope_bench_schedule rule(const mscope_recording *t, const char *name, double eta, double eps)
{
    mscope_bench_schedule s = { .rule = mscope_bench_rule_find(name), .steps = (double)t->steps, .dim = DIM,
                                .batch = BATCH, .from = mscope_workload_recording.origin, .origin = t };

    assert_non_null(s.rule);
    for (int i = 0; i < MSCOPE_RULE_PARAMS; i++)
        s.param[i] = mscope_bench_rule_params[i].value;
    s.param[MSCOPE_RULE_ETA] = eta;
    s.param[MSCOPE_RULE_EPS] = eps;
    return s;
}

/* Largest difference from the trainer's own rows, over their largest size. Rows that were never active are not played.
 */
static double apart(const trainer *x, const mscope_recording *t, void *self)
{
    mscope_bench_rows *recorded;
    const mscope_bench_rows *rows = mscope_recording_rows(self, &recorded);
    double worst = 0, size = 0;

    for (uint32_t i = 0; i < t->rows; i++)
        for (size_t j = 0; j < DIM; j++) {
            const double truth = theta_of(x, (size_t)t->id[i] * DIM + j);
            worst = fmax(worst, fabs(rows->theta[(size_t)i * DIM + j] - truth));
            size = fmax(size, fabs(truth));
        }
    return worst / size;
}

static void close_all(trainer *x, mscope_recording *t, void *self)
{
    if (self != NULL)
        mscope_workload_recording.fini(self);
    if (t != NULL)
        mscope_recording_close(t);
    free(x->mem);
}

/* -- promises ------------------------------------------------------------------------------------- */

static mscope_step schedule_at(int form, uint64_t k, int decay)
{
    mscope_step s = { .eta = 0.4 / (1 + 0.01 * (double)k), .eps = k % 50 < 40 ? 0.1 : 0.05, .batch = BATCH };

    if (decay) {
        s.weight_decay = 0.01;
        s.decoupled_decay = k % 2 ? 0.02 : 0;
    }
    if (form == MSCOPE_FORM_TORCH) {
        s.eta *= 0.2;
        s.dampening = 0.3;
        if (k >= 100 && k < 130)
            s.eps = 1;                       /* momentum switched off for a while */
    }
    return s;
}

/* The trainer's own rows, whatever its convention; the workload's two trajectories are the same bits. */
static void test_recorded_schedule_gives_the_recorded_rows(void **state)
{
    static const struct {
        const char *what;
        int form, state, nesterov, decay, counts, lost;
        double bound;
    } cases[] = {
        /* float64: another order of catching up, some hundred roundings; float32: the trainer's own rounding of 400
         * steps */
        { "ema, float64", MSCOPE_FORM_EMA, MSCOPE_STATE_F64, 0, 0, 0, 0, 1e-13 },
        { "ema, float64, nesterov, decay", MSCOPE_FORM_EMA, MSCOPE_STATE_F64, 1, 1, 1, 0, 1e-13 },
        { "torch, float64, dampening, decay", MSCOPE_FORM_TORCH, MSCOPE_STATE_F64, 0, 1, 1, 0, 1e-13 },
        { "torch, float64, nesterov", MSCOPE_FORM_TORCH, MSCOPE_STATE_F64, 1, 1, 0, 0, 1e-13 },
        { "torch, float64, steps lost and rows sent", MSCOPE_FORM_TORCH, MSCOPE_STATE_F64, 0, 1, 0, 1, 1e-13 },
        { "ema, float32", MSCOPE_FORM_EMA, MSCOPE_STATE_F32, 0, 0, 1, 0, 1e-5 },
    };

    (void)state;
    for (size_t c = 0; c < LEN(cases); c++) {
        trainer x = { .h = 0.7, .probe_every = 37, .counts = cases[c].counts };
        mscope_bench_summary sum;
        const int f64 = cases[c].state == MSCOPE_STATE_F64;

        x.probe_every = f64 ? 37 : 0;
        begin(&x, cases[c].form, cases[c].state, cases[c].nesterov);
        if (f64) {                           /* rows that are not zero when the recording begins */
            double theta[ROWS * DIM], m[ROWS * DIM];
            for (size_t i = 0; i < ROWS * DIM; i++) {
                theta[i] = sin((double)i);
                m[i] = cases[c].form == MSCOPE_FORM_TORCH ? 0 : 0.1 * cos((double)i);
            }
            assert_int_equal(mscope_table_rows_set(x.table, 0, ROWS, theta, m), 0);
            send_rows(&x, theta, m);
        }
        for (uint64_t k = 0; k < STEPS; k++) {
            mscope_step s = schedule_at(cases[c].form, k, cases[c].decay);
            if (cases[c].nesterov)
                s.dampening = 0;
            train_step(&x, &s, cases[c].lost && k >= 200 && k < 210);
            if (cases[c].lost && k == 215) {
                assert_int_equal(mscope_table_settle(x.table), 0);
                send_rows(&x, mscope_table_theta(x.table), mscope_table_momentum(x.table));
            }
        }
        end(&x);
        mscope_recording *t = open_recording();
        assert_int_equal(t->steps, STEPS);
        assert_int_equal(t->lost, cases[c].lost ? 10 : 0);
        for (int dense = 0; dense < 2; dense++) {
            void *self = start(t);
            const mscope_bench_schedule s = rule(t, "recorded", 0, 0);
            run(self, &s, dense ? MSCOPE_BENCH_DENSE : MSCOPE_BENCH_CATCHUP, STEPS);
            mscope_workload_recording.summary(self, &sum);
            const double off = apart(&x, t, self);
            NOTE("%s, %s: theta within %.1e of the trainer's, %.1e of the recorded rows", cases[c].what,
                 dense ? "dense" : "catch-up", off, sqrt(sum.total.stat[2]));
            CHECK(off <= cases[c].bound, "%s: %g", cases[c].what, off);
            CHECK(dense ? sum.total.stat[2] < 1e-24 : sum.total.stat[2] == 0, "%s: apart %a", cases[c].what,
                  sum.total.stat[2]);
            mscope_workload_recording.fini(self);
        }
        close_all(&x, t, NULL);
    }
}

/* Where the trainer's loss is what the model says it is, its run under another schedule can be had from the recording.
 */
static void test_another_schedule_is_what_the_trainer_would_do(void **state)
{
    static const struct {
        double eta, eps;
    } other[] = { { 0.9, 0.3 }, { 0.2, 1 }, { 2.5, 0.02 } };
    trainer x = { .h = 0.8, .probe_every = 3 };

    (void)state;
    begin(&x, MSCOPE_FORM_EMA, MSCOPE_STATE_F64, 0);
    for (uint64_t k = 0; k < STEPS; k++) {
        const mscope_step s = { .eta = 0.5, .eps = 0.1, .batch = BATCH };
        train_step(&x, &s, 0);
    }
    end(&x);
    mscope_recording *t = open_recording();
    CHECK(t->closed[t->bands] == 1, "closed %g", t->closed[t->bands]);
    for (uint32_t i = 0; i < t->rows; i++)
        CHECK(fabs(t->h[i] * BATCH / x.h - 1) < 1e-9, "row %u: h %g, truly %g", t->id[i], t->h[i], x.h / BATCH);
    for (size_t c = 0; c < LEN(other); c++) {
        trainer y = { .h = x.h };
        mscope_table_config cfg = *mscope_table_cfg(x.table);
        void *self = start(t);
        const mscope_bench_schedule s = rule(t, "constant", other[c].eta, other[c].eps);

        cfg.theta = cfg.m = NULL;
        cfg.kernel = NULL;
        y.table = new_table(&cfg, &y.mem);
        y.hello = x.hello;
        for (uint64_t k = 0; k < STEPS; k++) {
            const mscope_step step = { .eta = other[c].eta, .eps = other[c].eps, .batch = BATCH };
            train_step(&y, &step, 0);
        }
        end(&y);
        run(self, &s, MSCOPE_BENCH_CATCHUP, STEPS);
        mscope_bench_summary sum;
        mscope_workload_recording.summary(self, &sum);
        const double off = apart(&y, t, self);
        NOTE("eta %g, eps %g: theta within %.1e of training anew", other[c].eta, other[c].eps, off);
        CHECK(off < 1e-9, "eta %g: %g", other[c].eta, off);
        close_all(&y, NULL, self);
    }
    close_all(&x, t, NULL);
}

/* The risk is the loss of the recorded samples above its least: computed here from the samples themselves. */
static void test_risk_is_the_excess_loss_of_the_samples(void **state)
{
    trainer x = { .h = 0.8, .probe_every = 3 };
    double sum[ROWS * DIM] = { 0 }, n[ROWS] = { 0 }, samples = (double)STEPS * BATCH, excess = 0, was = 0;

    (void)state;
    begin(&x, MSCOPE_FORM_EMA, MSCOPE_STATE_F64, 0);
    for (uint64_t k = 0; k < STEPS; k++) {
        const mscope_step s = { .eta = 0.5, .eps = 0.1, .batch = BATCH };
        train_step(&x, &s, 0);
    }
    end(&x);
    for (int pass = 0; pass < 2; pass++)     /* the mean of a row's centres, then losses against it */
        for (uint64_t k = 0; k < STEPS; k++) {
            uint32_t row[CAPACITY];
            double centre[CAPACITY * DIM];
            const size_t m = draw_samples(k, row, centre);
            for (size_t i = 0; i < m; i++) {
                n[row[i]] += pass == 0;
                for (size_t j = 0; j < DIM; j++) {
                    const double c = centre[i * DIM + j], mean = sum[row[i] * DIM + j] / n[row[i]];
                    const double theta = theta_of(&x, row[i] * DIM + j);
                    if (pass == 0) {
                        sum[row[i] * DIM + j] += c;
                        continue;
                    }
                    excess += 0.5 * x.h / BATCH * ((theta - c) * (theta - c) - (mean - c) * (mean - c)) / samples;
                    was += 0.5 * x.h / BATCH * (c * c - (mean - c) * (mean - c)) / samples;
                }
            }
        }
    mscope_recording *t = open_recording();
    void *self = start(t);
    const mscope_bench_schedule s = rule(t, "recorded", 0, 0);
    mscope_bench_summary at;
    mscope_workload_recording.summary(self, &at);
    CHECK(fabs(at.total.risk / was - 1) < 1e-9, "start: %g, samples say %g", at.total.risk, was);
    run(self, &s, MSCOPE_BENCH_CATCHUP, STEPS);
    mscope_workload_recording.summary(self, &at);
    CHECK(fabs(at.total.risk / excess - 1) < 1e-9, "end: %g, samples say %g", at.total.risk, excess);
    CHECK(fabs(mscope_workload_recording.target(self, t->bands) - t->end[t->bands]) < 1e-15, "target");
    close_all(&x, t, self);
}

static void test_without_a_probe_it_is_open_loop_and_says_so(void **state)
{
    trainer x = { .h = 0.8 };
    mscope_bench_facts facts;
    mscope_bench_summary sum;

    (void)state;
    begin(&x, MSCOPE_FORM_EMA, MSCOPE_STATE_F64, 0);
    for (uint64_t k = 0; k < 50; k++) {
        const mscope_step s = { .eta = 0.5, .eps = 0.1, .batch = BATCH };
        train_step(&x, &s, 0);
    }
    end(&x);
    mscope_recording *t = open_recording();
    void *self = start(t);
    const mscope_bench_schedule s = rule(t, "constant", 1.0, 0.1);
    mscope_workload_recording.origin->facts(t, &facts);
    assert_non_null(strstr(facts.note, "OPEN LOOP"));
    run(self, &s, MSCOPE_BENCH_CATCHUP, 50);
    mscope_workload_recording.summary(self, &sum);
    assert_true(sum.total.risk == 0);
    assert_true(mscope_workload_recording.target(self, t->bands) < 0);
    /* the recorded gradients at twice the rate move rows, which began at 0, twice as far */
    mscope_bench_rows *recorded;
    const mscope_bench_rows *rows = mscope_recording_rows(self, &recorded);
    for (size_t k = 0; k < (size_t)t->rows * DIM; k++)
        CHECK(fabs(rows->theta[k] - 2 * recorded->theta[k]) < 1e-12 * (1 + fabs(rows->theta[k])), "cell %zu", k);
    close_all(&x, t, self);
}

/* What the daemon would refuse is left out, counted, and disturbs nothing behind it. */
static void test_bad_messages_are_left_out(void **state)
{
    enum { KINDS = 10 };
    double end_of[KINDS + 1];

    (void)state;
    for (int bad = 0; bad <= KINDS; bad++) {
        trainer x = { .h = 0.8, .probe_every = 3 };
        uint32_t row[CAPACITY + 1] = { 1, 2, bad == 1 ? ROWS : 3 };
        double g[(CAPACITY + 1) * DIM] = { 1, 2, 3, bad == 2 ? NAN : 4, bad == 3 ? 1e200 : 5 };
        const uint32_t n = bad == 4 ? CAPACITY + 1 : 3;
        mscope_header h = { .kind = MSCOPE_STEP, .step = 31, .a = 0.5, .b = 0.1, .count = n, .extra = BATCH,
                            .index_type = MSCOPE_U32, .value_type = MSCOPE_F64 };
        const uint32_t counts[3] = { 1, bad == 7 ? 0 : 2, bad == 8 ? UINT32_MAX : 1 };
        const double schedule[3] = { 0, bad == 9 ? NAN : 0, bad == 10 ? 0.5 : 0 };      /* dampening: torch form */
        const void *body[4] = { row, g, counts, schedule };
        const size_t len[4] = { n * sizeof *row - (bad == 5), n * DIM * sizeof *g, sizeof counts, sizeof schedule };

        if (bad >= 7)
            h.flags = MSCOPE_FLAG_COUNTS | MSCOPE_FLAG_SCHEDULE;
        begin(&x, MSCOPE_FORM_EMA, MSCOPE_STATE_F64, 0);
        for (uint64_t k = 0; k < 60; k++) {
            const mscope_step s = { .eta = 0.5, .eps = 0.1, .batch = BATCH };
            if (k == 30 && bad > 0)
                send(&x, &h, body, len, bad == 6 ? 1 : bad < 7 ? 2 : 4);
            train_step(&x, &s, 0);
        }
        end(&x);
        mscope_recording *t = open_recording();
        CHECK(t->refused == (bad > 0), "%d: refused %llu", bad, (unsigned long long)t->refused);
        end_of[bad] = t->end[t->bands];
        CHECK(end_of[bad] == end_of[0], "%d: %a, not %a", bad, end_of[bad], end_of[0]);
        close_all(&x, t, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_schedule_gives_the_recorded_rows),
        cmocka_unit_test(test_another_schedule_is_what_the_trainer_would_do),
        cmocka_unit_test(test_risk_is_the_excess_loss_of_the_samples),
        cmocka_unit_test(test_without_a_probe_it_is_open_loop_and_says_so),
        cmocka_unit_test(test_bad_messages_are_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
