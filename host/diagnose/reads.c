/* reads.c - see reads.h; host/README.md has the theory */
#include "reads.h"

#include <math.h>
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

static void append(char *to, size_t cap, const char *format, double x, double y)
{
    const size_t at = strlen(to);
    char part[128];

    snprintf(part, sizeof part, format, x, y);
    if (at + strlen(part) < cap)
        memcpy(to + at, part, strlen(part) + 1);
}

void mscope_reads_say(const mscope_rec_band *b, char *to, size_t cap)
{
    const int frozen = strcmp(b->form, "frozen") == 0;

    if (!mscope_reads_band(b))
        return;
    append(to, cap, frozen ? "; silent rows stand still" : "; silent rows decay", 0, 0);
    if (!isnan(b->v_age))
        append(to, cap, ", v averages %.3g updates over %.3g steps", b->v_retention, b->v_age);
    else if (b->v > 0 && b->v_fade <= 0)
        append(to, cap, ", v forgets nothing", 0, 0);
    if (!isnan(mscope_reads_step(b)))
        append(to, cap, ", steps of %.2g eta", mscope_reads_step(b), 0);
}
