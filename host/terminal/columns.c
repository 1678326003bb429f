/* columns.c - see columns.h */
#include "columns.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A narrow window loses whole columns, in the order of `leaves`; columns with 0 always stay. */
static const struct column {
    const char *name;
    int width, leaves;
} columns[MSCOPE_COLUMNS] = {
    { "band", 4, 0 },      { "p", 8, 9 },         { "rows", 8, 8 },  { "P", 8, 2 },     { "updates", 10, 6 },
    { "R", 9, 1 },         { "V", 9, 1 },         { "C", 9, 1 },     { "H1", 9, 5 },    { "retention", 9, 7 },
    { "learning", 9, 4 },  { "delta", 9, 3 },     { "H", 8, 0 },     { "zeta", 8, 0 },  { "trail", 10, 10 },
    { "regime", 16, 0 },
};

enum { LAST_TO_LEAVE = 10, ALL = (1 << MSCOPE_COLUMNS) - 1,
       ALWAYS = 1 << MSCOPE_COLUMN_BAND | 1 << MSCOPE_COLUMN_REGIME };

int mscope_columns_read(void *context, const char *list, char *why, size_t cap)
{
    uint32_t mask = ALWAYS;

    for (;;) {
        const size_t len = strcspn(list, ",");
        int i = 0;

        while (i < MSCOPE_COLUMNS && (strlen(columns[i].name) != len || strncmp(columns[i].name, list, len) != 0))
            i++;
        if (i == MSCOPE_COLUMNS) {
            int n = snprintf(why, cap, "'%.*s' is no column; expected", (int)len, list);
            for (i = 0; i < MSCOPE_COLUMNS && n > 0 && (size_t)n < cap; i++)
                n += snprintf(why + n, cap - (size_t)n, "%s %s", i > 0 ? "," : "", columns[i].name);
            return -1;
        }
        mask |= 1u << i;
        if (list[len] == '\0')
            break;
        list += len + 1;
    }
    *(uint32_t *)context = mask;
    return 0;
}

uint32_t mscope_columns_fit(int width, int trail)
{
    uint32_t mask = trail ? ALL : ALL & ~(1 << MSCOPE_COLUMN_TRAIL);

    for (int gone = 0; width > 0 && gone <= LAST_TO_LEAVE; gone++) {
        int sum = 0;
        for (int i = 0; i < MSCOPE_COLUMNS; i++) {
            if (columns[i].leaves > 0 && columns[i].leaves <= gone)
                mask &= ~(1u << i);
            if (mask >> i & 1)
                sum += columns[i].width + (i > 0);
        }
        if (sum <= width)
            break;
    }
    return mask;
}

const char *mscope_column_name(int column)
{
    return columns[column].name;
}

int mscope_column_width(int column)
{
    return columns[column].width;
}

double mscope_column_number(int column, const mscope_rec_band *b, const mscope_verdict *v)
{
    const double known[] = { (double)b->band, b->p, (double)b->rows, b->P, (double)b->updates, b->R, b->V, b->C, b->H1,
                             b->retention, b->learning, b->delta, v->H, v->zeta };

    return known[column];
}

const char *mscope_column_text(int column, const mscope_rec_band *b, const mscope_verdict *v,
                               char out[MSCOPE_COLUMN_TEXT])
{
    if (column == MSCOPE_COLUMN_REGIME)
        return mscope_regime_name(v->regime);
    if (column == MSCOPE_COLUMN_TRAIL)
        return "";
    const double x = mscope_column_number(column, b, v);
    const int whole = column == MSCOPE_COLUMN_BAND || strcmp(columns[column].name, "rows") == 0 ||
                      strcmp(columns[column].name, "updates") == 0;

    if (isnan(x))
        return "-";
    snprintf(out, MSCOPE_COLUMN_TEXT, whole ? "%.0f" : "%.3g", x);
    return out;
}
