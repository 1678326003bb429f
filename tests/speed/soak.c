/* soak.c - a daemon of its own, fed for long or with much: memory, time of a step, lateness, idle cost, restart
 *
 *     soak [--rows N] [--dim D] [--active A] [--steps K] [--batch B] [--idle S] [--restart] [-- DAEMON OPTION...]
 *
 * Prints one JSON object. The check: no step lost or refused, and with --restart the table goes on exact, without SYNC.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "mscope/client.h"

#define LOOKS 10

typedef struct soak {
    uint32_t rows, dim, active;
    uint64_t steps;
    double batch, idle_s;
    int restart;
    char **daemon_options;
    char dir[64], ingest[96], telemetry[96], replay[96];
    pid_t pid;
} soak;

static uint64_t seed = 88172645463325252u;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

/* A number of /proc/PID/status in kB, 0 where there is none. */
static double status_kb(pid_t pid, const char *field)
{
    char path[64], line[256];
    double kb = 0;
    FILE *f;

    (void)snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, field, strlen(field)) == 0)
            kb = strtod(line + strlen(field) + 1, NULL);
    if (f != NULL)
        (void)fclose(f);
    return kb;
}

/* Processor time of a process so far, in seconds. */
static double cpu_s(pid_t pid)
{
    char path[64], text[1024], *p;
    unsigned long user = 0, sys = 0;
    FILE *f;
    size_t n;

    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    if ((f = fopen(path, "r")) == NULL)
        return 0;
    n = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    p = strrchr(text, ')');
    if (p == NULL || sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) != 2)
        return 0;
    return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

static void start_daemon(soak *s)
{
    const char *build = getenv("BUILD");
    char program[512];
    char *argv[64] = { program, "--ingest", s->ingest, "--telemetry", s->telemetry, "--replay", s->replay };
    int n = 7;

    (void)snprintf(program, sizeof program, "%s/momentscoped", build != NULL ? build : "build");
    for (char **o = s->daemon_options; o != NULL && *o != NULL && n < 63; o++)
        argv[n++] = *o;
    s->pid = fork();
    if (s->pid == 0) {
        execv(program, argv);
        perror(program);
        _exit(127);
    }
}

static int stop_daemon(const soak *s)
{
    int status = 0;

    (void)kill(s->pid, SIGTERM);
    (void)waitpid(s->pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void fail(const soak *s, const char *what)
{
    mscope_refusal why;

    mscope_client_fault(&why);
    fprintf(stderr, "soak: %s (%s: %s, expected %s)\n", what, why.field, why.value, why.range);
    (void)stop_daemon(s);
    exit(1);
}

/* A third of the entries on few rows, the rest anywhere: every band is in use, and no row is safe from being touched.
 */
static void draw(const soak *s, int64_t *rows, float *g)
{
    for (uint32_t i = 0; i < s->active; i++)
        rows[i] = (int64_t)(i % 3 == 0 ? rnd() % (1 + s->rows / 1000) : rnd() % s->rows);
    for (size_t i = 0; i < (size_t)s->active * s->dim; i++)
        g[i] = (float)(int64_t)rnd() * 0x1p-63f;
}

static uint64_t attach_and_wait(const soak *s, mscope_client *c, int attach)
{
    char name[] = "soak";
    const mscope_attach_info info = { .table = name, .rows = s->rows, .dim = s->dim, .capacity = s->active,
                                      .state = MSCOPE_STATE_F32, .form = MSCOPE_FORM_EMA, .fresh = 1 };
    mscope_client_stats st;
    double start = mscope_monotonic_s();

    if (attach && mscope_client_attach(c, &info) != 0)
        fail(s, "attach");
    do {
        (void)mscope_client_poll(c, 20);
        mscope_client_stats_get(c, &st);
        if (mscope_monotonic_s() - start > 600)
            fail(s, "no WELCOME");
    } while (!st.connected);
    return st.syncs;
}

/* The daemon's word about its own time: the last record of the daemon within wait_s. */
static int daemon_record(const soak *s, double wait_s, mscope_rec_daemon *out)
{
    mscope_subscriber *sub;
    mscope_telemetry m;
    double start = mscope_monotonic_s();
    int got = 0;

    if (mscope_subscribe(&sub, s->telemetry, "", "daemon") != 0)
        return 0;
    while (mscope_monotonic_s() - start < wait_s)
        if (mscope_subscriber_next(sub, &m, 50) == 0 && m.record.kind == MSCOPE_REC_DAEMON) {
            *out = m.record.u.daemon;
            got = 1;
        }
    mscope_subscriber_close(sub);
    return got;
}

static int read_options(soak *s, int argc, char **argv)
{
    static const struct option known[] = {
        { "rows", required_argument, NULL, 'r' },  { "dim", required_argument, NULL, 'd' },
        { "active", required_argument, NULL, 'a' }, { "steps", required_argument, NULL, 's' },
        { "batch", required_argument, NULL, 'b' }, { "idle", required_argument, NULL, 'i' },
        { "restart", no_argument, NULL, 'R' },     { NULL, 0, NULL, 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1)
        switch (c) {
        case 'r': s->rows = (uint32_t)strtoul(optarg, NULL, 0); break;
        case 'd': s->dim = (uint32_t)strtoul(optarg, NULL, 0); break;
        case 'a': s->active = (uint32_t)strtoul(optarg, NULL, 0); break;
        case 's': s->steps = strtoull(optarg, NULL, 0); break;
        case 'b': s->batch = strtod(optarg, NULL); break;
        case 'i': s->idle_s = strtod(optarg, NULL); break;
        case 'R': s->restart = 1; break;
        default: return 2;
        }
    s->daemon_options = argv + optind;
    return s->rows == 0 || s->dim == 0 || s->active == 0 || s->steps < LOOKS ? 2 : 0;
}

/* What was measured; seconds and MiB. */
typedef struct figures {
    double rss[LOOKS], file[LOOKS], attach_s, trained_s, idle, stop_s, restart_s;
    mscope_rec_daemon d;
    int checked;
} figures;

static void make_dir(soak *s)
{
    (void)snprintf(s->dir, sizeof s->dir, "/tmp/mscope-soak-XXXXXX");
    if (mkdtemp(s->dir) == NULL)
        exit(1);
    (void)snprintf(s->ingest, sizeof s->ingest, "ipc://%s/i", s->dir);
    (void)snprintf(s->telemetry, sizeof s->telemetry, "ipc://%s/t", s->dir);
    (void)snprintf(s->replay, sizeof s->replay, "ipc://%s/r", s->dir);
}

static void train(soak *s, mscope_client *c, const mscope_step *step, int64_t *rows, float *g, figures *f)
{
    const double began = mscope_monotonic_s();

    for (uint64_t k = 0; k < s->steps; k++) {
        const uint64_t look = (k + 1) / (s->steps / LOOKS);
        if (k % 16 == 0)
            draw(s, rows, g);
        if (mscope_client_push64(c, 0, step, rows, g, MSCOPE_F32, NULL, s->active) != 0)
            fail(s, "a step was dropped");
        if ((k + 1) % (s->steps / LOOKS) == 0 && look <= LOOKS) {
            f->rss[look - 1] = status_kb(s->pid, "VmRSS:") / 1024;
            f->file[look - 1] = (status_kb(s->pid, "RssFile:") + status_kb(s->pid, "RssShmem:")) / 1024;
        }
    }
    if (mscope_client_flush(c, 600000) != 0)
        fail(s, "not everything was acknowledged");
    f->trained_s = mscope_monotonic_s() - began;
}

static void idle(soak *s, figures *f)
{
    (void)daemon_record(s, 1.5, &f->d);
    const double before = cpu_s(s->pid);
    (void)poll(NULL, 0, (int)(1000 * s->idle_s));
    f->idle = (cpu_s(s->pid) - before) / s->idle_s;
    f->checked = f->d.steps_applied == s->steps && f->d.lost_steps == 0 && f->d.refused_messages == 0;
}

/* The daemon stops and starts again; the next step must find its table whole, without rows from the trainer. */
static void restart(soak *s, mscope_client *c, const mscope_step *step, const int64_t *rows, const float *g, figures *f)
{
    mscope_client_stats st;
    double began = mscope_monotonic_s();

    f->checked &= stop_daemon(s) == 0;
    f->stop_s = mscope_monotonic_s() - began;
    began = mscope_monotonic_s();
    start_daemon(s);
    f->checked &= mscope_client_push64(c, 0, step, rows, g, MSCOPE_F32, NULL, s->active) == 0;
    f->checked &= mscope_client_flush(c, 600000) == 0;
    f->restart_s = mscope_monotonic_s() - began;
    mscope_client_stats_get(c, &st);
    f->checked &= st.exact && st.syncs == 0 && st.steps_dropped == 0;
}

static void list(const char *name, const double *x)
{
    printf("\"%s\":[", name);
    for (int i = 0; i < LOOKS; i++)
        printf("%s%.1f", i > 0 ? "," : "", x[i]);
    printf("],");
}

static void report(const soak *s, const figures *f)
{
    printf("{\"bench\":\"soak\",\"rows\":%u,\"dim\":%u,\"active\":%u,\"steps\":%llu,\"attach_s\":%.3g,"
           "\"us_a_step\":%.4g,\"daemon_us_a_message_worst\":%.4g,\"late_worst_ms\":%.3g,\"pause_worst_ms\":%.3g,"
           "\"slice_worst_us\":%.4g,"
           "\"publish_ms_last\":%.3g,\"idle_cpu_percent\":%.3g,",
           s->rows, s->dim, s->active, (unsigned long long)s->steps, f->attach_s, 1e6 * f->trained_s / (double)s->steps,
           1e6 * f->d.message_worst, 1e3 * f->d.late_worst, 1e3 * f->d.pause_worst, 1e6 * f->d.slice_worst,
           1e3 * f->d.publish_time, 100 * f->idle);
    if (s->restart)
        printf("\"stop_s\":%.3g,\"restart_s\":%.3g,", f->stop_s, f->restart_s);
    list("rss_mb", f->rss);
    list("of_it_mapped_files_mb", f->file);
    printf("\"checked\":%s}\n", f->checked ? "true" : "false");
}

int main(int argc, char **argv)
{
    soak s = { .rows = 4096, .dim = 16, .active = 256, .steps = 100000, .batch = 64, .idle_s = 5 };
    const mscope_client_options options = { .endpoint = s.ingest, .name = "soak", .block_ms = 60000, .quiet = 1 };
    const mscope_step step = { .eta = 0.01, .eps = 0.1, .batch = s.batch };
    figures f = { .checked = 0 };
    mscope_client *c = NULL;

    if (read_options(&s, argc, argv) != 0) {
        fprintf(stderr,
                "usage: soak [--rows N] [--dim D] [--active A] [--steps K >= 10] [--batch B] [--idle S] [--restart]"
                " [-- DAEMON OPTION...]\n");
        return 2;
    }
    make_dir(&s);
    int64_t *rows = calloc(s.active, sizeof *rows);
    float *g = calloc((size_t)s.active * s.dim, sizeof *g);
    start_daemon(&s);
    if (rows == NULL || g == NULL || mscope_client_open(&c, &options) != 0)
        fail(&s, "no client");
    f.attach_s = mscope_monotonic_s();
    (void)attach_and_wait(&s, c, 1);
    f.attach_s = mscope_monotonic_s() - f.attach_s;
    train(&s, c, &step, rows, g, &f);
    idle(&s, &f);
    if (s.restart)
        restart(&s, c, &step, rows, g, &f);
    report(&s, &f);
    mscope_client_close(c, 1000);
    (void)stop_daemon(&s);
    (void)rmdir(s.dir);
    free(rows);
    free(g);
    return f.checked ? 0 : 1;
}
