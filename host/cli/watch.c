/* watch.c - momentscope watch: the telemetry of a running daemon, for a person or as JSON lines
 *
 * On a terminal the picture is drawn again in place, on the alternate screen, and the last one is left behind at
 * the end; elsewhere each picture is plain text. The picture itself is watch_view.c's.                        */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/clock.h"
#include "listening.h"
#include "monitor/plane.h"
#include "watch_summary.h"
#include "watch_view.h"

#define COMMAND "momentscope watch"
#define SAY_WAITING_S 1.0            /* after so long without a record: say once that the command waits */

static const double DRAW_S = 0.25, PLAIN_S = 2, WAIT_S = 10;

struct options {
    mscope_listening listening;
    const char *plot;
    double for_s, every_s;
    int json, once;
};

/* An option without effect is a misunderstanding. */
static int check_options(struct options *o)
{
    const char *const alone = o->once ? NULL : o->plot != NULL ? "--plot" : o->listening.wait_s >= 0 ? "--wait" : NULL;
    const char *const beside = !o->once ? NULL : o->for_s > 0 ? "--for" : o->every_s > 0 ? "--every" : NULL;

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
        { "for", "SECONDS", "without --once: stop after this long (default: until interrupted)", .real = &o->for_s,
          .low = 0.01, .high = 1e6 },
        { "every", "SECONDS", "without --once: time between pictures (default: 0.25 on a terminal, else 2)",
          .real = &o->every_s,
          .low = 0.01, .high = 1e6 },
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

/* -- the screen ------------------------------------------------------------------------------------- */

static void screen_enter(void)
{
    fputs("\033[?1049h\033[?25l\033[2J", stdout);
    fflush(stdout);
}

static void screen_leave(void)
{
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
}

static struct winsize window(void)
{
    struct winsize w = { 0 };

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_col == 0 || w.ws_row == 0)
        w = (struct winsize){ .ws_row = 24, .ws_col = 160 };
    return w;
}

static unsigned lines_of(const char *text)
{
    unsigned n = 0;

    for (; *text != '\0'; n++) {
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return n;
}

/* Lines are cut at the window's edge, visibly, and overwritten in place: no flicker, no scrolling. The window's last
 * line stays free, because a newline there would scroll. */
static void draw(const char *text, struct winsize w)
{
    const unsigned all = lines_of(text), room = w.ws_row > 1 ? w.ws_row - 1u : 1;
    const unsigned most = all <= room ? all : room - 1;

    fputs("\033[H", stdout);
    for (unsigned i = 0; i < most; i++) {
        size_t len = strcspn(text, "\n");
        int cut = len > w.ws_col && w.ws_col > 3;
        fwrite(text, 1, cut ? w.ws_col - 3u : len < w.ws_col ? len : w.ws_col, stdout);
        fputs(cut ? "...\033[K\n" : "\033[K\n", stdout);
        text += len + (text[len] == '\n');
    }
    if (most < all) {
        char hint[80];
        snprintf(hint, sizeof hint, "... %u more lines: make the window taller", all - most);
        printf("%.*s\033[K\n", (int)w.ws_col, hint);
    }
    fputs("\033[J", stdout);
    fflush(stdout);
}

static void show(const mscope_listen *l, const mscope_judged *j, int in_place)
{
    const struct winsize w = window();
    mscope_coverage *coverage = mscope_feed_coverages(l->feed, &j->latest);
    mscope_subscriber_stats stats;
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    if (to != NULL) {
        mscope_feed_stats(l->feed, &stats);
        mscope_view_print(j, coverage, &stats, in_place ? w.ws_col : 0, to);
    }
    free(coverage);
    if (to == NULL || fclose(to) != 0)
        return;
    if (in_place) {
        draw(text, w);
    } else {
        fputs(text, stdout);
        fputc('\n', stdout);
        fflush(stdout);
    }
    free(text);
}

/* -- the three ways to watch ------------------------------------------------------------------------- */

/* A reader that went away without a word is noticed at the next record; this notices it when none comes. */
static int reader_left(void)
{
    struct pollfd out = { .fd = STDOUT_FILENO };

    return poll(&out, 1, 0) > 0 && (out.revents & POLLERR) != 0;
}

static int going_on(const struct options *o, const mscope_listen *l, double start)
{
    return !*l->stop && !ferror(stdout) && !reader_left() &&
           (o->for_s == 0 || mscope_monotonic_s() - start < o->for_s);
}

/* Without a daemon nothing ever comes: say once which daemon the command waits for. */
static void say_waiting(const mscope_listen *l, double start, int *said)
{
    char where[256];

    if (*said || mscope_monotonic_s() - start < SAY_WAITING_S)
        return;
    mscope_feed_where(l->feed, where, sizeof where);
    fprintf(stderr, COMMAND ": waiting for momentscoped at %s\n", where);
    *said = 1;
}

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
    show(l, j, 0);
    for (size_t i = 0; i < j->latest.tables; i++)
        if (j->latest.table[i].have_table)
            mscope_summary_print(j, i, stdout);
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

    while (going_on(o, l, start)) {
        if (mscope_listen_next(l, &m, 100) == 0) {
            if (mscope_judged_take(j, &m, &news, NULL) != 0)
                return MSCOPE_EXIT_FAILED;
            print_record(j, &m, &news);
            fflush(stdout);
            any = 1;
        } else if (!any) {
            say_waiting(l, start, &said);
        }
    }
    return any ? MSCOPE_EXIT_OK : MSCOPE_EXIT_FAILED;
}

static int watch_live(const struct options *o, const mscope_listen *l, mscope_judged *j)
{
    const int in_place = isatty(STDOUT_FILENO);
    const double start = mscope_monotonic_s(), every = o->every_s > 0 ? o->every_s : in_place ? DRAW_S : PLAIN_S;
    int new_since = 0, said = 0;
    double drawn = 0;
    mscope_telemetry m;

    if (in_place)
        screen_enter();
    while (going_on(o, l, start)) {
        if (mscope_listen_next(l, &m, 50) == 0) {
            if (mscope_judged_take(j, &m, NULL, NULL) != 0)
                break;
            new_since = 1;
        }
        const int any = j->latest.tables > 0 || j->latest.have_daemon;
        if (!any && !in_place)
            say_waiting(l, start, &said);
        if (mscope_monotonic_s() - drawn >= every && (in_place || (new_since && mscope_latest_complete(&j->latest)))) {
            if (any)
                show(l, j, in_place);
            else if (in_place)
                draw("waiting for momentscoped ...\n", window());
            drawn = mscope_monotonic_s();
            new_since = 0;
        }
    }
    if (in_place)
        screen_leave();
    if (ferror(stdout))
        return MSCOPE_EXIT_OK;               /* main says what it was; nothing more can be shown */
    if (j->latest.tables == 0)
        return mscope_listening_nothing(COMMAND, l, j, mscope_monotonic_s() - start);
    if (in_place || new_since)
        show(l, j, 0);
    return MSCOPE_EXIT_OK;
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
        code = o.json ? watch_json(&o, &l, &j) : watch_live(&o, &l, &j);
    mscope_judged_fini(&j);
    mscope_feed_close(l.feed);
    return code;
}
