/* rates.c - see mscope/rates.h. Reads the objects that counsel_json.c of host/diagnose writes, in whatever order and
 * spacing another program has left them, and nothing more of JSON than they need */
#include "mscope/rates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "protocol/refusal.h"

enum { DEEPEST = 16 };

#define LARGEST 1e30

/* -- JSON, as far as advise writes it -------------------------------------------------------------------- */

static const char *blank(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

/* Behind the string that begins at p; NULL: it does not end. */
static const char *past_string(const char *p)
{
    for (p++; *p != '"'; p++)
        if (*p == '\0' || (*p == '\\' && *++p == '\0'))
            return NULL;
    return p + 1;
}

/* Behind the value that begins at p; NULL: it does not end. */
static const char *past_value(const char *p)
{
    char open[DEEPEST];
    int deep = 0;

    do {
        p = blank(p);
        if (*p == '"') {
            p = past_string(p);
            if (p == NULL)
                return NULL;
        } else if (*p == '{' || *p == '[') {
            if (deep == DEEPEST)
                return NULL;
            open[deep++] = *p++;
        } else if (*p == '}' || *p == ']') {
            if (deep == 0 || open[--deep] != (*p == '}' ? '{' : '['))
                return NULL;
            p++;
        } else if (*p == ',' || *p == ':') {
            if (deep == 0)
                return NULL;
            p++;
        } else {
            const size_t n = strcspn(p, ",:{}[]\" \t\r\n");
            if (n == 0)
                return NULL;
            p += n;
        }
    } while (deep > 0);
    return p;
}

/* The value of a member of the object at p; NULL: it has none, or p is no object. */
static const char *member(const char *p, const char *name)
{
    const size_t n = strlen(name);

    if (p == NULL || *p != '{')
        return NULL;
    for (p = blank(p + 1); p != NULL && *p == '"'; p = blank(p)) {
        const char *key = p + 1, *end = past_string(p), *value;
        if (end == NULL || *(value = blank(end)) != ':')
            return NULL;
        value = blank(value + 1);
        if ((size_t)(end - 1 - key) == n && memcmp(key, name, n) == 0)
            return value;
        p = past_value(value);
        if (p == NULL || *(p = blank(p)) != ',')
            return NULL;
        p = blank(p + 1);
    }
    return NULL;
}

static int is_text(const char *p, const char *text)
{
    const size_t n = strlen(text);

    return p != NULL && *p == '"' && strncmp(p + 1, text, n) == 0 && p[1 + n] == '"';
}

/* -- a plan ---------------------------------------------------------------------------------------------- */

static int refuse(const char *field, const char *range, const char *text, const char *value)
{
    char said[48];
    size_t n = 0;

    if (value != NULL && *value != '\0') {
        const char *end = past_value(value);
        n = end != NULL ? (size_t)(end - value) : 0;
        n = n < sizeof said ? n : sizeof said - 1;
        memcpy(said, value, n);
    }
    said[n] = '\0';
    return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, field, range, text, "%s", n > 0 ? said : "missing");
}

/* A number above low and up to high. */
static int number(const char *object, const char *field, double low, double high, const char *range, double *out)
{
    const char *p = member(object, field);
    char *end = NULL;
    const double x = p != NULL ? strtod(p, &end) : NAN;

    if (p == NULL || end == p || !(x > low && x <= high))
        return refuse(field, range, "of the advice", p);
    *out = x;
    return 0;
}

/* The object of this table; NULL: there is none. */
static const char *object_of(const char *p, const char *table)
{
    while (p != NULL && *(p = blank(p)) == '{') {
        if (table == NULL || is_text(member(p, "table"), table))
            return p;
        p = past_value(p);
    }
    return NULL;
}

/* One element of stage.bands. */
static int read_band(const char *p, mscope_row_plan *r)
{
    const uint32_t i = r->bands;
    double band = 0, eps = 0;
    int rc = number(p, "band", -1, MSCOPE_BANDS - 1, "0 to 31", &band);

    if (rc == 0)
        rc = number(p, "eta", 0, LARGEST, "above 0, finite", &r->eta_then[i]);
    if (rc == 0)
        rc = number(p, "eps", 0, 1, "above 0, at most 1", &eps);
    if (rc != 0)
        return rc;
    if (floor(band) != band || (i > 0 && band <= r->band[i - 1]))
        return refuse("band", "whole numbers, ascending", "of the advice", member(p, "band"));
    if (i > 0 && eps != r->eps_then)
        return refuse("eps", "the same in every band", "a beta for each band cannot be put on one optimizer",
                      member(p, "eps"));
    r->band[i] = (uint32_t)band;
    r->eps_then = eps;
    r->bands++;
    return 0;
}

static int read_bands(const char *stage, mscope_row_plan *r)
{
    const char *bands = member(stage, "bands"), *p = bands;

    if (p == NULL || *p != '[')
        return refuse("bands", "a list", "of the stage", bands);
    for (p = blank(p + 1); *p == '{'; p = blank(p + 1)) {
        if (r->bands == MSCOPE_BANDS)
            return refuse("bands", "at most 32", "of the stage", NULL);
        const int rc = read_band(p, r);
        if (rc != 0)
            return rc;
        p = blank(past_value(p));
        if (*p != ',')
            break;
    }
    return *p == ']' && r->bands > 0 ? 0 : refuse("bands", "one object or more", "of the stage", bands);
}

int mscope_row_plan_read(const char *advice, const char *table, mscope_row_plan *out)
{
    mscope_row_plan r = { .eta = 0 };
    int rc;

    if (advice == NULL || out == NULL)
        return refuse(advice == NULL ? "advice" : "out", "an address", "nothing was given", NULL);
    const char *p = object_of(advice, table);
    if (p == NULL || past_value(p) == NULL)
        return refuse("advice", "lines of momentscope advise --json", p == NULL ? "there is no object of this table"
                                                                                : "the object does not end", NULL);
    if (table == NULL && *blank(past_value(p)) == '{')
        return refuse("table", "the name of a table", "there is advice for several tables", NULL);
    if (member(p, "possible") == NULL || strncmp(member(p, "possible"), "true", 4) != 0)
        return refuse("possible", "true", "there is no advice; advise says why", member(p, "why"));
    if ((rc = number(p, "eta", 0, LARGEST, "above 0, finite", &r.eta)) != 0 ||
        (rc = number(p, "eps", 0, 1, "above 0, at most 1", &r.eps)) != 0 ||
        (rc = number(member(p, "stage"), "look_again", 0, LARGEST, "above 0, finite", &r.look_again)) != 0 ||
        (rc = read_bands(member(p, "stage"), &r)) != 0)
        return rc;
    r.stay = is_text(member(p, "advised"), "stay");
    *out = r;
    return 0;
}

/* -- rows ------------------------------------------------------------------------------------------------- */

/* Index of the nearest band that the plan has; of two as near, the more frequent one. */
static uint32_t nearest(const mscope_row_plan *r, uint32_t band)
{
    uint32_t best = 0;

    for (uint32_t i = 1; i < r->bands; i++)
        if (labs((long)r->band[i] - (long)band) < labs((long)r->band[best] - (long)band))
            best = i;
    return best;
}

int mscope_row_plan_rates(const mscope_row_plan *plan, const uint64_t *seen, uint32_t rows, uint64_t samples,
                          double *eta)
{
    if (plan == NULL || seen == NULL || eta == NULL)
        return refuse(plan == NULL ? "plan" : seen == NULL ? "seen" : "eta", "an address", "nothing was given", NULL);
    if (samples == 0 || plan->bands == 0 || plan->bands > MSCOPE_BANDS)
        return refuse(samples == 0 ? "samples" : "bands", samples == 0 ? "1 or more" : "1 to 32",
                      "rows have no band without it", NULL);
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t band = MSCOPE_BANDS - 1;
        if (seen[i] > 0)
            band = (uint32_t)fmin(fmax(floor(-log2((double)seen[i] / (double)samples)), 0), MSCOPE_BANDS - 1);
        eta[i] = plan->eta_then[nearest(plan, band)];
    }
    return 0;
}
