/* advise.c - momentscope advise: what one beta costs the bands of a table, and faster settings
 *
 * Records come from the running daemon, as watch --once gets them, or as its JSON lines on standard input. The search
 * and the words are host/diagnose's.                                                                          */
#include "cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "diagnose/counsel.h"
#include "listening.h"
#include "watch_view.h"

#define COMMAND "momentscope advise"

struct options {
    mscope_listening listening;
    double fraction;
    mscope_measured_options measured;
    int jsonl, json, explain;
};

/* Returns the exit code to leave with, or MSCOPE_OPTIONS_GO_ON. */
static int read_options(int argc, char **argv, struct options *o)
{
    const mscope_option table[] = {
        { "explain", NULL,
          "print every plan with its steps, the numbers behind it, other batches, and rules for reference",
          .flag = &o->explain },
        { "target", "X", "count steps until this fraction of the present excess loss is left (default: 0.1)",
          .real = &o->fraction, .low = 1e-9, .high = 0.999 },
        { "by-rows", NULL, "weigh every row alike (default: as often as it occurs, as the training loss does)",
          .flag = &o->measured.by_rows },
        { "spread", "X", "largest over smallest curvature within a row (default: 1, isotropic rows)",
          .real = &o->measured.spread, .low = 1, .high = 1e6 },
        { "jsonl", NULL, "read the bands from standard input, lines of watch --once --json, instead of asking a daemon",
          .flag = &o->jsonl },
        { "json", NULL, "print one JSON object a table, with all plans; with --shard one more about its shards",
          .flag = &o->json },
        { "wait", "SECONDS", "give up when no full set of records came for this long (default: 10)",
          .real = &o->listening.wait_s, .low = 0, .high = 1e6 },
        MSCOPE_LISTENING_OPTIONS(&o->listening),
        { .name = NULL }
    };
    const mscope_command advise = {
        .name = COMMAND,
        .usage = "[OPTION...]",
        .about = "Say what one beta for all bands of a table costs them, and which settings reach a target in fewer "
                 "steps. Both come from the exact second-moment maps at the measured activities and curvatures.",
        .option = table,
        .notes = "A plan is shown as advice only if the model says that it is faster than the present setting. What "
                 "telemetry does not tell (label noise, spread of curvature, distance to the optimum) is assumed, and "
                 "the answer says how.",
        .example = COMMAND " --table words --explain\nmomentscope watch --once --json | " COMMAND " --jsonl",
        .exits = "0 an answer for every table\n"
                 "1 no records came, or a table has no answer; the output says why (mostly: no curvature yet)\n"
                 "2 wrong usage",
    };
    const int code = mscope_options_read(&advise, argc, argv, NULL);
    const mscope_feed_options *from = &o->listening.from;

    if (code == MSCOPE_OPTIONS_GO_ON && o->jsonl &&
        (from->shard.n > 0 || from->telemetry != NULL || from->replay != NULL)) {
        fprintf(stderr, COMMAND ": --jsonl asks no daemon: it goes without --telemetry, --replay and --shard\n");
        return MSCOPE_EXIT_USAGE;
    }
    return code;
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

/* NULL, or the reason why the line is no record. Records of other kinds are ignored. */
static const char *take_line(const struct options *o, const char *line, mscope_judged *j)
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
        else if ((o->listening.table == NULL || strcmp(o->listening.table, m.record.u.band.table) == 0) &&
                 mscope_judged_take(j, &m, NULL, NULL) != 0)
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

static int read_lines(const struct options *o, mscope_judged *j)
{
    char *line = NULL;
    size_t cap = 0;
    int number_of = 0, code = MSCOPE_EXIT_OK;

    while (code == MSCOPE_EXIT_OK && getline(&line, &cap, stdin) >= 0) {
        number_of++;
        if (line[strspn(line, " \t\r\n")] == '\0')
            continue;
        const char *wrong = take_line(o, line, j);
        if (wrong != NULL) {
            fprintf(stderr, "momentscope advise: line %d: %s\n", number_of, wrong);
            code = MSCOPE_EXIT_FAILED;
        }
    }
    free(line);
    if (code == MSCOPE_EXIT_OK && j->latest.tables == 0) {
        fprintf(stderr, "momentscope advise: no band record on standard input\n");
        code = MSCOPE_EXIT_FAILED;
    }
    return code;
}

/* -- records from the daemon ------------------------------------------------------------------------------ */

static int read_daemon(const struct options *o, mscope_judged *j)
{
    mscope_coverage *coverage;
    mscope_listen l;
    int code = mscope_listening_open(&o->listening, COMMAND, &l);

    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    code = mscope_listening_full(&o->listening, COMMAND, &l, j);
    if (code == MSCOPE_EXIT_OK) {            /* now: while a search runs nobody listens, and every shard falls silent */
        coverage = mscope_feed_coverages(l.feed, &j->latest);
        mscope_view_shards(&j->latest, coverage, o->json, stdout);
        free(coverage);
    }
    mscope_feed_close(l.feed);
    return code;
}

/* -- the answer ------------------------------------------------------------------------------------------- */

static int answer(const struct options *o, const mscope_latest_table *w)
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
    struct options o = { .listening.wait_s = 10, .fraction = 0.1, .measured = { .spread = 1 } };
    mscope_judged j = { .rooms = 0 };
    int code = read_options(argc, argv, &o);

    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    code = o.jsonl ? read_lines(&o, &j) : read_daemon(&o, &j);
    for (size_t i = 0; i < j.latest.tables && code != MSCOPE_EXIT_USAGE; i++)
        if (answer(&o, &j.latest.table[i]) != MSCOPE_EXIT_OK)
            code = MSCOPE_EXIT_FAILED;
    mscope_judged_fini(&j);
    return code;
}
