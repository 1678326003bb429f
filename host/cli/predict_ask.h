/* predict_ask.h - the inputs of one request of predict --jsonl, read and refused, and numbers for its answer */
#ifndef MSCOPE_CLI_PREDICT_ASK_H
#define MSCOPE_CLI_PREDICT_ASK_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "mscope/theory.h"

/* What one answer about logistic regression may cost (mscope_lr.terms): some seconds. */
#define MSCOPE_ASK_TERMS 5e7
#define MSCOPE_ASK_TERMS_TEXT "5e7"

/* One request on its way to an answer. The first refusal wins and later ones are not recorded.  */
typedef struct mscope_ask {
    const cJSON *line; /* the whole request, borrowed                         */
    const cJSON *in;   /* its inputs                                          */
    const char *op;    /* NULL where the line has none                        */
    cJSON *out;        /* fields of the answer                                */
    double terms;      /* of MSCOPE_ASK_TERMS, left                           */
    bool bad;
    const char *field; /* what was refused, its JSON (NULL: missing) and why  */
    const cJSON *value;
    const char *range;
    const char *message;
} mscope_ask;

/* mscope_ask_refuse - record a refusal; always returns false */
bool mscope_ask_refuse(mscope_ask *ask, const char *field, const char *range, const char *message);

/* mscope_ask_refused - record why the theory library said no; always returns false */
bool mscope_ask_refused(mscope_ask *ask, const mscope_bad *why);

/* mscope_ask_number - a required number; NaN and a refusal when it is missing or not a number */
double mscope_ask_number(mscope_ask *ask, const char *field);

/* mscope_ask_has - is the field there? */
bool mscope_ask_has(const mscope_ask *ask, const char *field);

/* mscope_ask_vector - a required array of exactly n finite numbers */
bool mscope_ask_vector(mscope_ask *ask, const char *field, double *x, int n);

/* mscope_ask_grid - an optional array of finite numbers >= 0, at most 10000
 *
 * Returns  the count, *x to be freed; 0 and *x = NULL when the field is absent; -1 refused      */
int mscope_ask_grid(mscope_ask *ask, const char *field, double **x);

/* mscope_ask_momentum - eps and beta, of which one may be absent */
bool mscope_ask_momentum(mscope_ask *ask, double *eps, double *beta);

/* Numbers go out with 17 significant digits; what is not finite goes out as null.               */
cJSON *mscope_cjson_number(double x);
cJSON *mscope_cjson_numbers(const double *x, int n);
void mscope_cjson_put(cJSON *object, const char *field, double x);

#endif
