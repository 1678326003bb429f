/* check.c - momentscope check: a verdict for each band, the worst one as exit code; alerts when a verdict changes
 *
 * One shot: one full set of records, as watch --once takes it. --follow: every record, with hysteresis, one line
 * when a band's regime changes, and on request the same as `alert` records on a socket of its own (the daemon does
 * not judge).                                                                                               */
#include "cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alerts.h"
#include "common/clock.h"
#include "common/json.h"
#include "listening.h"
#include "protocol/meet/bind.h"
#include "watch_summary.h"
#include "watch_view.h"

#define COMMAND "momentscope check"

static const double WAIT_S = 10;

struct options {
    mscope_listening listening;
    const char *publish;
    double for_s;
    int json, follow, remote, fails[MSCOPE_REGIMES];
};

/* -- options ---------------------------------------------------------------------------------------- */

static int regime_of(const char *name, size_t len)
{
    for (int i = 0; i < MSCOPE_REGIMES; i++)
        if (strlen(mscope_regime_name((enum mscope_regime)i)) == len &&
            strncmp(mscope_regime_name((enum mscope_regime)i), name, len) == 0)
            return i;
    return -1;
}

/* --fail-on: the value of the option into fails[MSCOPE_REGIMES] */
static int read_list(void *context, const char *list, char *why, size_t cap)
{
    int *fails = context;

    memset(fails, 0, MSCOPE_REGIMES * sizeof *fails);
    if (strcmp(list, "none") == 0)
        return 0;
    for (;;) {
        const size_t len = strcspn(list, ",");
        const int r = regime_of(list, len);

        if (r < 0) {
            snprintf(why, cap,
                     "'%.*s' is no regime; expected resonant, sgd-like, heavy-ball, unknown, near-instability,"
                     " unstable, or none",
                     (int)len, list);
            return -1;
        }
        fails[r] = 1;
        if (list[len] == '\0')
            return 0;
        list += len + 1;
    }
}

/* An option without effect is a misunderstanding. */
static int check_follow(struct options *o)
{
    const int waits = o->listening.wait_s >= 0;

    if (!waits)
        o->listening.wait_s = WAIT_S;
    if (o->follow ? !waits : o->publish == NULL && !(o->for_s > 0))
        return MSCOPE_OPTIONS_GO_ON;
    if (o->follow)
        fprintf(stderr, COMMAND ": --wait has no effect with --follow\n");
    else
        fprintf(stderr, COMMAND ": %s needs --follow\n", o->publish != NULL ? "--publish" : "--for");
    return MSCOPE_EXIT_USAGE;
}

/* Returns the exit code to leave with, or MSCOPE_OPTIONS_GO_ON. */
static int read_options(int argc, char **argv, struct options *o)
{
    const mscope_option table[] = {
        { "fail-on", "LIST",
          "regimes that make the exit code non-zero, separated by commas, or 'none' (default:"
          " unknown,near-instability,unstable)",
          .check = read_list, .context = o->fails },
        { "wait", "SECONDS", "without --follow: give up when no full set of records came for this long (default: 10)",
          .real = &o->listening.wait_s, .low = 0, .high = 1e6 },
        { "json", NULL,
          "print one JSON object a band and one for the whole; with --shard also one a table about its shards",
          .flag = &o->json },
        { "follow", NULL,
          "go on, and print a line (or object) whenever the regime of a band changes; a band begins as unknown",
          .flag = &o->follow },
        { "for", "SECONDS", "with --follow: stop after this long (default, and 0: until interrupted)",
          .real = &o->for_s, .low = 0, .high = 1e6 },
        { "publish", "ADDRESS",
          "with --follow: bind ADDRESS and publish each change there too, as a record on topic alert",
          .text = &o->publish },
        { "allow-remote", NULL, "with --publish: allow an ADDRESS that other machines can reach; needs --keys",
          .flag = &o->remote },
        MSCOPE_LISTENING_PLACES(&o->listening),
        MSCOPE_KEYS_OPTION_SERVE("a subscriber of --publish is let in"),
        { .name = NULL }
    };
    const mscope_command check = {
        .name = COMMAND,
        .usage = "[OPTION...]",
        .about = "Judge each activity band, and return the worst verdict of --fail-on as the exit code.",
        .option = table,
        .example = COMMAND " --table words --fail-on near-instability,unstable || lower_eta",
        .exits = "0 no band is in a regime of --fail-on\n"
                 "1 no records came, or the daemon's addresses do not work\n"
                 "2 wrong usage\n"
                 "3 resonant: the worst regime of --fail-on that a band is in; with --follow: at the end\n"
                 "4 sgd-like, likewise\n"
                 "5 heavy-ball\n"
                 "6 unknown: bands with more than 5 % of the row updates of their table are; below that they are"
                 " shown, and do not count\n"
                 "7 near-instability\n"
                 "8 unstable",
    };
    char why[MSCOPE_WHY_MAX];
    const char *range;
    int code;

    (void)read_list(o->fails, "unknown,near-instability,unstable", why, sizeof why);
    code = mscope_options_read(&check, argc, argv, NULL);
    if (code == MSCOPE_OPTIONS_GO_ON)
        code = check_follow(o);
    if (code != MSCOPE_OPTIONS_GO_ON || o->publish == NULL)
        return code;
    if (mscope_keys_remote(&check, o->remote) != MSCOPE_OPTIONS_GO_ON)
        return MSCOPE_EXIT_USAGE;
    range = mscope_bind_range(o->publish, o->remote);
    return range != NULL ? mscope_options_refuse(&check, "publish", o->publish, range) : MSCOPE_OPTIONS_GO_ON;
}

/* -- one band, the whole ----------------------------------------------------------------------------- */

static void field(const char *name, double x)
{
    printf(",\"%s\":", name);
    mscope_json_f64(stdout, x);
}

static void text(const char *name, const char *s)
{
    printf(",\"%s\":", name);
    mscope_json_string(stdout, s);
}

/* before: the regime that the band has just left, NULL: nothing changed */
static void print_band(const mscope_judged *j, size_t i, int band, int json, const char *before)
{
    static const char *const words[] = { "none", "agrees", "contradicts" };
    const mscope_rec_band *b = &j->latest.table[i].band[band].record.u.band;
    const mscope_verdict *v = &j->verdict[i][band];
    char said[MSCOPE_TEXT_MAX + 1];
    enum mscope_agreement agrees;
    mscope_modes m;
    int heard = mscope_judged_modes(j, i, band, &m, &agrees, said, sizeof said);

    if (!json) {
        printf("%s band %d: ", b->table, band);
        if (before != NULL)
            printf("step %" PRIu64 ", %s -> ", b->step, before);
        printf("%s", mscope_regime_name(v->regime));
        if (v->confidence > 0)
            printf(" (confidence %.0f %%)", 100 * v->confidence);
        printf(": %s%s%s\n", v->why, heard ? "; " : "", said);
        return;
    }
    printf("{\"table\":");
    mscope_json_string(stdout, b->table);
    printf(",\"band\":%d,\"epoch\":%" PRIu64 ",\"step\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"updates\":%" PRIu64, band,
           b->epoch, b->step, b->rows, b->updates);
    if (before != NULL)
        text("before", before);
    text("regime", mscope_regime_name(v->regime));
    const struct {
        const char *name;
        double value;
    } numbers[] = { { "confidence", v->confidence }, { "H", v->H }, { "H_se", v->H_se }, { "zeta", v->zeta },
                    { "omega", v->omega }, { "rate", v->rate }, { "h_samples", b->h_samples }, { "acf_omega", m.omega },
                    { "acf_zeta", m.zeta }, { "acf_peak", m.peak }, { "acf_references", (double)m.references } };
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
        field(numbers[k].name, numbers[k].value);
    text("acf_verdict", words[agrees]);
    text("acf_why", said);
    text("why", v->why);
    printf("}\n");
}

/* All that moves together, where a trainer measured it. */
static void print_stability(const mscope_judged *j, size_t i, int json)
{
    const mscope_rec_stability *r = &j->latest.table[i].stability.record.u.stability;
    const mscope_margin *m = &j->margin[i];

    if (!json) {
        printf("%s stability: %s", r->table, mscope_standing_name(m->standing));
        if (m->confidence > 0)
            printf(" (confidence %.0f %%)", 100 * m->confidence);
        printf(": %s\n", m->why);
        return;
    }
    printf("{\"table\":");
    mscope_json_string(stdout, r->table);
    text("stability", mscope_standing_name(m->standing));
    printf(",\"epoch\":%" PRIu64 ",\"step\":%" PRIu64, r->epoch, r->step);
    field("confidence", m->confidence);
    field("H", m->H);
    field("H_se", m->H_se);
    field("eta", m->eta);
    field("eta_max", m->eta_max);
    field("noise_part", m->noise_part);
    field("burst", m->burst);
    field("outside_curvature", r->outside_curvature);
    field("outside_noise", r->outside_noise);
    text("why", m->why);
    printf("}\n");
}

static int conclude(const mscope_listen *l, const mscope_judged *j, const struct options *o)
{
    mscope_worst w, failing;

    mscope_worst_of(j, NULL, &w);
    mscope_worst_of(j, o->fails, &failing);
    if (w.bands == 0 && !w.overflowed)
        return MSCOPE_EXIT_FAILED;
    const int code = failing.found ? mscope_regime_code(failing.regime) : MSCOPE_EXIT_OK;
    const char *name = j->latest.table[w.table].name, *regime = mscope_regime_name(w.regime);
    const mscope_rec_daemon *d = j->latest.have_daemon ? &j->latest.daemon.record.u.daemon : NULL;
    mscope_coverage *coverage = mscope_feed_coverages(l->feed, &j->latest);
    mscope_view_shards(&j->latest, coverage, o->json, stdout);
    free(coverage);
    if (o->json) {
        printf("{\"worst\":");
        mscope_json_string(stdout, regime);
        text("table", name);
        printf(",\"band\":%d,\"overflowed\":%s,\"bands\":%d,\"unknown_passed_over\":%d,\"exit\":%d", w.band,
               w.overflowed ? "true" : "false", w.bands, w.passed_over, code);
        if (d != NULL) {
            field("late_worst", d->late_worst);
            field("pause_worst", d->pause_worst);
            field("message_worst", d->message_worst);
        }
        printf("}\n");
    } else {
        if (d != NULL)
            mscope_view_timing(d, stdout);
        printf("worst of %d bands: %s (%s ", w.bands, regime, name);
        if (w.overflowed)
            printf("rows or gradients are not finite)");
        else if (w.band >= 0)
            printf("band %d)", w.band);
        else
            printf("stability: parameters outside the watched tables)");
        if (w.passed_over > 0)
            printf("; %d unknown with at most %.0f %% of the updates of their table not counted", w.passed_over,
                   100 * MSCOPE_UNKNOWN_SHARE);
        printf("\n");
    }
    return code;
}

/* -- once, and following ------------------------------------------------------------------------------ */

static int check_once(const struct options *o, const mscope_listen *l, mscope_judged *j)
{
    int code = mscope_listening_full(&o->listening, COMMAND, l, j);

    if (code != MSCOPE_EXIT_OK)
        return code;
    mscope_listening_left(COMMAND, j);
    for (size_t i = 0; i < j->latest.tables; i++)
        for (int b = 0; b < MSCOPE_BANDS; b++)
            if (j->latest.table[i].have[b])
                print_band(j, i, b, o->json, NULL);
    for (size_t i = 0; i < j->latest.tables; i++)
        if (j->latest.table[i].have_stability)
            print_stability(j, i, o->json);
    for (size_t i = 0; i < j->latest.tables && o->json; i++)
        mscope_summary_bounds(j, i, stdout);
    return conclude(l, j, o);
}

static void say_change(const struct options *o, const mscope_judged *j, const mscope_news *news,
                       enum mscope_regime before, mscope_alerts *a)
{
    const mscope_rec_band *b = &j->latest.table[news->table].band[news->band].record.u.band;
    const char *why;

    print_band(j, news->table, news->band, o->json, mscope_regime_name(before));
    fflush(stdout);
    if (mscope_alerts_send(a, b, before, &j->verdict[news->table][news->band], &why) != 0)
        fprintf(stderr, COMMAND ": cannot publish an alert: %s\n", why);
}

static int follow(const struct options *o, const mscope_listen *l, mscope_judged *j, mscope_alerts *a)
{
    const double start = mscope_monotonic_s();
    enum mscope_regime before;
    mscope_telemetry m;
    mscope_news news;

    while (!*l->stop && mscope_listening_heard() && (o->for_s == 0 || mscope_monotonic_s() - start < o->for_s)) {
        if (mscope_listen_next(l, &m, 50) != 0)
            continue;
        mscope_listening_leaves(COMMAND, j, &m);
        if (mscope_judged_take(j, &m, &news, &before) != 0)
            return MSCOPE_EXIT_FAILED;
        if (news.band >= 0 && before != j->verdict[news.table][news.band].regime)
            say_change(o, j, &news, before, a);
    }
    if (j->latest.tables == 0 && !mscope_listening_heard())
        return MSCOPE_EXIT_OK;
    return j->latest.tables == 0 ? mscope_listening_nothing(COMMAND, l, j, mscope_monotonic_s() - start)
                                 : conclude(l, j, o);
}

int mscope_cmd_check(int argc, char **argv)
{
    struct options o = { .listening.wait_s = -1 };       /* not given */
    mscope_alerts a = { .socket = NULL };
    mscope_judged j = { .rooms = 0 };
    mscope_listen l;
    int code = read_options(argc, argv, &o);

    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    if (o.publish != NULL && mscope_alerts_open(&a, o.publish, COMMAND) != 0) {
        fprintf(stderr, COMMAND ": cannot publish at %s: %s\n", o.publish, a.why);
        return MSCOPE_EXIT_FAILED;
    }
    code = mscope_listening_open(&o.listening, COMMAND, &l);
    if (code == MSCOPE_OPTIONS_GO_ON) {
        code = o.follow ? follow(&o, &l, &j, &a) : check_once(&o, &l, &j);
        mscope_judged_fini(&j);
        mscope_feed_close(l.feed);
    }
    mscope_alerts_close(&a);
    return code;
}
