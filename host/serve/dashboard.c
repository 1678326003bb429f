/* dashboard.c - see dashboard.h */
#include "dashboard.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

#define OF "{source=~\"$source\"}"
#define PICKED "{source=~\"$source\",table=~\"$table\"}"

/* @record.field@ stands for the series of a field. */
static const struct panel {
    const char *title, *kind, *expr, *legend, *unit, *text;
    int width, height;           /* of 24 columns */
} panels[] = {
    { "Is anything wrong?", "level", "max(momentscope_table_level" PICKED ")", "", "", "The worst table.", 6, 4 },
    { "Daemons heard", "stat", "sum(momentscope_source_up" OF ")", "", "", "Daemons whose records come.", 4, 4 },
    { "Steps a second", "stat", "sum(rate(@daemon.steps_applied@" OF "[1m]))", "", "", "Of all tables.", 4, 4 },
    { "Steps lost", "stat", "sum(@daemon.lost_steps@" OF ")", "", "", "Since the daemons started.", 5, 4 },
    { "Alerts kept", "stat", "max(momentscope_alerts_total)", "", "", "momentscope alerts lists them.", 5, 4 },
    { "Verdict of each band", "regimes", "max by (table, band) (momentscope_band_regime_code" PICKED ")",
      "{{table}} {{band}}", "", "heavy-ball swings past its target; resonant is momentum as intended; sgd-like:"
      " momentum changes nothing.", 24, 9 },
    { "H, learning rate over its limit", "lines", "max by (table, band) (momentscope_band_limit_ratio" PICKED ")",
      "{{table}} {{band}}", "", "Near instability above 0.8, unstable above 1.", 12, 8 },
    { "zeta, damping", "log", "max by (table, band) (momentscope_band_damping_ratio" PICKED ")",
      "{{table}} {{band}}", "",
      "Below 0.5 heavy-ball, above 2 sgd-like.", 12, 8 },
    { "V, momentum", "log", "sum by (table, band) (@band.V@" PICKED ")", "{{table}} {{band}}", "",
      "Sum over the rows of |m|^2.", 12, 8 },
    { "R, distance to the reference", "log", "sum by (table, band) (@band.R@" PICKED ")", "{{table}} {{band}}", "",
      "Sum over the rows of |theta - theta*|^2; empty without a reference.", 12, 8 },
    { "Retention", "log", "max by (table, band) (@band.retention@" PICKED ")", "{{table}} {{band}}", "",
      "Active updates for which the buffer remembers.", 8, 8 },
    { "Learning time", "log", "max by (table, band) (@band.learning@" PICKED ")", "{{table}} {{band}}", "",
      "Active updates that the rows need.", 8, 8 },
    { "Curvature H1", "log", "max by (table, band) (@band.H1@" PICKED ")", "{{table}} {{band}}", "",
      "Along the momentum.", 8, 8 },
    { "Lateness of the daemon", "lines", "max by (source) (@daemon.late_max@" OF ")", "{{source}}", "s",
      "Worst of each record's time against its deadline.", 12, 6 },
    { "Messages and records a second", "lines", "sum by (source) (rate(@daemon.messages_in@" OF "[1m]))",
      "{{source}} messages", "", "Ingest messages.", 12, 6 },
};

typedef struct grid {
    cJSON *panels;
    int x, y, row, id, failed;
} grid;

static cJSON *mapping(int value, const char *text, const char *colour)
{
    cJSON *const m = cJSON_CreateObject(), *const options = cJSON_AddObjectToObject(m, "options");
    char key[16];

    cJSON_AddStringToObject(m, "type", "value");
    snprintf(key, sizeof key, "%d", value);
    cJSON *const one = cJSON_AddObjectToObject(options, key);
    cJSON_AddStringToObject(one, "text", text);
    cJSON_AddStringToObject(one, "color", colour);
    return m;
}

/* Colours that the colour-blind can tell, as on the page: from blue over yellow to red. */
static void mappings(cJSON *defaults, int levels)
{
    static const struct { int value; const char *text, *colour; } level[] = {
        { 0, "fine", "blue" }, { 1, "unknown", "text" }, { 2, "not exact", "light-yellow" }, { 3, "growing", "orange" },
        { 4, "near instability", "semi-dark-orange" }, { 5, "unstable", "dark-red" } },
    regime[] = { { 3, "resonant", "blue" }, { 4, "sgd-like", "light-blue" }, { 5, "heavy-ball", "purple" },
                 { 6, "unknown", "text" }, { 7, "near-instability", "semi-dark-orange" },
                 { 8, "unstable", "dark-red" } };
    cJSON *const list = cJSON_AddArrayToObject(defaults, "mappings");

    for (int i = 0; i < 6; i++)
        cJSON_AddItemToArray(list, levels ? mapping(level[i].value, level[i].text, level[i].colour)
                                          : mapping(regime[i].value, regime[i].text, regime[i].colour));
}

static void look(cJSON *p, const char *kind, const char *unit)
{
    const int stat = strcmp(kind, "stat") == 0 || strcmp(kind, "level") == 0, regimes = strcmp(kind, "regimes") == 0;
    cJSON *const defaults = cJSON_AddObjectToObject(cJSON_AddObjectToObject(p, "fieldConfig"), "defaults");
    cJSON *const custom = cJSON_AddObjectToObject(defaults, "custom");

    cJSON_AddStringToObject(p, "type", stat ? "stat" : regimes ? "state-timeline" : "timeseries");
    cJSON_AddStringToObject(defaults, "unit", unit);
    if (strcmp(kind, "level") == 0 || regimes)
        mappings(defaults, !regimes);
    if (stat || regimes)
        return;
    cJSON_AddNumberToObject(custom, "lineWidth", 1);
    cJSON_AddStringToObject(custom, "showPoints", "never");
    if (strcmp(kind, "log") == 0) {
        cJSON *const scale = cJSON_AddObjectToObject(custom, "scaleDistribution");
        cJSON_AddStringToObject(scale, "type", "log");
        cJSON_AddNumberToObject(scale, "log", 10);
    }
}

static void source(cJSON *to)
{
    cJSON *const d = cJSON_AddObjectToObject(to, "datasource");

    cJSON_AddStringToObject(d, "type", "prometheus");
    cJSON_AddStringToObject(d, "uid", "${DS_PROMETHEUS}");
}

static void place(grid *g, cJSON *p, int width, int height)
{
    cJSON *const at = cJSON_AddObjectToObject(p, "gridPos");

    if (g->x + width > 24) {
        g->x = 0;
        g->y += g->row;
        g->row = 0;
    }
    cJSON_AddNumberToObject(at, "x", g->x);
    cJSON_AddNumberToObject(at, "y", g->y);
    cJSON_AddNumberToObject(at, "w", width);
    cJSON_AddNumberToObject(at, "h", height);
    cJSON_AddNumberToObject(p, "id", ++g->id);
    g->x += width;
    g->row = height > g->row ? height : g->row;
}

/* expr is expanded; into: the list of panels that gets it */
static void add(grid *g, cJSON *into, const struct panel *of)
{
    char *expr = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&expr, &len);

    if (to == NULL || (mscope_name_expand(to, of->expr) | fclose(to)) != 0) {
        g->failed = 1;
        free(expr);
        return;
    }
    cJSON *const p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "title", of->title);
    cJSON_AddStringToObject(p, "description", of->text);
    source(p);
    look(p, of->kind, of->unit);
    place(g, p, of->width, of->height);
    cJSON *const target = cJSON_CreateObject();
    source(target);
    cJSON_AddStringToObject(target, "expr", expr);
    cJSON_AddStringToObject(target, "legendFormat", of->legend);
    cJSON_AddStringToObject(target, "refId", "A");
    cJSON_AddItemToArray(cJSON_AddArrayToObject(p, "targets"), target);
    cJSON_AddItemToArray(into, p);
    free(expr);
}

/* A folded row with one panel for each series of a record. */
static void all_of(grid *g, const char *record, const char *title)
{
    const int bands = strcmp(record, "band") == 0, daemon = strcmp(record, "daemon") == 0;
    mscope_name name[MSCOPE_NAMES_MAX];
    const size_t n = mscope_names(record, name);
    cJSON *const row = cJSON_CreateObject();

    g->x = 24;
    cJSON_AddStringToObject(row, "type", "row");
    cJSON_AddStringToObject(row, "title", title);
    cJSON_AddBoolToObject(row, "collapsed", 1);
    place(g, row, 24, 1);
    cJSON *const inside = cJSON_AddArrayToObject(row, "panels");
    for (size_t i = 0; i < n; i++) {
        const int counter = strcmp(name[i].type, "counter") == 0;
        char expr[256], help[512];
        mscope_name_help(&name[i], help, sizeof help);
        snprintf(expr, sizeof expr, "%s%s{source=~\"$source\"%s}%s", counter ? "rate(" : "", name[i].name,
                 daemon ? "" : ",table=~\"$table\"", counter ? "[1m])" : "");
        const char *const unit = name[i].metric->unit;
        const struct panel p = { name[i].name, "lines", expr,
                                 bands ? "{{table}} {{band}}" : daemon ? "{{source}}" : "{{table}}",
                                 strcmp(unit, "s") == 0 ? "s" : strcmp(unit, "B") == 0 ? "bytes" : "", help, 8, 7 };
        add(g, inside, &p);
    }
    cJSON_AddItemToArray(g->panels, row);
}

static void variable(cJSON *list, const char *name, const char *label, const char *query)
{
    cJSON *const v = cJSON_CreateObject();

    cJSON_AddStringToObject(v, "name", name);
    cJSON_AddStringToObject(v, "label", label);
    cJSON_AddStringToObject(v, "type", "query");
    source(v);
    cJSON_AddStringToObject(v, "query", query);
    cJSON_AddNumberToObject(v, "refresh", 2);
    cJSON_AddBoolToObject(v, "includeAll", 1);
    cJSON_AddBoolToObject(v, "multi", 1);
    cJSON_AddStringToObject(v, "allValue", ".*");
    cJSON_AddItemToArray(list, v);
}

static cJSON *whole(grid *g)
{
    cJSON *const d = cJSON_CreateObject(), *const input = cJSON_CreateObject();

    cJSON_AddStringToObject(input, "name", "DS_PROMETHEUS");
    cJSON_AddStringToObject(input, "label", "Prometheus");
    cJSON_AddStringToObject(input, "type", "datasource");
    cJSON_AddStringToObject(input, "pluginId", "prometheus");
    cJSON_AddItemToArray(cJSON_AddArrayToObject(d, "__inputs"), input);
    cJSON_AddStringToObject(d, "title", "Momentscope");
    cJSON_AddStringToObject(d, "uid", "momentscope");
    cJSON_AddNumberToObject(d, "schemaVersion", 37);
    cJSON_AddStringToObject(d, "refresh", "5s");
    cJSON *const time = cJSON_AddObjectToObject(d, "time");
    cJSON_AddStringToObject(time, "from", "now-15m");
    cJSON_AddStringToObject(time, "to", "now");
    cJSON *const variables = cJSON_AddArrayToObject(cJSON_AddObjectToObject(d, "templating"), "list");
    variable(variables, "source", "daemon", "label_values(momentscope_source_up, source)");
    variable(variables, "table", "table", "label_values(momentscope_table_level{source=~\"$source\"}, table)");
    g->panels = cJSON_AddArrayToObject(d, "panels");
    return d;
}

int mscope_dashboard(FILE *to)
{
    grid g = { .x = 0 };
    cJSON *const d = whole(&g);

    for (size_t i = 0; i < sizeof panels / sizeof *panels; i++)
        add(&g, g.panels, &panels[i]);
    all_of(&g, "band", "Every series of the bands");
    all_of(&g, "table", "Every series of the tables");
    all_of(&g, "stability", "Every series of the stability records");
    all_of(&g, "daemon", "Every series of the daemons");
    char *const text = cJSON_Print(d);
    cJSON_Delete(d);
    if (text != NULL && !g.failed)
        fprintf(to, "%s\n", text);
    free(text);
    return text != NULL && !g.failed ? 0 : -1;
}
