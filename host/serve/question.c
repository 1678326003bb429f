/* question.c - see question.h */
#include "question.h"

#include <math.h>
#include <stdlib.h>

static double number(const char *value, double otherwise, int *bad)
{
    char *end;
    double x;

    if (value == NULL)
        return otherwise;
    x = strtod(value, &end);
    if (end == value || *end != '\0' || !(fabs(x) < 9e15)) {
        *bad = 1;
        return otherwise;
    }
    return x;
}

int mscope_question_read(mscope_question *q, const char *(*value)(void *context, const char *name), void *context)
{
    int bad = 0;

    q->source = value(context, "source");
    q->table = value(context, "table");
    q->after = number(value(context, "after"), -1, &bad);
    q->from = number(value(context, "from"), 0, &bad);
    q->since = (long long)number(value(context, "since"), 0, &bad);
    q->limit = (int)fmax(-1, fmin(1e6, number(value(context, "limit"), 0, &bad)));
    q->alarms = number(value(context, "alarms"), 0, &bad) != 0;
    return bad ? -1 : 0;
}
