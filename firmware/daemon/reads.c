/* reads.c - see reads.h */
#include "reads.h"

#include <math.h>
#include <stdio.h>

#include "protocol/refusal.h"

enum { COLUMN_M, COLUMN_V, COLUMN_G, COLUMN_COS, COLUMN_U };

#define LARGE 1e145                  /* its square can still be summed                                     */
#define COS_SLACK 1e-3               /* of float32 sums over a row                                         */

static const struct column {
    const char *field, *range, *text;
    double low, high;
} columns[MSCOPE_READ_COLUMNS] = {
    { "|m|", "0..1e145", "norm of a row's momentum after the step", 0.0, LARGE },
    { "rms v", "0..1e145, or -1", "root of a row's mean second moment after the step; -1: by |g|", 0.0, LARGE },
    { "|g|", "0..1e145", "norm of a row's gradient", 0.0, LARGE },
    { "cos", "-1..1, or 2", "cosine between gradient and momentum before the step; 2: by the norms", -1.0 - COS_SLACK,
      1.0 + COS_SLACK },
    { "|u|", "0..1e145, or -1", "norm of a row's update; -1: not measured", 0.0, LARGE },
};

static int check_columns(const double *x, const uint32_t *rows, size_t n, mscope_refusal *why)
{
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < MSCOPE_READ_COLUMNS; k++, x++) {
            const struct column *c = &columns[k];

            if ((*x >= c->low && *x <= c->high) || (k == COLUMN_COS && *x == MSCOPE_READ_COS) ||
                ((k == COLUMN_V || k == COLUMN_U) && *x == MSCOPE_READ_NOT))
                continue;
            return mscope_refusal_set(why, isfinite(*x) ? MSCOPE_EINVAL : MSCOPE_ENONFINITE, c->field, c->range,
                                      c->text, "%g in row %u", *x, rows[i]);
        }
    return 0;
}

/* |m|^2 after = beta^2 |m|^2 + 2 beta eps <g, m> + eps^2 |g|^2, |m| of a row that stands at now. */
static double by_norms(const double *x, double m, double eps)
{
    const double g = x[COLUMN_G], product = 2.0 * (1.0 - eps) * eps * g * m;

    m *= 1.0 - eps;
    return product > 0.0 ? (x[COLUMN_M] * x[COLUMN_M] - m * m - eps * eps * g * g) / product : 0.0;
}

/* The gradient as it lies to the momentum: (along it, across it). */
static void image_of(const double *x, double m, double eps, double g[MSCOPE_READ_DIM])
{
    const double told = x[COLUMN_COS] == MSCOPE_READ_COS ? by_norms(x, m, eps) : x[COLUMN_COS];
    const double cosine = fmax(-1.0, fmin(1.0, told));

    g[0] = x[COLUMN_G] * cosine;
    g[1] = x[COLUMN_G] * sqrt(1.0 - cosine * cosine);
}

int mscope_reads_in(mscope_shadow *s, const mscope_header *h, mscope_cursor *c, mscope_entries *out)
{
    const uint8_t *idx, *val;
    double *x = s->values, *g = s->momenta;
    const double *m;
    size_t n = h->count;
    int err = mscope_count_in(s, h, c->why);

    *out = (mscope_entries){ .rows = s->rows, .values = s->momenta };
    if (err)
        return err;
    if (n == 0)
        return mscope_table_apply_check(s->core, NULL, NULL, 0, &out->checked);
    err = mscope_take(c, "indices", (uint64_t)n * h->index_type, &idx);
    if (!err)
        err = mscope_take(c, "values", (uint64_t)n * MSCOPE_READ_COLUMNS * mscope_value_size(h->value_type), &val);
    if (!err)
        err = mscope_rows_in(s, h, idx, &out->rows, c->why);
    if (err)
        return err;
    mscope_values_decode(val, h->value_type, n * MSCOPE_READ_COLUMNS, x, 1);
    err = check_columns(x, out->rows, n, c->why);
    if (err)
        return err;
    err = mscope_table_touch(s->core, out->rows, n);         /* changes no number but their rounding */
    if (err)
        return mscope_core_refusal(s, err, c->why);
    m = mscope_table_momentum(s->core);
    for (size_t i = 0; i < n; i++)
        image_of(x + i * MSCOPE_READ_COLUMNS, m[(size_t)out->rows[i] * MSCOPE_READ_DIM], h->b, g + i * MSCOPE_READ_DIM);
    err = mscope_table_apply_check(s->core, out->rows, g, n, &out->checked);
    return err ? mscope_core_refusal(s, err, c->why) : 0;
}

static void note_update(mscope_shadow *s, uint32_t row, double u)
{
    mscope_table_row_info at;

    if (u < 0.0 || mscope_table_row(s->core, row, &at) != 0 || at.band >= MSCOPE_BANDS)
        return;
    s->moved[at.band].sum += u * u;
    s->moved[at.band].updates += 1.0;
}

/* Root of the mean second moment after the step; theta is what has become of the one before it. */
static double second_of(const mscope_shadow *s, const mscope_step *step, const double *x, double theta)
{
    const double weight = step->decoupled_decay > 0.0 ? step->decoupled_decay : 1.0, g = x[COLUMN_G];

    return x[COLUMN_V] == MSCOPE_READ_NOT ? sqrt(theta * theta + weight * g * g / s->hello.width) : x[COLUMN_V];
}

int mscope_reads_put(mscope_shadow *s, const mscope_step *step, const mscope_entries *in, size_t n)
{
    const double *was = mscope_table_theta(s->core);
    const double *x = s->values;
    double *theta = s->values, *m = s->momenta;

    /* Theta is written over columns that were read before. */
    for (size_t i = 0; i < n; i++, x += MSCOPE_READ_COLUMNS, theta += MSCOPE_READ_DIM, m += MSCOPE_READ_DIM) {
        note_update(s, in->rows[i], x[COLUMN_U]);
        m[0] = x[COLUMN_M];
        theta[0] = second_of(s, step, x, was[(size_t)in->rows[i] * MSCOPE_READ_DIM]);
        m[1] = theta[1] = 0.0;
    }
    return mscope_table_rows_put(s->core, in->rows, n, s->values, s->momenta);
}
