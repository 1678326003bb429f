/* record_json.c - one telemetry record as one JSON object, fields in the order of metrics.def */
#include "record_json.h"

#include <inttypes.h>
#include <math.h>

#include "common/json.h"
#include "diagnose/spectrum.h"
#include "diagnose/verdict.h"

static void put_list(FILE *to, const mscope_list *l)
{
    fputc('[', to);
    for (uint32_t i = 0; i < l->n; i++) {
        if (i > 0)
            fputc(',', to);
        mscope_json_f64(to, l->at[i]);
    }
    fputc(']', to);
}

#define PUT_u64(to, x) mscope_json_u64(to, x)
#define PUT_f64(to, x) mscope_json_f64(to, x)
#define PUT_bool(to, x) mscope_json_bool(to, x)
#define PUT_name(to, x) mscope_json_string(to, x)
#define PUT_text(to, x) mscope_json_string(to, x)
#define PUT_list(to, x) put_list(to, &(x))
#define MSCOPE_METRIC(type, name, unit, kind, help) \
    fputs(",\"" #name "\":", to);                   \
    PUT_##type(to, r->name);

static void put_word(FILE *to, const char *name, const char *word)
{
    fprintf(to, ",\"%s\":", name);
    mscope_json_string(to, word);
}

static void put_number(FILE *to, const char *name, double x)
{
    fprintf(to, ",\"%s\":", name);
    mscope_json_f64(to, x);
}

static void put_band(FILE *to, const mscope_rec_band *r, const mscope_verdict *v)
{

#define MSCOPE_BAND_METRICS
#include "mscope/metrics.def"
    const struct {
        const char *name;
        double value;
    } added[] = { { "H", v->H }, { "H_se", v->H_se }, { "zeta", v->zeta }, { "omega", v->omega }, { "rate", v->rate },
                  { "confidence", v->confidence } };
    for (size_t i = 0; i < sizeof added / sizeof added[0]; i++)
        put_number(to, added[i].name, added[i].value);
    put_word(to, "regime", mscope_regime_name(v->regime));
    put_word(to, "why", v->why);
}

static void put_table(FILE *to, const mscope_rec_table *r)
{
#define MSCOPE_TABLE_METRICS
#include "mscope/metrics.def"
}

static void put_acf(FILE *to, const mscope_rec_acf *r)
{
    mscope_modes m;

#define MSCOPE_ACF_METRICS
#include "mscope/metrics.def"
    if (mscope_modes_of(r, &m) != 0)
        m.omega = m.zeta = m.peak = NAN;
    put_number(to, "omega", m.omega);
    put_number(to, "zeta", m.zeta);
    put_number(to, "peak", m.peak);
}

/* H of the record is that of independent steps; H_burst is that of the verdict. */
static void put_stability(FILE *to, const mscope_rec_stability *r, const mscope_margin *margin)
{
#define MSCOPE_STABILITY_METRICS
#include "mscope/metrics.def"
    put_number(to, "H_burst", margin->H);
    put_number(to, "eta_max", margin->eta_max);
    put_number(to, "burst", margin->burst);
    put_number(to, "confidence", margin->confidence);
    put_word(to, "standing", mscope_standing_name(margin->standing));
    put_word(to, "why", margin->why);
}

static void put_daemon(FILE *to, const mscope_rec_daemon *r)
{
#define MSCOPE_DAEMON_METRICS
#include "mscope/metrics.def"
}

static void put_alert(FILE *to, const mscope_rec_alert *r)
{
#define MSCOPE_ALERT_METRICS
#include "mscope/metrics.def"
}

void mscope_json_record(FILE *to, const mscope_telemetry *m, const mscope_verdict *v, const mscope_margin *margin)
{
    mscope_verdict own;
    mscope_margin alone;

    if (m->record.kind == MSCOPE_REC_BAND && v == NULL) {
        mscope_verdict_band(&m->record.u.band, &own);
        v = &own;
    }
    if (m->record.kind == MSCOPE_REC_STABILITY && margin == NULL) {
        mscope_margin_of(&m->record.u.stability, NULL, 0, NULL, &alone);
        margin = &alone;
    }
    fputs("{\"topic\":", to);
    mscope_json_string(to, m->topic);
    fprintf(to, ",\"seq\":%" PRIu64, m->seq);
    switch (m->record.kind) {
    case MSCOPE_REC_BAND: put_band(to, &m->record.u.band, v); break;
    case MSCOPE_REC_TABLE: put_table(to, &m->record.u.table); break;
    case MSCOPE_REC_ACF: put_acf(to, &m->record.u.acf); break;
    case MSCOPE_REC_STABILITY: put_stability(to, &m->record.u.stability, margin); break;
    case MSCOPE_REC_DAEMON: put_daemon(to, &m->record.u.daemon); break;
    case MSCOPE_REC_ALERT: put_alert(to, &m->record.u.alert); break;
    }
    fputs("}\n", to);
}
