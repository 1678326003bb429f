/* advise.c - momentscope advise: what one beta costs the bands of a table, and settings that are faster by the maps
 *
 * Records come from the running daemon, as watch --once gets them, or as its JSON lines on standard input. The search
 * and the words are host/diagnose's.                                                                          */
#include "cli.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "diagnose/advice_words.h"
#include "monitor/listen.h"
#include "watch_view.h"


struct options {
    mscope_feed_options from;
    const char *table;
    double wait_s, fraction;
    mscope_measured_options measured;
    int jsonl, json, explain;
};

static void usage(FILE *to)
{
    fprintf(to,
            "usage: momentscope advise [OPTION...]\n\n"
            "Say what one beta for all bands of a table costs them, and which settings reach a target in fewer steps: both by\n"
            "the exact second-moment maps, under the measured activities and curvatures.\n\n"
            "  --explain         every plan with its steps, the numbers behind it, other batches, rules for reference\n"
            "  --target X        count steps to this fraction of the present excess loss, 1e-9 to 0.999 (default 0.1)\n"
            "  --by-rows         every row counts alike (default: as often as it occurs, as in the training loss)\n"
            "  --spread X        largest over smallest curvature within a row, 1 to 1e6 (default 1: isotropic rows)\n"
            "  --jsonl           read the bands from standard input, lines of watch --once --json; no daemon is asked\n"
            "  --json            one JSON object a table, plans and all; with --shard one more on its shards\n"
            "  --table NAME      only this table\n"
            "  --wait SECONDS    give up when no full set of records came for so long, 0 to 1e6 (default 10)\n"
            "  --telemetry ADDR  where the daemon publishes (default $MOMENTSCOPE_TELEMETRY, else its usual place)\n"
            "  --replay ADDR     where it replays, to fill holes (default $MOMENTSCOPE_REPLAY, else likewise); '' for none\n"
            "  --shard ADDR      telemetry of one shard's daemon; repeat for each: their rows are taken as one table, and how\n"
            "                    many steps they are apart is said\n"
            "  --help            this text\n\n"
            "example: momentscope advise --table words --explain\n"
            "         momentscope watch --once --json | momentscope advise --jsonl\n\n"
            "A plan is shown as advice only if the model says it is faster than the present setting. What telemetry cannot\n"
            "tell (label noise, spread of curvature, distance to the optimum) is assumed, and the answer says how.\n\n"
            "exit codes: 0 an answer for every table; 1 no records came, or a table has no answer, which says why (mostly: no\n"
            "curvature yet); 2 wrong usage\n");
}

static int number(const char *option, const char *text, double low, double high, double *out)
{
    char *end;

    *out = strtod(text, &end);
    if (end != text && *end == '\0' && *out >= low && *out <= high)
        return 1;
    fprintf(stderr, "momentscope advise: --%s is '%s', expected a number from %g to %g\n", option, text, low, high);
    return 0;
}

/* Returns the exit code to leave with, or -1 to go on. */
static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {
        { "explain", no_argument, NULL, 'e' },       { "target", required_argument, NULL, 'x' },
        { "by-rows", no_argument, NULL, 'b' },       { "spread", required_argument, NULL, 's' },
        { "jsonl", no_argument, NULL, 'l' },         { "json", no_argument, NULL, 'j' },
        { "table", required_argument, NULL, 't' },   { "wait", required_argument, NULL, 'w' },
        { "telemetry", required_argument, NULL, 'T' }, { "replay", required_argument, NULL, 'R' },
        { "shard", required_argument, NULL, 'S' },
        { "help", no_argument, NULL, 'h' },          { NULL, 0, NULL, 0 },
    };
    int c, ok = 1;

    optind = 0;
    while (ok && (c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        switch (c) {
        case 'e': o->explain = 1; break;
        case 'x': ok = number("target", optarg, 1e-9, 0.999, &o->fraction); break;
        case 'b': o->measured.by_rows = 1; break;
        case 's': ok = number("spread", optarg, 1, 1e6, &o->measured.spread); break;
        case 'l': o->jsonl = 1; break;
        case 'j': o->json = 1; break;
        case 't': o->table = optarg; break;
        case 'w': ok = number("wait", optarg, 0, 1e6, &o->wait_s); break;
        case 'T': o->from.telemetry = optarg; break;
        case 'R': o->from.replay = optarg; break;
        case 'S': ok &= mscope_feed_shard(&o->from, optarg) == 0; break;
        case 'h': usage(stdout); return MSCOPE_EXIT_OK;
        default: fprintf(stderr, "momentscope advise --help tells the options\n"); return MSCOPE_EXIT_USAGE;
        }
    }
    if (ok && o->jsonl && (o->from.shards > 0 || o->from.telemetry != NULL || o->from.replay != NULL)) {
        fprintf(stderr, "momentscope advise: --jsonl asks no daemon: it goes without --telemetry, --replay and --shard\n");
        ok = 0;
    }
    if (ok && optind < argc) {
        fprintf(stderr, "momentscope advise: unexpected argument '%s'\n", argv[optind]);
        ok = 0;
    }
    if (!ok)
        fprintf(stderr, "momentscope advise --help tells the options\n");
    return ok ? -1 : MSCOPE_EXIT_USAGE;
}

/* -- records from JSON lines ---------------------------------------------------------------------------- */

static void from_f64(const cJSON *v, double *to)
{
    *to = cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

static void from_u64(const cJSON *v, uint64_t *to)
{
    *to = cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble < 1.8e19 ? (uint64_t)v->valuedouble : 0;
}

static void from_string(const cJSON *v, char *to, size_t cap)
{
    snprintf(to, cap, "%s", cJSON_IsString(v) ? v->valuestring : "");
}

#define TAKE_f64(v, to) from_f64(v, &(to))
#define TAKE_u64(v, to) from_u64(v, &(to))
#define TAKE_name(v, to) from_string(v, to, sizeof(to))
#define TAKE_text(v, to) from_string(v, to, sizeof(to))
#define TAKE_bool(v, to) ((to) = cJSON_IsTrue(v) != 0)
#define TAKE_list(v, to) ((void)(v), (to).n = 0)
#define MSCOPE_METRIC(type, name, unit, kind, help) TAKE_##type(cJSON_GetObjectItemCaseSensitive(from, #name), r->name);

static void take_band(const cJSON *from, mscope_rec_band *r)
{
#define MSCOPE_BAND_METRICS
#include "mscope/metrics.def"
}

static void take_table(const cJSON *from, mscope_rec_table *r)
{
#define MSCOPE_TABLE_METRICS
#include "mscope/metrics.def"
}

/* 0, or the reason why the line is no record. Records of other kinds are passed over. */
static const char *take_line(const struct options *o, const char *line, mscope_view *v)
{
    cJSON *from = cJSON_Parse(line);
    const cJSON *topic = cJSON_GetObjectItemCaseSensitive(from, "topic");
    const char *what = cJSON_IsString(topic) ? topic->valuestring : NULL, *wrong = NULL;
    mscope_telemetry m = { 0 };

    if (!cJSON_IsObject(from)) {
        wrong = "not a JSON object";
    } else if (what == NULL) {
        wrong = "no topic: lines of watch --json are expected";
    } else if (strncmp(what, "band/", 5) == 0) {
        m.record.kind = MSCOPE_REC_BAND;
        take_band(from, &m.record.u.band);
        if (m.record.u.band.table[0] == '\0' || m.record.u.band.band >= MSCOPE_BANDS)
            wrong = "a band record without table or band";
        else if ((o->table == NULL || strcmp(o->table, m.record.u.band.table) == 0) && mscope_view_take(v, &m) != 0)
            wrong = "out of memory";
    } else if (strncmp(what, "table/", 6) == 0) {
        m.record.kind = MSCOPE_REC_TABLE;
        take_table(from, &m.record.u.table);
        if (m.record.u.table.table[0] == '\0')
            wrong = "a table record without table";
    }
    cJSON_Delete(from);
    return wrong;
}

static int read_lines(const struct options *o, mscope_view *v)
{
    char *line = NULL;
    size_t cap = 0;
    int number_of = 0, code = MSCOPE_EXIT_OK;

    while (code == MSCOPE_EXIT_OK && getline(&line, &cap, stdin) >= 0) {
        number_of++;
        if (line[strspn(line, " \t\r\n")] == '\0')
            continue;
        const char *wrong = take_line(o, line, v);
        if (wrong != NULL) {
            fprintf(stderr, "momentscope advise: line %d: %s\n", number_of, wrong);
            code = MSCOPE_EXIT_FAILED;
        }
    }
    free(line);
    if (code == MSCOPE_EXIT_OK && v->tables == 0) {
        fprintf(stderr, "momentscope advise: no band record on standard input\n");
        code = MSCOPE_EXIT_FAILED;
    }
    return code;
}

/* -- records from the daemon ------------------------------------------------------------------------------ */

static int read_daemon(const struct options *o, mscope_view *v)
{
    const mscope_listen l = { "advise", o->table, o->from.telemetry, NULL };
    mscope_feed *s;
    int rc = mscope_feed_open(&s, &o->from);

    if (rc != 0)
        return rc;
    rc = mscope_listen_full(&l, s, o->wait_s, v);
    if (rc == MSCOPE_EXIT_OK)                /* now: while a search runs nobody listens, and every shard falls silent */
        mscope_view_shards(v, o->json, stdout);
    v->feed = NULL;
    mscope_feed_close(s);
    return rc;
}

/* -- the answer ------------------------------------------------------------------------------------------- */

static int answer(const struct options *o, const mscope_watched *w)
{
    const mscope_rec_band *rec[MSCOPE_BANDS];
    mscope_counsel c;
    size_t n = 0;

    for (int b = 0; b < MSCOPE_BANDS; b++)
        if (w->have[b])
            rec[n++] = &w->band[b].record.u.band;
    if (n == 0)
        return MSCOPE_EXIT_OK;
    mscope_counsel_of(rec, n, &o->measured, o->fraction, &c);
    if (o->json) {
        mscope_counsel_json(&c, rec[0]->table, stdout);
    } else {
        printf("table %s, eta %.4g, eps %.4g, batch %.4g:\n", rec[0]->table, rec[0]->eta, rec[0]->eps, rec[0]->batch);
        mscope_counsel_say(&c, stdout);
        if (o->explain)
            mscope_counsel_explain(&c, stdout);
    }
    return c.possible ? MSCOPE_EXIT_OK : MSCOPE_EXIT_FAILED;
}

int mscope_cmd_advise(int argc, char **argv)
{
    struct options o = { .wait_s = 10, .from.command = "advise", .fraction = 0.1, .measured = { .spread = 1 } };
    mscope_view v = { 0 };
    int code = read_options(argc, argv, &o);

    if (code >= 0)
        return code;
    code = o.jsonl ? read_lines(&o, &v) : read_daemon(&o, &v);
    for (size_t i = 0; i < v.tables && code != MSCOPE_EXIT_USAGE; i++)
        if (answer(&o, &v.table[i]) != MSCOPE_EXIT_OK)
            code = MSCOPE_EXIT_FAILED;
    mscope_view_fini(&v);
    return code;
}
