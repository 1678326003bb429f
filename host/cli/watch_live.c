/* watch_live.c - see watch_live.h */
#include "watch_live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/exit.h"
#include "listening.h"
#include "terminal/columns.h"
#include "terminal/picture.h"
#include "terminal/screen.h"
#include "watch_summary.h"
#include "watch_view.h"

static const double DRAW_S = 0.25, PLAIN_S = 2, SAY_WAITING_S = 1;

int mscope_watch_goes_on(const mscope_watching *o, const mscope_listen *l, double start)
{
    return !*l->stop && mscope_listening_heard() && (o->for_s == 0 || mscope_monotonic_s() - start < o->for_s);
}

void mscope_watch_say_waiting(const char *command, const mscope_listen *l, double start, int *said)
{
    char where[256];

    if (*said || mscope_monotonic_s() - start < SAY_WAITING_S)
        return;
    mscope_feed_where(l->feed, where, sizeof where);
    fprintf(stderr, "%s: waiting for momentscoped at %s\n", command, where);
    *said = 1;
}

/* -- plain text ------------------------------------------------------------------------------------------ */

/* Lines of text wider than the terminal are wrapped; elsewhere a line is a line. */
static void print_wrapped(char *text, int width)
{
    mscope_paper paper;

    if (width == 0) {
        fputs(text, stdout);
        return;
    }
    mscope_paper_open(&paper, width, mscope_screen_utf8());
    for (char *line = text, *next; *line != '\0'; line = next) {
        char *const stop = line + strcspn(line, "\n");
        const int indent = line[0] == ' ' ? 19 : 2;      /* 19: under the words of a summary */

        next = stop + (*stop != '\0');
        *stop = '\0';
        if (line == stop)
            mscope_paper_end(&paper);
        mscope_paper_say(&paper, MSCOPE_STYLE_PLAIN, indent, 0, line);
    }
    mscope_paper_print(&paper, stdout);
    mscope_paper_fini(&paper);
}

void mscope_watch_plain(const mscope_listen *l, const mscope_judged *j, uint32_t columns, int summary)
{
    const int width = mscope_screen_width(0);
    mscope_coverage *coverage = mscope_feed_coverages(l->feed, &j->latest);
    mscope_subscriber_stats stats;
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    if (to != NULL) {
        mscope_feed_stats(l->feed, &stats);
        columns = columns != 0 ? columns & ~(1u << MSCOPE_COLUMN_TRAIL) : mscope_columns_fit(width, 0);
        mscope_view_print(j, coverage, &stats, columns, to);
        for (size_t i = 0; i < j->latest.tables && summary; i++)
            if (j->latest.table[i].have_table)
                mscope_summary_print(j, i, to);
    }
    free(coverage);
    if (to == NULL || fclose(to) != 0)
        return;
    print_wrapped(text, width);
    fflush(stdout);
    free(text);
}

static int follow_plain(const mscope_watching *o, const char *command, const mscope_listen *l, mscope_judged *j,
                        double start)
{
    const double every = o->every_s > 0 ? o->every_s : PLAIN_S;
    int new_since = 0, said = 0;
    double drawn = 0;
    mscope_telemetry m;

    while (mscope_watch_goes_on(o, l, start)) {
        if (mscope_listen_next(l, &m, 50) == 0) {
            if (mscope_judged_take(j, &m, NULL, NULL) != 0)
                break;
            new_since = 1;
        }
        if (j->latest.tables == 0 && !j->latest.have_daemon)
            mscope_watch_say_waiting(command, l, start, &said);
        if (mscope_monotonic_s() - drawn >= every && new_since && mscope_latest_complete(&j->latest)) {
            mscope_watch_plain(l, j, o->columns, 0);
            putchar('\n');
            fflush(stdout);
            drawn = mscope_monotonic_s();
            new_since = 0;
        }
    }
    return new_since;
}

/* -- in place -------------------------------------------------------------------------------------------- */

/* In the picture nothing goes to stderr; what keeps records away is a line of it. */
static void show(const mscope_listen *l, const mscope_judged *j, const mscope_trails *trails, mscope_look *look)
{
    mscope_coverage *coverage = mscope_feed_coverages(l->feed, &j->latest);
    mscope_subscriber_stats stats;
    mscope_paper paper;
    const char *trouble = mscope_feed_trouble(l->feed);
    int rows, columns;

    mscope_screen_size(&rows, &columns);
    if (trouble[0] != '\0' && columns > 0)
        rows -= (int)strlen(trouble) / columns + 1;
    mscope_feed_stats(l->feed, &stats);
    mscope_paper_open(&paper, columns, mscope_screen_utf8());
    if (j->latest.tables > 0 || j->latest.have_daemon) {
        mscope_picture_draw(j, coverage, &stats, trails, look, rows, &paper);
    } else {
        char where[256], words[320];
        mscope_feed_where(l->feed, where, sizeof where);
        snprintf(words, sizeof words, "waiting for momentscoped at %s (q quits)", where);
        mscope_paper_say(&paper, MSCOPE_STYLE_PLAIN, 0, 0, words);
    }
    if (trouble[0] != '\0')
        mscope_paper_say(&paper, MSCOPE_STYLE_BAD, 0, 0, trouble);
    mscope_screen_draw(&paper);
    mscope_paper_fini(&paper);
    free(coverage);
}

static void follow_in_place(const mscope_watching *o, const mscope_listen *l, mscope_judged *j, double start)
{
    const double every = o->every_s > 0 ? o->every_s : DRAW_S;
    mscope_look look = { .columns = o->columns };
    mscope_trails trails = { .tables = 0 };
    double drawn = 0;
    mscope_telemetry m;

    while (mscope_watch_goes_on(o, l, start) && !look.quit) {
        int key, pressed;

        if (mscope_listen_next(l, &m, 50) == 0) {
            if (mscope_judged_take(j, &m, NULL, NULL) != 0)
                break;
            mscope_trails_take(&trails, &m);
        }
        pressed = mscope_screen_spoilt();
        while ((key = mscope_screen_key()) != MSCOPE_KEY_NONE) {
            mscope_look_key(&look, key);
            pressed = 1;
        }
        if (pressed || (!look.paused && !look.help && mscope_monotonic_s() - drawn >= every)) {
            show(l, j, &trails, &look);
            drawn = mscope_monotonic_s();
        }
    }
    mscope_trails_fini(&trails);
}

int mscope_watch_live(const mscope_watching *o, const char *command, const mscope_listen *l, mscope_judged *j)
{
    const double start = mscope_monotonic_s();
    mscope_listen quiet = *l;
    int last = 1;

    quiet.command = NULL;
    if (mscope_screen_open() == MSCOPE_OK) {
        follow_in_place(o, &quiet, j, start);
        mscope_screen_close();
    } else {
        last = follow_plain(o, command, l, j, start);
    }
    if (!mscope_listening_heard())
        return MSCOPE_EXIT_OK;               /* main says what it was; nothing more can be shown */
    if (j->latest.tables == 0)
        return mscope_listening_nothing(command, l, j, mscope_monotonic_s() - start);
    if (last)
        mscope_watch_plain(l, j, o->columns, 0);
    return MSCOPE_EXIT_OK;
}
