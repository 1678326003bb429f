/* report_from.c - see report_from.h */
#include "report_from.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <libgen.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exit.h"
#include "common/line.h"
#include "monitor/record_parse.h"
#include "serve/hub.h"
#include "serve/past.h"
#include "tape/contents.h"

enum { RECORDS = 600, PLAY_MS = 50 };

static const double PAST_S = 10, START_S = 10;
static const double QUIET_S = 0.3, MISSING_S = 5;    /* at the end of a recording: its last step was heard, or not */

extern char **environ;

/* A signal ends the wait, so that no daemon and no folder of a report is left behind. */
static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    stop = sig;
}

static int complain(const char *command, const char *file, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", command, file, why);
    return MSCOPE_EXIT_FAILED;
}

static int any(const char *command, const mscope_report_from *f, const mscope_story *s)
{
    for (size_t i = 0; i < s->tables; i++)
        if (s->judged.latest.table[i].have_table)
            return MSCOPE_EXIT_OK;
    char why[MSCOPE_NAME_MAX + 64];
    (void)snprintf(why, sizeof why, "there is no record of %s%.63s", s->only != NULL ? "table " : "a table",
                   s->only != NULL ? s->only : "");
    return complain(command, f->file != NULL ? f->file : "the daemon", why);
}

/* -- JSON lines ----------------------------------------------------------------------------------------------- */

/* Records have no time, but the daemon's say how long it was up. The file was last written with the last record. */
static double begun(FILE *in, const char *file)
{
    double up = NAN, last = 0;
    struct stat st;
    char *line = NULL;
    size_t room = 0;

    if (in == stdin || stat(file, &st) != 0 || !S_ISREG(st.st_mode))
        return NAN;
    while (mscope_line_next(&line, &room, in) > 0) {
        const char *at = strncmp(line, "{\"topic\":\"daemon\"", 17) == 0 ? strstr(line, "\"uptime\":") : NULL;
        if (at != NULL)
            last = up = strtod(at + 9, NULL);
    }
    free(line);
    rewind(in);
    return isnan(up) ? NAN : (double)st.st_mtim.tv_sec - last;
}

static int read_lines(mscope_report_from *f, const char *command, FILE *in, mscope_story *s)
{
    const double start = begun(in, f->file);
    unsigned long long number = 0, taken = 0;
    char *line = NULL, why[MSCOPE_WHY_MAX], what[MSCOPE_WHY_MAX + 32];
    double at = 0;
    size_t room = 0;
    mscope_telemetry m;
    long len = 0;
    int rc = 0;

    while (rc == 0 && (len = mscope_line_next(&line, &room, in)) > 0) {
        number++;
        rc = mscope_record_parse(line, (size_t)len, &m, why, sizeof why);
        if (rc == MSCOPE_EAGAIN || (rc != 0 && len == 1)) {
            rc = 0;
            continue;
        }
        if (rc != 0) {
            (void)snprintf(what, sizeof what, "line %llu: %s", number, why);
            break;
        }
        if (m.record.kind == MSCOPE_REC_DAEMON && !isnan(start))
            at = start + m.record.u.daemon.uptime;
        s->past = at == 0;
        if ((rc = mscope_story_take(s, &m, at)) != 0)
            (void)snprintf(what, sizeof what, "%s", mscope_strerror(rc));
        taken++;
    }
    if (len < 0) {
        rc = MSCOPE_EINVAL;
        (void)snprintf(what, sizeof what, "line %llu: %s", number + 1, mscope_line_why());
    }
    free(line);
    s->past = 0;
    (void)snprintf(f->how, sizeof f->how, "from %llu records of %s", taken, f->name);
    return rc != 0 ? complain(command, f->file, what) : any(command, f, s);
}

/* -- a running daemon ------------------------------------------------------------------------------------------ */

static int read_daemon(mscope_report_from *f, const char *command, mscope_story *s)
{
    mscope_listen from;
    char where[256];
    int code;

    f->listening.from.past = 1;
    code = mscope_listening_open(&f->listening, command, &from);
    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    (void)snprintf(f->name, sizeof f->name, "the running daemon");
    mscope_feed_where(from.feed, where, sizeof where);
    const double until = mscope_monotonic_s() + f->listening.wait_s;
    do {
        if (mscope_past_take(from.feed, s, NULL, fmin(PAST_S, f->listening.wait_s), mscope_hub_now()) != 0)
            break;
    } while (!mscope_latest_complete(&s->judged.latest) && mscope_monotonic_s() < until && !*from.stop);
    (void)snprintf(f->how, sizeof f->how, "from what momentscoped still had for replay at %.180s", where);
    code = s->tables == 0 ? mscope_listening_nothing(command, &from, &s->judged, f->listening.wait_s)
                          : any(command, f, s);
    mscope_feed_close(from.feed);
    return code;
}

/* -- a recording ------------------------------------------------------------------------------------------------ */

/* A daemon of our own and the player, in a folder that nobody else sees. */
typedef struct stage {
    char folder[64], ingest[96], telemetry[96], replay[96], every[32];
    char daemon[4096], player[4096];
    pid_t daemon_pid, player_pid;
} stage;

static int find_programs(stage *g)
{
    char self[4000];
    const ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);

    if (len <= 0)
        return -1;
    self[len] = '\0';
    (void)snprintf(g->player, sizeof g->player, "%s", self);
    (void)snprintf(g->daemon, sizeof g->daemon, "%s/momentscoped", dirname(self));
    return access(g->daemon, X_OK);
}

static pid_t begin(char *const *argv, const char *log)
{
    posix_spawn_file_actions_t files;
    pid_t pid = -1;

    if (posix_spawn_file_actions_init(&files) != 0)
        return -1;
    (void)posix_spawn_file_actions_addopen(&files, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)posix_spawn_file_actions_adddup2(&files, 1, 2);
    if (posix_spawn(&pid, argv[0], &files, NULL, argv, environ) != 0)
        pid = -1;
    (void)posix_spawn_file_actions_destroy(&files);
    return pid;
}

static int wait_for(const char *path, double seconds)
{
    const struct timespec pause = { .tv_nsec = 20000000 };

    for (const double until = mscope_monotonic_s() + seconds; access(path, F_OK) != 0;) {
        if (mscope_monotonic_s() > until || stop)
            return -1;
        (void)nanosleep(&pause, NULL);
    }
    return 0;
}

/* Returns NULL, or why there is no stage. */
static const char *set_stage(stage *g, const char *file, uint64_t every)
{
    static char log[80];
    char *daemon[] = { g->daemon, "--ingest", g->ingest, "--telemetry", g->telemetry, "--replay", g->replay,
                       "--interval", "0", "--interval-steps", g->every, "--max-bytes", "16G", NULL };
    char *player[] = { g->player, "play", (char *)(uintptr_t)file, "--ingest", g->ingest, "--quiet", NULL };
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(g->folder, sizeof g->folder, "%.40s/momentscope-XXXXXX",
                   tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
    if (find_programs(g) != 0)
        return "momentscoped is not beside this program";
    if (mkdtemp(g->folder) == NULL)
        return strerror(errno);
    (void)snprintf(g->ingest, sizeof g->ingest, "ipc://%s/ingest", g->folder);
    (void)snprintf(g->telemetry, sizeof g->telemetry, "ipc://%s/telemetry", g->folder);
    (void)snprintf(g->replay, sizeof g->replay, "ipc://%s/replay", g->folder);
    (void)snprintf(g->every, sizeof g->every, "%llu", (unsigned long long)every);
    (void)snprintf(log, sizeof log, "%s/log", g->folder);
    if ((g->daemon_pid = begin(daemon, log)) < 0)
        return "momentscoped does not start";
    if (wait_for(g->replay + 6, START_S) != 0)
        return "momentscoped did not open its addresses";
    return (g->player_pid = begin(player, log)) < 0 ? "the player does not start" : NULL;
}

static void end_process(pid_t pid)
{
    if (pid > 0) {
        (void)kill(pid, SIGTERM);
        (void)waitpid(pid, NULL, 0);
    }
}

static void clear_stage(stage *g)
{
    static const char *const names[] = { "ingest", "ingest.shm", "telemetry", "replay", "log", "ingest.lock" };
    char path[128];

    end_process(g->player_pid);
    end_process(g->daemon_pid);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", g->folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(g->folder);
}

/* Has a table come to the last step of the recording? */
static int heard(const mscope_story *s, uint64_t steps)
{
    for (size_t i = 0; i < s->tables; i++)
        if (s->judged.latest.table[i].have_table && s->judged.latest.table[i].table.record.u.table.step >= steps)
            return 1;
    return 0;
}

/* Take records until the player has ended and no more comes of a table: what the daemon says of itself never ends.
 * Returns the player's exit code, -1: out of memory, or a signal came. */
static int listen_to(stage *g, mscope_feed *feed, uint64_t steps, mscope_story *s)
{
    double last = mscope_monotonic_s();
    int status = 0, ended = 0;
    mscope_telemetry m;

    while (!ended || mscope_monotonic_s() - last < (heard(s, steps) ? QUIET_S : MISSING_S)) {
        const int rc = mscope_feed_next(feed, &m, PLAY_MS);
        if (stop)
            return -1;
        if (rc == 0) {
            last = m.record.kind == MSCOPE_REC_DAEMON ? last : mscope_monotonic_s();
            s->past = m.record.kind != MSCOPE_REC_ALERT;
            if (mscope_story_take(s, &m, mscope_hub_now()) != 0)
                return -1;
        }
        if (!ended && waitpid(g->player_pid, &status, WNOHANG) == g->player_pid) {
            ended = 1;
            g->player_pid = 0;
            last = mscope_monotonic_s();
        }
    }
    s->past = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Signals that are ignored stay so (nohup). was[i] is what to put back. */
static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
enum { SIGNALS = sizeof signals / sizeof *signals };

static void catch_signals(struct sigaction was[SIGNALS])
{
    struct sigaction act = { .sa_handler = on_signal };

    (void)sigemptyset(&act.sa_mask);
    for (int i = 0; i < SIGNALS; i++)
        if (sigaction(signals[i], NULL, &was[i]) == 0 && was[i].sa_handler != SIG_IGN)
            (void)sigaction(signals[i], &act, NULL);
}

static void release_signals(const struct sigaction was[SIGNALS])
{
    for (int i = 0; i < SIGNALS; i++)
        (void)sigaction(signals[i], &was[i], NULL);
    if (stop)
        (void)raise(stop);
}

/* Play it through a stage. Returns NULL, or why that failed. */
static const char *perform(const char *file, uint64_t every, uint64_t steps, mscope_story *s)
{
    static stage g;
    static char more[MSCOPE_WHY_MAX];
    struct sigaction was[SIGNALS];
    mscope_feed_options from = { .telemetry = g.telemetry, .replay = g.replay, .past = 1 };
    mscope_feed *feed = NULL;

    catch_signals(was);
    const char *why = set_stage(&g, file, every);
    if (why == NULL && mscope_feed_open(&feed, &from, more, sizeof more) != 0)
        why = more;
    if (why == NULL && listen_to(&g, feed, steps, s) != 0)
        why = "the recording could not be played to its end; momentscope play says why";
    mscope_feed_close(feed);
    clear_stage(&g);
    release_signals(was);
    return why;
}

static int read_tape(mscope_report_from *f, const char *command, mscope_story *s)
{
    mscope_tape tape;
    mscope_contents contents = { .table = NULL };
    mscope_refusal bad;
    uint64_t steps = 0, recorded = 0;
    int rc = mscope_tape_open(&tape, f->file, &bad);

    if (rc == 0) {
        rc = mscope_contents_read(&contents, &tape, &bad);
        for (size_t i = 0; i < contents.tables; i++) {
            steps = contents.table[i].step > steps ? contents.table[i].step : steps;
            recorded += contents.table[i].steps;
        }
        mscope_contents_free(&contents);
        mscope_tape_close(&tape);
    }
    if (rc != 0) {
        fprintf(stderr, "%s: %s: %s is '%s', expected %s: %s\n", command, f->file, bad.field, bad.value, bad.range,
                bad.text);
        return MSCOPE_EXIT_FAILED;
    }
    if (recorded == 0)
        return complain(command, f->file, "no training step is in this recording: it ended, or was cut off, before the "
                                          "first one");
    const uint64_t every = f->every > 0 ? f->every : steps / RECORDS + 1;
    const char *why = perform(f->file, every, steps, s);
    (void)snprintf(f->how, sizeof f->how,
                   "from the recording %.60s, played through momentscoped, a record every %llu steps", f->name,
                   (unsigned long long)every);
    return why != NULL ? complain(command, f->file, why) : any(command, f, s);
}

/* -- which of them ---------------------------------------------------------------------------------------------- */

int mscope_report_read(mscope_report_from *f, const char *command, mscope_story *s)
{
    char magic[sizeof MSCOPE_TAPE_MAGIC] = "";
    const char *slash;
    FILE *in;
    int code;

    s->only = f->listening.table;
    if (f->file == NULL)
        return read_daemon(f, command, s);
    slash = strrchr(f->file, '/');
    (void)snprintf(f->name, sizeof f->name, "%s", strcmp(f->file, "-") == 0 ? "standard input"
                                                  : slash != NULL           ? slash + 1
                                                                            : f->file);
    in = strcmp(f->file, "-") == 0 ? stdin : fopen(f->file, "r");
    if (in == NULL)
        return complain(command, f->file, strerror(errno));
    if (in != stdin && fread(magic, 1, sizeof magic - 1, in) == sizeof magic - 1 &&
        memcmp(magic, MSCOPE_TAPE_MAGIC, sizeof magic - 1) == 0) {
        (void)fclose(in);
        return read_tape(f, command, s);
    }
    if (in != stdin)
        rewind(in);
    code = read_lines(f, command, in, s);
    if (in != stdin)
        (void)fclose(in);
    return code;
}
