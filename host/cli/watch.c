/* watch.c - momentscope watch: the telemetry of a running daemon, for a person or as JSON lines
 *
 * On a terminal the picture is drawn again in place, on the alternate screen, and the last one is left behind at
 * the end; elsewhere each picture is plain text. The picture itself is watch_view.c's.                        */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include "monitor/listen.h"
#include "monitor/record_json.h"
#include "watch_summary.h"
#include "watch_view.h"

enum { DRAW_MS = 250, PLAIN_MS = 2000 };

static const double SECONDS_MAX = 1e6;

struct options {
    mscope_feed_options from;
    const char *table;
    double wait_s, for_s, every_s;
    int json, once;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    stop = sig;
}

static void usage(FILE *to)
{
    fprintf(to,
            "usage: momentscope watch [OPTION...]\n\n"
            "Show what momentum does to each activity band, as the daemon publishes it.\n\n"
            "  --json            one JSON object a record, as records come; with --once those of one set\n"
            "  --once            wait for one full set of records, print it and what it means, exit\n"
            "  --table NAME      only this table\n"
            "  --wait SECONDS    with --once: give up after this long, 0 to 1e6 (default 10)\n"
            "  --for SECONDS     without --once: stop after this long, 0.01 to 1e6 (default: until interrupted)\n"
            "  --every SECONDS   between pictures, 0.01 to 1e6 (default 0.25 on a terminal, else 2)\n"
            "  --telemetry ADDR  where the daemon publishes (default $MOMENTSCOPE_TELEMETRY, else its usual place)\n"
            "  --replay ADDR     where it replays, to fill holes (default $MOMENTSCOPE_REPLAY, else likewise); '' for none\n"
            "  --shard ADDR      telemetry of one shard's daemon; repeat for each: their rows are shown as one table, and how\n"
            "                    many steps they are apart\n"
            "  --help            this text\n\n"
            "example: momentscope watch --once --table words\n\n"
            "columns: p occurrences per sample, P active steps per step, means over the band's rows; R, V, C sums over them of\n"
            "|theta - theta*|^2, |m|^2, <theta - theta*, m>; H1 curvature along the momentum; retention (how long the buffer\n"
            "remembers) and learning (how long learning takes) in active updates, delta their ratio; H = eta/eta_max, unstable\n"
            "above 1; zeta: below 0.5 it oscillates, above 2 it is like SGD. A number that is not known is -.\n\n"
            "exit codes: 0 success, 1 nothing came or the daemon's addresses do not work, 2 wrong usage\n");
}

/* least: the range ends below there; a NaN is in no range */
static int seconds(const char *option, const char *text, double least, double *out)
{
    char *end;

    *out = strtod(text, &end);
    if (end != text && *end == '\0' && *out >= least && *out <= SECONDS_MAX)
        return 1;
    fprintf(stderr, "momentscope watch: %s = %s (%g to %g seconds)\n", option, text, least, SECONDS_MAX);
    return 0;
}

/* Returns the exit code to leave with, or -1 to go on. */
static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {
        { "json", no_argument, NULL, 'j' },            { "once", no_argument, NULL, 'o' },
        { "table", required_argument, NULL, 't' },     { "wait", required_argument, NULL, 'w' },
        { "for", required_argument, NULL, 'f' },       { "every", required_argument, NULL, 'e' },
        { "telemetry", required_argument, NULL, 'T' }, { "replay", required_argument, NULL, 'R' },
        { "shard", required_argument, NULL, 'S' },
        { "help", no_argument, NULL, 'h' },            { NULL, 0, NULL, 0 },
    };
    int c, ok = 1;

    optind = 0;
    while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        switch (c) {
        case 'j': o->json = 1; break;
        case 'o': o->once = 1; break;
        case 't': o->table = optarg; break;
        case 'w': ok &= seconds("--wait", optarg, 0, &o->wait_s); break;
        case 'f': ok &= seconds("--for", optarg, 0.01, &o->for_s); break;
        case 'e': ok &= seconds("--every", optarg, 0.01, &o->every_s); break;
        case 'T': o->from.telemetry = optarg; break;
        case 'R': o->from.replay = optarg; break;
        case 'S': ok &= mscope_feed_shard(&o->from, optarg) == 0; break;
        case 'h': usage(stdout); return MSCOPE_EXIT_OK;
        default: ok = 0;
        }
    }
    if (ok && optind < argc) {
        fprintf(stderr, "momentscope watch: unexpected argument '%s'\n", argv[optind]);
        ok = 0;
    }
    if (!ok) {
        fprintf(stderr, "momentscope watch --help tells the options\n");
        return MSCOPE_EXIT_USAGE;
    }
    return -1;
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

static void show(const mscope_view *v, mscope_feed *s, int in_place)
{
    const struct winsize w = window();
    mscope_subscriber_stats stats;
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    if (to == NULL)
        return;
    mscope_feed_stats(s, &stats);
    mscope_view_print(v, &stats, in_place ? w.ws_col : 0, to);
    if (fclose(to) == 0) {
        if (in_place) {
            draw(text, w);
        } else {
            fputs(text, stdout);
            fputc('\n', stdout);
            fflush(stdout);
        }
    }
    free(text);
}

/* -- the three ways to watch ------------------------------------------------------------------------- */

static mscope_listen listening(const struct options *o)
{
    return (mscope_listen){ "watch", o->table, o->from.telemetry, &stop };
}

static int watch_once(const struct options *o, mscope_feed *s, mscope_view *v)
{
    mscope_listen l = listening(o);
    int code = mscope_listen_full(&l, s, o->wait_s, v);

    if (code != MSCOPE_EXIT_OK)
        return code;
    if (o->json) {
        mscope_view_json(v, stdout);
        return MSCOPE_EXIT_OK;
    }
    show(v, s, 0);
    for (size_t i = 0; i < v->tables; i++)
        if (v->table[i].have_table)
            mscope_summary_print(&v->table[i], stdout);
    return MSCOPE_EXIT_OK;
}

static int watch_json(const struct options *o, mscope_feed *s)
{
    mscope_listen l = listening(o);
    double start = mscope_listen_now_s();
    mscope_telemetry m;
    int any = 0;

    while (!stop && !ferror(stdout) && (o->for_s == 0 || mscope_listen_now_s() - start < o->for_s)) {
        if (mscope_feed_next(s, &m, 100) == 0 && mscope_listen_wants(&l, &m)) {
            mscope_json_record(stdout, &m);
            fflush(stdout);
            any = 1;
        }
    }
    return any ? MSCOPE_EXIT_OK : MSCOPE_EXIT_FAILED;
}

static int watch_live(const struct options *o, mscope_feed *s, mscope_view *v)
{
    int in_place = isatty(STDOUT_FILENO), new_since = 0;
    mscope_listen l = listening(o);
    double start = mscope_listen_now_s(), drawn = 0, every = o->every_s > 0 ? o->every_s : (in_place ? DRAW_MS : PLAIN_MS) * 1e-3;
    mscope_telemetry m;

    if (in_place)
        screen_enter();
    while (!stop && !ferror(stdout) && (o->for_s == 0 || mscope_listen_now_s() - start < o->for_s)) {
        if (mscope_feed_next(s, &m, 50) == 0 && mscope_listen_wants(&l, &m)) {
            if (mscope_view_take(v, &m) != 0)
                break;
            new_since = 1;
        }
        if (mscope_listen_now_s() - drawn >= every && (in_place || (new_since && mscope_view_complete(v)))) {
            if (v->tables > 0 || v->have_daemon)
                show(v, s, in_place);
            else if (in_place)
                draw("waiting for momentscoped ...\n", window());
            drawn = mscope_listen_now_s();
            new_since = 0;
        }
    }
    if (in_place)
        screen_leave();
    if (v->tables == 0)
        return mscope_listen_nothing(&l, v, mscope_listen_now_s() - start);
    if (in_place || new_since)
        show(v, s, 0);
    return MSCOPE_EXIT_OK;
}

int mscope_cmd_watch(int argc, char **argv)
{
    struct options o = { .wait_s = 10, .from.command = "watch" };
    struct sigaction act = { .sa_handler = on_signal };
    mscope_feed *s;
    mscope_view v = { 0 };
    int code = read_options(argc, argv, &o);

    if (code >= 0)
        return code;
    code = mscope_feed_open(&s, &o.from);
    if (code != 0)
        return code;
    v.feed = s;
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
    signal(SIGPIPE, SIG_IGN);                /* a closed pipe shows as ferror */
    if (o.once)
        code = watch_once(&o, s, &v);
    else
        code = o.json ? watch_json(&o, s) : watch_live(&o, s, &v);
    mscope_view_fini(&v);
    mscope_feed_close(s);
    return code;
}
