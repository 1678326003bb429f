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
#include "bind.h"
#include "record/relay.h"

enum { EXIT_INCOMPLETE = 3 };
#define BUFFER_BYTES (256ull << 20)

static void usage(FILE *to)
{
    fprintf(to,
            "usage: momentscope record FILE [OPTION...]\n\n"
            "Stands where trainers look for the daemon and writes what they send to FILE: settings, steps with their gradients,\n"
            "probes, references, rows. momentscope replay feeds it to a daemon again, momentscope bench run trace compares\n"
            "schedules on it. Ends when every trainer has left (BYE), at a limit, or by SIGINT or SIGTERM. The trainer is never\n"
            "held up, whatever becomes of this program, its disk or the daemon.\n\n"
            "  --ingest ENDPOINT   where trainers connect (the daemon's usual place)\n"
            "  --forward ENDPOINT  where the daemon listens: messages pass byte for byte in both directions (without the\n"
            "                      shared-memory lane), so the run is monitored as before. Without it trainers are answered\n"
            "                      here and nothing is monitored\n"
            "  --tables A,B,..     only these tables (all)\n"
            "  --steps N           stop after N steps of every table\n"
            "  --max-bytes BYTES   stop before FILE is larger (K, M, G allowed)\n"
            "  --stay              go on when every trainer has left, until a signal\n"
            "  --allow-remote      bind an ENDPOINT that other machines can reach (no encryption)\n"
            "  --quiet             only errors\n\n"
            "example, alone:          momentscope record run.tape &  python train.py\n"
            "example, with a daemon:  momentscoped --ingest ipc:///tmp/behind.ipc &\n"
            "                         momentscope record run.tape --forward ipc:///tmp/behind.ipc &  python train.py\n\n"
            "exit codes: 0 recorded whole, 1 nothing recorded, 2 wrong usage, 3 recorded, but something is missing in it\n");
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
    case 't': o->cfg.tables = optarg; return *optarg != '\0' ? 0 : refuse("tables", optarg, "names of tables");
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

static int report(const mscope_relay_config *cfg, mscope_relay_result *r)
{
    const int whole = mscope_contents_whole(&r->contents) && !r->failed;
    const int nothing = r->contents.messages == 0;

    if (!cfg->quiet) {
        printf("ended: %s\n", r->ended);
        mscope_contents_print(&r->contents, stdout);
        printf("%s: %llu messages, %llu lost, %llu bytes%s\n", cfg->file, (unsigned long long)r->contents.messages,
               (unsigned long long)r->contents.lost, (unsigned long long)r->bytes,
               nothing ? r->contents.lost > 0 || r->failed ? "; nothing could be kept" : "; no trainer attached" : whole ? "" : "; INCOMPLETE");
    }
    if (nothing)
        (void)unlink(cfg->file);
    mscope_contents_free(&r->contents);
    return nothing ? MSCOPE_EXIT_FAILED : whole ? MSCOPE_EXIT_OK : EXIT_INCOMPLETE;
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
