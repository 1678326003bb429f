/* table.c - see table.h */
#include "table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t rnd(uint64_t *state)         /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double uniform(uint64_t *state)
{
    return (double)(rnd(state) >> 11) * 0x1p-53;
}

int faults_table_make(faults_table *t, uint32_t rows, uint32_t dim, uint64_t seed, int dense, int reference)
{
    const size_t cells = (size_t)rows * dim;

    *t = (faults_table){ .rows = rows, .dim = dim, .state = seed };
    t->theta = calloc(cells, sizeof *t->theta);
    t->m = calloc(cells, sizeof *t->m);
    t->grad = calloc((size_t)ENTRIES * dim, sizeof *t->grad);
    if (dense)
        t->G = calloc(cells, sizeof *t->G);
    else
        t->clock = calloc(rows, sizeof *t->clock);
    if (reference)
        t->ref = calloc(cells, sizeof *t->ref);
    if (t->theta == NULL || t->m == NULL || t->grad == NULL || (t->G == NULL && t->clock == NULL) ||
        (reference && t->ref == NULL))
        return -1;
    for (size_t i = 0; reference && i < cells; i++) {
        t->ref[i] = (float)(4 * uniform(&seed) - 2);
        t->sums.R += (double)t->ref[i] * t->ref[i];
    }
    return 0;
}

void faults_table_free(faults_table *t)
{
    free(t->theta);
    free(t->m);
    free(t->ref);
    free(t->G);
    free(t->clock);
    free(t->grad);
}

/* -- one row ---------------------------------------------------------------------------------- */

typedef struct span { double m, theta; } span;       /* over idle steps: m <- m * .m, theta <- theta + m * .theta */

static span span_of(const faults_table *t, uint32_t row)
{
    const double beta = 1 - FAULTS_EPS;
    const double left = t->clock != NULL ? pow(beta, (double)(t->step - t->clock[row])) : 1;

    return (span){ left, -FAULTS_ETA * beta * (1 - left) / FAULTS_EPS };
}

/* Coordinate i of the arrays as of now. */
static void now_at(const faults_table *t, size_t i, span s, double *theta, double *m)
{
    const double was = (double)t->m[i];

    *theta = (double)t->theta[i] + was * s.theta;
    *m = was * s.m;
}

static void add(const faults_table *t, faults_sums *to, size_t i, double theta, double m, double sign)
{
    const double e = theta - (t->ref != NULL ? (double)t->ref[i] : 0);

    to->R += sign * e * e;
    to->V += sign * m * m;
    to->C += sign * e * m;
}

/* -- one step --------------------------------------------------------------------------------- */

static void draw_rows(faults_table *t)
{
    for (int i = 0; i < ROWS_A_STEP; i++) {
        int again;
        do {
            const double u = uniform(&t->state);
            t->row[i] = (uint32_t)(t->rows * u * u * u);
            again = 0;
            for (int j = 0; j < i; j++)
                again |= t->row[j] == t->row[i];
        } while (again);
    }
    for (int i = ROWS_A_STEP; i < ENTRIES; i++)
        t->row[i] = t->row[i - ROWS_A_STEP];
}

static void draw_gradients(faults_table *t)
{
    for (int i = 0; i < ENTRIES; i++) {
        const span s = span_of(t, t->row[i]);
        for (uint32_t k = 0; k < t->dim; k++) {
            double theta, m;
            now_at(t, (size_t)t->row[i] * t->dim + k, s, &theta, &m);
            t->grad[(size_t)i * t->dim + k] =
                (float)((theta - t->row[i] % 7 + uniform(&t->state) - 0.5) / ENTRIES);
        }
    }
}

static void train_dense(faults_table *t)
{
    const size_t cells = (size_t)t->rows * t->dim;
    const float eps = (float)FAULTS_EPS, eta = (float)FAULTS_ETA;

    memset(t->G, 0, cells * sizeof *t->G);
    for (int i = 0; i < ENTRIES; i++)
        for (uint32_t k = 0; k < t->dim; k++)
            t->G[(size_t)t->row[i] * t->dim + k] += t->grad[(size_t)i * t->dim + k];
    for (size_t i = 0; i < cells; i++) {
        t->m[i] = (1 - eps) * t->m[i] + eps * t->G[i];
        t->theta[i] -= eta * t->m[i];
    }
}

static void move_row(faults_table *t, int i)
{
    const uint32_t row = t->row[i];
    const span s = span_of(t, row);

    for (uint32_t k = 0; k < t->dim; k++) {
        const size_t at = (size_t)row * t->dim + k;
        double theta, m, g = (double)t->grad[(size_t)i * t->dim + k];
        now_at(t, at, s, &theta, &m);
        if (i + ROWS_A_STEP < ENTRIES)
            g += (double)t->grad[(size_t)(i + ROWS_A_STEP) * t->dim + k];
        m = (1 - FAULTS_EPS) * m + FAULTS_EPS * g;
        t->m[at] = (float)m;
        t->theta[at] = (float)(theta - FAULTS_ETA * m);
        add(t, &t->sums, at, (double)t->theta[at], (double)t->m[at], 1);
    }
    t->clock[row] = t->step + 1;
}

/* The sums leave out the rows of the step, move as all silent rows do, and take these rows back where they are then. */
static void train_lazy(faults_table *t)
{
    faults_sums *s = &t->sums;
    const double b = 1 - FAULTS_EPS, eta = FAULTS_ETA;

    for (int i = 0; i < ROWS_A_STEP; i++) {
        const span idle = span_of(t, t->row[i]);
        for (uint32_t k = 0; k < t->dim; k++) {
            const size_t at = (size_t)t->row[i] * t->dim + k;
            double theta, m;
            now_at(t, at, idle, &theta, &m);
            add(t, s, at, theta, m, -1);
        }
    }
    s->R += -2 * eta * b * s->C + eta * eta * b * b * s->V;
    s->C = b * s->C - eta * b * b * s->V;
    s->V *= b * b;
    for (int i = 0; i < ROWS_A_STEP; i++)
        move_row(t, i);
}

void faults_table_train(faults_table *t)
{
    draw_rows(t);
    draw_gradients(t);
    if (t->clock != NULL)
        train_lazy(t);
    else
        train_dense(t);
    t->step++;
}

/* -- the whole table -------------------------------------------------------------------------- */

faults_sums faults_table_sums(const faults_table *t)
{
    faults_sums s = { 0 };

    if (t->clock != NULL)
        return t->sums;
    for (size_t i = 0; i < (size_t)t->rows * t->dim; i++)
        add(t, &s, i, (double)t->theta[i], (double)t->m[i], 1);
    return s;
}

int faults_table_read(void *ctx, uint32_t first, uint32_t n, void *theta, void *m)
{
    const faults_table *t = ctx;

    for (uint32_t r = 0; r < n; r++) {
        const span s = span_of(t, first + r);
        for (uint32_t k = 0; k < t->dim; k++) {
            const size_t to = (size_t)r * t->dim + k;
            double x, y;
            now_at(t, (size_t)(first + r) * t->dim + k, s, &x, &y);
            ((float *)theta)[to] = (float)x;
            ((float *)m)[to] = (float)y;
        }
    }
    return 0;
}

uint64_t faults_table_digest(const faults_table *t, uint64_t h)
{
    const float *const array[] = { t->theta, t->m };

    for (int a = 0; a < 2; a++)
        for (size_t i = 0; i < (size_t)t->rows * t->dim * sizeof(float); i++)
            h = (h ^ ((const uint8_t *)array[a])[i]) * 0x100000001b3u;
    return h;
}
