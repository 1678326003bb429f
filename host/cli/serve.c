/* serve.c - momentscope serve: the options, and a loop that ticks until a signal; host/serve does the work */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <malloc.h>
#include <time.h>

#include "listening.h"
#include "serve/guard.h"
#include "serve/http.h"
#include "serve/hook.h"

#define COMMAND "momentscope serve"

enum { PORT = 7411 };

struct options {
    mscope_listening listening;
    mscope_texts daemons;                    /* --daemon                                                        */
    mscope_http_options http;
    uint64_t port;
    const char *alerts, *exec, *webhook;
    int remote;
    double for_s;
};

static int check_options(const mscope_command *c, struct options *o)
{
    o->http.port = (uint16_t)o->port;
    if (o->http.hosts.n < MSCOPE_TEXTS_MAX)
        o->http.hosts.at[o->http.hosts.n++] = o->http.address;
    if (!o->remote && !mscope_guard_loopback(o->http.address))
        return mscope_options_refuse(c, "address", o->http.address,
                                     "a loopback address such as 127.0.0.1 or ::1; --allow-remote allows others (no"
                                     " encryption, no password; an ssh tunnel has both)");
    if (o->daemons.n > 0 && (o->listening.from.telemetry != NULL || o->listening.from.replay != NULL ||
                             o->listening.from.shard.n > 0)) {
        fprintf(stderr, COMMAND ": --daemon goes without --telemetry, --replay and --shard\n");
        return MSCOPE_EXIT_USAGE;
    }
    return MSCOPE_OPTIONS_GO_ON;
}

static int read_options(int argc, char **argv, struct options *o)
{
    const mscope_option table[] = {
        { "port", "N", "where browsers connect (7411); 0: any port that is free", .count = &o->port, .low = 0,
          .high = 65535 },
        { "address", "ADDRESS", "numeric address to listen at (127.0.0.1)", .text = &o->http.address },
        { "allow-remote", NULL, "allow an ADDRESS that other machines can reach (no encryption, no password)",
          .flag = &o->remote },
        { "host", "NAME", "answer requests that call this server NAME too; repeat it for several names",
          .texts = &o->http.hosts },
        { "daemon", "[NAME=]ADDRESS[,ADDRESS..]",
          "telemetry address of a daemon to follow, repeated for several; addresses separated by commas are the shards"
          " of one table", .texts = &o->daemons },
        { "alerts", "FILE", "where alerts are kept (default: $MOMENTSCOPE_ALERTS, else momentscope/alerts.db in the"
          " user's state folder); '' to keep them in memory", .text = &o->alerts },
        { "exec", "COMMAND",
          "run COMMAND with /bin/sh for each alarm, its end, and a daemon that falls silent; it finds"
          " the alert as JSON on its standard input", .text = &o->exec },
        { "webhook", "FILE", "post the same to the address in the first line of FILE, with curl", .text = &o->webhook },
        { "for", "SECONDS", "stop after this long (default: until interrupted)", .real = &o->for_s, .low = 0.01,
          .high = 1e9 },
        MSCOPE_LISTENING_OPTIONS(&o->listening),
        { .name = NULL }
    };
    const mscope_command serve = {
        .name = COMMAND,
        .usage = "[OPTION...]",
        .about = "Serve a page that shows what momentum does, live: is anything wrong, the plane of activity and "
                 "curvature, how numbers moved, what to change, and what the daemon is doing. The same as JSON, and "
                 "as metrics for Prometheus.",
        .option = table,
        .notes = "Paths: / the page; /api/state, /api/table, /api/bands, /api/verdicts, /api/stability, /api/alerts,"
                 " /api/rows, /api/counsel; /events live updates; /metrics; /healthz. host/serve/README.md has them.\n"
                 "From another machine: ssh -L 7411:127.0.0.1:7411 MACHINE, then http://localhost:7411/ there.",
        .example = COMMAND " & xdg-open http://localhost:7411/",
        .exits = "0 stopped by a signal, or --for was over\n1 an address does not work\n2 wrong usage",
    };
    int code;

    o->listening.from.past = 1;
    o->http.address = "127.0.0.1";
    o->port = PORT;
    code = mscope_options_read(&serve, argc, argv, NULL);
    return code == MSCOPE_OPTIONS_GO_ON ? check_options(&serve, o) : code;
}

/* -- what is followed -------------------------------------------------------------------------------------- */

static int add(mscope_hub *h, const char *name, mscope_feed *feed)
{
    if (mscope_hub_add(h, name, feed) == 0)
        return MSCOPE_EXIT_OK;
    fprintf(stderr, COMMAND ": --daemon: '%s' is given twice, or there are more than %d\n", name, MSCOPE_SOURCES_MAX);
    return MSCOPE_EXIT_USAGE;
}

/* "[NAME=]ADDRESS[,ADDRESS..]" as it was given, and a copy that stays in use. */
static int add_daemon(mscope_hub *h, const char *given, char *text, size_t number)
{
    char name[MSCOPE_SOURCE_NAME], why[MSCOPE_WHY_MAX];
    const char *is = strchr(text, '='), *colon = strchr(text, ':');
    mscope_feed_options from = { .past = 1 };
    mscope_feed *feed;
    char *at = text, *rest;
    int rc;

    snprintf(name, sizeof name, "daemon%zu", number + 1);
    if (is != NULL && (colon == NULL || is < colon)) {
        snprintf(name, sizeof name, "%.*s", (int)(is - text), text);
        at = text + (is - text) + 1;
    }
    for (char *one = strtok_r(at, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest))
        if (from.shard.n < MSCOPE_TEXTS_MAX)
            from.shard.at[from.shard.n++] = one;
    if (from.shard.n == 0 || name[0] == '\0') {
        fprintf(stderr, COMMAND ": --daemon is '%s', expected [NAME=]ADDRESS[,ADDRESS..] with %s\n", given,
                name[0] == '\0' ? "a name before =" : "an address");
        return MSCOPE_EXIT_USAGE;
    }
    if (from.shard.n == 1) {
        from.telemetry = from.shard.at[0];
        from.shard.n = 0;
    }
    rc = mscope_feed_open(&feed, &from, why, sizeof why);
    if (rc == 0)
        return add(h, name, feed);
    fprintf(stderr, COMMAND ": --daemon %s: %s\n", name, why);
    return rc == MSCOPE_EINVAL ? MSCOPE_EXIT_USAGE : MSCOPE_EXIT_FAILED;
}

static int add_all(const struct options *o, mscope_hub *h, mscope_feed *usual, char *text[MSCOPE_TEXTS_MAX])
{
    int code = MSCOPE_EXIT_OK;

    if (o->daemons.n == 0)
        return add(h, "daemon", usual);
    mscope_feed_close(usual);
    for (size_t i = 0; i < o->daemons.n && code == MSCOPE_EXIT_OK; i++) {
        text[i] = strdup(o->daemons.at[i]);
        code = text[i] != NULL ? add_daemon(h, o->daemons.at[i], text[i], i) : MSCOPE_EXIT_FAILED;
    }
    return code;
}

/* Alerts that cannot be kept in the file are kept in memory, and that is said. */
static mscope_ledger *open_ledger(const struct options *o)
{
    char path[4096], why[MSCOPE_WHY_MAX];
    const char *at = o->alerts != NULL ? o->alerts : mscope_ledger_path(path, sizeof path) == 0 ? path : "";
    mscope_ledger *l = NULL;

    if (at[0] != '\0' && mscope_ledger_open(&l, at, 1, why, sizeof why) != 0)
        fprintf(stderr, COMMAND ": alerts are kept in memory only: %s\n", why);
    if (l == NULL && mscope_ledger_open(&l, NULL, 1, why, sizeof why) != 0)
        fprintf(stderr, COMMAND ": alerts are not kept: %s\n", why);
    return l;
}

static void tell(void *context, const mscope_happening *h, const char *source, long long id)
{
    mscope_hook_tell(context, h, source, id);
}

/* Returns MSCOPE_EXIT_OK, or an exit code after a line on stderr. */
static int open_hook(const struct options *o, mscope_hub *h, mscope_hook **out)
{
    char why[MSCOPE_WHY_MAX];
    int rc;

    *out = NULL;
    if (o->exec == NULL && o->webhook == NULL)
        return MSCOPE_EXIT_OK;
    rc = mscope_hook_open(out, o->exec, o->webhook, why, sizeof why);
    h->tell = tell;
    h->context = *out;
    if (rc == 0)
        return MSCOPE_EXIT_OK;
    fprintf(stderr, COMMAND ": %s\n", why);
    return rc == MSCOPE_EINVAL ? MSCOPE_EXIT_USAGE : MSCOPE_EXIT_FAILED;
}

static int run(const struct options *o, const mscope_listen *from, mscope_hub *h)
{
    const struct timespec pause = { .tv_nsec = 100000000 };
    const double start = mscope_hub_now();
    mscope_counselor *c = NULL;
    mscope_http *s = NULL;
    char why[MSCOPE_WHY_MAX] = "no thread could be started";
    int rc = mscope_counselor_open(&c, h);

    if (rc == 0)
        rc = mscope_hub_start(h);
    if (rc == 0)
        rc = mscope_http_open(&s, &o->http, h, c, why, sizeof why);
    if (rc != 0) {
        fprintf(stderr, COMMAND ": %s\n", why);
    } else {
        printf("the page is at %s\n", mscope_http_url(s));
        fflush(stdout);
    }
    while (rc == 0 && !*from->stop && (o->for_s == 0 || mscope_hub_now() - start < o->for_s)) {
        (void)nanosleep(&pause, NULL);
        mscope_http_tick(s);
    }
    mscope_http_close(s);
    mscope_counselor_close(c);
    return rc == 0 ? MSCOPE_EXIT_OK : MSCOPE_EXIT_FAILED;
}

int mscope_cmd_serve(int argc, char **argv)
{
    static struct options o;
    static mscope_hub hub;
    char *text[MSCOPE_TEXTS_MAX] = { NULL };
    mscope_hook *hook = NULL;
    mscope_ledger *ledger;
    mscope_listen from;
    int code = read_options(argc, argv, &o);

    (void)mallopt(M_ARENA_MAX, 2);           /* records are made in one thread and freed in another */
    if (code == MSCOPE_OPTIONS_GO_ON)
        code = mscope_listening_open(&o.listening, COMMAND, &from);
    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    ledger = open_ledger(&o);
    code = MSCOPE_EXIT_FAILED;
    if (mscope_hub_init(&hub, ledger) == 0) {
        code = add_all(&o, &hub, from.feed, text);
        if (code == MSCOPE_EXIT_OK)
            code = open_hook(&o, &hub, &hook);
        if (code == MSCOPE_EXIT_OK)
            code = run(&o, &from, &hub);
        mscope_hub_end(&hub);
        mscope_hook_close(hook);
    }
    mscope_ledger_close(ledger);
    for (size_t i = 0; i < MSCOPE_TEXTS_MAX; i++)
        free(text[i]);
    return code;
}
