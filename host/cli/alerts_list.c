/* alerts_list.c - momentscope alerts: what happened, as `serve` keeps it, for people and for programs */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/options.h"
#include "serve/hub.h"
#include "serve/ledger.h"
#include "serve/story_json.h"

#define COMMAND "momentscope alerts"

enum { EXIT_ALARM = 3 };

struct options {
    mscope_ledger_query q;
    const char *file;
    uint64_t last;
    int json;
};

/* --since: a number of an alert, a time ago, or a moment */
static int read_since(void *context, const char *value, char *why, size_t cap)
{
    static const struct {
        char unit;
        double seconds;
    } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
    mscope_ledger_query *q = context;
    struct tm t = { .tm_isdst = -1 };
    const char *rest;
    char *end;
    const double x = strtod(value, &end);

    (void)snprintf(why, cap, "expected the number of an alert, a time ago such as 90s, 10m, 2h or 3d, or a moment such "
                             "as 2030-01-31T18:00:00");
    if (end != value && *end == '\0' && x >= 0 && x < 9e15 && x == (double)(long long)x) {
        q->since = (long long)x;
        return 0;
    }
    for (size_t i = 0; end != value && i < sizeof units / sizeof *units; i++)
        if (*end == units[i].unit && end[1] == '\0' && x >= 0) {
            q->from = mscope_hub_now() - x * units[i].seconds;
            return 0;
        }
    rest = strptime(value, "%Y-%m-%dT%H:%M:%S", &t);
    if (rest == NULL || *rest != '\0')
        return -1;
    q->from = (double)mktime(&t);
    return 0;
}

static int read_options(int argc, char **argv, struct options *o)
{
    const mscope_option table[] = {
        { "since", "N|TIME",
          "only what came after the alert of number N, in the last TIME (90s, 10m, 2h, 3d), or since a moment"
          " (2030-01-31T18:00:00)", .check = read_since, .context = &o->q },
        { "table", "NAME", "only this table", .text = &o->q.table },
        { "alarms", NULL, "only alarms: growing, near-instability, unstable, and alerts of the daemon as bad as these",
          .flag = &o->q.alarms },
        { "last", "N", "only the newest N", .count = &o->last, .low = 1, .high = 1e6 },
        { "json", NULL, "print one JSON object a line", .flag = &o->json },
        { "file", "FILE", "where serve keeps them (default: $MOMENTSCOPE_ALERTS, else momentscope/alerts.db in the "
          "user's state folder)", .text = &o->file },
        { .name = NULL }
    };
    const mscope_command alerts = {
        .name = COMMAND,
        .usage = "[OPTION...]",
        .about = "List what happened while momentscope serve ran: alerts of the daemon, changes of a table's verdict, "
                 "daemons that fell silent or were restarted. Oldest first; the newest 10000 are kept.",
        .option = table,
        .notes = "To follow from a program: remember the last id, and ask with --since ID the next time.",
        .example = COMMAND " --json --since 10m --alarms",
        .exits = "0 success, and no alarm among them\n1 there is no such file, or it cannot be read\n2 wrong usage\n"
                 "3 success, and at least one is an alarm",
    };

    return mscope_options_read(&alerts, argc, argv, NULL);
}

typedef struct seen {
    int json, alarms;
} seen;

static int print_one(void *context, const mscope_happening *h, const char *source, long long id)
{
    const time_t at = (time_t)h->at;
    seen *s = context;
    char when[32];
    struct tm t;

    s->alarms += h->level >= MSCOPE_LEVEL_GROWING;
    if (s->json) {
        mscope_happening_json(stdout, h, source, id);
        putchar('\n');
        return ferror(stdout);
    }
    (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime_r(&at, &t));
    printf("%lld  %s  %s", id, when, h->table[0] != '\0' ? h->table : source);
    if (h->step > 0)
        printf(" step %.0f", h->step);
    printf("  %s: %s\n", h->code, h->text);
    return ferror(stdout);
}

int mscope_cmd_alerts(int argc, char **argv)
{
    struct options o = { .file = NULL };
    char path[PATH_MAX], why[MSCOPE_WHY_MAX];
    mscope_ledger *l;
    seen s = { 0 };
    int code = read_options(argc, argv, &o), n;

    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    o.q.most = (int)o.last;
    s.json = o.json;
    if (o.file == NULL && mscope_ledger_path(path, sizeof path) != 0) {
        fprintf(stderr, COMMAND ": there is no home folder; --file says where the alerts are\n");
        return MSCOPE_EXIT_FAILED;
    }
    if (mscope_ledger_open(&l, o.file != NULL ? o.file : path, 0, why, sizeof why) != 0) {
        fprintf(stderr, COMMAND ": %s; momentscope serve keeps alerts\n", why);
        return MSCOPE_EXIT_FAILED;
    }
    n = mscope_ledger_each(l, &o.q, print_one, &s);
    mscope_ledger_close(l);
    if (n < 0) {
        fprintf(stderr, COMMAND ": %s cannot be read\n", o.file != NULL ? o.file : path);
        return MSCOPE_EXIT_FAILED;
    }
    return s.alarms > 0 ? EXIT_ALARM : MSCOPE_EXIT_OK;
}
