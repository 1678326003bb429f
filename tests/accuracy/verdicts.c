/* verdicts.c - how often verdicts are right: random bands through a real daemon and a real subscriber
 *
 * Starts momentscoped, attaches one table a band, sends it the steps and probes of verdicts_sim.c, and judges the band
 * records that come back: before any probe, after 16 probed row samples and after 64, against the exact theory of
 * what was simulated. Bands near a border are counted like all others.                                       */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "verdicts_sim.h"
#include "common/clock.h"
#include "common/options.h"
#include "diagnose/spectrum.h"
#include "diagnose/verdict.h"
#include "mscope/client.h"

enum { MOST_BANDS = 1024, PUMP_EVERY = 512, PATIENCE_MS = 60000, PHASES = 3 };
/* Probes a row in each phase: none, 16 row samples a band, then 48 more; and where a phase ends. */
static const unsigned samples_of[PHASES] = { 0, 1, 3 };
static const double end_of[PHASES] = { 0.2, 0.5, 1 };

typedef struct subject {                 /* one band under test */
    mscope_sim_band drawn;
    mscope_sim *sim;
    int handle;
    uint64_t pushed, next_probe[MSCOPE_SIM_ROWS];
    unsigned probes_left[MSCOPE_SIM_ROWS];
    mscope_rec_band band[MSCOPE_BANDS];  /* latest records */
    mscope_rec_acf acf[MSCOPE_BANDS];
    unsigned char have[MSCOPE_BANDS], have_acf[MSCOPE_BANDS];
    mscope_verdict verdict[PHASES];
    double samples[PHASES];
    mscope_modes modes;
    enum mscope_agreement agreement;
} subject;

typedef struct bench {
    subject *s;
    size_t n;
    gsl_rng *rng;
    mscope_client *client;
    mscope_subscriber *listener;
    pid_t daemon;
    uint64_t unprobed, unprobed_unknown; /* records of bands without a probe; of these unknown */
} bench;

static char work_dir[64];                /* sockets and log of the daemon */

static void tidy(void)
{
    static const char *const left[] = { "ingest", "telemetry", "replay", "log", "" };
    char path[96];

    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        snprintf(path, sizeof path, "%s/%s", work_dir, left[i]);
        remove(path);
    }
}

/* The daemon goes down with this process. */
static void fail(const char *what, const char *why)
{
    fprintf(stderr, "verdicts: %s: %s\n", what, why);
    tidy();
    exit(2);
}

/* -- daemon and connections -------------------------------------------------------------------------- */

static void endpoint(const char *name, char out[96])
{
    snprintf(out, 96, "ipc://%s/%s", work_dir, name);
}

static void start(bench *b, const char *program)
{
    char ingest[96], telemetry[96], replay[96], log[96], tables[16];
    mscope_client_options o = { .endpoint = ingest, .name = "bench verdicts", .block_ms = PATIENCE_MS };
    int rc;

    snprintf(work_dir, sizeof work_dir, "/tmp/mscope-verdicts-XXXXXX");
    if (mkdtemp(work_dir) == NULL)
        fail(work_dir, strerror(errno));
    endpoint("ingest", ingest);
    endpoint("telemetry", telemetry);
    endpoint("replay", replay);
    snprintf(log, sizeof log, "%s/log", work_dir);
    snprintf(tables, sizeof tables, "%zu", b->n);
    b->daemon = fork();
    if (b->daemon == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        execl(program, program, "--ingest", ingest, "--telemetry", telemetry, "--replay", replay, "--interval", "0.5",
              "--max-tables", tables, "--credit-messages", "4096", "--replay-bytes", "256M", "--log", log,
              (char *)NULL);
        _exit(127);
    }
    if (b->daemon < 0)
        fail("fork", strerror(errno));
    if ((rc = mscope_subscribe(&b->listener, telemetry, replay, "")) != 0)
        fail(telemetry, mscope_strerror(rc));
    if ((rc = mscope_client_open(&b->client, &o)) != 0)
        fail(ingest, mscope_strerror(rc));
}

static void stop(bench *b)
{
    mscope_client_close(b->client, 1000);
    mscope_subscriber_close(b->listener);
    kill(b->daemon, SIGTERM);
    waitpid(b->daemon, NULL, 0);
    tidy();
}

static void attach(bench *b, size_t i)
{
    subject *s = &b->s[i];
    char name[32];
    mscope_attach_info a = { .table = name, .rows = MSCOPE_SIM_ROWS, .dim = (uint32_t)s->drawn.ls.d,
                             .capacity = MSCOPE_SIM_ROWS, .state = MSCOPE_STATE_F64, .form = MSCOPE_FORM_EMA,
                             .acf_rows = MSCOPE_SIM_ROWS, .fresh = 1 };

    snprintf(name, sizeof name, "b%zu", i);
    s->sim = mscope_sim_open(&s->drawn, b->rng);
    if (s->sim == NULL)
        fail("simulation", "out of memory");
    s->handle = mscope_client_attach(b->client, &a);
    if (s->handle < 0)
        fail(name, mscope_strerror(s->handle));
}

/* -- what comes back ----------------------------------------------------------------------------------- */

/* The band most rows are in: their measured p scatters about the drawn one. */
static int main_band(const subject *s)
{
    int best = -1;

    for (int k = 0; k < MSCOPE_BANDS; k++)
        if (s->have[k] && s->band[k].step == s->pushed && (best < 0 || s->band[k].rows > s->band[best].rows))
            best = k;
    return best;
}

static void take(bench *b, const mscope_telemetry *m)
{
    const mscope_record *r = &m->record;
    const char *name = r->kind == MSCOPE_REC_BAND ? r->u.band.table : r->kind == MSCOPE_REC_ACF ? r->u.acf.table : "";
    size_t i = name[0] == 'b' ? strtoul(name + 1, NULL, 10) : b->n;
    mscope_verdict v;

    if (i >= b->n)
        return;
    if (r->kind == MSCOPE_REC_ACF && r->u.acf.band < MSCOPE_BANDS) {
        b->s[i].acf[r->u.acf.band] = r->u.acf;
        b->s[i].have_acf[r->u.acf.band] = 1;
    }
    if (r->kind == MSCOPE_REC_BAND && r->u.band.band < MSCOPE_BANDS) {
        b->s[i].band[r->u.band.band] = r->u.band;
        b->s[i].have[r->u.band.band] = 1;
        if (r->u.band.h_samples < 1 && r->u.band.updates > 0) {
            mscope_verdict_band(&r->u.band, &v);
            b->unprobed++;
            b->unprobed_unknown += v.regime == MSCOPE_REGIME_UNKNOWN && isnan(v.H);
        }
    }
}

/* What is there, and what comes within that time. */
static void pump(bench *b, int for_ms)
{
    double end = mscope_monotonic_s() + for_ms * 1e-3;
    mscope_telemetry m;
    int rc;

    do {
        rc = mscope_subscriber_next(b->listener, &m, for_ms > 0 ? 20 : 0);
        if (rc == 0)
            take(b, &m);
    } while (rc == 0 ? for_ms == 0 || mscope_monotonic_s() < end : mscope_monotonic_s() < end);
}

/* Every step acknowledged, every table's records of its last step here. */
static void settle(bench *b)
{
    mscope_client_stats st;
    double end = mscope_monotonic_s() + PATIENCE_MS * 1e-3;
    size_t behind = b->n;

    while (mscope_client_flush(b->client, 100) != 0) {
        pump(b, 0);
        if (mscope_monotonic_s() > end)
            fail("flush", "the daemon does not keep up");
    }
    while (behind > 0) {
        behind = 0;
        for (size_t i = 0; i < b->n; i++)
            behind += main_band(&b->s[i]) < 0;
        if (behind > 0)
            pump(b, 100);
        if (mscope_monotonic_s() > end)
            fail("telemetry", "the last records did not come");
    }
    pump(b, 700);                            /* the rest of that publication */
    mscope_client_stats_get(b->client, &st);
    if (st.steps_dropped > 0 || st.errors > 0)
        fail("client", st.errors > 0 ? st.last_error.text : "steps were dropped");
}

/* -- the run ------------------------------------------------------------------------------------------- */

/* Probes of a phase: after a quarter of it, the rows' first activations past evenly spread times. */
static void plan_probes(subject *s, unsigned phase, uint64_t from, uint64_t to)
{
    for (size_t r = 0; r < MSCOPE_SIM_ROWS; r++) {
        s->probes_left[r] = samples_of[phase];
        s->next_probe[r] = from + (to - from) * r / 32;
    }
}

static void run_phase(bench *b, subject *s, unsigned phase)
{
    size_t d = (size_t)s->drawn.ls.d, n, np;
    double *g = calloc(MSCOPE_SIM_ROWS * d, sizeof *g), *hm = calloc(MSCOPE_SIM_ROWS * d, sizeof *hm);
    int64_t rows[MSCOPE_SIM_ROWS], probed[MSCOPE_SIM_ROWS];
    unsigned char probe[MSCOPE_SIM_ROWS] = { 0 };
    uint32_t counts[MSCOPE_SIM_ROWS];
    uint64_t from = s->pushed, to = (uint64_t)((double)s->drawn.steps * end_of[phase]);
    mscope_step step = { .eta = s->drawn.ls.eta, .eps = s->drawn.ls.eps, .batch = s->drawn.ls.batch };

    if (g == NULL || hm == NULL)
        fail("simulation", "out of memory");
    plan_probes(s, phase, from, to);
    while (s->pushed < to) {
        for (size_t r = 0; r < MSCOPE_SIM_ROWS; r++)
            probe[r] = s->probes_left[r] > 0 && s->pushed >= s->next_probe[r];
        n = mscope_sim_step(s->sim, probe, rows, counts, g, probed, hm, &np);
        for (size_t k = 0; k < np; k++) {
            s->probes_left[probed[k]]--;
            s->next_probe[probed[k]] = s->pushed + (to - from) / 8;
        }
        int rc = 0;
        for (int tries = 0; np > 0 && tries < PATIENCE_MS; tries++) {        /* a probe does not wait for room */
            if ((rc = mscope_client_probe(b->client, s->handle, 1, probed, hm, MSCOPE_F64, np)) != 1)
                break;
            mscope_client_poll(b->client, 1);
        }
        if (rc != 0)
            fail("probe", rc == 1 ? "no room" : mscope_strerror(rc));
        if (mscope_client_push64(b->client, s->handle, &step, rows, g, MSCOPE_F64, counts, n) != 0)
            fail("push", "a step was not taken");
        if (++s->pushed % PUMP_EVERY == 0)
            pump(b, 0);
    }
    free(g);
    free(hm);
}

static void judge(bench *b, unsigned phase)
{
    char said[MSCOPE_TEXT_MAX + 1];

    for (size_t i = 0; i < b->n; i++) {
        subject *s = &b->s[i];
        int k = main_band(s);
        mscope_verdict_band(&s->band[k], &s->verdict[phase]);
        s->samples[phase] = s->band[k].h_samples;
        if (phase != PHASES - 1)
            continue;
        s->modes.omega = NAN;
        if (s->have_acf[k] && mscope_modes_of(&s->acf[k], &s->modes) != 0)
            fail("spectrum", "out of memory");
        s->agreement = mscope_modes_against(&s->modes, &s->verdict[phase], said, sizeof said);
    }
}

/* -- the report ---------------------------------------------------------------------------------------- */

static double report_phase(const bench *b, unsigned phase)
{
    int table[4][6] = { { 0 } }, right = 0;
    double claimed = 0, samples = 0;

    for (size_t i = 0; i < b->n; i++) {
        const subject *s = &b->s[i];
        int truth = (int)s->drawn.truth.regime, said = (int)s->verdict[phase].regime;
        table[truth][said]++;
        right += truth == said;
        claimed += s->verdict[phase].confidence;
        samples += s->samples[phase];
    }
    const double n = (double)b->n;
    printf("\n%.3g probe row samples a band: accuracy %.3f (%d of %zu), mean stated confidence %.3f\n", samples / n,
           right / n, right, b->n, claimed / n);
    printf("%-18s", "truth \\ verdict");
    for (int k = 0; k < 6; k++)
        printf(" %17s", mscope_regime_name((enum mscope_regime)k));
    printf("\n");
    for (int i = 0; i < 4; i++) {
        printf("%-18s", mscope_regime_name((enum mscope_regime)i));
        for (int k = 0; k < 6; k++)
            printf(" %17d", table[i][k]);
        printf("\n");
    }
    return right / n;
}

/* Stated confidence against how often it was right, both phases together. */
static void report_confidence(const bench *b)
{
    static const double edge[] = { 0, 0.6, 0.8, 0.9, 0.97, 1.01 };

    printf("\nconfidence stated, and right:");
    for (size_t k = 0; k + 1 < sizeof edge / sizeof *edge; k++) {
        int n = 0, right = 0;
        for (size_t i = 0; i < b->n; i++)
            for (unsigned ph = 1; ph < PHASES; ph++) {
                const mscope_verdict *v = &b->s[i].verdict[ph];
                int in = v->confidence >= edge[k] && v->confidence < edge[k + 1];
                n += in;
                right += in && v->regime == b->s[i].drawn.truth.regime;
            }
        if (n > 0)
            printf("  %.2f-%.2f: %.2f (%d)", edge[k], fmin(edge[k + 1], 1), (double)right / n, n);
    }
    printf("\n");
}

static double report_omega(const bench *b)
{
    int oscillate = 0, close = 0, none = 0, agree = 0, contradict = 0, quiet = 0, quiet_wrong = 0;

    for (size_t i = 0; i < b->n; i++) {
        const subject *s = &b->s[i];
        double truth = s->drawn.truth.omega, seen = s->modes.omega;
        agree += s->agreement == MSCOPE_AGREES;
        contradict += s->agreement == MSCOPE_CONTRADICTS;
        if (s->drawn.truth.zeta < 0.5 && truth > 0) {
            oscillate++;
            close += fabs(seen / truth - 1) <= 0.05;
            none += !(seen > 0);
        } else if (s->drawn.truth.zeta > 1) {
            quiet++;
            quiet_wrong += s->modes.kind == MSCOPE_MODES_PAIR && s->modes.zeta < 0.5;
        }
    }
    printf("\nomega from the reference autocorrelation: within 5 %% in %d of %d oscillating bands (%.3f); no pair in "
           "%d\n",
           close, oscillate, oscillate ? (double)close / oscillate : NAN, none);
    printf("bands that do not oscillate called oscillating by it: %d of %d; it agrees with %d verdicts, contradicts "
           "%d\n",
           quiet_wrong, quiet, agree, contradict);
    return oscillate ? (double)close / oscillate : NAN;
}

static void report_bands(const bench *b)
{
    for (size_t i = 0; i < b->n; i++) {
        const subject *s = &b->s[i];
        const mscope_ls *l = &s->drawn.ls;
        const mscope_feedback *t = &s->drawn.truth;
        printf("%3zu d %3.0f p %.4f B %6.0f pB %7.3f eps %.4f noise %.2g updates %4.0f |", i, l->d, l->p, l->batch,
               l->p * l->batch, l->eps, l->noise, s->drawn.updates);
        printf(" %-16s H %.3f zeta %.3f omega %.4f |", mscope_regime_name(t->regime), t->H, t->zeta, t->omega);
        for (unsigned ph = 1; ph < PHASES; ph++) {
            const mscope_verdict *v = &s->verdict[ph];
            printf(" %.0f: %s H %.3f+-%.3f zeta %.3f iso %.2f conf %.2f |", s->samples[ph],
                   mscope_regime_name(v->regime), v->H, v->H_se, v->zeta, v->isotropic, v->confidence);
        }
        printf(" refs %llu kind %d omega %.4f zeta %.3f peak %.4f clear %.3g\n",
               (unsigned long long)s->modes.references, (int)s->modes.kind, s->modes.omega, s->modes.zeta,
               s->modes.peak, s->modes.clear);
    }
}

/* Returns 1 when all bars are met. */
static int report(const bench *b)
{
    printf("without a probe: %llu band records, unknown %.3f of them\n", (unsigned long long)b->unprobed,
           b->unprobed ? (double)b->unprobed_unknown / (double)b->unprobed : NAN);
    const double at16 = report_phase(b, 1), at64 = report_phase(b, 2);
    report_confidence(b);
    const double omega = report_omega(b);
    const int met =
        at16 >= 0.95 && at64 >= 0.98 && !(omega < 0.85) && b->unprobed == b->unprobed_unknown && b->unprobed > 0;
    printf("\nbars (0.95, 0.98, all unknown, 0.85): %s\n", met ? "met" : "missed");
    return met;
}

/* -- the command ------------------------------------------------------------------------------------------ */

static struct {
    uint64_t bands, seed;
    double burst;
    int balanced, list;
    const char *daemon;
} o = { .bands = 1000, .seed = 1 };

static const mscope_option options[] = {
    { "bands", "N", "how many bands (1000)", .count = &o.bands, .low = 1, .high = MOST_BANDS },
    { "seed", "S", "seed of the bands and their gradients (1)", .count = &o.seed },
    { "balanced", NULL,
      "each regime equally often, so a quarter of the bands has H from 0.8 to 0.99, the hardest to tell; otherwise H "
      "is log-uniform from 0.02 to 0.99",
      .flag = &o.balanced },
    { "burst", "STEPS", "rows are active in bursts of so many steps on average (0: independently)", .real = &o.burst,
      .low = 0, .high = 1000 },
    { "list", NULL, "print one line a band", .flag = &o.list },
    { "daemon", "PROGRAM", "the daemon (momentscoped one directory above this program)", .text = &o.daemon },
    { .name = NULL },
};

static const mscope_command command = {
    .name = "verdicts",
    .usage = "[OPTION...]",
    .about = "Sends random simulated bands through a real daemon and compares the verdicts with the exact theory.",
    .option = options,
    .example = "build/accuracy/verdicts --balanced --bands 480",
    .exits =
        "0 all bars met: 95 % right at 16 samples, 98 % at 64, always unknown without a probe, omega within 5 % in 85 "
        "%\n"
        "1 a bar missed\n"
        "2 wrong usage, or the program could not run",
};

static void open_all(bench *b, const char *program)
{
    b->n = (size_t)o.bands;
    b->rng = gsl_rng_alloc(gsl_rng_taus2);
    b->s = calloc(b->n, sizeof *b->s);
    if (b->rng == NULL || b->s == NULL)
        fail("bands", "out of memory");
    gsl_rng_set(b->rng, (unsigned long)o.seed);
    start(b, program);
    for (size_t i = 0; i < b->n; i++) {
        mscope_sim_draw_band(b->rng, o.balanced ? MSCOPE_SIM_BALANCED : MSCOPE_SIM_NATURAL, (unsigned)i, o.burst,
                             &b->s[i].drawn);
        attach(b, i);
    }
}

static void run_all(bench *b)
{
    for (unsigned phase = 0; phase < PHASES; phase++) {
        for (size_t i = 0; i < b->n; i++)
            run_phase(b, &b->s[i], phase);
        settle(b);
        judge(b, phase);
    }
}

/* Ends daemon and simulations, and says what was run. */
static void close_all(bench *b, double began)
{
    double updates = 0, steps = 0;
    for (size_t i = 0; i < b->n; i++) {
        updates += b->s[i].drawn.updates * MSCOPE_SIM_ROWS / (double)b->n;
        steps += (double)b->s[i].pushed;
        mscope_sim_close(b->s[i].sim);
    }
    stop(b);
    if (o.list)
        report_bands(b);
    printf("%zu bands of %d rows (%s, seed %llu), %.0f row updates a band, %.3g steps through the daemon, %.0f s\n",
           b->n, MSCOPE_SIM_ROWS, o.balanced ? "regimes equally often" : "H log-uniform", (unsigned long long)o.seed,
           updates, steps, mscope_monotonic_s() - began);
}

int main(int argc, char **argv)
{
    char program[4096];
    const char *slash = strrchr(argv[0], '/');
    const double began = mscope_monotonic_s();
    const int code = mscope_options_read(&command, argc, argv, NULL);
    bench b = { .n = 0 };

    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    snprintf(program, sizeof program, "%.*s/../momentscoped", slash ? (int)(slash - argv[0]) : 1,
             slash ? argv[0] : ".");
    open_all(&b, o.daemon != NULL ? o.daemon : program);
    run_all(&b);
    close_all(&b, began);
    const int met = report(&b);
    gsl_rng_free(b.rng);
    free(b.s);
    return met ? 0 : 1;
}
