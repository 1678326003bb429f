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

#include "common/line.h"
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
          "print where a walk may lead, the numbers behind it, other batches, and rules for reference",
          .flag = &o->explain },
        { "target", "X", "price plans by the steps to this fraction of the present excess loss (default: 0.1)",
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
        .about = "Say what no setting of a table can do, what one beta for all its bands costs them, and where to go "
                 "next: the first stage of a walk to a faster setting, or to stay. All comes from the exact "
                 "second-moment maps at the measured activities and curvatures.",
        .option = table,
        .notes = "A stage moves eta and 1 - beta by at most a factor of two, to no more than half of the limit of all "
                 "that moves together, and only where it is better whatever the errors and the label noise are that "
                 "the records allow. Then look again: ask anew after the steps it says.\n"
                 "--explain also prints where a walk may lead if the model held all the way. That is no advice.",
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

static void from_list(const cJSON *v, mscope_list *to)
{
    const cJSON *x;

    to->n = 0;
    cJSON_ArrayForEach(x, v)
        if (to->n < sizeof to->at / sizeof *to->at)
            from_f64(x, &to->at[to->n++]);
}

#define TAKE_f64(v, to) from_f64(v, &(to))
#define TAKE_u64(v, to) from_u64(v, &(to))
#define TAKE_name(v, to) from_string(v, to, sizeof(to))
#define TAKE_text(v, to) from_string(v, to, sizeof(to))
#define TAKE_bool(v, to) ((to) = cJSON_IsTrue(v) != 0)
#define TAKE_list(v, to) from_list(v, &(to))
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

static void take_stability(const cJSON *from, mscope_rec_stability *r)
{
#define MSCOPE_STABILITY_METRICS
#include "mscope/metrics.def"
}

/* NULL, or the reason why this is no record of its kind. *wanted: 0 where it is of another kind or table. */
static const char *read_record(const struct options *o, const char *topic, const cJSON *from, mscope_record *r,
                               int *wanted)
{
    const char *table = NULL, *wrong = NULL;

    if (strncmp(topic, "band/", 5) == 0) {
        r->kind = MSCOPE_REC_BAND;
        take_band(from, &r->u.band);
        table = r->u.band.table;
        if (table[0] == '\0' || r->u.band.band >= MSCOPE_BANDS)
            wrong = "a band record without table or band";
    } else if (strncmp(topic, "table/", 6) == 0) {
        r->kind = MSCOPE_REC_TABLE;
        take_table(from, &r->u.table);
        table = r->u.table.table;
        if (table[0] == '\0')
            wrong = "a table record without table";
    } else if (strncmp(topic, "stability/", 10) == 0) {
        r->kind = MSCOPE_REC_STABILITY;
        take_stability(from, &r->u.stability);
        if (r->u.stability.table[0] == '\0')
            wrong = "a stability record without table";
        *wanted = 1;                         /* it covers other tables too */
        return wrong;
    }
    *wanted = table != NULL && (o->listening.table == NULL || strcmp(o->listening.table, table) == 0);
    return wrong;
}

/* NULL, or the reason why the line is no record. Records of other kinds are ignored. */
static const char *take_line(const struct options *o, const char *line, mscope_judged *j)
{
    cJSON *from = cJSON_Parse(line);
    const cJSON *topic = cJSON_GetObjectItemCaseSensitive(from, "topic");
    const char *what = cJSON_IsString(topic) ? topic->valuestring : NULL, *wrong = NULL;
    mscope_telemetry m = { 0 };
    int wanted = 0;

    if (!cJSON_IsObject(from))
        wrong = "not a JSON object";
    else if (what == NULL)
        wrong = "no topic: lines of watch --json are expected";
    else
        wrong = read_record(o, what, from, &m.record, &wanted);
    if (wrong == NULL && wanted && mscope_judged_take(j, &m, NULL, NULL) != 0)
        wrong = "out of memory";
    cJSON_Delete(from);
    return wrong;
}

static int read_lines(const struct options *o, mscope_judged *j)
{
    char *line = NULL;
    size_t cap = 0;
    int number_of = 0, code = MSCOPE_EXIT_OK;
    long len = 0;

    while (code == MSCOPE_EXIT_OK && (len = mscope_line_next(&line, &cap, stdin)) > 0) {
        number_of++;
        if (line[strspn(line, " \t\r\n")] == '\0')
            continue;
        const char *wrong = take_line(o, line, j);
        if (wrong != NULL) {
            fprintf(stderr, "momentscope advise: line %d: %s\n", number_of, wrong);
            code = MSCOPE_EXIT_FAILED;
        }
    }
    if (len < 0) {
        fprintf(stderr, "momentscope advise: line %d: %s\n", number_of + 1, mscope_line_why());
        code = MSCOPE_EXIT_FAILED;
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
    if (code == MSCOPE_EXIT_OK)
        mscope_listening_left(COMMAND, j);
    if (code == MSCOPE_EXIT_OK) {            /* now: while a search runs nobody listens, and every shard falls silent */
        coverage = mscope_feed_coverages(l.feed, &j->latest);
        mscope_view_shards(&j->latest, coverage, o->json, stdout);
        free(coverage);
    }
    mscope_feed_close(l.feed);
    return code;
}

/* -- the answer ------------------------------------------------------------------------------------------- */

static int answer(const struct options *o, const mscope_judged *j, size_t i)
{
    mscope_measured_options how = o->measured;
    const mscope_rec_band *rec[MSCOPE_BANDS];
    const size_t n = mscope_judged_bands(j, i, rec);
    mscope_counsel c;

    if (n == 0)
        return MSCOPE_EXIT_OK;
    how.margin = mscope_judged_margin(j, i);
    mscope_counsel_of(rec, n, &how, o->fraction, &c);
    if (o->json) {
        mscope_counsel_json(&c, rec[0]->table, stdout);
    } else {
        printf("table %s, eta %.4g, eps %.4g, batch %.4g:\n", rec[0]->table, rec[0]->eta, rec[0]->eps, rec[0]->batch);
        mscope_counsel_say(&c, stdout);
        if (o->explain)
            mscope_counsel_explain(&c, stdout);
    }
    return c.possible || c.stays ? MSCOPE_EXIT_OK : MSCOPE_EXIT_FAILED;
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
        if (answer(&o, &j, i) != MSCOPE_EXIT_OK)
            code = MSCOPE_EXIT_FAILED;
    mscope_judged_fini(&j);
    return code;
}
