/* record.c - momentscope record FILE: the options and the closing report; host/tape does the work */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/signalfd.h>
#include <unistd.h>

#include "cli.h"
#include "common/options.h"
#include "keys_option.h"
#include "protocol/meet/keys.h"
#include "protocol/meet/bind.h"
#include "tape/relay.h"

#define COMMAND "momentscope record"

enum { EXIT_INCOMPLETE = 3 };
#define BUFFER_BYTES (256ull << 20)

struct options {
    mscope_relay_config cfg;
    char ingest[256];                    /* the default endpoint */
    int remote;
};

/* -- options ---------------------------------------------------------------------------------------- */

/* The next name of a comma list, "" at its end. */
static const char *next_name(const char *list, char name[MSCOPE_NAME_MAX + 1])
{
    const size_t len = strcspn(list, ",");

    (void)snprintf(name, MSCOPE_NAME_MAX + 1, "%.*s", (int)len, list);
    return list + len + (list[len] == ',');
}

/* --tables: the names are checked here, and read by the relay */
static int names(void *context, const char *list, char *why, size_t cap)
{
    const char *at = list;

    (void)snprintf(why, cap, "expected names of tables, separated by commas: 1 to 63 letters, digits, _ . -");
    do {
        const size_t len = strcspn(at, ",");
        if (len < 1 || len > MSCOPE_NAME_MAX ||
            strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") < len)
            return -1;
        at += len;
    } while (*at++ == ',');
    *(const char **)context = list;
    return 0;
}

static int check_endpoints(const mscope_command *c, struct options *o)
{
    const char *range;

    if (mscope_keys_remote(c, o->remote) != MSCOPE_OPTIONS_GO_ON)
        return MSCOPE_EXIT_USAGE;
    o->cfg.keys = mscope_keys_folder();
    if (o->cfg.ingest == NULL && mscope_default_endpoint("ingest", o->ingest, sizeof o->ingest) != 0)
        return mscope_options_refuse(c, "ingest", "", "an endpoint: the default one is too long");
    if (o->cfg.ingest == NULL)
        o->cfg.ingest = o->ingest;
    if ((range = mscope_bind_range(o->cfg.ingest, o->remote)) != NULL)
        return mscope_options_refuse(c, "ingest", o->cfg.ingest, range);
    if (o->cfg.forward == NULL)
        return MSCOPE_OPTIONS_GO_ON;
    if ((range = mscope_bind_range(o->cfg.forward, 1)) != NULL)
        return mscope_options_refuse(c, "forward", o->cfg.forward, range);
    if (strcmp(o->cfg.forward, o->cfg.ingest) == 0)
        return mscope_options_refuse(c, "forward", o->cfg.forward,
                                     "another endpoint than --ingest: start the daemon with --ingest elsewhere");
    return MSCOPE_OPTIONS_GO_ON;
}

/* Returns the exit code to leave with, or MSCOPE_OPTIONS_GO_ON. */
static int read_options(int argc, char **argv, struct options *o)
{
    const mscope_option table[] = {
        { "ingest", "ENDPOINT",
          "where trainers connect (default: $MOMENTSCOPE_INGEST, else the usual place of the daemon)",
          .text = &o->cfg.ingest, .env = "MOMENTSCOPE_INGEST" },
        { "forward", "ENDPOINT",
          "where the daemon listens: messages pass byte for byte in both directions (without shared memory), so"
          " the run is monitored as before. Without --forward this program answers the trainers, and nothing is"
          " monitored",
          .text = &o->cfg.forward },
        { "tables", "A,B,..",
          "write only the tables of these names (default: all). The other tables are passed on or answered as"
          " before, and do not count as missing. A name that no trainer attached is reported at the end",
          .check = names, .context = &o->cfg.tables },
        { "steps", "N", "write N steps of every table and no more; with --forward messages still go on to the daemon",
          .count = &o->cfg.steps, .low = 1, .high = 1e15 },
        { "max-bytes", "BYTES",
          "write nothing more once FILE would be larger (K, M, G allowed); messages go on likewise",
          .bytes = &o->cfg.max_bytes, .low = 4096, .high = 1e15 },
        { "stay", NULL, "go on when every trainer has left, until a signal", .flag = &o->cfg.stay },
        MSCOPE_KEYS_OPTION_SERVE("a trainer is let in"),
        { "allow-remote", NULL, "bind an ENDPOINT that other machines can reach; needs --keys", .flag = &o->remote },
        { "quiet", NULL, "print only errors", .flag = &o->cfg.quiet },
        { .name = NULL }
    };
    const mscope_command record = {
        .name = COMMAND,
        .usage = "FILE [OPTION...]",
        .about = "Listen where trainers look for the daemon, and write to FILE what they send: settings, steps with "
                 "their gradients, probes, references, rows. momentscope play sends FILE to a daemon again; "
                 "momentscope bench run recording compares schedules on it.\n"
                 "\n"
                 "Recording ends when every trainer has left (BYE), at SIGINT or SIGTERM and, without --forward, at a "
                 "limit. The trainer never waits for this program, its disk or the daemon.",
        .option = table,
        .notes = "A message counts as recorded when it is in FILE. A message that finds no room, because the disk is "
                 "slow or full, is counted as lost, in the report and in FILE.",
        .example = COMMAND " run.tape & python train.py\n"
                           "momentscoped --ingest ipc:///tmp/behind.ipc &\n" COMMAND
                           " run.tape --forward ipc:///tmp/behind.ipc & python train.py",
        .exits = "0 everything was recorded\n"
                 "1 nothing was recorded (FILE is removed)\n"
                 "2 wrong usage\n"
                 "3 recorded, but something is missing: messages or steps were lost, rows are not known, the disk "
                 "failed, or a table of --tables was never attached",
        .least = 1,
        .most = 1,
        .argument = "FILE",
    };
    const int code = mscope_options_read(&record, argc, argv, NULL);

    o->cfg.file = argv[1];
    return code == MSCOPE_OPTIONS_GO_ON ? check_endpoints(&record, o) : code;
}

/* -- the run and its report --------------------------------------------------------------------------- */

static int signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);           /* of a terminal that is closed; under nohup it does not come */
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);          /* a file at its limit (ulimit -f) is reported like a full disk */
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int attached(const mscope_contents *c, const char *name)
{
    for (size_t i = 0; i < c->tables; i++)
        if (strcmp(c->table[i].hello.table, name) == 0)
            return 1;
    return 0;
}

/* A name of --tables that no trainer attached may be a slip of the pen: list the names that there were. */
static int say_absent(const mscope_relay_config *cfg, const mscope_contents *seen)
{
    char name[MSCOPE_NAME_MAX + 1];
    int absent = 0;

    for (const char *at = cfg->tables; at != NULL && *at != '\0';) {
        at = next_name(at, name);
        if (attached(seen, name))
            continue;
        absent = 1;
        fprintf(stderr, COMMAND ": --tables is '%s', but no trainer attached a table %s; %s", cfg->tables, name,
                seen->tables > 0 ? "there were:" : "none attached any");
        for (size_t i = 0; i < seen->tables; i++)
            fprintf(stderr, " %s", seen->table[i].hello.table);
        fputc('\n', stderr);
    }
    return absent;
}

static int report(const mscope_relay_config *cfg, mscope_relay_result *r)
{
    const mscope_keys_told *told = cfg->told;
    const uint64_t refused = atomic_load_explicit(&told->refused, memory_order_relaxed);
    const int absent = say_absent(cfg, &r->seen);
    const int whole = mscope_contents_whole(&r->contents) && !r->failed;
    const int nothing = r->contents.messages == 0;
    const char *const why = r->failed || r->contents.lost > 0 ? "; nothing could be kept"
                            : r->seen.tables > 0 ? "; no table of --tables was attached" : "; no trainer attached";

    if (!cfg->quiet) {
        printf("ended: %s\n", r->ended);
        if (refused > 0)
            printf("turned away: %llu times a peer whose keys did not fit\n", (unsigned long long)refused);
        mscope_contents_print(&r->contents, stdout);
        printf("%s: %llu messages, %llu lost, %llu bytes%s\n", cfg->file, (unsigned long long)r->contents.messages,
               (unsigned long long)r->contents.lost, (unsigned long long)r->bytes,
               nothing ? why
               : whole ? ""
                       : "; INCOMPLETE");
    }
    if (nothing)
        (void)unlink(cfg->file);
    mscope_contents_free(&r->contents);
    mscope_contents_free(&r->seen);
    return nothing ? MSCOPE_EXIT_FAILED : whole && !absent ? MSCOPE_EXIT_OK : EXIT_INCOMPLETE;
}

/* A refusal holds the beginning of an address; here is all of it. */
static int say_why(const struct options *o, int code, const mscope_refusal *why)
{
    const char *const value = strcmp(why->field, "ingest") == 0 ? o->cfg.ingest
                              : strcmp(why->field, "forward") == 0 ? o->cfg.forward
                              : strcmp(why->field, "keys") == 0 ? o->cfg.keys : why->value;

    fprintf(stderr, COMMAND ": %s is '%s', expected %s: %s\n", why->field, value, why->range, why->text);
    if (code == MSCOPE_EBUSY && o->cfg.forward == NULL && strcmp(why->field, "ingest") == 0)
        fprintf(stderr, COMMAND ": to record beside a daemon, start it with another --ingest ENDPOINT, and this "
                        "program with --forward ENDPOINT\n");
    return MSCOPE_EXIT_FAILED;
}

int mscope_cmd_record(int argc, char **argv)
{
    mscope_keys_told told = { .command = COMMAND };
    struct options o = { .cfg = { .buffer_bytes = BUFFER_BYTES, .tell = mscope_keys_tell, .told = &told } };
    mscope_relay_result result;
    mscope_refusal why;
    int fd, code = read_options(argc, argv, &o);

    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    fd = signals();
    if (fd < 0) {
        fprintf(stderr, COMMAND ": cannot receive signals: %s\n", strerror(errno));
        return MSCOPE_EXIT_FAILED;
    }
    told.quiet = o.cfg.quiet;
    code = mscope_relay_run(&o.cfg, fd, &result, &why);
    (void)close(fd);
    return code == 0 ? report(&o.cfg, &result) : say_why(&o, code, &why);
}
