/* predict_json.c - momentscope predict --jsonl: one request a line, one answer a line */
#include "predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/line.h"

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
                              cJSON_IsNumber(v) ? mscope_cjson_number(v->valuedouble)
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
    mscope_ask ask = { .line = line, .in = line, .out = cJSON_CreateObject(), .terms = MSCOPE_ASK_TERMS };
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
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): without a kind the answer is a refusal
    cJSON_AddStringToObject(answer, "kind", kind->name);
    cJSON_AddItemToObject(answer, "out", ask.out);
    return answer;
}

int mscope_predict_lines(FILE *in, FILE *out)
{
    char *text = NULL, *reply;
    size_t cap = 0;
    long len, number = 0;
    int refused = 0;

    while ((len = mscope_line_next(&text, &cap, in)) > 0) {
        cJSON *line, *answer;
        bool bad;

        number++;
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
    if (len < 0)
        fprintf(stderr, "momentscope predict: line %ld: %s\n", number + 1, mscope_line_why());
    free(text);
    return ferror(in) || ferror(out) || !feof(in) ? MSCOPE_EIO : refused;
}
