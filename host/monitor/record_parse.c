/* record_parse.c - see record_parse.h: fields in the order of metrics.def, by their names */
#include "record_parse.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "mscope/core.h"

/* What is being read, and the first field that could not be. */
typedef struct reading {
    const cJSON *object;
    const char *bad, *expected;
} reading;

static const cJSON *field(reading *r, const char *name, const char *expected, int right(const cJSON *))
{
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(r->object, name);

    if (x != NULL && right(x))
        return x;
    /* a field that is younger than the file is not known */
    if (x == NULL && strcmp(name, "table") != 0 && strcmp(name, "band") != 0 && strcmp(name, "step") != 0)
        return NULL;
    if (r->bad == NULL) {
        r->bad = name;
        r->expected = expected;
    }
    return NULL;
}

/* JSON knows no infinity, but 1e999 reads as one. */
static int is_number(const cJSON *x)
{
    return cJSON_IsNull(x) || (cJSON_IsNumber(x) && isfinite(x->valuedouble));
}

static int is_count(const cJSON *x)
{
    return cJSON_IsNumber(x) && x->valuedouble >= 0 && x->valuedouble < 18446744073709551616.0;
}

static int is_text(const cJSON *x)
{
    return cJSON_IsString(x) && strlen(x->valuestring) <= MSCOPE_TEXT_MAX;
}

static int is_name(const cJSON *x)
{
    return cJSON_IsString(x) && strlen(x->valuestring) <= MSCOPE_NAME_MAX;
}

static int is_bool(const cJSON *x)
{
    return cJSON_IsBool(x);
}

static int is_list(const cJSON *x)
{
    const cJSON *one;

    if (!cJSON_IsArray(x))
        return 0;
    cJSON_ArrayForEach(one, x)
        if (!is_number(one))
            return 0;
    return 1;
}

static void get_f64(reading *r, const char *name, double *to)
{
    const cJSON *x = field(r, name, "a finite number or null", is_number);

    *to = x != NULL && cJSON_IsNumber(x) ? x->valuedouble : NAN;
}

static void get_u64(reading *r, const char *name, uint64_t *to)
{
    const cJSON *x = field(r, name, "a whole number", is_count);

    *to = x != NULL ? (uint64_t)x->valuedouble : 0;
}

static void get_bool(reading *r, const char *name, int *to)
{
    const cJSON *x = field(r, name, "true or false", is_bool);

    *to = x != NULL && cJSON_IsTrue(x);
}

static void get_string(reading *r, const char *name, char *to, size_t cap, int right(const cJSON *))
{
    const cJSON *x = field(r, name, "a text that is not longer than the wire allows", right);

    (void)snprintf(to, cap, "%s", x != NULL ? x->valuestring : "");
}

static void get_list(reading *r, const char *name, mscope_list *to)
{
    const cJSON *x = field(r, name, "a list of finite numbers and nulls", is_list), *one;

    to->n = 0;
    if (x == NULL)
        return;
    cJSON_ArrayForEach(one, x)
        if (to->n < sizeof to->at / sizeof *to->at)
            to->at[to->n++] = cJSON_IsNumber(one) ? one->valuedouble : NAN;
}

#define GET_u64(name) get_u64(r, #name, &to->name)
#define GET_f64(name) get_f64(r, #name, &to->name)
#define GET_bool(name) get_bool(r, #name, &to->name)
#define GET_name(name) get_string(r, #name, to->name, sizeof to->name, is_name)
#define GET_text(name) get_string(r, #name, to->name, sizeof to->name, is_text)
#define GET_list(name) get_list(r, #name, &to->name)
#define MSCOPE_METRIC(type, name, unit, kind, help) GET_##type(name);

static void get_band(reading *r, mscope_rec_band *to)
{
#define MSCOPE_BAND_METRICS
#include "mscope/metrics.def"
}

static void get_table(reading *r, mscope_rec_table *to)
{
#define MSCOPE_TABLE_METRICS
#include "mscope/metrics.def"
}

static void get_acf(reading *r, mscope_rec_acf *to)
{
#define MSCOPE_ACF_METRICS
#include "mscope/metrics.def"
}

static void get_stability(reading *r, mscope_rec_stability *to)
{
#define MSCOPE_STABILITY_METRICS
#include "mscope/metrics.def"
}

static void get_daemon(reading *r, mscope_rec_daemon *to)
{
#define MSCOPE_DAEMON_METRICS
#include "mscope/metrics.def"
}

static void get_alert(reading *r, mscope_rec_alert *to)
{
#define MSCOPE_ALERT_METRICS
#include "mscope/metrics.def"
}

static void check_band(reading *r, uint64_t band)
{
    if (r->bad == NULL && band >= MSCOPE_BANDS) {
        r->bad = "band";
        r->expected = "a band from 0 to 31";
    }
}

_Static_assert(MSCOPE_BANDS == 32, "the range that check_band tells");

/* The kind follows from the topic. Returns 0, or MSCOPE_EAGAIN: no topic of a record. */
static int get_record(reading *r, const char *topic, mscope_record *to)
{
    memset(to, 0, sizeof *to);
    if (strncmp(topic, "band/", 5) == 0) {
        to->kind = MSCOPE_REC_BAND;
        get_band(r, &to->u.band);
        check_band(r, to->u.band.band);
    } else if (strncmp(topic, "table/", 6) == 0) {
        to->kind = MSCOPE_REC_TABLE;
        get_table(r, &to->u.table);
    } else if (strncmp(topic, "acf/", 4) == 0) {
        to->kind = MSCOPE_REC_ACF;
        get_acf(r, &to->u.acf);
        check_band(r, to->u.acf.band);
    } else if (strncmp(topic, "stability/", 10) == 0) {
        to->kind = MSCOPE_REC_STABILITY;
        get_stability(r, &to->u.stability);
    } else if (strcmp(topic, "daemon") == 0) {
        to->kind = MSCOPE_REC_DAEMON;
        get_daemon(r, &to->u.daemon);
    } else if (strcmp(topic, "alert") == 0) {
        to->kind = MSCOPE_REC_ALERT;
        get_alert(r, &to->u.alert);
    } else {
        return MSCOPE_EAGAIN;
    }
    return 0;
}

int mscope_record_parse(const char *line, size_t len, mscope_telemetry *out, char *why, size_t cap)
{
    cJSON *object = cJSON_ParseWithLength(line, len);
    const cJSON *topic = cJSON_GetObjectItemCaseSensitive(object, "topic");
    reading r = { .object = object };
    int rc = MSCOPE_EPROTO;

    (void)snprintf(why, cap, "it is no JSON object with a topic");
    if (cJSON_IsString(topic) && strlen(topic->valuestring) < sizeof out->topic) {
        get_u64(&r, "seq", &out->seq);
        (void)snprintf(out->topic, sizeof out->topic, "%s", topic->valuestring);
        rc = get_record(&r, out->topic, &out->record);
        if (rc == 0 && r.bad != NULL) {
            (void)snprintf(why, cap, "field %s of %s is missing, or not %s", r.bad, out->topic, r.expected);
            rc = MSCOPE_EPROTO;
        }
    }
    cJSON_Delete(object);
    return rc;
}
