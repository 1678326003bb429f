/* record.c - momentscope record FILE: command line and closing words; host/record does the work */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/signalfd.h>
#include <unistd.h>

#include "cli.h"
#include "protocol/meet/bind.h"
#include "tape/relay.h"

enum { EXIT_INCOMPLETE = 3 };
#define BUFFER_BYTES (256ull << 20)

static void usage(FILE *to)
{
    fprintf(to,
            "usage: momentscope record FILE [OPTION...]\n\n"
            "Stands where trainers look for the daemon and writes what they send to FILE: settings, steps with their gradients,\n"
            "probes, references, rows. momentscope replay sends it to a daemon again, momentscope bench run recording compares\n"
            "schedules on it. Ends when every trainer has left (BYE), by SIGINT or SIGTERM, and, without --forward, at a limit.\n"
            "The trainer is never held up, whatever becomes of this program, its disk or the daemon.\n\n"
            "  --ingest ENDPOINT   where trainers connect (default: $MOMENTSCOPE_INGEST, else the daemon's usual place)\n"
            "  --forward ENDPOINT  where the daemon listens: messages pass byte for byte in both directions (without the\n"
            "                      shared memory), so the run is monitored as before. Without it trainers are answered\n"
            "                      here and nothing is monitored\n"
            "  --tables A,B,..     write only the tables of these names (default: all). The others are passed on or answered\n"
            "                      just so, and count as nothing missing; a name that no trainer attached is told at the end\n"
            "  --steps N           write N steps of every table and no more (with --forward messages go on to the daemon)\n"
            "  --max-bytes BYTES   write no more once FILE would be larger (K, M, G allowed; likewise)\n"
            "  --stay              go on when every trainer has left, until a signal\n"
            "  --allow-remote      bind an ENDPOINT that other machines can reach (no encryption)\n"
            "  --quiet             only errors\n\n"
            "A message is counted as recorded when it is in FILE. What finds no room, because the disk is slow or full, is counted\n"
            "as lost, here and in FILE.\n\n"
            "example, alone:          momentscope record run.tape &  python train.py\n"
            "example, with a daemon:  momentscoped --ingest ipc:///tmp/behind.ipc &\n"
            "                         momentscope record run.tape --forward ipc:///tmp/behind.ipc &  python train.py\n\n"
            "exit codes: 0 recorded whole; 1 nothing recorded (FILE is removed); 2 wrong usage; 3 recorded, but something is\n"
            "missing: messages or steps were lost, rows are not known, the disk failed, or a table of --tables never came\n");
}

static int refuse(const char *option, const char *value, const char *range)
{
    fprintf(stderr, "momentscope record: --%s is '%s', expected %s\n", option, value, range);
    return -1;
}

static int count(const char *option, const char *text, double least, int bytes, uint64_t *out)
{
    char *end, range[64];
    double scale = 1;
    const double x = strtod(text, &end);

    if (bytes && *end != '\0' && end[1] == '\0') {
        scale = *end == 'K' ? 1024.0 : *end == 'M' ? 1048576.0 : *end == 'G' ? 1073741824.0 : 0;
        end += scale > 0;
    }
    (void)snprintf(range, sizeof range, "a whole number from %g to 1e15%s", least, bytes ? " (K, M, G allowed)" : "");
    if (end == text || *end != '\0' || !(x * scale >= least && x * scale <= 1e15) || x * scale != floor(x * scale))
        return refuse(option, text, range);
    *out = (uint64_t)(x * scale);
    return 0;
}

/* The next name of a comma list, "" at its end. */
static const char *next_name(const char *list, char name[MSCOPE_NAME_MAX + 1])
{
    const size_t len = strcspn(list, ",");

    (void)snprintf(name, MSCOPE_NAME_MAX + 1, "%.*s", (int)len, list);
    return list + len + (list[len] == ',');
}

static int names(const char *list)
{
    static const char *const range = "names of tables with commas between: 1 to 63 letters, digits, _ . -";
    const char *at = list;

    do {
        const size_t len = strcspn(at, ",");
        if (len < 1 || len > MSCOPE_NAME_MAX ||
            strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") < len)
            return refuse("tables", list, range);
        at += len;
    } while (*at++ == ',');
    return 0;
}

struct options {
    mscope_relay_config cfg;
    char ingest[256];
    int remote;
};

static int option(struct options *o, int c)
{
    switch (c) {
    case 'i': o->cfg.ingest = optarg; return 0;
    case 'f': o->cfg.forward = optarg; return 0;
    case 't': o->cfg.tables = optarg; return names(optarg);
    case 'n': return count("steps", optarg, 1, 0, &o->cfg.steps);
    case 'm': return count("max-bytes", optarg, 4096, 1, &o->cfg.max_bytes);
    case 's': o->cfg.stay = 1; return 0;
    case 'r': o->remote = 1; return 0;
    case 'q': o->cfg.quiet = 1; return 0;
    default: fprintf(stderr, "momentscope record --help lists the options\n"); return -1;
    }
}

static int endpoints(struct options *o)
{
    const char *range;

    if (o->cfg.ingest == NULL && mscope_default_endpoint("ingest", o->ingest, sizeof o->ingest) != 0)
        return refuse("ingest", "the default", "an endpoint that fits");
    if (o->cfg.ingest == NULL)
        o->cfg.ingest = o->ingest;
    if ((range = mscope_bind_range(o->cfg.ingest, o->remote)) != NULL)
        return refuse("ingest", o->cfg.ingest, range);
    if (o->cfg.forward == NULL)
        return 0;
    if ((range = mscope_bind_range(o->cfg.forward, 1)) != NULL)
        return refuse("forward", o->cfg.forward, range);
    if (strcmp(o->cfg.forward, o->cfg.ingest) == 0)
        return refuse("forward", o->cfg.forward, "another endpoint than --ingest: start the daemon with --ingest elsewhere");
    return 0;
}

static int signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);          /* a file at its limit (ulimit -f) is a full disk, and told as one */
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int attached(const mscope_contents *c, const char *name)
{
    for (size_t i = 0; i < c->tables; i++)
        if (strcmp(c->table[i].hello.table, name) == 0)
            return 1;
    return 0;
}

/* A name of --tables that no trainer had may be a slip: what there was is said. */
static int tell_absent(const mscope_relay_config *cfg, const mscope_contents *seen)
{
    char name[MSCOPE_NAME_MAX + 1];
    int absent = 0;

    for (const char *at = cfg->tables; at != NULL && *at != '\0';) {
        at = next_name(at, name);
        if (attached(seen, name))
            continue;
        absent = 1;
        fprintf(stderr, "momentscope record: --tables is '%s', but no trainer attached a table %s; %s", cfg->tables, name,
                seen->tables > 0 ? "there were:" : "none attached any");
        for (size_t i = 0; i < seen->tables; i++)
            fprintf(stderr, " %s", seen->table[i].hello.table);
        fputc('\n', stderr);
    }
    return absent;
}

static int report(const mscope_relay_config *cfg, mscope_relay_result *r)
{
    const int absent = tell_absent(cfg, &r->seen);
    const int whole = mscope_contents_whole(&r->contents) && !r->failed;
    const int nothing = r->contents.messages == 0;
    const char *const why = r->failed || r->contents.lost > 0 ? "; nothing could be kept"
                            : r->seen.tables > 0 ? "; no table of --tables was attached" : "; no trainer attached";

    if (!cfg->quiet) {
        printf("ended: %s\n", r->ended);
        mscope_contents_print(&r->contents, stdout);
        printf("%s: %llu messages, %llu lost, %llu bytes%s\n", cfg->file, (unsigned long long)r->contents.messages,
               (unsigned long long)r->contents.lost, (unsigned long long)r->bytes, nothing ? why : whole ? "" : "; INCOMPLETE");
    }
    if (nothing)
        (void)unlink(cfg->file);
    mscope_contents_free(&r->contents);
    mscope_contents_free(&r->seen);
    return nothing ? MSCOPE_EXIT_FAILED : whole && !absent ? MSCOPE_EXIT_OK : EXIT_INCOMPLETE;
}

int mscope_cmd_record(int argc, char **argv)
{
    static const struct option known[] = {
        { "ingest", 1, NULL, 'i' },    { "forward", 1, NULL, 'f' }, { "tables", 1, NULL, 't' },
        { "steps", 1, NULL, 'n' },     { "max-bytes", 1, NULL, 'm' }, { "stay", 0, NULL, 's' },
        { "allow-remote", 0, NULL, 'r' }, { "quiet", 0, NULL, 'q' }, { "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };
    struct options o = { .cfg = { .buffer_bytes = BUFFER_BYTES } };
    mscope_relay_result result;
    mscope_refusal why;
    int c, fd;

    while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        if (c == 'h') {
            usage(stdout);
            return MSCOPE_EXIT_OK;
        }
        if (option(&o, c) != 0)
            return MSCOPE_EXIT_USAGE;
    }
    if (argc - optind != 1) {
        usage(stderr);
        return MSCOPE_EXIT_USAGE;
    }
    o.cfg.file = argv[optind];
    if (endpoints(&o) != 0)
        return MSCOPE_EXIT_USAGE;
    fd = signals();
    if (fd < 0 || mscope_relay_run(&o.cfg, fd, &result, &why) != 0) {
        if (fd < 0)
            fprintf(stderr, "momentscope record: no signals: %s\n", strerror(errno));
        else
            fprintf(stderr, "momentscope record: %s '%s', expected %s: %s\n", why.field, why.value, why.range, why.text);
        return MSCOPE_EXIT_FAILED;
    }
    (void)close(fd);
    return report(&o.cfg, &result);
}
