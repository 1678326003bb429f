/* export.c - momentscope export: what Prometheus and Grafana need, and metrics in a file for machines without a port */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <time.h>

#include "common/whole.h"
#include "listening.h"
#include "serve/dashboard.h"
#include "serve/exposition.h"
#include "serve/rules.h"

#define COMMAND "momentscope export"

static const double EVERY_S = 15, FIRST_S = 2;

struct options {
    mscope_listening listening;
    const char *to;
    double every_s, for_s;
};

static int read_options(int argc, char **argv, struct options *o, int *args)
{
    const mscope_option table[] = {
        { "to", "FILE", "with metrics: write to FILE, whole at each time (a name that ends in .prom, in the folder that"
          " node_exporter --collector.textfile.directory names)", .text = &o->to },
        { "every", "SECONDS", "with --to: time between two writes (15)", .real = &o->every_s, .low = 0.1, .high = 1e6 },
        { "for", "SECONDS", "with --to: stop after this long (default: until interrupted)", .real = &o->for_s,
          .low = 0.01, .high = 1e9 },
        MSCOPE_LISTENING_OPTIONS(&o->listening),
        { .name = NULL }
    };
    const mscope_command command = {
        .name = COMMAND,
        .usage = "rules | dashboard | metrics [OPTION...]",
        .about = "Print what another program reads. rules: recording and alerting rules for Prometheus. dashboard: a"
                 " dashboard for Grafana (Dashboards, Import). metrics: the daemon's numbers as Prometheus text, as"
                 " /metrics of momentscope serve has them.",
        .option = table,
        .example = COMMAND " rules > momentscope.rules.yml && promtool check rules momentscope.rules.yml",
        .exits = "0 success, or stopped by a signal\n1 no records came, or FILE could not be written\n2 wrong usage",
        .least = 1, .most = 1,
        .argument = "what to export: rules, dashboard or metrics",
    };
    const int code = mscope_options_read(&command, argc, argv, args);

    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    if (o->to == NULL && (o->every_s > 0 || o->for_s > 0)) {
        fprintf(stderr, COMMAND ": --%s needs --to\n", o->every_s > 0 ? "every" : "for");
        return MSCOPE_EXIT_USAGE;
    }
    return MSCOPE_OPTIONS_GO_ON;
}

/* The text of a hub into o->to, or to standard output. */
static int write_metrics(const struct options *o, mscope_hub *h)
{
    if (o->to == NULL) {
        mscope_exposition(stdout, h);
        return 0;
    }
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    int rc = -1;

    if (to != NULL) {
        mscope_exposition(to, h);
        rc = fclose(to) == 0 ? mscope_whole_write(o->to, text, len) : -1;
        free(text);
    }
    if (rc != 0)
        fprintf(stderr, COMMAND ": cannot write %s: %s\n", o->to, strerror(errno));
    return rc;
}

static int any_record(mscope_hub *h)
{
    (void)pthread_mutex_lock(&h->lock);
    const int any = h->source[0].story.records > 0;
    (void)pthread_mutex_unlock(&h->lock);
    return any;
}

static int follow(const struct options *o, const mscope_listen *from, mscope_hub *h)
{
    const struct timespec tick = { .tv_nsec = 50000000 };
    const double start = mscope_hub_now(), every = o->every_s > 0 ? o->every_s : EVERY_S;
    double next = start + FIRST_S;           /* a late joiner is given the latest record of every topic at once */
    int written = 0;

    while (!*from->stop && (o->for_s == 0 || mscope_hub_now() - start < o->for_s)) {
        (void)nanosleep(&tick, NULL);
        if (mscope_hub_now() < next || (o->to == NULL && !any_record(h) && mscope_hub_now() < start + 10))
            continue;
        if (write_metrics(o, h) != 0)
            return MSCOPE_EXIT_FAILED;
        next = mscope_hub_now() + every;
        written = 1;
        if (o->to == NULL)
            break;
    }
    if (o->to == NULL && !any_record(h))
        fprintf(stderr, COMMAND ": nothing came within 10 s: is momentscoped running?\n");
    return (o->to != NULL ? written : any_record(h)) ? MSCOPE_EXIT_OK : MSCOPE_EXIT_FAILED;
}

static int export_metrics(const struct options *o)
{
    static mscope_hub hub;
    mscope_listen from;
    int code = mscope_listening_open(&o->listening, COMMAND, &from);

    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    code = MSCOPE_EXIT_FAILED;
    if (mscope_hub_init(&hub, NULL) == 0) {
        if (mscope_hub_add(&hub, "daemon", from.feed) == 0 && mscope_hub_start(&hub) == 0)
            code = follow(o, &from, &hub);
        mscope_hub_end(&hub);
    }
    return code;
}

int mscope_cmd_export(int argc, char **argv)
{
    struct options o = { .to = NULL };
    int args, code = read_options(argc, argv, &o, &args);

    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    const char *const what = argv[1];
    if (strcmp(what, "metrics") == 0)
        return export_metrics(&o);
    if (o.to != NULL) {
        fprintf(stderr, COMMAND ": --to is for metrics; redirect what %s prints\n", what);
        return MSCOPE_EXIT_USAGE;
    }
    if (strcmp(what, "rules") == 0)
        return mscope_rules(stdout) == 0 ? MSCOPE_EXIT_OK : MSCOPE_EXIT_FAILED;
    if (strcmp(what, "dashboard") == 0)
        return mscope_dashboard(stdout) == 0 ? MSCOPE_EXIT_OK : MSCOPE_EXIT_FAILED;
    fprintf(stderr, COMMAND ": '%s' is nothing to export; expected rules, dashboard or metrics\n", what);
    return MSCOPE_EXIT_USAGE;
}
