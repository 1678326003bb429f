/* telemetry.c - telemetry records to and from MessagePack; protocol/README.md section 2
 *
 * Field tables, structs (wire.h) and documentation all come from include/mscope/metrics.def. */
#include "fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MSCOPE_METRIC(type, name, unit, kind, help) \
    { #name, MSCOPE_FIELD_##type, offsetof(REC, name), sizeof(((REC *)0)->name), 0, 0, NULL },

static const mscope_field band_fields[] = {
#define REC mscope_rec_band
#define MSCOPE_BAND_METRICS
#include "mscope/metrics.def"
#undef REC
};
static const mscope_field table_fields[] = {
#define REC mscope_rec_table
#define MSCOPE_TABLE_METRICS
#include "mscope/metrics.def"
#undef REC
};
static const mscope_field acf_fields[] = {
#define REC mscope_rec_acf
#define MSCOPE_ACF_METRICS
#include "mscope/metrics.def"
#undef REC
};
static const mscope_field stability_fields[] = {
#define REC mscope_rec_stability
#define MSCOPE_STABILITY_METRICS
#include "mscope/metrics.def"
#undef REC
};
static const mscope_field daemon_fields[] = {
#define REC mscope_rec_daemon
#define MSCOPE_DAEMON_METRICS
#include "mscope/metrics.def"
#undef REC
};
static const mscope_field alert_fields[] = {
#define REC mscope_rec_alert
#define MSCOPE_ALERT_METRICS
#include "mscope/metrics.def"
#undef REC
};
#undef MSCOPE_METRIC

#define MSCOPE_METRIC(type, name, unit, kind, help) { REC, #name, #type, unit, kind, help },
const mscope_metric mscope_metrics[] = {
#define REC "band"
#define MSCOPE_BAND_METRICS
#include "mscope/metrics.def"
#undef REC
#define REC "table"
#define MSCOPE_TABLE_METRICS
#include "mscope/metrics.def"
#undef REC
#define REC "acf"
#define MSCOPE_ACF_METRICS
#include "mscope/metrics.def"
#undef REC
#define REC "stability"
#define MSCOPE_STABILITY_METRICS
#include "mscope/metrics.def"
#undef REC
#define REC "daemon"
#define MSCOPE_DAEMON_METRICS
#include "mscope/metrics.def"
#undef REC
#define REC "alert"
#define MSCOPE_ALERT_METRICS
#include "mscope/metrics.def"
#undef REC
    { NULL, NULL, NULL, NULL, NULL, NULL },
};
#undef MSCOPE_METRIC

_Static_assert(LEN(band_fields) <= 128, "the reader marks seen fields in 128 bits");

static const struct {
    const mscope_field *fields;
    size_t n;
} kinds[] = {
    [MSCOPE_REC_BAND] = { band_fields, LEN(band_fields) },
    [MSCOPE_REC_TABLE] = { table_fields, LEN(table_fields) },
    [MSCOPE_REC_ACF] = { acf_fields, LEN(acf_fields) },
    [MSCOPE_REC_STABILITY] = { stability_fields, LEN(stability_fields) },
    [MSCOPE_REC_DAEMON] = { daemon_fields, LEN(daemon_fields) },
    [MSCOPE_REC_ALERT] = { alert_fields, LEN(alert_fields) },
};

int mscope_record_topic(const mscope_record *r, char out[MSCOPE_TOPIC_MAX])
{
    switch (r->kind) {
    case MSCOPE_REC_BAND:
        return snprintf(out, MSCOPE_TOPIC_MAX, "band/%.63s/%u", r->u.band.table, (unsigned)(r->u.band.band & 255));
    case MSCOPE_REC_TABLE:
        return snprintf(out, MSCOPE_TOPIC_MAX, "table/%.63s", r->u.table.table);
    case MSCOPE_REC_ACF:
        return snprintf(out, MSCOPE_TOPIC_MAX, "acf/%.63s/%u", r->u.acf.table, (unsigned)(r->u.acf.band & 255));
    case MSCOPE_REC_STABILITY:
        return snprintf(out, MSCOPE_TOPIC_MAX, "stability/%.63s", r->u.stability.table);
    case MSCOPE_REC_DAEMON:
        return snprintf(out, MSCOPE_TOPIC_MAX, "daemon");
    case MSCOPE_REC_ALERT:
        return snprintf(out, MSCOPE_TOPIC_MAX, "alert");
    }
    out[0] = '\0';
    return 0;
}

int mscope_record_encode(const mscope_record *r, uint8_t *out, size_t cap)
{
    if ((unsigned)r->kind >= LEN(kinds))
        return MSCOPE_EINVAL;
    return mscope_fields_encode(kinds[r->kind].fields, kinds[r->kind].n, &r->u, out, cap);
}

static int kind_of(const char *topic)
{
    if (strncmp(topic, "band/", 5) == 0)
        return MSCOPE_REC_BAND;
    if (strncmp(topic, "table/", 6) == 0)
        return MSCOPE_REC_TABLE;
    if (strncmp(topic, "acf/", 4) == 0)
        return MSCOPE_REC_ACF;
    if (strncmp(topic, "stability/", 10) == 0)
        return MSCOPE_REC_STABILITY;
    if (strcmp(topic, "daemon") == 0)
        return MSCOPE_REC_DAEMON;
    if (strcmp(topic, "alert") == 0)
        return MSCOPE_REC_ALERT;
    return -1;
}

int mscope_record_decode(const char *topic, const uint8_t *in, size_t len, mscope_record *r, mscope_refusal *why)
{
    mscope_record got;
    char own[MSCOPE_TOPIC_MAX];
    int kind = kind_of(topic), bad;

    if (kind < 0)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "topic", "band/ table/ acf/ stability/ daemon alert",
                                  "unknown topic", "%.40s", topic);
    memset(&got, 0, sizeof got);
    got.kind = (enum mscope_record_kind)kind;
    bad = mscope_fields_decode(kinds[kind].fields, kinds[kind].n, in, len, &got.u, why);
    if (bad)
        return bad;
    (void)mscope_record_topic(&got, own);
    if (strcmp(own, topic) != 0)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "topic", own, "the map belongs to another topic", "%.40s", topic);
    *r = got;
    return 0;
}
