/* series.c - see series.h */
#include "series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 48 };

static int grow(mscope_series *s)
{
    const size_t room = s->room == 0 ? FIRST_ROOM : 2 * s->room;
    double *step, *at;
    float *value;

    if ((step = realloc(s->step, room * sizeof *step)) == NULL)
        return MSCOPE_ENOMEM;
    s->step = step;
    if ((at = realloc(s->at, room * sizeof *at)) == NULL)
        return MSCOPE_ENOMEM;
    s->at = at;
    if ((value = realloc(s->value, room * s->columns * sizeof *value)) == NULL)
        return MSCOPE_ENOMEM;
    s->value = value;
    s->room = room;
    return 0;
}

static void keep(mscope_series *s, size_t to, size_t from)
{
    s->step[to] = s->step[from];
    s->at[to] = s->at[from];
    memmove(&s->value[to * s->columns], &s->value[from * s->columns], s->columns * sizeof *s->value);
}

void mscope_series_thin(mscope_series *s)
{
    size_t n = 0;

    if (s->points < 2)
        return;
    for (size_t i = 0; i < s->points; i += 2)
        keep(s, n++, i);
    if (s->points % 2 == 0) {
        keep(s, n++, s->points - 1);
        s->loose = 1;
    }
    s->points = n;
    s->stride *= 2;
}

void mscope_series_cut(mscope_series *s, double step)
{
    while (s->points > 0 && s->step[s->points - 1] >= step) {
        s->points--;
        s->loose = 0;
    }
}

int mscope_series_add(mscope_series *s, double step, double at, const double *value, size_t columns)
{
    if (s->columns == 0) {
        s->columns = columns;
        s->stride = 1;
    }
    mscope_series_cut(s, step);
    if (s->loose && s->points > 0)
        s->points--;
    if (s->points == MSCOPE_SERIES_MOST) {
        mscope_series_thin(s);
        s->points -= (size_t)s->loose;
    }
    if (s->points == s->room && grow(s) != 0)
        return MSCOPE_ENOMEM;
    s->step[s->points] = step;
    s->at[s->points] = at;
    for (size_t k = 0; k < s->columns; k++)
        s->value[s->points * s->columns + k] = (float)value[k];
    s->points++;
    s->loose = s->given++ % s->stride != 0;
    return 0;
}

size_t mscope_series_after(const mscope_series *s, double step)
{
    size_t low = 0, high = s->points;

    while (low < high) {
        const size_t mid = (low + high) / 2;

        if (s->step[mid] > step)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

void mscope_series_fini(mscope_series *s)
{
    free(s->step);
    free(s->at);
    free(s->value);
    memset(s, 0, sizeof *s);
}
