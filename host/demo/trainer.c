/* trainer.c - a small next-word model on real text, trained with exact sparse momentum, with a daemon attached
 *
 * The core moves the embedding rows in this process (touch, apply: the cost is that of the rows in the batch). The same
 * gradients go to the daemon, which repeats the steps on its own copy and publishes. Once in a hundred steps a probe
 * sends curvature, for three more passes over the same batch (probe.c). */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/xorshift.h"
#include "common/clock.h"
#include "common/exit.h"
#include "common/options.h"
#include "mscope/client.h"
#include "mscope/core.h"
#include "nextword/model.h"
#include "nextword/text.h"
#include "probe.h"

#define VOCABULARY 4096u
#define WIDTH 32u

typedef struct options {
    uint64_t steps, batch, probe_every;
    double eta, eps, readout;
    const char *endpoint;
    int quiet, alone;
} options;

typedef struct run {
    options opt;
    text words;
    model net;
    mscope_table *table;
    void *block;
    mscope_client *client;
    int handle;
    uint64_t rng;
    demo_probe probe;                /* open where probes are wanted and can be */
    int probing;
    double used, pushing, elsewhere; /* processor seconds of training; of those in push, and in other threads */
    uint32_t *now, *next;            /* the batch: words and the words after them */
    float *theta, *grad;
} run;

static double used_s(clockid_t of)
{
    struct timespec t = { 0, 0 };

    clock_gettime(of, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The FILEs become argv[1] .. argv[*files]. Returns the exit code to leave with, or MSCOPE_OPTIONS_GO_ON. */
static int read_options(options *o, int argc, char **argv, int *files)
{
    const mscope_option table[] = {
        { "steps", "N", "training steps (default: 6000)", .count = &o->steps, .low = 1, .high = 1e9 },
        { "batch", "N", "samples in a step (default: 32)", .count = &o->batch, .low = 1, .high = 4096 },
        { "rate", "ETA", "learning rate of the embedding, in EMA form (default: 2)", .real = &o->eta, .high = 1e6 },
        { "eps", "E", "1 - beta of the embedding's momentum (default: 0.02)", .real = &o->eps, .high = 1 },
        { "readout-rate", "E", "learning rate of the readout, which has no momentum (default: 0.5)",
          .real = &o->readout, .high = 1e6 },
        { "probe-every", "N", "steps from one curvature probe to the next, 0: no probe (default: 100)",
          .count = &o->probe_every, .high = 1e9 },
        { "endpoint", "ADDR", "address of the daemon (default: $MOMENTSCOPE_INGEST, else this user's)",
          .text = &o->endpoint },
        { "alone", NULL, "train without the daemon", .flag = &o->alone },
        { "quiet", NULL, "print no line about the loss", .flag = &o->quiet },
        { .name = NULL }
    };
    const mscope_command trainer = {
        .name = "demo_trainer",
        .usage = "[OPTION...] [FILE...]",
        .about = "Train a next-word model on the text of the FILEs, or on prose found on this machine, with the daemon"
                 " attached.",
        .option = table,
        .example = "demo_trainer --steps 20000 --endpoint ipc:///tmp/ingest.ipc novel.txt",
        .exits = "0 trained\n1 no text, no memory, or the core refused a step\n2 wrong usage",
        .most = INT_MAX,
        .argument = "FILE",
    };

    *o = (options){ .steps = 6000, .batch = 32, .probe_every = 100, .eta = 2.0, .eps = 0.02, .readout = 0.5 };
    return mscope_options_read(&trainer, argc, argv, files);
}

static int start_table(run *r)
{
    mscope_table_config cfg = { .rows = VOCABULARY, .dim = WIDTH, .capacity = (uint32_t)r->opt.batch };
    size_t need = mscope_table_mem(&cfg);

    r->block = need ? aligned_alloc(64, need) : NULL;
    if (r->block == NULL || mscope_table_init(&r->table, &cfg, r->block, need) != 0)
        return -1;
    return 0;
}

/* The client reads rows to heal a daemon that has restarted. To touch the rows would round them once more, and the
 * weights would depend on the daemon. */
static int read_rows(void *ctx, uint32_t first, uint32_t n, void *theta, void *m)
{
    return mscope_table_rows_get(((run *)ctx)->table, first, n, theta, m);
}

static int open_client(run *r)
{
    mscope_client_options copt = { .endpoint = r->opt.endpoint, .name = "demo trainer" };
    mscope_refusal why;

    if (mscope_client_open(&r->client, &copt) == 0)
        return 0;
    mscope_client_fault(&why);
    fprintf(stderr, "demo_trainer: %s is '%s', expected %s: %s\n", why.field, why.value, why.range, why.text);
    return -1;
}

static int attach(run *r)
{
    mscope_attach_info info = { .table = "embedding", .rows = VOCABULARY, .dim = WIDTH,
                                .capacity = (uint32_t)r->opt.batch,
                                .nll = 1, .acf_rows = 16, .fresh = 1, .read = read_rows, .read_ctx = r };

    r->handle = r->client ? mscope_client_attach(r->client, &info) : -1;
    return r->client && r->handle < 0 ? -1 : 0;
}

/* Halves need two samples, and a direction needs a learning rate. */
static int start_probe(run *r)
{
    r->probing = r->client && r->opt.probe_every && r->opt.batch > 1 && r->opt.eta > 0 && r->opt.readout > 0;
    return r->probing ? demo_probe_open(&r->probe, &r->net, r->table, r->client, r->handle, r->opt.eta, r->opt.readout)
                      : 0;
}

static int start(run *r)
{
    size_t cells = (size_t)r->opt.batch * WIDTH;

    r->rng = 20240607;
    r->now = malloc(r->opt.batch * sizeof *r->now);
    r->next = malloc(r->opt.batch * sizeof *r->next);
    r->theta = malloc(cells * sizeof(float));
    r->grad = malloc(cells * sizeof(float));
    if (!r->now || !r->next || !r->theta || !r->grad)
        return -1;
    if (model_init(&r->net, VOCABULARY, WIDTH, (uint32_t)r->opt.batch, 7) != 0 || start_table(r) != 0)
        return -1;
    return attach(r) != 0 || start_probe(r) != 0 ? -1 : 0;
}

static void draw_batch(run *r)
{
    for (uint32_t i = 0; i < r->opt.batch; i++) {
        size_t at = (size_t)(mscope_xorshift(&r->rng) % (r->words.length - 1));

        r->now[i] = r->words.word[at];
        r->next[i] = r->words.word[at + 1];
    }
}

static void look_up(run *r)
{
    const float *rows = mscope_table_theta(r->table);

    for (uint32_t i = 0; i < r->opt.batch; i++)
        memcpy(r->theta + (size_t)i * WIDTH, rows + (size_t)r->now[i] * WIDTH, WIDTH * sizeof(float));
}

static int push(run *r, const mscope_step *step)
{
    const double from = used_s(CLOCK_THREAD_CPUTIME_ID);
    int err = mscope_client_push(r->client, r->handle, step, r->now, r->grad, MSCOPE_F32, NULL, r->opt.batch);

    r->pushing += used_s(CLOCK_THREAD_CPUTIME_ID) - from;
    return err;
}

static int train(run *r)
{
    const double process = used_s(CLOCK_PROCESS_CPUTIME_ID), thread = used_s(CLOCK_THREAD_CPUTIME_ID);
    mscope_step step = { .eta = r->opt.eta, .eps = r->opt.eps, .batch = (double)r->opt.batch };
    double shown = 0.0, started = mscope_monotonic_s();
    uint32_t shown_steps = 0;

    for (uint32_t k = 1; k <= r->opt.steps; k++) {
        draw_batch(r);
        if (mscope_table_touch(r->table, r->now, r->opt.batch) != 0)
            return -1;
        look_up(r);
        const int probed = r->probing && k % r->opt.probe_every == 0;
        if (probed && demo_probe_take(&r->probe, r->now, r->next, r->theta) < 0)
            return -1;
        shown += model_gradient(&r->net, r->theta, r->next, r->grad);
        shown_steps++;
        model_step(&r->net, r->theta, (float)r->opt.readout);
        if (mscope_table_step_begin(r->table, &step) != 0 ||
            mscope_table_apply(r->table, r->now, r->grad, NULL, r->opt.batch) != 0 ||
            mscope_table_step_end(r->table) != 0)
            return -1;
        if ((r->client && push(r, &step) < 0) || (probed && demo_probe_send(&r->probe, step.eps) < 0))
            return -1;
        if (!r->opt.quiet && (k % 500 == 0 || k == r->opt.steps)) {
            printf("step %6u  loss %.3f  %5.1f s\n", k, shown / shown_steps, mscope_monotonic_s() - started);
            fflush(stdout);
            shown = 0.0;
            shown_steps = 0;
        }
    }
    r->used = used_s(CLOCK_PROCESS_CPUTIME_ID) - process;
    r->elsewhere = r->used - (used_s(CLOCK_THREAD_CPUTIME_ID) - thread);
    return 0;
}

static void report_directions(const mscope_probe *p)
{
    mscope_probe_stats s;

    mscope_probe_stats_get(p, &s);
    printf("%llu products with directions of %llu values sent, %llu refused, %llu left out\n",
           (unsigned long long)s.sent, (unsigned long long)s.values, (unsigned long long)s.refused,
           (unsigned long long)s.left_out);
    if (s.refused)
        printf("the last refusal: %s = %s: %s\n", s.refusal.field, s.refusal.value, s.refusal.text);
}

static void report(run *r)
{
    mscope_client_stats s = { 0 };
    double V = 0;

    int late = r->client && mscope_client_flush(r->client, 5000) != 0;

    if (r->client)
        mscope_client_stats_get(r->client, &s);
    if (late && s.connected && s.messages_unacked == 0)
        printf("the daemon's copy is not exact: steps or rows are missing in it\n");
    else if (late)
        printf("%llu messages were not acknowledged%s\n", (unsigned long long)s.messages_unacked,
               s.connected ? " in 5 s" : ": no daemon is connected");
    if (s.last_error.code)
        printf("the last error: %s = %s: %s\n", s.last_error.field, s.last_error.value, s.last_error.text);
    for (unsigned b = 0; b <= MSCOPE_BANDS; b++) {
        mscope_band band;

        if (mscope_table_band(r->table, b < MSCOPE_BANDS ? b : MSCOPE_BAND_SILENT, &band) == 0)
            V += band.V;
    }
    if (r->client)
        printf("%.4f s of processor time, of them the client's %.5f in push and %.5f in its threads\n", r->used,
               r->pushing, r->elsewhere);
    else
        printf("%.4f s of processor time\n", r->used);
    if (r->probing)
        report_directions(r->probe.directions);
    printf("%llu steps sent, %llu dropped, %llu probes; |m|^2 in the trainer %.9g\n", (unsigned long long)s.steps_sent,
           (unsigned long long)s.steps_dropped, (unsigned long long)r->probe.momenta, V);
}

int main(int argc, char **argv)
{
    run r = { .handle = -1 };
    int files, code = read_options(&r.opt, argc, argv, &files);

    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    argv[files + 1] = NULL;
    if (!r.opt.alone && open_client(&r) != 0)
        return MSCOPE_EXIT_USAGE;
    if (text_read(&r.words, argv + 1, VOCABULARY) != 0)
        return 1;
    printf("%zu words of text from %zu files; vocabulary %u, width %u, batch %llu; the most frequent: %s %s %s %s %s\n",
           r.words.length, r.words.files, VOCABULARY, WIDTH, (unsigned long long)r.opt.batch, r.words.name[0],
           r.words.name[1], r.words.name[2], r.words.name[3], r.words.name[4]);
    fflush(stdout);
    if (start(&r) != 0 || train(&r) != 0) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the process ends here, and its memory with it
        const mscope_fault *f = r.table ? mscope_table_fault(r.table) : NULL;

        if (f)
            fprintf(stderr, "demo_trainer: the core refused a step: %s is %g, expected %g to %g\n", f->field, f->value,
                    f->low, f->high);
        else
            fprintf(stderr, "demo_trainer: out of memory\n");
        return 1;
    }
    report(&r);
    demo_probe_close(&r.probe);
    if (r.client)
        mscope_client_close(r.client, 1000);
    model_free(&r.net);
    text_free(&r.words);
    free(r.block);
    free(r.now);
    free(r.next);
    free(r.theta);
    free(r.grad);
    return 0;
}
