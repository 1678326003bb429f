/* rows.c - see rows.h */
#include "rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REACH_F32 3e-3               /* far above the rounding of gradients, and below what a third derivative needs */
#define REACH_F64 1e-5
#define LEFT_OUT UINT32_MAX

/* calloc: pages that no row needs are never touched. */
int mscope_rows_open(mscope_rows *r, const mscope_probe_span *span, size_t n, uint64_t most_values)
{
    uint64_t all = 0;

    *r = (mscope_rows){ .spans = n };
    r->span = malloc(n * sizeof *span);
    r->scale = malloc(n * sizeof *r->scale);
    r->index = calloc(n, sizeof *r->index);
    if (r->span == NULL || r->scale == NULL || r->index == NULL)
        return MSCOPE_ENOMEM;
    memcpy(r->span, span, n * sizeof *span);
    for (size_t k = 0; k < n; k++) {
        r->scale[k] = sqrt(span[k].rate / span[0].rate);
        all = all < most_values ? all + (uint64_t)span[k].rows * span[k].dim : all;
        if ((r->index[k] = calloc(span[k].rows, sizeof **r->index)) == NULL)
            return MSCOPE_ENOMEM;
    }
    r->most_values = all < most_values ? all : most_values;
    r->place = calloc(mscope_rows_most(r), sizeof *r->place);
    r->saved = calloc(r->most_values, sizeof *r->saved);
    return r->place == NULL || r->saved == NULL ? MSCOPE_ENOMEM : 0;
}

void mscope_rows_close(mscope_rows *r)
{
    for (size_t k = 0; r->index != NULL && k < r->spans; k++)
        free(r->index[k]);
    free(r->index);
    free(r->span);
    free(r->scale);
    free(r->place);
    free(r->saved);
}

size_t mscope_rows_most(const mscope_rows *r)
{
    uint64_t rows = 0;
    uint32_t least = UINT32_MAX;

    for (size_t k = 0; k < r->spans; k++) {
        rows += r->span[k].rows;
        least = r->span[k].dim < least ? r->span[k].dim : least;
    }
    return (size_t)(rows < r->most_values / least ? rows : r->most_values / least + 1);
}

static double value_of(const void *values, enum mscope_value type, size_t i)
{
    return type == MSCOPE_F64 ? ((const double *)values)[i] : (double)((const float *)values)[i];
}

static int all_zero(const void *values, enum mscope_value type, size_t from, uint32_t dim)
{
    for (uint32_t j = 0; j < dim; j++)
        if (value_of(values, type, from + j) != 0.0)
            return 0;
    return 1;
}

/* The place of a row, made where there is room; NULL: left out. */
static const mscope_spot *place_of(mscope_rows *r, size_t span, uint32_t row)
{
    uint32_t *index = &r->index[span][row];
    const uint32_t dim = r->span[span].dim;

    if (*index == 0) {
        if (r->values + dim > r->most_values) {
            *index = LEFT_OUT;
            r->left_out++;
        } else {
            // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): mscope_rows_open gives no object without it
            r->place[r->places++] = (mscope_spot){ (uint32_t)span, row, (uint32_t)r->values };
            r->values += dim;
            *index = (uint32_t)r->places;
        }
    }
    return *index == LEFT_OUT ? NULL : &r->place[*index - 1];
}

void mscope_rows_add(mscope_rows *r, size_t span, const uint32_t *rows, const void *values, size_t n, double *to)
{
    const mscope_probe_span *s = &r->span[span];

    for (size_t i = 0; i < n; i++) {
        if (all_zero(values, s->value_type, i * s->dim, s->dim))
            continue;                    /* dense gradients have many such rows: they take no room */
        const mscope_spot *at = place_of(r, span, rows != NULL ? rows[i] : (uint32_t)i);
        for (uint32_t j = 0; at != NULL && j < s->dim; j++)
            to[at->at + j] += r->scale[span] * value_of(values, s->value_type, i * s->dim + j);
    }
}

double mscope_rows_length(const mscope_rows *r, const double *v)
{
    double sum = 0.0, longest = 0.0, reach = REACH_F64;
    size_t rows = 0;

    for (size_t i = 0; i < r->places; i++) {
        const mscope_spot *at = &r->place[i];
        const mscope_probe_span *s = &r->span[at->span];
        double vv = 0.0, tt = 0.0;
        for (uint32_t j = 0; j < s->dim; j++) {
            const double t = value_of(s->theta, s->value_type, (size_t)at->row * s->dim + j);
            vv += v[at->at + j] * v[at->at + j];
            tt += t * t;
        }
        if (vv == 0.0)
            continue;
        rows++;
        sum += tt;
        longest = fmax(longest, r->scale[at->span] * sqrt(vv));
        reach = s->value_type == MSCOPE_F32 ? REACH_F32 : reach;
    }
    if (!(longest > 0.0))
        return 0.0;
    return reach * (sum > 0.0 ? sqrt(sum / (double)rows) : 1.0) / longest;
}

void mscope_rows_shift(mscope_rows *r, const double *v, double delta)
{
    for (size_t i = 0; i < r->places; i++) {
        const mscope_spot *at = &r->place[i];
        const mscope_probe_span *s = &r->span[at->span];
        const double by = delta * r->scale[at->span];
        const size_t first = (size_t)at->row * s->dim;
        if (s->value_type == MSCOPE_F64) {
            double *theta = (double *)s->theta + first;
            memcpy(r->saved + at->at, theta, s->dim * sizeof *theta);
            for (uint32_t j = 0; j < s->dim; j++)
                theta[j] += by * v[at->at + j];
        } else {
            float *theta = (float *)s->theta + first;
            memcpy(r->saved + at->at, theta, s->dim * sizeof *theta);
            for (uint32_t j = 0; j < s->dim; j++)
                theta[j] = (float)((double)theta[j] + by * v[at->at + j]);
        }
    }
    r->saved_places = r->places;
}

void mscope_rows_back(mscope_rows *r)
{
    for (size_t i = 0; i < r->saved_places; i++) {
        const mscope_spot *at = &r->place[i];
        const mscope_probe_span *s = &r->span[at->span];
        const size_t size = s->value_type == MSCOPE_F64 ? sizeof(double) : sizeof(float);
        memcpy((uint8_t *)s->theta + (size_t)at->row * s->dim * size, r->saved + at->at, s->dim * size);
    }
    r->saved_places = 0;
}
