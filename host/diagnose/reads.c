/* reads.c - see reads.h; host/README.md has the theory */
#include "reads.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int mscope_reads_band(const mscope_rec_band *b)
{
    return strcmp(b->form, "read") == 0 || strcmp(b->form, "frozen") == 0;
}

double mscope_reads_step(const mscope_rec_band *b)
{
    return b->eta > 0 && b->d > 0 ? b->u / (b->eta * sqrt((double)b->d)) : NAN;
}

__attribute__((format(printf, 3, 4))) static void append(char *to, size_t cap, const char *format, ...)
{
    const size_t at = strlen(to);
    char part[128];
    va_list args;

    va_start(args, format);
    vsnprintf(part, sizeof part, format, args);
    va_end(args);
    if (at + strlen(part) < cap)
        memcpy(to + at, part, strlen(part) + 1);
}

void mscope_reads_say(const mscope_rec_band *b, char *to, size_t cap)
{
    const int frozen = strcmp(b->form, "frozen") == 0;

    if (!mscope_reads_band(b))
        return;
    append(to, cap, frozen ? "; silent rows stand still" : "; silent rows decay");
    if (!isnan(b->v_age))
        append(to, cap, ", v averages %.3g updates over %.3g steps", b->v_retention, b->v_age);
    else if (b->v > 0 && b->v_fade <= 0)
        append(to, cap, ", v forgets nothing");
    if (!isnan(mscope_reads_step(b)))
        append(to, cap, ", steps of %.2g eta", mscope_reads_step(b));
}
