/* check.c - momentscope check: a verdict for each band, the worst one as exit code; alerts when a verdict changes
 *
 * One shot: one full set of records, as watch --once takes it. --follow: every record, with hysteresis, one line
 * when a band's regime changes, and on request the same as `alert` records on a socket of its own (the daemon does
 * not judge).                                                                                               */
#include "cli.h"

#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <zmq.h>

#include "protocol/meet/bind.h"
#include "monitor/listen.h"
#include "common/json.h"
#include "monitor/record_json.h"
#include "watch_view.h"


enum { REGIMES = MSCOPE_REGIME_UNKNOWN + 1 };

/* The exit code of a regime; a larger one is worse. */
static const int code_of[REGIMES] = {
    [MSCOPE_REGIME_RESONANT] = 3, [MSCOPE_REGIME_SGD] = 4,  [MSCOPE_REGIME_HEAVY_BALL] = 5,
    [MSCOPE_REGIME_UNKNOWN] = 6,  [MSCOPE_REGIME_NEAR] = 7, [MSCOPE_REGIME_UNSTABLE] = 8,
};

struct options {
    mscope_feed_options from;
    const char *table, *publish;
    double wait_s, for_s;
    int json, follow, remote, fails[REGIMES];
};

struct alerts {                      /* the PUB socket of --publish */
    void *context, *socket;
    uint64_t epoch, seq;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    stop = sig;
}

static void usage(FILE *to)
{
    fprintf(to,
            "usage: momentscope check [OPTION...]\n\n"
            "Judge each activity band, and tell the worst verdict that is on a list by the exit code.\n\n"
            "  --fail-on LIST    regimes that make the exit code non-zero, with commas, or 'none'\n"
            "                    (default unknown,near-instability,unstable)\n"
            "  --table NAME      only this table\n"
            "  --wait SECONDS    give up when no full set of records came for so long, below 1e6 (default 10; not with --follow)\n"
            "  --json            one JSON object a band, one for the whole; with --shard one a table on its shards\n"
            "  --follow          stay, and print a line (or object) whenever a band's regime changes, from unknown at first\n"
            "  --for SECONDS     with --follow: stop after this long (default, and 0: until interrupted)\n"
            "  --publish ADDR    with --follow: bind ADDR and publish each change there too, a record on topic alert as the\n"
            "                    daemon's are\n"
            "  --allow-remote    with --publish: an ADDR that other machines can reach (no encryption)\n"
            "  --telemetry ADDR  where the daemon publishes (default $MOMENTSCOPE_TELEMETRY, else its usual place)\n"
            "  --replay ADDR     where it replays, to fill holes (default $MOMENTSCOPE_REPLAY, else likewise); '' for none\n"
            "  --shard ADDR      telemetry of one shard's daemon; repeat for each: their rows are judged as one table, and how\n"
            "                    many steps they are apart is said\n"
            "  --help            this text\n\n"
            "example: momentscope check --table words --fail-on near-instability,unstable || lower_eta\n\n"
            "exit codes: 0 no band is in a regime of --fail-on; else the worst of those that one is in: 3 resonant,\n"
            "4 sgd-like, 5 heavy-ball, 6 unknown, 7 near-instability, 8 unstable. 1 nothing came or the addresses do not\n"
            "work, 2 wrong usage. With --follow: of the verdicts at the end.\n");
}

/* -- options ---------------------------------------------------------------------------------------- */

static int regime_of(const char *name, size_t len)
{
    for (int i = 0; i < REGIMES; i++)
        if (strlen(mscope_regime_name((enum mscope_regime)i)) == len &&
            strncmp(mscope_regime_name((enum mscope_regime)i), name, len) == 0)
            return i;
    return -1;
}

static int read_list(const char *list, int fails[REGIMES])
{
    memset(fails, 0, REGIMES * sizeof *fails);
    if (strcmp(list, "none") == 0)
        return 1;
    for (;;) {
        size_t len = strcspn(list, ",");
        int r = regime_of(list, len);

        if (r < 0) {
            fprintf(stderr, "momentscope check: --fail-on: '%.*s' is no regime; resonant, sgd-like, heavy-ball, unknown,"
                            " near-instability, unstable, or none\n", (int)len, list);
            return 0;
        }
        fails[r] = 1;
        if (list[len] == '\0')
            return 1;
        list += len + 1;
    }
}

static int seconds(const char *name, const char *text, double *out)
{
    char *end;

    *out = strtod(text, &end);
    if (end != text && *end == '\0' && *out >= 0 && *out < 1e6)
        return 1;
    fprintf(stderr, "momentscope check: %s: '%s' is not a number of seconds, 0 .. 1e6\n", name, text);
    return 0;
}

/* Returns the exit code to leave with, or -1 to go on. */
static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {
        { "json", no_argument, NULL, 'j' },            { "follow", no_argument, NULL, 'F' },
        { "table", required_argument, NULL, 't' },     { "wait", required_argument, NULL, 'w' },
        { "for", required_argument, NULL, 'f' },       { "fail-on", required_argument, NULL, 'x' },
        { "publish", required_argument, NULL, 'p' },   { "telemetry", required_argument, NULL, 'T' },
        { "replay", required_argument, NULL, 'R' }, { "shard", required_argument, NULL, 'S' },
        { "allow-remote", no_argument, NULL, 'r' }, { "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
    };
    int c, ok = 1;

    optind = 0;
    while (ok && (c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        switch (c) {
        case 'j': o->json = 1; break;
        case 'F': o->follow = 1; break;
        case 't': o->table = optarg; break;
        case 'w': ok = seconds("--wait", optarg, &o->wait_s); break;
        case 'f': ok = seconds("--for", optarg, &o->for_s); break;
        case 'x': ok = read_list(optarg, o->fails); break;
        case 'p': o->publish = optarg; break;
        case 'r': o->remote = 1; break;
        case 'T': o->from.telemetry = optarg; break;
        case 'R': o->from.replay = optarg; break;
        case 'S': ok &= mscope_feed_shard(&o->from, optarg) == 0; break;
        case 'h': usage(stdout); return MSCOPE_EXIT_OK;
        default: ok = 0;
        }
    }
    if (ok && optind < argc) {
        fprintf(stderr, "momentscope check: unexpected argument '%s'\n", argv[optind]);
        ok = 0;
    }
    if (ok && !o->follow && (o->publish != NULL || o->for_s > 0)) {
        fprintf(stderr, "momentscope check: %s needs --follow\n", o->publish != NULL ? "--publish" : "--for");
        ok = 0;
    }
    const char *range = ok && o->publish != NULL ? mscope_bind_range(o->publish, o->remote) : NULL;
    if (range != NULL) {
        fprintf(stderr, "momentscope check: --publish is '%s', expected %s\n", o->publish, range);
        ok = 0;
    }
    if (!ok) {
        fprintf(stderr, "momentscope check --help tells the options\n");
        return MSCOPE_EXIT_USAGE;
    }
    return -1;
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

static void print_band(const mscope_watched *w, int band, int json, const char *before)
{
    static const char *const words[] = { "none", "agrees", "contradicts" };
    const mscope_rec_band *b = &w->band[band].record.u.band;
    const mscope_verdict *v = &w->verdict[band];
    char said[MSCOPE_TEXT_MAX + 1];
    enum mscope_agreement agrees;
    mscope_modes m;
    int heard = mscope_view_modes(w, band, &m, &agrees, said, sizeof said);

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
    printf(",\"band\":%d,\"epoch\":%" PRIu64 ",\"step\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"updates\":%" PRIu64, band, b->epoch,
           b->step, b->rows, b->updates);
    if (before != NULL)
        text("before", before);
    text("regime", mscope_regime_name(v->regime));
    const struct {
        const char *name;
        double value;
    } numbers[] = { { "confidence", v->confidence }, { "H", v->H }, { "H_se", v->H_se }, { "zeta", v->zeta },
                    { "omega", v->omega }, { "rate", v->rate }, { "h_samples", b->h_samples }, { "acf_omega", m.omega },
                    { "acf_zeta", m.zeta }, { "acf_peak", m.peak }, { "acf_references", (double)m.references } };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        field(numbers[i].name, numbers[i].value);
    text("acf_verdict", words[agrees]);
    text("acf_why", said);
    text("why", v->why);
    printf("}\n");
}

/* The worst band that fails, else the worst of all; returns the exit code. */
static int worst(const mscope_view *v, const struct options *o, const mscope_watched **table, int *band, int *bands)
{
    int best = -1, code = MSCOPE_EXIT_OK;

    *bands = 0;
    *table = NULL;
    for (size_t i = 0; i < v->tables; i++)
        for (int b = 0; b < MSCOPE_BANDS; b++) {
            if (!v->table[i].have[b])
                continue;
            const enum mscope_regime r = v->table[i].verdict[b].regime;
            ++*bands;
            if (code_of[r] > best) {
                best = code_of[r];
                *table = &v->table[i];
                *band = b;
            }
            if (o->fails[r] && code_of[r] > code)
                code = code_of[r];
        }
    return code;
}

static int conclude(const mscope_view *v, const struct options *o)
{
    const mscope_watched *table;
    int band = 0, bands, code = worst(v, o, &table, &band, &bands);

    if (table == NULL)
        return MSCOPE_EXIT_FAILED;
    const char *name = table->band[band].record.u.band.table, *regime = mscope_regime_name(table->verdict[band].regime);
    mscope_view_shards(v, o->json, stdout);
    if (o->json) {
        printf("{\"worst\":");
        mscope_json_string(stdout, regime);
        text("table", name);
        printf(",\"band\":%d,\"bands\":%d,\"exit\":%d", band, bands, code);
        if (v->have_daemon) {
            field("late_worst", v->daemon.record.u.daemon.late_worst);
            field("pause_worst", v->daemon.record.u.daemon.pause_worst);
            field("message_worst", v->daemon.record.u.daemon.message_worst);
        }
        printf("}\n");
    } else {
        if (v->have_daemon)
            mscope_view_timing(&v->daemon.record.u.daemon, stdout);
        printf("worst of %d bands: %s (%s band %d)\n", bands, regime, name, band);
    }
    return code;
}

static mscope_listen listening(const struct options *o)
{
    return (mscope_listen){ "check", o->table, o->from.telemetry, &stop };
}

static int check_once(const struct options *o, mscope_feed *s, mscope_view *v)
{
    mscope_listen l = listening(o);
    int code = mscope_listen_full(&l, s, o->wait_s, v);

    if (code != MSCOPE_EXIT_OK)
        return code;
    for (size_t i = 0; i < v->tables; i++)
        for (int b = 0; b < MSCOPE_BANDS; b++)
            if (v->table[i].have[b])
                print_band(&v->table[i], b, o->json, NULL);
    return conclude(v, o);
}

/* -- following ---------------------------------------------------------------------------------------- */

static int alerts_open(struct alerts *a, const char *where)
{
    const int none = 0;
    struct timespec t;

    a->context = zmq_ctx_new();
    a->socket = a->context != NULL ? zmq_socket(a->context, ZMQ_PUB) : NULL;
    if (a->socket == NULL || zmq_setsockopt(a->socket, ZMQ_LINGER, &none, sizeof none) != 0 ||
        zmq_bind(a->socket, where) != 0) {
        fprintf(stderr, "momentscope check: --publish %s: %s\n", where, zmq_strerror(zmq_errno()));
        return -1;
    }
    clock_gettime(CLOCK_REALTIME, &t);
    a->epoch = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    return 0;
}

static void alerts_close(struct alerts *a)
{
    if (a->socket != NULL)
        zmq_close(a->socket);
    if (a->context != NULL)
        zmq_ctx_term(a->context);
}

/* Three parts as the daemon sends them: topic, sequence number, map. A slow reader loses, and sees that it did. */
static void publish(struct alerts *a, const mscope_rec_band *b, const mscope_verdict *v, const char *before)
{
    mscope_record r = { .kind = MSCOPE_REC_ALERT };
    uint8_t map[MSCOPE_RECORD_MAX], seq[8];

    if (a->socket == NULL)
        return;
    r.u.alert.epoch = a->epoch;
    r.u.alert.step = b->step;
    snprintf(r.u.alert.table, sizeof r.u.alert.table, "%s", b->table);
    snprintf(r.u.alert.code, sizeof r.u.alert.code, "%s", mscope_regime_name(v->regime));
    snprintf(r.u.alert.text, sizeof r.u.alert.text, "band %" PRIu64 ": %s -> %s: %.120s", b->band, before,
             mscope_regime_name(v->regime), v->why);
    int len = mscope_record_encode(&r, map, sizeof map);
    for (int i = 0; i < 8; i++)
        seq[i] = (uint8_t)(a->seq >> (56 - 8 * i));
    a->seq++;
    if (len < 0 || zmq_send(a->socket, "alert", 5, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_send(a->socket, seq, sizeof seq, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_send(a->socket, map, (size_t)len, ZMQ_DONTWAIT) < 0)
        fprintf(stderr, "momentscope check: an alert could not be published: %s\n", zmq_strerror(zmq_errno()));
}

static const mscope_watched *find(const mscope_view *v, const mscope_rec_band *b)
{
    for (size_t i = 0; i < v->tables; i++)
        if (b->band < MSCOPE_BANDS && v->table[i].have[b->band] &&
            strcmp(v->table[i].band[b->band].record.u.band.table, b->table) == 0)
            return &v->table[i];
    return NULL;
}

/* A band nobody has judged yet counts as unknown, so its first known regime is a change. */
static int follow(const struct options *o, mscope_feed *s, mscope_view *v, struct alerts *a)
{
    mscope_listen l = listening(o);
    double start = mscope_listen_now_s();
    mscope_telemetry m;

    while (!stop && !ferror(stdout) && (o->for_s == 0 || mscope_listen_now_s() - start < o->for_s)) {
        if (mscope_feed_next(s, &m, 50) != 0 || !mscope_listen_wants(&l, &m))
            continue;
        int judged = m.record.kind == MSCOPE_REC_BAND;
        const mscope_watched *w = judged ? find(v, &m.record.u.band) : NULL;
        enum mscope_regime before = w != NULL ? w->verdict[m.record.u.band.band].regime : MSCOPE_REGIME_UNKNOWN;
        if (mscope_view_take(v, &m) != 0)
            return MSCOPE_EXIT_FAILED;
        w = judged ? find(v, &m.record.u.band) : NULL;
        if (w == NULL || before == w->verdict[m.record.u.band.band].regime)
            continue;
        print_band(w, (int)m.record.u.band.band, o->json, mscope_regime_name(before));
        fflush(stdout);
        publish(a, &m.record.u.band, &w->verdict[m.record.u.band.band], mscope_regime_name(before));
    }
    return v->tables == 0 ? mscope_listen_nothing(&l, v, mscope_listen_now_s() - start) : conclude(v, o);
}

int mscope_cmd_check(int argc, char **argv)
{
    struct options o = { .wait_s = 10, .from.command = "check" };
    struct sigaction act = { .sa_handler = on_signal };
    struct alerts a = { 0 };
    mscope_feed *s;
    mscope_view v = { 0 };

    (void)read_list("unknown,near-instability,unstable", o.fails);
    int code = read_options(argc, argv, &o);
    if (code >= 0)
        return code;
    if (o.publish != NULL && alerts_open(&a, o.publish) != 0) {
        alerts_close(&a);
        return MSCOPE_EXIT_FAILED;
    }
    code = mscope_feed_open(&s, &o.from);
    if (code != 0) {
        alerts_close(&a);
        return code;
    }
    v.feed = s;
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
    signal(SIGPIPE, SIG_IGN);                /* a closed pipe shows as ferror */
    code = o.follow ? follow(&o, s, &v, &a) : check_once(&o, s, &v);
    mscope_view_fini(&v);
    mscope_feed_close(s);
    alerts_close(&a);
    return code;
}
