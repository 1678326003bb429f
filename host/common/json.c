/* json.c - see json.h */
#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

void mscope_json_string(FILE *to, const char *s)
{
    fputc('"', to);
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            fprintf(to, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(to, "\\u%04x", c);
        else
            fputc(c, to);
    }
    fputc('"', to);
}

void mscope_json_f64(FILE *to, double x)
{
    char text[32] = "null";

    for (int digits = 15; isfinite(x) && digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    fputs(text, to);
}

void mscope_json_u64(FILE *to, uint64_t x)
{
    fprintf(to, "%" PRIu64, x);
}

void mscope_json_bool(FILE *to, int x)
{
    fputs(x ? "true" : "false", to);
}
