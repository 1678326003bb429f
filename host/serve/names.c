/* names.c - see names.h */
#include "names.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* name NULL: no series, because it repeats another one or only serves to pool shards. */
static const struct exception {
    const char *record, *field, *name;
} exceptions[] = {
    { "band", "step", NULL },            { "band", "d", NULL },              { "band", "batch", NULL },
    { "band", "eta", NULL },             { "band", "eps", NULL },            { "band", "r_bound", NULL },
    { "band", "p", "occurrences_per_sample" },   { "band", "P", "active_steps_ratio" },
    { "band", "U_updates", NULL },       { "band", "U_run_updates", NULL },  { "band", "g2_occurrences", NULL },
    { "band", "g2_run_occurrences", NULL },      { "band", "window_updates", NULL },
    { "band", "h_samples", "curvature_samples" },
    { "band", "h_updates", NULL },       { "band", "h_weight", NULL },       { "band", "h_memory", NULL },
    { "band", "H1_low", NULL },          { "band", "H1_high", NULL },        { "band", "steep_row", NULL },
    { "band", "steep_H1", NULL },        { "band", "steep_H2", NULL },       { "band", "steep_se", NULL },
    { "band", "steep_samples", NULL },   { "band", "top_row", NULL },        { "band", "fade2", NULL },
    { "band", "gaps", NULL },            { "table", "d", "row_coordinates" },
    { "table", "climb_band", NULL },     { "stability", "step", NULL },      { "stability", "batch", NULL },
    { "stability", "eta", NULL },        { "stability", "eps", NULL },       { "stability", "row", NULL },
    { "stability", "H", "limit_ratio" }, { "stability", "H_se", "limit_ratio_se" },
    { "stability", "H_power", "limit_ratio_power" },     { "stability", "H_power_se", "limit_ratio_power_se" },
    { "stability", "H_tangent", "limit_ratio_tangent" }, { "stability", "H_tangent_se", "limit_ratio_tangent_se" },
    { "daemon", "bytes_in", "ingest_bytes_total" },
};

static const struct field {
    const char *record, *name;
    size_t offset;
} fields[] = {
#define MSCOPE_METRIC(type, name, unit, kind, help) { "band", #name, offsetof(mscope_rec_band, name) },
#define MSCOPE_BAND_METRICS
#include "mscope/metrics.def"
#undef MSCOPE_METRIC
#define MSCOPE_METRIC(type, name, unit, kind, help) { "table", #name, offsetof(mscope_rec_table, name) },
#define MSCOPE_TABLE_METRICS
#include "mscope/metrics.def"
#undef MSCOPE_METRIC
#define MSCOPE_METRIC(type, name, unit, kind, help) { "stability", #name, offsetof(mscope_rec_stability, name) },
#define MSCOPE_STABILITY_METRICS
#include "mscope/metrics.def"
#undef MSCOPE_METRIC
#define MSCOPE_METRIC(type, name, unit, kind, help) { "daemon", #name, offsetof(mscope_rec_daemon, name) },
#define MSCOPE_DAEMON_METRICS
#include "mscope/metrics.def"
#undef MSCOPE_METRIC
};

static const struct exception *exception_of(const mscope_metric *m)
{
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++)
        if (strcmp(exceptions[i].record, m->record) == 0 && strcmp(exceptions[i].field, m->name) == 0)
            return &exceptions[i];
    return NULL;
}

static size_t offset_of(const mscope_metric *m)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(fields[i].record, m->record) == 0 && strcmp(fields[i].name, m->name) == 0)
            return fields[i].offset;
    return 0;
}

static int is_series(const mscope_metric *m)
{
    return strcmp(m->kind, "label") != 0 && strcmp(m->kind, "list") != 0 &&
           (strcmp(m->type, "f64") == 0 || strcmp(m->type, "u64") == 0 || strcmp(m->type, "bool") == 0);
}

static void make(const mscope_metric *m, const struct exception *e, mscope_name *out)
{
    const int counter = strcmp(m->kind, "counter") == 0;
    const char *unit = strcmp(m->unit, "s") == 0 ? "_seconds" : strcmp(m->unit, "B") == 0 ? "_bytes" : "";

    out->metric = m;
    out->type = counter ? "counter" : "gauge";
    out->offset = offset_of(m);
    if (e != NULL)
        snprintf(out->name, sizeof out->name, "momentscope_%s_%s", m->record, e->name);
    else
        snprintf(out->name, sizeof out->name, "momentscope_%s_%s%s%s", m->record, m->name, unit,
                 counter ? "_total" : "");
}

size_t mscope_names(const char *record, mscope_name out[MSCOPE_NAMES_MAX])
{
    size_t n = 0;

    for (const mscope_metric *m = mscope_metrics; m->name != NULL && n < MSCOPE_NAMES_MAX; m++) {
        const struct exception *e = exception_of(m);
        if (strcmp(m->record, record) == 0 && is_series(m) && (e == NULL || e->name != NULL))
            make(m, e, &out[n++]);
    }
    return n;
}

double mscope_name_value(const mscope_name *n, const void *record)
{
    const char *at = (const char *)record + n->offset;
    double x = NAN;
    uint64_t u;
    int b;

    if (n->metric->type[0] == 'f') {
        memcpy(&x, at, sizeof x);
    } else if (n->metric->type[0] == 'u') {
        memcpy(&u, at, sizeof u);
        x = (double)u;
    } else {
        memcpy(&b, at, sizeof b);
        x = b != 0;
    }
    return x;
}

static int find(const char *at, size_t len, mscope_name *out)
{
    const mscope_metric *m = mscope_metrics;

    for (; m->name != NULL; m++) {
        const size_t record = strlen(m->record);
        if (record + 1 + strlen(m->name) == len && strncmp(m->record, at, record) == 0 && at[record] == '.' &&
            strncmp(m->name, at + record + 1, len - record - 1) == 0)
            break;
    }
    const struct exception *e = m->name != NULL ? exception_of(m) : NULL;
    if (m->name == NULL || !is_series(m) || (e != NULL && e->name == NULL))
        return -1;
    make(m, e, out);
    return 0;
}

int mscope_name_expand(FILE *to, const char *query)
{
    for (const char *stop; *query != '\0'; query = stop + 1) {
        mscope_name n;
        const char *const start = strchr(query, '@');

        if (start == NULL)
            return fputs(query, to) < 0 ? -1 : 0;
        stop = strchr(start + 1, '@');
        if (stop == NULL || find(start + 1, (size_t)(stop - start - 1), &n) != 0)
            return -1;
        fprintf(to, "%.*s%s", (int)(start - query), query, n.name);
    }
    return 0;
}

void mscope_name_help(const mscope_name *n, char *to, size_t cap)
{
    const mscope_metric *m = n->metric;

    snprintf(to, cap, "%s%s%s%s%s", m->help, m->unit[0] != '\0' ? " [" : "", m->unit, m->unit[0] != '\0' ? "]" : "",
             strcmp(m->kind, "window") == 0 ? ", over the time since the record before" : "");
}
