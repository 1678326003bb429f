/* watch.c - momentscope watch: the telemetry of a running daemon, for a person or as JSON lines
 *
 * Options, and the two ways that a program uses: --once and --json. A person who stays is watch_live.c's.          */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "listening.h"
#include "monitor/plane.h"
#include "terminal/columns.h"
#include "watch_live.h"

#define COMMAND "momentscope watch"

static const double WAIT_S = 10;

struct options {
    mscope_listening listening;
    const char *plot;
    mscope_watching watching;
    int json, once;
};

/* An option without effect is a misunderstanding. */
static int check_options(struct options *o)
{
    if (o->json && o->watching.columns != 0) {
        fprintf(stderr, COMMAND ": --columns has no effect with --json\n");
        return MSCOPE_EXIT_USAGE;
    }
    const char *const alone = o->once ? NULL : o->plot != NULL ? "--plot" : o->listening.wait_s >= 0 ? "--wait" : NULL;
    const char *const beside = !o->once ? NULL : o->watching.for_s > 0 ? "--for"
                             : o->watching.every_s > 0 ? "--every" : NULL;

    if (o->listening.wait_s < 0)
        o->listening.wait_s = WAIT_S;
    if (alone == NULL && beside == NULL)
        return MSCOPE_OPTIONS_GO_ON;
    fprintf(stderr, COMMAND ": %s %s --once\n", alone != NULL ? alone : beside,
            alone != NULL ? "needs" : "has no effect with");
    return MSCOPE_EXIT_USAGE;
}

/* Returns the exit code to leave with, or MSCOPE_OPTIONS_GO_ON. */
static int read_options(int argc, char **argv, struct options *o)
{
    const mscope_option table[] = {
        { "once", NULL, "wait for one full set of records, print it and what it means, and exit", .flag = &o->once },
        { "json", NULL, "print one JSON object a record, as records come; with --once those of one set",
          .flag = &o->json },
        { "plot", "FILE", "with --once: draw the bands of the table too, in the plane of activity and curvature; SVG"
          " where FILE ends in .svg, else PNG", .text = &o->plot },
        { "wait", "SECONDS", "with --once: give up after this long (default: 10)", .real = &o->listening.wait_s,
          .low = 0, .high = 1e6 },
        { "for", "SECONDS", "without --once: stop after this long (default: until interrupted)",
          .real = &o->watching.for_s,
          .low = 0.01, .high = 1e6 },
        { "every", "SECONDS", "without --once: time between pictures (default: 0.25 on a terminal, else 2)",
          .real = &o->watching.every_s,
          .low = 0.01, .high = 1e6 },
        { "columns", "LIST", "columns of the table of bands, separated by commas, such as p,rows,H (default: those that"
          " fit into the window; all of them elsewhere); trail is V lately, in the live picture",
          .check = mscope_columns_read, .context = &o->watching.columns },
        MSCOPE_LISTENING_OPTIONS(&o->listening),
        { .name = NULL }
    };
    const mscope_command watch = {
        .name = COMMAND,
        .usage = "[OPTION...]",
        .about = "Show what momentum does to each activity band, as the daemon publishes it.",
        .option = table,
        .notes = "Columns: p occurrences per sample and P active steps per step, means over the rows of the band; R, "
                 "V, C sums over them of |theta - theta*|^2, |m|^2 and <theta - theta*, m>; H1 curvature along the "
                 "momentum; retention (how long the buffer remembers) and learning (how long learning takes), in "
                 "active updates; delta their ratio; H = eta/eta_max, unstable above 1; zeta damping ratio: below 0.5 "
                 "the band oscillates, above 2 it behaves like SGD. A number that is not known is shown as -.",
        .example = COMMAND " --once --table words",
        .exits = "0 success\n1 no records came, or the daemon's addresses do not work\n2 wrong usage",
    };

    const int code = mscope_options_read(&watch, argc, argv, NULL);

    return code == MSCOPE_OPTIONS_GO_ON ? check_options(o) : code;
}

/* -- the three ways to watch ------------------------------------------------------------------------- */

static int plot(const struct options *o, const mscope_judged *j)
{
    const char *why = "there are several tables: choose one with --table";
    mscope_plane plane;

    if (j->latest.tables == 1) {
        mscope_plane_of(&plane, j, 0);
        if (mscope_plane_draw(&plane, o->plot, &why) == 0)
            return MSCOPE_EXIT_OK;
    }
    fprintf(stderr, COMMAND ": cannot draw %s: %s\n", o->plot, why);
    return MSCOPE_EXIT_FAILED;
}

static int watch_once(const struct options *o, const mscope_listen *l, mscope_judged *j)
{
    int code = mscope_listening_full(&o->listening, COMMAND, l, j);

    if (code != MSCOPE_EXIT_OK)
        return code;
    if (o->json) {
        mscope_coverage *coverage = mscope_feed_coverages(l->feed, &j->latest);
        mscope_json_set(stdout, j, coverage);
        free(coverage);
        return o->plot != NULL ? plot(o, j) : MSCOPE_EXIT_OK;
    }
    mscope_watch_plain(l, j, o->watching.columns, 1);
    return o->plot != NULL ? plot(o, j) : MSCOPE_EXIT_OK;
}

/* One record as it comes, judged with those before it. */
static void print_record(const mscope_judged *j, const mscope_telemetry *m, const mscope_news *news)
{
    const mscope_margin *margin = NULL;

    for (size_t i = 0; m->record.kind == MSCOPE_REC_STABILITY && i < j->latest.tables; i++)
        if (strcmp(j->latest.table[i].name, m->record.u.stability.table) == 0)
            margin = &j->margin[i];
    mscope_json_record(stdout, m, news->band >= 0 ? &j->verdict[news->table][news->band] : NULL, margin);
}

static int watch_json(const struct options *o, const mscope_listen *l, mscope_judged *j)
{
    const double start = mscope_monotonic_s();
    int any = 0, said = 0;
    mscope_telemetry m;
    mscope_news news;

    while (mscope_watch_goes_on(&o->watching, l, start)) {
        if (mscope_listen_next(l, &m, 100) == 0) {
            if (mscope_judged_take(j, &m, &news, NULL) != 0)
                return MSCOPE_EXIT_FAILED;
            print_record(j, &m, &news);
            fflush(stdout);
            any = 1;
        } else if (!any) {
            mscope_watch_say_waiting(COMMAND, l, start, &said);
        }
    }
    return any || !mscope_listening_heard() ? MSCOPE_EXIT_OK : MSCOPE_EXIT_FAILED;
}

int mscope_cmd_watch(int argc, char **argv)
{
    struct options o = { .listening.wait_s = -1 };       /* not given */
    mscope_judged j = { .rooms = 0 };
    mscope_listen l;
    int code = read_options(argc, argv, &o);

    if (code == MSCOPE_OPTIONS_GO_ON)
        code = mscope_listening_open(&o.listening, COMMAND, &l);
    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    if (o.once)
        code = watch_once(&o, &l, &j);
    else
        code = o.json ? watch_json(&o, &l, &j) : mscope_watch_live(&o.watching, COMMAND, &l, &j);
    mscope_judged_fini(&j);
    mscope_feed_close(l.feed);
    return code;
}
