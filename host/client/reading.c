/* reading.c - norms of the rows that an optimizer is about to move and has moved; see mscope/read.h
 *
 * Before the step the rows are found and their gradients measured; after it their momentum and second moment. A row is
 * read where it lies. Only rows of theta whose update is to be measured are copied: one in SAMPLED of a large step,
 * because a third array to read would cost the trainer as much again. */
#include "reading.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "gather.h"
#include "norms.h"
#include "protocol/refusal.h"

#define ALL_BELOW 64                 /* rows of a step whose updates are all measured              */
#define SAMPLED 8
#define NOBODY UINT32_MAX
#define AHEAD 4                      /* rows from the one being read to the one being fetched      */

enum { COLUMN_M, COLUMN_V, COLUMN_G, COLUMN_COS, COLUMN_U };

struct mscope_reading {
    int ready, counted, all;             /* _before was called; rows have counts; all updates are measured */
    int type, moves;                     /* of _before: enum mscope_value; rows of theta were kept     */
    size_t n, room;                      /* active rows, and room for them                             */
    size_t lookups;
    uint32_t *rows, *counts;
    float *columns;                      /* [room][MSCOPE_READ_COLUMNS]                                */
    char *theta;                         /* rows before the step, of those that are measured           */
    size_t theta_bytes;
    /* sparse gradients: entries of one row are chained */
    uint32_t *place, *head, *next;       /* place[rows of the table], head[room], next[lookups]        */
    size_t head_room, next_room;
    char *sum;                           /* one row                                                    */
};

void mscope_reading_forget(mscope_client_table *t)
{
    struct mscope_reading *r = t->reading;

    if (r == NULL)
        return;
    free(r->rows);
    free(r->counts);
    free(r->columns);
    free(r->theta);
    free(r->place);
    free(r->head);
    free(r->next);
    free(r->sum);
    free(r);
    t->reading = NULL;
}

/* -- memory ------------------------------------------------------------------------------------------- */

/* `old` with room for n elements; NULL: there is no memory, and `old` stays as it is. */
static void *with_room(void *old, size_t *room, size_t n, size_t size)
{
    void *p = old;

    if (n > *room || old == NULL) {
        p = realloc(old, (n > 0 ? n : 1) * size);
        *room = p != NULL ? n : *room;
    }
    return p;
}

static int make_room(struct mscope_reading *r, size_t n)
{
    const size_t row = MSCOPE_READ_COLUMNS * sizeof *r->columns;
    uint32_t *rows, *counts;
    float *columns;

    if (n <= r->room && r->rows != NULL)
        return 0;
    if ((rows = realloc(r->rows, (n + 1) * sizeof *rows)) == NULL)
        return MSCOPE_ENOMEM;
    r->rows = rows;
    if ((counts = realloc(r->counts, (n + 1) * sizeof *counts)) == NULL)
        return MSCOPE_ENOMEM;
    r->counts = counts;
    if ((columns = realloc(r->columns, (n + 1) * row)) == NULL)
        return MSCOPE_ENOMEM;
    r->columns = columns;
    r->room = n;
    return 0;
}

/* -- the rows of a step ------------------------------------------------------------------------------- */

typedef struct source {              /* arguments of a call, as far as they say where rows lie     */
    const mscope_read *of;
    const char *gradient;
    size_t width, size, bytes;           /* of a row: elements; of an element; of a row                */
    int sparse;
} source;

static int list_looked_up(mscope_client_table *t, const int64_t *lookups, size_t n)
{
    struct mscope_reading *r = t->reading;
    mscope_gradient g = { .tallied = 1 };
    int err = mscope_tally(t, lookups, n, &g.n);

    if (!err)
        err = make_room(r, g.n);
    if (!err)
        err = mscope_fill_rows(r->rows, &g, t);
    if (err)
        return err;
    mscope_fill_counts(r->counts, &g, t);
    r->n = g.n;
    r->counted = 1;
    return 0;
}

static int list_all(mscope_client_table *t)
{
    struct mscope_reading *r = t->reading;
    int err = make_room(r, t->info.rows);

    r->counted = 0;
    for (uint32_t row = 0; !err && row < t->info.rows; row++)
        r->rows[r->n++] = row;
    return err;
}

/* Entries of each row in a chain. */
static int chain(mscope_client_table *t, const int64_t *lookups, size_t n, const source *from)
{
    struct mscope_reading *r = t->reading;

    if (r->place == NULL)
        r->place = malloc(t->info.rows * sizeof *r->place);
    if (r->sum == NULL)
        r->sum = malloc(from->width * sizeof(double));    // NOLINT(clang-analyzer-unix.MallocSizeof): of either type
    uint32_t *head = with_room(r->head, &r->head_room, r->n, sizeof *head);
    r->head = head != NULL ? head : r->head;
    uint32_t *next = with_room(r->next, &r->next_room, n, sizeof *next);
    r->next = next != NULL ? next : r->next;
    if (r->place == NULL || r->sum == NULL || head == NULL || next == NULL)
        return MSCOPE_ENOMEM;
    for (uint32_t k = 0; k < r->n; k++) {
        r->place[r->rows[k]] = k;
        head[k] = NOBODY;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t *first = &head[r->place[lookups[i]]];
        next[i] = *first;
        *first = (uint32_t)i;
    }
    return 0;
}

static void add_row(char *sum, const char *row, const source *from)
{
    for (size_t i = 0; i < from->width; i++) {
        if (from->size == sizeof(float))
            ((float *)(void *)sum)[i] += ((const float *)(const void *)row)[i];
        else
            ((double *)(void *)sum)[i] += ((const double *)(const void *)row)[i];
    }
}

/* The gradient of active row k, in the trainer's memory or summed. */
static const char *gradient_of(const struct mscope_reading *r, const source *from, size_t k)
{
    uint32_t i;

    if (!from->sparse)
        return from->gradient + r->rows[k] * from->bytes;
    i = r->head[k];
    if (r->next[i] == NOBODY)
        return from->gradient + i * from->bytes;
    memcpy(r->sum, from->gradient + i * from->bytes, from->bytes);
    while ((i = r->next[i]) != NOBODY)
        add_row(r->sum, from->gradient + i * from->bytes, from);
    return r->sum;
}

/* -- before the step ------------------------------------------------------------------------------------ */

/* Is the update of active row k measured? With every step other rows are. */
static int measured(const mscope_client_table *t, size_t k)
{
    return t->reading->all || (k + t->step) % SAMPLED == 0;
}

static void fetch(const void *base, const struct mscope_reading *r, size_t k, size_t bytes)
{
    if (base != NULL && k + AHEAD < r->n)
        for (size_t i = 0; i < bytes; i += 64)
            __builtin_prefetch((const char *)base + r->rows[k + AHEAD] * bytes + i);
}

/* Active row k of those listed: its gradient, and its momentum where it is given. */
static mscope_norms norms_before(const struct mscope_reading *r, const source *from, size_t k)
{
    const char *g = gradient_of(r, from, k), *m = from->of->momentum;
    mscope_norms s = { 0 };

    if (!from->sparse)
        fetch(from->gradient, r, k, from->bytes);
    fetch(m, r, k, from->bytes);
    if (m != NULL)
        s = mscope_norms_of(g, m + r->rows[k] * from->bytes, from->width, from->size);
    else
        s.aa = mscope_norm2(g, from->width, from->size);
    return s;
}

/* A row of a dense gradient that is 0 was not active: it leaves the list in the one pass that reads it. */
static void measure_before(mscope_client_table *t, const source *from)
{
    struct mscope_reading *r = t->reading;
    const char *theta = from->of->theta;
    char *to = r->theta;
    size_t n = 0;

    for (size_t k = 0; k < r->n; k++) {
        const mscope_norms s = norms_before(r, from, k);
        float *x = r->columns + n * MSCOPE_READ_COLUMNS;

        if (!from->sparse && s.aa == 0.0)
            continue;
        r->rows[n] = r->rows[k];
        r->counts[n] = r->counts[k];
        x[COLUMN_G] = (float)sqrt(s.aa);
        x[COLUMN_COS] = s.aa > 0.0 && s.bb > 0.0 ? (float)(s.ab / sqrt(s.aa) / sqrt(s.bb)) : 0.0f;
        if (from->of->momentum == NULL)
            x[COLUMN_COS] = MSCOPE_READ_COS;
        x[COLUMN_U] = MSCOPE_READ_NOT;
        if (theta != NULL && measured(t, n)) {
            memcpy(to, theta + r->rows[n] * from->bytes, from->bytes);
            to += from->bytes;
        }
        n++;
    }
    r->n = n;
}

static int check_source(const mscope_client *c, int table, const mscope_read *of)
{
    const mscope_client_table *t;
    int rc = mscope_check_table(c, table);

    if (rc != 0)
        return rc;
    t = &c->table[table];
    if (!MSCOPE_FORM_READS(t->info.form))
        return mscope_refusal_set(mscope_why(), MSCOPE_ESTATE, "form", "MSCOPE_FORM_READ or _FROZEN",
                                  "the daemon follows this table: push its gradients", "%d", (int)t->info.form);
    if (of == NULL || (of->type != MSCOPE_F32 && of->type != MSCOPE_F64))
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, of == NULL ? "of" : "type", "MSCOPE_F32 or MSCOPE_F64",
                                  "how the rows are stored", "%d", of == NULL ? 0 : (int)of->type);
    return 0;
}

static int room_for_theta(struct mscope_reading *r, const source *from)
{
    const size_t n = r->all ? r->n : r->n / SAMPLED + 1;
    char *theta = with_room(r->theta, &r->theta_bytes, n * from->bytes, 1);

    if (theta == NULL)
        return MSCOPE_ENOMEM;
    r->theta = theta;
    return 0;
}

int mscope_client_read_before(mscope_client *c, int table, const int64_t *lookups, size_t n, const void *gradient,
                              int sparse, const mscope_read *of)
{
    int rc = check_source(c, table, of);

    if (rc != 0)
        return rc;
    mscope_client_table *t = &c->table[table];
    const size_t size = mscope_value_size(of->type);
    const source from = { of, gradient, t->info.width, size, t->info.width * size, sparse };
    if (t->reading == NULL && (t->reading = calloc(1, sizeof *t->reading)) == NULL)
        return mscope_why_memory("reading");
    struct mscope_reading *r = t->reading;
    r->ready = 0;
    r->n = 0;
    r->lookups = lookups != NULL ? n : 0;
    if ((gradient == NULL && (n > 0 || lookups == NULL)) || n > UINT32_MAX - 1 || (sparse && lookups == NULL))
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "lookups, gradient", "fewer than 4294967295 look-ups",
                                  "the rows of a step and their gradients", "%zu", n);
    rc = lookups != NULL ? list_looked_up(t, lookups, n) : list_all(t);
    if (rc == 0 && sparse)
        rc = chain(t, lookups, n, &from);
    r->all = r->n <= ALL_BELOW;
    if (rc == 0 && of->theta != NULL)
        rc = room_for_theta(r, &from);
    if (rc != 0)
        return rc == MSCOPE_ENOMEM ? mscope_why_memory("reading") : rc;
    measure_before(t, &from);
    r->type = (int)of->type;
    r->moves = of->theta != NULL;
    r->ready = 1;
    return 0;
}

/* -- after the step --------------------------------------------------------------------------------------- */

/* Of a second moment, which rounding may make less than 0; a NaN stays one. */
static double root_mean(const void *v, size_t n, size_t size)
{
    const double sum = mscope_norm_sum(v, n, size);

    return sum > 0.0 ? sqrt(sum / (double)n) : sum <= 0.0 ? 0.0 : sum;
}

static void measure_after(mscope_client_table *t, const source *from)
{
    struct mscope_reading *r = t->reading;
    const char *m = from->of->momentum, *v = from->of->second, *theta = from->of->theta, *was = r->theta;

    for (size_t k = 0; k < r->n; k++) {
        float *x = r->columns + k * MSCOPE_READ_COLUMNS;
        const size_t at = r->rows[k] * from->bytes;

        const int look = measured(t, k);

        fetch(m, r, k, from->bytes);
        fetch(from->of->follows ? NULL : v, r, k, from->bytes);
        x[COLUMN_M] = m != NULL ? (float)sqrt(mscope_norm2(m + at, from->width, from->size)) : x[COLUMN_G];
        x[COLUMN_V] = v == NULL ? 0.0f : look || !from->of->follows
                      ? (float)root_mean(v + at, from->width, from->size) : MSCOPE_READ_NOT;
        if (theta == NULL || !look)
            continue;
        x[COLUMN_U] = (float)sqrt(mscope_norm2_between(theta + at, was, from->width, from->size));
        was += from->bytes;
    }
}

int mscope_client_read_after(mscope_client *c, int table, const mscope_step *step, const mscope_read *of)
{
    int rc = check_source(c, table, of);

    if (rc != 0)
        return rc;
    mscope_client_table *t = &c->table[table];
    struct mscope_reading *r = t->reading;
    const size_t size = mscope_value_size(of->type);
    const source from = { of, NULL, t->info.width, size, t->info.width * size, 0 };
    if (r == NULL || !r->ready)
        return mscope_client_skip(c, table);
    if ((int)of->type != r->type || (of->theta != NULL) != r->moves)   /* the kept rows are of that type, or missing */
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "of", "type and theta as in mscope_client_read_before",
                                  "updates are what lies between the two", "%s",
                                  (int)of->type != r->type ? "another type" : r->moves ? "no theta" : "a theta");
    mscope_step told = step != NULL ? *step : (mscope_step){ .eta = NAN };
    if (!(told.batch > 0.0) && step != NULL)
        told.batch = r->lookups > 0 ? (double)r->lookups : 1.0;
    r->ready = 0;
    measure_after(t, &from);
    return mscope_client_push(c, table, &told, r->rows, r->columns, MSCOPE_F32, r->counted ? r->counts : NULL, r->n);
}

/* -- all rows --------------------------------------------------------------------------------------------- */

void mscope_read_rows(const mscope_read *of, uint32_t width, uint32_t first, uint32_t n, double *theta, double *m)
{
    const size_t size = mscope_value_size(of->type), bytes = width * size;
    const char *momentum = of->momentum, *second = of->second;

    for (size_t i = 0; i < n; i++) {
        const size_t at = (first + i) * bytes;
        theta[2 * i] = second != NULL ? root_mean(second + at, width, size) : 0.0;
        m[2 * i] = momentum != NULL ? sqrt(mscope_norm2(momentum + at, width, size)) : 0.0;
        theta[2 * i + 1] = m[2 * i + 1] = 0.0;
    }
}
