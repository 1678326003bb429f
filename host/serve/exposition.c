/* exposition.c - see exposition.h */
#include "exposition.h"

#include <math.h>
#include <string.h>

#include "monitor/worst.h"
#include "names.h"

/* A label's value: backslash, quote and line break are escaped. */
static void label(FILE *to, const char *name, const char *value)
{
    fprintf(to, "%s=\"", name);
    for (; *value != '\0'; value++)
        if (*value == '\n')
            fputs("\\n", to);
        else if (*value == '"' || *value == '\\')
            fprintf(to, "\\%c", *value);
        else
            fputc(*value, to);
    fputc('"', to);
}

static void head(FILE *to, const char *name, const char *type, const char *help)
{
    fprintf(to, "# HELP %s ", name);
    for (; *help != '\0'; help++)
        fputs(*help == '\n' ? "\\n" : *help == '\\' ? "\\\\" : (char[]){ *help, '\0' }, to);
    fprintf(to, "\n# TYPE %s %s\n", name, type);
}

/* One sample; table NULL and band -1: without that label. */
static void sample(FILE *to, const char *name, const char *source, const char *table, int band, double x)
{
    if (isnan(x))
        return;
    fprintf(to, "%s{", name);
    label(to, "source", source);
    if (table != NULL) {
        fputc(',', to);
        label(to, "table", table);
    }
    if (band >= 0)
        fprintf(to, ",band=\"%d\"", band);
    if (isinf(x))
        fprintf(to, "} %sInf\n", x < 0 ? "-" : "+");
    else
        fprintf(to, "} %.17g\n", x);
}

/* -- records ------------------------------------------------------------------------------------------ */

static void sample_source(FILE *to, const mscope_name *n, const mscope_heard *s)
{
    const mscope_latest *l = &s->story.judged.latest;

    if (strcmp(n->metric->record, "daemon") == 0) {
        if (l->have_daemon)
            sample(to, n->name, s->name, NULL, -1, mscope_name_value(n, &l->daemon.record.u.daemon));
        return;
    }
    for (size_t i = 0; i < l->tables; i++) {
        const mscope_latest_table *t = &l->table[i];
        if (strcmp(n->metric->record, "table") == 0 && t->have_table)
            sample(to, n->name, s->name, t->name, -1, mscope_name_value(n, &t->table.record.u.table));
        if (strcmp(n->metric->record, "stability") == 0 && t->have_stability)
            sample(to, n->name, s->name, t->name, -1, mscope_name_value(n, &t->stability.record.u.stability));
        for (int b = 0; strcmp(n->metric->record, "band") == 0 && b < MSCOPE_BANDS; b++)
            if (t->have[b])
                sample(to, n->name, s->name, t->name, b, mscope_name_value(n, &t->band[b].record.u.band));
    }
}

static void of_records(FILE *to, const mscope_hub *h)
{
    static const char *const records[] = { "daemon", "table", "stability", "band" };
    mscope_name name[MSCOPE_NAMES_MAX];
    char help[512];

    for (size_t k = 0; k < sizeof records / sizeof *records; k++) {
        const size_t n = mscope_names(records[k], name);
        for (size_t i = 0; i < n; i++) {
            mscope_name_help(&name[i], help, sizeof help);
            head(to, name[i].name, name[i].type, help);
            for (size_t s = 0; s < h->sources; s++)
                sample_source(to, &name[i], &h->source[s]);
        }
    }
}

/* -- verdicts ------------------------------------------------------------------------------------------ */

static double of_verdict(const mscope_verdict *v, int which)
{
    const double x[] = { mscope_regime_code(v->regime), v->confidence, v->H, v->H_se, v->zeta };

    return x[which];
}

static void of_verdicts(FILE *to, const mscope_hub *h)
{
    static const char *const names[][2] = {
        { "momentscope_band_regime_code",
          "verdict on the band: 3 resonant, 4 sgd-like, 5 heavy-ball, 6 unknown, 7 near-instability, 8 unstable" },
        { "momentscope_band_confidence_ratio", "probability that this verdict is right" },
        { "momentscope_band_limit_ratio",
          "H = eta/eta_max, unstable above 1: of all that moves together, or of a row by itself" },
        { "momentscope_band_limit_ratio_se", "standard error of the limit ratio" },
        { "momentscope_band_damping_ratio", "zeta of the mean error: below 0.5 it oscillates, above 2 momentum changes "
                                            "nothing" } };

    for (int k = 0; k < (int)(sizeof names / sizeof *names); k++) {
        head(to, names[k][0], "gauge", names[k][1]);
        for (size_t s = 0; s < h->sources; s++) {
            const mscope_judged *j = &h->source[s].story.judged;
            for (size_t i = 0; i < j->latest.tables; i++)
                for (int b = 0; b < MSCOPE_BANDS; b++)
                    if (j->latest.table[i].have[b])
                        sample(to, names[k][0], h->source[s].name, j->latest.table[i].name, b,
                               of_verdict(&j->verdict[i][b], k));
        }
    }
    head(to, "momentscope_table_level", "gauge",
         "is anything wrong: 0 fine, 1 unknown, 2 inexact, 3 growing, 4 near-instability, 5 unstable");
    for (size_t s = 0; s < h->sources; s++)
        for (size_t i = 0; i < h->source[s].story.tables; i++)
            if (h->source[s].story.table[i].any)
                sample(to, "momentscope_table_level", h->source[s].name, h->source[s].story.judged.latest.table[i].name,
                       -1, (double)h->source[s].story.table[i].word.level);
}

/* -- serve itself --------------------------------------------------------------------------------------- */

static double of_source(const mscope_heard *s, int which)
{
    const int heard = s->story.records > 0;
    const double x[] = { heard && !s->story.silent, heard ? mscope_hub_now() - s->story.heard_at : NAN,
                         (double)s->stats.received, (double)s->stats.lost, (double)s->stats.malformed };

    return x[which];
}

static void of_sources(FILE *to, const mscope_hub *h)
{
    static const char *const names[][3] = {
        { "momentscope_source_up", "gauge", "1: records of this daemon come" },
        { "momentscope_source_record_age_seconds", "gauge", "time since its last record" },
        { "momentscope_source_records_total", "counter", "records received here" },
        { "momentscope_source_records_lost_total", "counter", "records that never came, after replay" },
        { "momentscope_source_records_malformed_total", "counter", "records that could not be read" } };

    for (int k = 0; k < (int)(sizeof names / sizeof *names); k++) {
        head(to, names[k][0], names[k][1], names[k][2]);
        for (size_t s = 0; s < h->sources; s++)
            sample(to, names[k][0], h->source[s].name, NULL, -1, of_source(&h->source[s], k));
    }
    head(to, "momentscope_alerts_total", "counter", "number of the last alert kept");
    fprintf(to, "momentscope_alerts_total %lld\n", mscope_ledger_last(h->ledger));
    head(to, "momentscope_serve_info", "gauge", "version of this program");
    fprintf(to, "momentscope_serve_info{version=\"%s\"} 1\n", MSCOPE_VERSION);
}

void mscope_exposition(FILE *to, mscope_hub *h)
{
    (void)pthread_mutex_lock(&h->lock);
    of_sources(to, h);
    of_verdicts(to, h);
    of_records(to, h);
    (void)pthread_mutex_unlock(&h->lock);
}
