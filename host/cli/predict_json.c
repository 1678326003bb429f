/* predict_json.c - reading the inputs of a request, writing numbers, looping over lines */
#include "predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

bool mscope_ask_refuse(mscope_ask *ask, const char *field, const char *range, const char *message)
{
    if (ask->bad)
        return false;
    ask->bad = true;
    ask->field = field;
    ask->value = cJSON_GetObjectItemCaseSensitive(ask->in, field);
    if (ask->value == NULL)
        ask->value = cJSON_GetObjectItemCaseSensitive(ask->line, field);
    ask->range = range;
    ask->message = message;
    return false;
}

bool mscope_ask_refused(mscope_ask *ask, const mscope_bad *why)
{
    return mscope_ask_refuse(ask, why->field, why->range, "value outside its range");
}

bool mscope_ask_has(const mscope_ask *ask, const char *field)
{
    return cJSON_GetObjectItemCaseSensitive(ask->in, field) != NULL;
}

double mscope_ask_number(mscope_ask *ask, const char *field)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(ask->in, field);

    if (v == NULL)
        mscope_ask_refuse(ask, field, "a finite number", "missing");
    else if (!cJSON_IsNumber(v) || !isfinite(v->valuedouble))
        mscope_ask_refuse(ask, field, "a finite number", "not a finite number");
    else
        return v->valuedouble;
    return NAN;
}

static bool finite_numbers(const cJSON *array)
{
    const cJSON *v;

    cJSON_ArrayForEach(v, array) if (!cJSON_IsNumber(v) || !isfinite(v->valuedouble)) return false;
    return true;
}

static void copy_numbers(const cJSON *array, double *x)
{
    for (const cJSON *v = array->child; v != NULL; v = v->next)
        *x++ = v->valuedouble;
}

bool mscope_ask_vector(mscope_ask *ask, const char *field, double *x, int n)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(ask->in, field);

    if (v == NULL)
        return mscope_ask_refuse(ask, field, "an array of finite numbers", "missing");
    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) != n || !finite_numbers(v))
        return mscope_ask_refuse(
            ask, field, n == 3 ? "an array of 3 finite numbers" : "an array of 5 finite numbers",
            "wrong shape");
    copy_numbers(v, x);
    return true;
}

int mscope_ask_grid(mscope_ask *ask, const char *field, double **x)
{
    static const char *range = "an array of 1 to 10000 finite numbers >= 0, not decreasing";
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(ask->in, field);
    int n;

    *x = NULL;
    if (v == NULL)
        return 0;
    n = cJSON_IsArray(v) ? cJSON_GetArraySize(v) : 0;
    if (n < 1 || n > 10000 || !finite_numbers(v)) {
        mscope_ask_refuse(ask, field, range, "wrong shape");
        return -1;
    }
    *x = malloc((size_t)n * sizeof **x);
    if (*x == NULL) {
        mscope_ask_refuse(ask, field, range, mscope_strerror(MSCOPE_ENOMEM));
        return -1;
    }
    copy_numbers(v, *x);
    for (int i = 0; i < n; i++)
        if ((*x)[i] < (i > 0 ? (*x)[i - 1] : 0.0)) {
            free(*x);
            *x = NULL;
            mscope_ask_refuse(ask, field, range, "value outside its range");
            return -1;
        }
    return n;
}

bool mscope_ask_momentum(mscope_ask *ask, double *eps, double *beta)
{
    bool has_eps = mscope_ask_has(ask, "eps"), has_beta = mscope_ask_has(ask, "beta");

    if (!has_eps && !has_beta)
        return mscope_ask_refuse(ask, "eps", "0 < eps <= 1", "missing, and so is beta");
    *eps = has_eps ? mscope_ask_number(ask, "eps") : 0.0;
    *beta = has_beta ? mscope_ask_number(ask, "beta") : 0.0;
    if (ask->bad)
        return false;
    if (has_beta && !(*beta >= 0.0 && (*beta < 1.0 || (*beta == 1.0 && *eps > 0.0))))
        return mscope_ask_refuse(ask, "beta", "0 <= beta < 1", "value outside its range");
    if (!has_eps)
        *eps = 1.0 - *beta;
    if (!(*eps > 0.0 && *eps <= 1.0))
        return mscope_ask_refuse(ask, "eps", "0 < eps <= 1", "value outside its range");
    if (has_beta && fabs(*eps + *beta - 1.0) > 1e-12)
        return mscope_ask_refuse(ask, "beta", "beta + eps = 1", "does not fit eps");
    return true;
}

cJSON *mscope_json_number(double x)
{
    char text[40];

    if (!isfinite(x))
        return cJSON_CreateNull();
    snprintf(text, sizeof text, "%.17g", x);
    return cJSON_CreateRaw(text);
}

cJSON *mscope_json_numbers(const double *x, int n)
{
    cJSON *array = cJSON_CreateArray();

    for (int i = 0; i < n; i++)
        cJSON_AddItemToArray(array, mscope_json_number(x[i]));
    return array;
}

void mscope_json_put(cJSON *object, const char *field, double x)
{
    cJSON_AddItemToObject(object, field, mscope_json_number(x));
}

static const struct kind {
    const char *name;
    bool (*answer)(mscope_ask *ask);
} kinds[] = {
    { "ls_matrix", mscope_answer_ls_matrix }, { "ls_stability", mscope_answer_ls_stability },
    { "ls_clocks", mscope_answer_ls_clocks }, { "ls_regimes", mscope_answer_ls_regimes },
    { "ls_limit", mscope_answer_ls_limit },   { "lr_coeffs", mscope_answer_lr_coeffs },
    { "lr_ode", mscope_answer_lr_ode },       { "lr_floors", mscope_answer_lr_floors },
};

static const struct kind *kind_of(const cJSON *line)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, "kind"));

    for (size_t i = 0; name != NULL && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(name, kinds[i].name) == 0)
            return &kinds[i];
    return NULL;
}

static cJSON *error_object(const mscope_ask *ask)
{
    cJSON *answer = cJSON_CreateObject(), *e = cJSON_AddObjectToObject(answer, "error");
    const cJSON *v = ask->value;

    cJSON_AddItemToObject(e, "field",
                          ask->field ? cJSON_CreateString(ask->field) : cJSON_CreateNull());
    if (v == NULL || (cJSON_IsNumber(v) && !isfinite(v->valuedouble)))
        cJSON_AddNullToObject(e, "value");
    else
        cJSON_AddItemToObject(e, "value",
                              cJSON_IsNumber(v) ? mscope_json_number(v->valuedouble)
                                                : cJSON_Duplicate(v, 1));
    cJSON_AddStringToObject(e, "range", ask->range);
    cJSON_AddStringToObject(e, "message", ask->message);
    return answer;
}

/* the answer to one parsed line, NULL for a line that is no JSON */
static cJSON *answer_line(const cJSON *line, bool *bad)
{
    const cJSON *op = cJSON_GetObjectItemCaseSensitive(line, "op");
    const struct kind *kind = kind_of(line);
    mscope_ask ask = { .line = line, .in = line, .out = cJSON_CreateObject() };
    cJSON *answer;

    if (!cJSON_IsObject(line)) {
        mscope_ask_refuse(&ask, NULL, "one JSON object a line", "malformed line");
    } else if (kind == NULL) {
        mscope_ask_refuse(&ask, "kind",
                          "ls_matrix, ls_stability, ls_clocks, ls_regimes, ls_limit, "
                          "lr_coeffs, lr_ode or lr_floors",
                          "unknown kind");
    } else if (!cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(line, "in"))) {
        mscope_ask_refuse(&ask, "in", "an object of inputs", "missing or not an object");
    } else {
        ask.in = cJSON_GetObjectItemCaseSensitive(line, "in");
        if (op == NULL)
            op = cJSON_GetObjectItemCaseSensitive(ask.in, "op");
        ask.op = cJSON_GetStringValue(op);
        if (!kind->answer(&ask))
            mscope_ask_refuse(&ask, NULL, "values the theory covers", "no answer");
    }
    *bad = ask.bad;
    if (ask.bad) {
        cJSON_Delete(ask.out);
        return error_object(&ask);
    }
    answer = cJSON_CreateObject();
    if (cJSON_GetObjectItemCaseSensitive(line, "id") != NULL)
        cJSON_AddItemToObject(answer, "id",
                              cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(line, "id"), 1));
    cJSON_AddStringToObject(answer, "kind", kind->name);
    cJSON_AddItemToObject(answer, "out", ask.out);
    return answer;
}

int mscope_predict_lines(FILE *in, FILE *out)
{
    char *text = NULL, *reply;
    size_t cap = 0;
    ssize_t len;
    int refused = 0;

    while ((len = getline(&text, &cap, in)) >= 0) {
        cJSON *line, *answer;
        bool bad;

        if (strspn(text, " \t\r\n") == (size_t)len)
            continue;
        /* a NUL inside the line would hide what follows it */
        line = strlen(text) == (size_t)len ? cJSON_ParseWithOpts(text, NULL, 1) : NULL;
        answer = answer_line(line, &bad);
        refused += bad;
        reply = cJSON_PrintUnformatted(answer);
        if (reply != NULL)
            fprintf(out, "%s\n", reply);
        cJSON_free(reply);
        cJSON_Delete(answer);
        cJSON_Delete(line);
        if (reply == NULL || fflush(out) != 0 || ferror(out))
            break;
    }
    free(text);
    return ferror(in) || ferror(out) || !feof(in) ? MSCOPE_EIO : refused;
}
