/* refusal.c - see refusal.h */
#include "refusal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int (mscope_refusal_set)(mscope_refusal *why, int code, const char *field, const char *range, const char *text,
                  const char *value, ...)
{
    va_list ap;

    if (why == NULL)
        return code;
    memset(why, 0, sizeof *why);
    why->code = code;
    (void)snprintf(why->field, sizeof why->field, "%s", field);
    (void)snprintf(why->range, sizeof why->range, "%s", range);
    (void)snprintf(why->text, sizeof why->text, "%s", text);
    va_start(ap, value);
    (void)vsnprintf(why->value, sizeof why->value, value, ap);
    va_end(ap);
    for (char *p = why->value; *p != '\0'; p++)
        if (*p < 0x20 || *p > 0x7e)
            *p = '?';
    return code;
}

int mscope_refuse_u64(mscope_refusal *why, const char *field, uint64_t v, const char *range, const char *text)
{
    return mscope_refusal_set(why, MSCOPE_EINVAL, field, range, text, "%llu", (unsigned long long)v);
}

int mscope_check_real(mscope_refusal *why, const char *field, double v, int ok, const char *range,
                      const char *text)
{
    if (!isfinite(v))
        return mscope_refusal_set(why, MSCOPE_ENONFINITE, field, range, "not a finite number", "%g", v);
    return ok ? 0 : mscope_refusal_set(why, MSCOPE_EINVAL, field, range, text, "%.17g", v);
}
