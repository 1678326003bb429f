/* direction.c - products along one direction over everything that the trainer moves, as one message */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "link.h"
#include "protocol/refusal.h"
#include "state.h"

enum { MAP_MAX = 512 };

static int refuse(const char *field, const char *range, const char *text, double value)
{
    return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, field, range, text, "%g", value);
}

static int check_entries(const mscope_client *c, const mscope_direction_row *row, size_t n)
{
    int rc = 0;

    if (n > 0 && row == NULL)
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "row", "the address of n entries",
                                  "nothing was given", "%s", "NULL");
    if ((uint64_t)n > UINT32_MAX)
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "n", "0 to 4294967295", "rows in one message", "%zu", n);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if ((rc = mscope_check_table(c, (int)row[i].table)) != 0)
            return rc;
        if (row[i].row >= c->table[row[i].table].info.rows)
            return mscope_why_row(&c->table[row[i].table], row[i].row);
        if (!isfinite(row[i].curvature))
            rc = refuse("curvature", "finite", "<v, H v> within a row", (double)row[i].curvature);
        else if (!isfinite(row[i].noise) || row[i].noise < 0)
            rc = refuse("noise", "finite, 0 or more", "|(H_a - H_b) v|^2/4 within a row", (double)row[i].noise);
    }
    return rc;
}

static int check_top(const mscope_client *c, const mscope_direction *d)
{
    int rc;

    if (d->top_share == 0)
        return 0;
    if ((rc = mscope_check_table(c, (int)d->top_table)) != 0)
        return rc;
    return d->top_row < c->table[d->top_table].info.rows ? 0 : mscope_why_row(&c->table[d->top_table], d->top_row);
}

/* The three arrays of DIRECTION. */
static int add_entries(mscope_message *f, const mscope_direction_row *row, size_t n)
{
    uint32_t *tables = NULL, *rows = NULL;
    float *values = NULL;

    if (n == 0)
        return 0;
    if ((tables = mscope_message_body(f, n * sizeof *tables)) == NULL ||
        (rows = mscope_message_body(f, n * sizeof *rows)) == NULL ||
        (values = mscope_message_body(f, 2 * n * sizeof *values)) == NULL)
        return MSCOPE_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        tables[i] = row[i].table;
        rows[i] = row[i].row;
        values[2 * i] = row[i].curvature;
        values[2 * i + 1] = row[i].noise;
    }
    return 0;
}

int mscope_client_direction(mscope_client *c, int table, const mscope_direction *d, const mscope_direction_row *row,
                            size_t n)
{
    uint8_t map[MAP_MAX];
    mscope_direction judged;
    int rc = mscope_check_table(c, table), len;
    void *body;

    if (rc != 0)
        return rc;
    if (d == NULL || (len = mscope_direction_encode(d, map, sizeof map)) < 0)
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, d == NULL ? "d" : "along, spans",
                                  "words of enum mscope_along and mscope_spanned", "no direction", "%s",
                                  d == NULL ? "NULL" : "another number");
    if ((rc = mscope_direction_decode(map, (size_t)len, &judged, mscope_why())) != 0 ||
        (rc = check_top(c, d)) != 0 || (rc = check_entries(c, row, n)) != 0)
        return rc;
    mscope_client_table *t = &c->table[table];
    if (t->step == 0 || t->queued != t->step)
        return 1;                                    /* the daemon reads it with the schedule of that step */
    mscope_message *f = mscope_message_new(MSCOPE_DIRECTION);
    if (f == NULL || (body = mscope_message_body(f, (size_t)len)) == NULL) {
        mscope_message_free(f);
        return 1;
    }
    memcpy(body, map, (size_t)len);
    if (add_entries(f, row, n) != 0) {
        mscope_message_free(f);
        return 1;
    }
    mscope_header h = { .step = t->step, .table = (uint32_t)table, .count = (uint32_t)n,
                        .index_type = n > 0 ? MSCOPE_U32 : 0, .value_type = n > 0 ? MSCOPE_F32 : 0 };
    rc = mscope_queue_offer(&c->queue, f, &h);
    mscope_link_pump(c);
    return rc;
}
