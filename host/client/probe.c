/* probe.c - the order of one probe: start, halves at theta, check, move, halves there, restore, send */
#include "mscope/probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "directions.h"
#include "halves.h"
#include "protocol/refusal.h"

#define MOST_VALUES 4000000u
#define DIM_MAX 0x7fffffffu
#define ROWS_MAX 0x80000000u

enum stage { IDLE, HERE, MOVED, BACK, OVER };

static const char *const stages[] = { "before start", "after start", "after move", "after restore",
                                      "after a move that returned 1" };

enum { GAVE_HERE = 1, GAVE_THERE = 4 };              /* times 1 for half 0, 2 for half 1 */

struct mscope_probe {
    mscope_rows rows;
    enum stage stage;
    mscope_heading heading[2];           /* by enum mscope_along                                       */
    int started;                         /* the headings have a v                                      */
    uint64_t turn, draws;                /* probes that moved theta; random signs drawn                */
    double *half[2];                     /* gradients at theta; after move those there minus these     */
    double *fresh;                       /* the step's gradient; after move the unit half[0] - half[1] */
    int has_fresh;
    uint8_t *given, *checked;            /* of each span                                               */
    mscope_halves *sums;
    mscope_direction_row *out;
    double delta, share;
    mscope_probe_stats stats;
};

/* -- what is given ---------------------------------------------------------------------------------- */

static int refuse(const char *field, const char *range, const char *text, double value)
{
    return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, field, range, text, "%.15g", value);
}

static int check_null(const void *what, const char *field)
{
    return what != NULL ? 0 : mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, field, "an address", "nothing was given",
                                                 "%s", "NULL");
}

static int check_stage(int fits, const mscope_probe *p, const char *call, const char *range)
{
    return fits ? 0 : mscope_refusal_set(mscope_why(), MSCOPE_ESTATE, call, range, "a wrong order of calls", "%s",
                                         stages[p->stage]);
}

static int check_span(const mscope_probe_span *s, int first)
{
    if (s->theta == NULL)
        return check_null(NULL, "theta");
    if (s->value_type != MSCOPE_F32 && s->value_type != MSCOPE_F64)
        return refuse("value_type", "MSCOPE_F32 or MSCOPE_F64", "how theta is stored", (double)s->value_type);
    if (s->rows == 0 || s->rows > ROWS_MAX)
        return refuse("rows", "1 to 2147483648", "rows of a span", s->rows);
    if (s->dim == 0 || s->dim > DIM_MAX)
        return refuse("dim", "1 to 2147483647", "values of a row", s->dim);
    if (s->table < (first ? 0 : -1))
        return refuse("table", first ? "a handle from attach, in span 0" : "a handle from attach, or -1",
                      "the daemon keeps the products under the table of span 0", s->table);
    if (!isfinite(s->rate) || !(s->rate > 0.0))
        return refuse("rate", "above 0", "leave out what does not move", s->rate);
    if (!(s->eps >= 0.0 && s->eps <= 1.0) || (first && s->eps != 0.0))
        return refuse("eps", first ? "0 in span 0: send is told" : "0 to 1, 0: that of span 0", "1 - momentum", s->eps);
    if (!isfinite(s->weight_decay) || s->weight_decay < 0.0)
        return refuse("weight_decay", "0 or more", "decay that the optimizer adds to the gradient", s->weight_decay);
    return 0;
}

/* Arguments of half and check, in the order of their fields; nothing has changed yet. */
static int check_gradient(const mscope_probe *p, size_t span, const uint32_t *rows, const void *values, size_t n)
{
    if (span >= p->rows.spans)
        return refuse("span", "below the number of spans at open", "no such span", (double)span);
    const uint32_t most = p->rows.span[span].rows;
    if (rows == NULL && n != most && n != 0)
        return refuse("n", "the span's rows, or 0, where rows is NULL", "a dense gradient has every row", (double)n);
    if (n > 0 && values == NULL)
        return check_null(NULL, "values");
    for (size_t i = 0; rows != NULL && i < n; i++)
        if (rows[i] >= most)
            return mscope_refusal_set(mscope_why(), MSCOPE_EINDEX, "row", "below the span's rows", "no such row",
                                      "%lu of span %zu", (unsigned long)rows[i], span);
    return 0;
}

/* -- life ------------------------------------------------------------------------------------------- */

static int allocate(mscope_probe *p, const mscope_probe_span *span, size_t n, uint64_t most_values)
{
    if (mscope_rows_open(&p->rows, span, n, most_values) != 0)
        return MSCOPE_ENOMEM;
    double **const array[] = { &p->heading[0].v, &p->heading[1].v, &p->half[0], &p->half[1], &p->fresh };
    for (size_t i = 0; i < sizeof array / sizeof array[0]; i++)
        if ((*array[i] = calloc(p->rows.most_values, sizeof **array[i])) == NULL)
            return MSCOPE_ENOMEM;
    p->out = calloc(mscope_rows_most(&p->rows), sizeof *p->out);
    p->given = calloc(n, 1);
    p->checked = calloc(n, 1);
    p->sums = calloc(n, sizeof *p->sums);
    return p->out && p->given && p->checked && p->sums ? 0 : MSCOPE_ENOMEM;
}

int mscope_probe_open(mscope_probe **out, const mscope_probe_span *span, size_t n, uint64_t most_values)
{
    int rc = check_null(out, "out");

    if (rc != 0 || (rc = check_null(span, "span")) != 0)
        return rc;
    if (n == 0 || n > UINT32_MAX)
        return refuse("n", "1 to 4294967295", "spans", (double)n);
    if (most_values > DIM_MAX)
        return refuse("most_values", "0 for 4000000, to 2147483647", "values of a direction", (double)most_values);
    for (size_t k = 0; k < n; k++)
        if ((rc = check_span(&span[k], k == 0)) != 0)
            return rc;
    mscope_probe *p = calloc(1, sizeof *p);
    if (p == NULL || allocate(p, span, n, most_values != 0 ? most_values : MOST_VALUES) != 0) {
        mscope_probe_close(p);
        return mscope_why_memory("the directions");
    }
    p->heading[0].sign = p->heading[1].sign = 1.0;
    *out = p;
    return 0;
}

void mscope_probe_close(mscope_probe *p)
{
    if (p == NULL)
        return;
    mscope_probe_restore(p);
    mscope_rows_close(&p->rows);
    free(p->heading[0].v);
    free(p->heading[1].v);
    free(p->half[0]);
    free(p->half[1]);
    free(p->fresh);
    free(p->out);
    free(p->given);
    free(p->checked);
    free(p->sums);
    free(p);
}

/* -- one probe -------------------------------------------------------------------------------------- */

int mscope_probe_start(mscope_probe *p)
{
    const int rc = check_null(p, "p");

    if (rc != 0)
        return rc;
    mscope_probe_restore(p);
    p->stats.left_out += p->stage == HERE || p->stage == BACK;
    memset(p->half[0], 0, p->rows.values * sizeof *p->half[0]);
    memset(p->half[1], 0, p->rows.values * sizeof *p->half[1]);
    memset(p->fresh, 0, p->rows.values * sizeof *p->fresh);
    memset(p->given, 0, p->rows.spans);
    memset(p->checked, 0, p->rows.spans);
    p->stage = HERE;
    return 0;
}

int mscope_probe_half(mscope_probe *p, int half, size_t span, const uint32_t *rows, const void *values, size_t n)
{
    int rc = check_null(p, "p");

    if (rc != 0 || (rc = check_stage(p->stage == HERE || p->stage == MOVED, p, "mscope_probe_half",
                                     "between start and move, or move and restore")) != 0)
        return rc;
    if (half != 0 && half != 1)
        return refuse("half", "0 or 1", "no such half", half);
    if ((rc = check_gradient(p, span, rows, values, n)) != 0)
        return rc;
    mscope_rows_add(&p->rows, span, rows, values, n, p->half[half]);
    p->given[span] |= (uint8_t)((p->stage == HERE ? GAVE_HERE : GAVE_THERE) << half);
    return 0;
}

int mscope_probe_check(mscope_probe *p, size_t span, const uint32_t *rows, const void *values, size_t n)
{
    int rc = check_null(p, "p");

    if (rc != 0 || (rc = check_stage(p->stage == HERE, p, "mscope_probe_check", "between start and move")) != 0 ||
        (rc = check_gradient(p, span, rows, values, n)) != 0)
        return rc;
    mscope_rows_add(&p->rows, span, rows, values, n, p->fresh);
    p->checked[span] = 1;
    return 0;
}

static int check_complete(const mscope_probe *p)
{
    unsigned given = 0, checked = 0;

    for (size_t k = 0; k < p->rows.spans; k++) {
        given |= p->given[k];
        checked |= p->checked[k];
    }
    if (given == (GAVE_HERE | GAVE_HERE << 1) && checked)
        return 0;
    const char *missing = !checked ? "no span was checked" :
                          given & GAVE_HERE ? "half 1 was not given" : "half 0 was not given";
    return mscope_refusal_set(mscope_why(), MSCOPE_ESTATE, "mscope_probe_move", "after both halves and check",
                              "a wrong order of calls", "%s", missing);
}

static int over(mscope_probe *p, uint64_t *counter)
{
    ++*counter;
    p->stage = OVER;
    return 1;
}

/* half[0], half[1] and fresh become what they are after move; the first time, fresh is the directions' start. */
static void turn_round(mscope_probe *p)
{
    const uint64_t n = p->rows.values;
    double *a = p->half[0], *b = p->half[1];

    for (uint64_t i = 0; i < n; i++) {
        p->fresh[i] = a[i] - b[i];
        a[i] = -a[i];
        b[i] = -b[i];
    }
    p->has_fresh = mscope_unit(p->fresh, n);
    for (int k = 0; k < 2 && !p->started && p->has_fresh; k++)
        memcpy(p->heading[k].v, p->fresh, n * sizeof *p->fresh);
}

int mscope_probe_move(mscope_probe *p)
{
    int rc = check_null(p, "p");

    if (rc != 0 || (rc = check_stage(p->stage == HERE, p, "mscope_probe_move",
                                     "after start, both halves and check")) != 0 || (rc = check_complete(p)) != 0)
        return rc;
    mscope_halves_sum(&p->rows, p->half[0], p->half[1], p->fresh, p->sums);
    if (mscope_halves_judge(p->sums, p->checked, p->rows.spans, &p->share, &p->stats.refusal) != 0)
        return over(p, &p->stats.refused);
    turn_round(p);
    if (!p->started) {
        p->started = p->has_fresh;
        return over(p, &p->stats.left_out);
    }
    mscope_heading *t = &p->heading[p->turn++ % 2];
    p->delta = t->sign * mscope_rows_length(&p->rows, t->v);
    t->sign = -t->sign;
    if (p->delta == 0.0)
        return over(p, &p->stats.left_out);
    mscope_rows_shift(&p->rows, t->v, p->delta);
    p->stage = MOVED;
    return 0;
}

void mscope_probe_restore(mscope_probe *p)
{
    if (p == NULL || p->stage != MOVED)
        return;
    mscope_rows_back(&p->rows);
    p->stage = BACK;
    for (size_t k = 0; k < p->rows.spans && p->stage == BACK; k++)
        if (p->given[k] / GAVE_THERE != p->given[k] % GAVE_THERE) {
            (void)mscope_refusal_set(&p->stats.refusal, MSCOPE_ESTATE, "mscope_probe_half",
                                     "the same spans and halves after move as before it",
                                     "one was given at one of the two places only", "span %zu", k);
            (void)over(p, &p->stats.refused);
        }
}

int mscope_probe_send(mscope_probe *p, mscope_client *c, double eps)
{
    int rc = check_null(p, "p");

    if (rc != 0 || (rc = check_stage(p->stage == BACK || p->stage == OVER, p, "mscope_probe_send",
                                     "after restore, or a move that returned 1")) != 0)
        return rc;
    if (!(eps > 0.0 && eps <= 1.0))
        return refuse("eps", "above 0, to 1", "1 - momentum", eps);
    const enum stage was = p->stage;
    p->stage = IDLE;
    if (was == OVER)
        return 1;
    const mscope_pair of = { (int)((p->turn - 1) % 2), p->delta, p->share, eps };
    mscope_heading *t = &p->heading[of.along];
    mscope_direction d;
    const size_t n = mscope_product(&p->rows, &of, t->v, p->half[0], p->half[1], &d, p->out);
    if (!isfinite(d.curvature) || !isfinite(d.product) || !isfinite(d.noise)) {
        (void)mscope_refusal_set(&p->stats.refusal, MSCOPE_ENONFINITE, "gradient", "finite, and its square too",
                                 "a gradient at theta + delta v is not", "%s", "not finite");
        p->stats.refused++;
        return 1;
    }
    p->stats.last = d;
    mscope_heading_turn(t, p->rows.values, p->half[0], p->half[1], p->has_fresh ? p->fresh : NULL, &d, eps, &p->draws);
    rc = c == NULL || (d.curvature == 0.0 && d.product == 0.0 && d.noise == 0.0) ? 1
        : mscope_client_direction(c, p->rows.span[0].table, &d, p->out, n);
    *(rc == 0 ? &p->stats.sent : &p->stats.left_out) += 1;
    return rc;
}

void mscope_probe_stats_get(const mscope_probe *p, mscope_probe_stats *out)
{
    if (p == NULL || out == NULL)
        return;
    *out = p->stats;
    out->values = p->rows.values;
    out->rows_left_out = p->rows.left_out;
}
