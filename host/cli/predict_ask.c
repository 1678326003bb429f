/* predict_ask.c - see predict_ask.h */
#include "predict_ask.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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
    *x = calloc((size_t)n, sizeof **x);
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

cJSON *mscope_cjson_number(double x)
{
    char text[40];

    if (!isfinite(x))
        return cJSON_CreateNull();
    snprintf(text, sizeof text, "%.17g", x);
    return cJSON_CreateRaw(text);
}

cJSON *mscope_cjson_numbers(const double *x, int n)
{
    cJSON *array = cJSON_CreateArray();

    for (int i = 0; i < n; i++)
        cJSON_AddItemToArray(array, mscope_cjson_number(x[i]));
    return array;
}

void mscope_cjson_put(cJSON *object, const char *field, double x)
{
    cJSON_AddItemToObject(object, field, mscope_cjson_number(x));
}
