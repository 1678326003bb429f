/* apply.c - catch up active rows, give them their gradients, and keep the accounts: in jobs of up to 64 rows
 *
 * A job takes three passes. The first reads the bookkeeping of the rows: their moments as of now leave the totals, and
 * the spans of late rows are looked up. The kernel then moves the vectors. The third stores its sums and notes the
 * activity. Whatever a job adds up goes into its chunk; chunks are entered in order at the end, so threads change
 * nothing. */
#include <string.h>

#include "table.h"

/* -- rows of a job ---------------------------------------------------------------------- */

/* The row leaves its total with its moments as of now. Returns 1 when it is late, with its catch-up map in *idle. */
static int leave(mscope_table *t, mscope_chunk *c, uint32_t row, mscope_idle *idle)
{
    mscope_core_row *x = &t->row[row];
    mscope_map span;
    int late = mscope_core_row_span(t, x, &span);

    if (mscope_counts(t)) {
        mscope_moments at = mscope_core_row_moments(t, row);
        mscope_gross gross = late ? mscope_moments_bring(&span, &at, mscope_span_products(mscope_core_row_age(t, x)),
                                                         t->summing)
                                  : mscope_moments_stay(&at, t->summing);

        mscope_tally_add(&c->transfer[row < t->passed][x->total].left, &at, &gross);
    }
    if (late)
        *idle = mscope_core_row_idle(t, x, &span);
    return late;
}

static void join(mscope_table *t, mscope_chunk *c, uint32_t row, const mscope_sums *sums, uint32_t clock)
{
    mscope_core_row *x = &t->row[row];
    mscope_moments at;

    x->clock = clock;
    if (!mscope_counts(t))
        return;
    mscope_core_row_store(t, row, sums);
    at = mscope_core_row_moments(t, row);
    mscope_tally_fresh(&c->transfer[row < t->passed][x->total].joined, &at, t->summing);
}

static void run_job(mscope_table *t, mscope_job *j)
{
    if (!mscope_sums_up(t))
        memset(j->out, 0, j->n * sizeof *j->out);
    mscope_kernel_of(t)(j);
}

static mscope_job job_for(mscope_table *t, mscope_chunk *c)
{
    return (mscope_job){ .theta = t->theta, .m = t->m, .ref = t->ref, .dim = t->cfg.dim, .idle = c->idle,
                         .out = c->sums };
}

/* -- catching up ------------------------------------------------------------------------ */

/* Bring a row that nothing moves to now: its clock is all that changes. Returns 0 for other rows. */
static int stands_still(mscope_table *t, uint32_t row)
{
    mscope_core_row *x = &t->row[row];
    uint64_t age = mscope_core_row_age(t, x);
    mscope_map span;

    if (age == 0)
        return 1;
    if (x->v != 0.0 || !mscope_sums_up(t))
        return 0;
    span = mscope_schedule_recall(&t->schedule, t->schedule.now - age);
    if (span.a11 != 1.0 || span.a21 != 0.0)
        return 0;
    x->clock = mscope_now(t);
    return 1;
}

/* Late rows in the order in which they are listed: those of the job under way, and those that it fetches. */
typedef struct waiting {
    uint32_t row[2 * MSCOPE_JOB_ROWS];
    size_t n;
} waiting;

/* Fill up with late rows from position i of the n rows on; returns where it stopped. */
static size_t wait_for(mscope_table *t, waiting *w, const uint32_t *rows, uint32_t first, size_t i, size_t n)
{
    for (; i < n && w->n < 2 * MSCOPE_JOB_ROWS; i++) {
        uint32_t row = rows ? rows[i] : first + (uint32_t)i;

        if (rows && i % MSCOPE_JOB_ROWS == 0)
            mscope_core_rows_reach(t, rows + i, n - i);
        if ((t->row[row].flags & MSCOPE_ROW_MARKED) || stands_still(t, row))
            continue;
        t->row[row].flags |= MSCOPE_ROW_MARKED;         /* so a row that is listed twice is one row of the job */
        w->row[w->n++] = row;
    }
    return i;
}

static void bring_job(mscope_table *t, waiting *w)
{
    mscope_chunk *c = t->chunk;
    mscope_job job = job_for(t, c);

    job.row = w->row;
    job.known = w->n;
    job.n = w->n < MSCOPE_JOB_ROWS ? w->n : MSCOPE_JOB_ROWS;
    job.late = UINT64_MAX;
    for (size_t k = 0; k < job.n; k++)
        leave(t, c, w->row[k], &c->idle[k]);
    run_job(t, &job);
    for (size_t k = 0; k < job.n; k++) {
        t->row[w->row[k]].flags &= (uint8_t)~MSCOPE_ROW_MARKED;
        join(t, c, w->row[k], &c->sums[k], mscope_now(t));
    }
    w->n -= job.n;
    memcpy(w->row, w->row + job.n, w->n * sizeof *w->row);      /* one job at most: they never overlap */
}

void mscope_catch_up(mscope_table *t, const uint32_t *rows, uint32_t first, size_t n)
{
    waiting w = { .n = 0 };
    mscope_job fetch = job_for(t, t->chunk);
    size_t i = wait_for(t, &w, rows, first, 0, n);

    fetch.row = w.row;
    fetch.known = w.n;
    if (w.n)
        run_job(t, &fetch);                      /* with n = 0 it fetches the first rows */
    while (w.n) {
        bring_job(t, &w);
        i = wait_for(t, &w, rows, first, i, n);
    }
    mscope_accounts_settle(t, 1);
}

/* -- active rows ------------------------------------------------------------------------ */

typedef struct apply_args {          /* arguments of the apply under way */
    mscope_table *t;
    const unsigned char *grads;
    const uint32_t *counts;
} apply_args;

/* gm: <G, m> with native m; ema: see mscope_step_ema. */
static void note_window(mscope_window *w, const mscope_occurrence *o, double gm, double ema)
{
    double each = (o->n == 1.0 ? gm : gm / o->n) * ema;

    w->updates += 1.0;
    w->occurrences += o->n;
    w->gm += each;
    w->gm2 += each * each;
    w->gm_updates += ema > 0.0 ? 1.0 : 0.0;
    if (o->n != o->entries)                  /* an entry is a sum of several gradients */
        return;
    w->s2 += o->s2;
    w->s2_updates += 1.0;
    w->s2_occurrences += o->n;
    if (o->n >= 2.0) {
        double u = (o->g2 - o->s2) / (o->n * (o->n - 1.0));

        w->u += u;
        w->u2 += u * u;
        w->u_updates += 1.0;
    }
}

static void note_pulse(mscope_pulse *p, uint32_t row, double g2, double gm, double v)
{
    p->updates += 1.0;
    p->gm += gm;
    p->g2 += g2;
    if (p->updates == 1.0 || v > p->top) {
        p->top = v;
        p->top_row = row;
    }
}

typedef struct carry {               /* what idle steps leave of theta alone and of m alone: products of A11, A22 */
    double theta, m;
} carry;

static void carry_over(carry *c, mscope_map span)
{
    c->theta *= span.a11;
    c->m *= span.a22;
}

/* Of `idle` steps before this one. A gap longer than the history is taken as made of pieces like the last ones: what
 * they leave of the momentum is next to nothing. */
static carry carried(const mscope_table *t, uint64_t idle)
{
    uint64_t now = t->schedule.now, history = t->schedule.history;
    carry c = { 1.0, 1.0 };

    for (; idle > history && (c.m > 1e-12 || (MSCOPE_FORM_READS(t->cfg.form) && c.theta > 1e-12)); idle -= history)
        carry_over(&c, mscope_schedule_recall(&t->schedule, now - history));
    if (idle > history)
        return (carry){ 0.0, 0.0 };
    if (idle)
        carry_over(&c, mscope_schedule_recall(&t->schedule, now - idle));
    return c;
}

/* What the gap which this update ends adds; nothing where the row was never active. Unseen steps within the gap do not
 * count, nor steps that were jumped over: the row may have been active in them. */
static mscope_fade gap_fade(const mscope_table *t, const mscope_core_row *x)
{
    uint64_t idle = mscope_core_row_open_gap(t, x);
    double fade, theta2 = 0.0;
    carry left;

    if (x->active == 0)
        return (mscope_fade){ 0 };
    left = carried(t, idle);
    fade = (1.0 - left.m) + left.m * t->step.eps;
    left.theta *= left.theta;
    if (MSCOPE_FORM_READS(t->cfg.form))
        theta2 = (1.0 - left.theta) + left.theta * t->step.decoupled_decay;
    return (mscope_fade){ 1.0, fade, fade * fade, theta2 };
}

static void note_fade(mscope_fade *c, const mscope_fade *gap)
{
    c->gaps += gap->gaps;
    c->first += gap->first;
    c->second += gap->second;
    c->theta2 += gap->theta2;
}

/* What a row's activation changes in the accounts of its bands. */
typedef struct activation {
    mscope_rates was, is;
    mscope_fade gap;
    uint8_t from, to;                /* accounts */
} activation;

/* Note the activation in the row. No row waits for another here, so the divisions of several are under way at once. */
static activation note_activity(const mscope_table *t, mscope_core_row *x, double n, double share)
{
    uint32_t now = mscope_seen(t) + 1;
    activation a = { .gap = gap_fade(t, x), .from = x->total };

    a.was = mscope_activity_counted(&x->rate, x->counted, x->active);
    x->active++;
    x->occurrences += (uint64_t)n;
    mscope_activity_note(&x->rate, &x->remembered, (double)(uint32_t)(now - x->last), share, x->active);
    x->last = now;
    x->counted = x->rate.gap;
    a.is = mscope_activity_counted(&x->rate, x->counted, x->active);
    x->total = (uint8_t)(mscope_activity_band(a.is.p, mscope_core_row_band(x)) + 1);
    a.to = x->total;
    return a;
}

/* Move the row from its old band to the one its new rates ask for. */
static void change_band(mscope_table *t, mscope_chunk *c, uint32_t row, const activation *a)
{
    const mscope_core_row *x = &t->row[row];
    mscope_transfer *transfer = c->transfer[row < t->passed], *from = &transfer[a->from], *to = &transfer[a->to];

    if (from == to) {
        to->p += a->is.p - a->was.p;
        to->P += a->is.P - a->was.P;
        to->updates++;
        return;
    }
    from->p -= a->was.p;
    from->P -= a->was.P;
    from->rows--;
    from->updates -= (int64_t)(x->active - 1);
    to->p += a->is.p;
    to->P += a->is.P;
    to->rows++;
    to->updates += (int64_t)x->active;
}

/* The gradient of a group and what it counts. *summed: rows of c->summed in use. */
static const void *gather(const apply_args *a, mscope_chunk *c, uint32_t first, uint32_t *summed, mscope_occurrence *o)
{
    const mscope_table *t = a->t;
    const mscope_scratch *s = &t->scratch;
    size_t bytes = t->cfg.dim * t->g_size;
    unsigned char *sum;

    *o = (mscope_occurrence){ a->counts ? (double)a->counts[first] : 1.0, s->norm[first], s->norm[first], 1.0 };
    if (s->next[first] == MSCOPE_LAST)
        return a->grads + first * bytes;
    for (uint32_t i = s->next[first]; i != MSCOPE_LAST; i = s->next[i]) {
        o->n += a->counts ? (double)a->counts[i] : 1.0;
        o->s2 += s->norm[i];
        o->entries += 1.0;
    }
    sum = c->summed + (*summed)++ * bytes;
    mscope_coalesce_sum(t, first, a->grads, c->sum, sum);
    if (mscope_counts(t))
        t->kern->sumsq[t->g_size == 8](sum, t->cfg.dim, 1, &o->g2);
    return sum;
}

/* Rows that are followed, or may be from now on, go to acf.c when the threads are done. */
static int wants_following(const mscope_table *t, const mscope_core_row *x)
{
    return (x->flags & MSCOPE_ROW_FOLLOWED) || t->acf_busy[x->total - 1] < t->cfg.acf_rows;
}

/* Enter what the job summed and counted, in the order of its rows. */
static void finish_job(const apply_args *a, mscope_chunk *c, const mscope_job *job)
{
    mscope_table *t = a->t;
    activation active[MSCOPE_JOB_ROWS];
    const uint32_t *row = job->row, clock = mscope_now(t) + 1;
    const double batch = t->step.batch, single = 1.0 / batch;

    for (size_t i = 0; i < job->n; i++)          /* the vectors may have pushed it out of the first cache */
        __builtin_prefetch(&t->row[row[i]], 1);
    for (size_t i = 0; i < job->n && mscope_counts(t); i++) {
        double n = c->seen[i].n;

        active[i] = note_activity(t, &t->row[row[i]], n, n == 1.0 ? single : n / batch);
    }
    for (size_t i = 0; i < job->n; i++) {
        if (mscope_counts(t)) {
            unsigned to = active[i].to;      // NOLINT(clang-analyzer-core.uninitialized.Assign): the loop above set it

            change_band(t, c, row[i], &active[i]);
            note_fade(&c->fade[to], &active[i].gap);
            note_window(&c->window[to], &c->seen[i], c->sums[i].gm, t->ema);
            note_pulse(&c->pulse[to], row[i], c->seen[i].g2, c->sums[i].gm * t->ema,
                       MSCOPE_FORM_READS(t->cfg.form) ? 0.0 : c->sums[i].v);
        }
        join(t, c, row[i], &c->sums[i], clock);
        if (t->cfg.acf_rows && mscope_counts(t) && wants_following(t, &t->row[row[i]]))
            t->scratch.tail[c->first + c->followed++] = row[i];
    }
}

static void run_chunk(void *arg, size_t piece)
{
    const apply_args *a = arg;
    mscope_table *t = a->t;
    mscope_chunk *c = &t->chunk[piece];
    mscope_job job = job_for(t, c);

    job.row = t->scratch.row + c->first;
    job.known = c->end - c->first;
    job.g = c->g;
    job.kick = &t->kick;
    run_job(t, &job);                            /* with n = 0 it fetches the first rows */
    c->followed = c->late = 0;
    for (uint32_t k = c->first; k < c->end; k += (uint32_t)job.n) {
        uint32_t summed = 0;

        job.row = t->scratch.row + k;
        job.known = c->end - k;
        job.late = 0;
        mscope_core_rows_reach(t, job.row, job.known);
        for (job.n = 0; job.n < MSCOPE_JOB_ROWS && k + job.n < c->end && summed < t->summed; job.n++) {
            int late = leave(t, c, job.row[job.n], &c->idle[job.n]);

            c->g[job.n] = gather(a, c, t->scratch.unique[k + job.n], &summed, &c->seen[job.n]);
            job.late |= (uint64_t)late << job.n;
            c->late += (uint32_t)late;
        }
        run_job(t, &job);
        finish_job(a, c, &job);
    }
}

/* Threads may only read the memo of spans, so every span that they will need is put into it before. */
static void look_up_spans(mscope_table *t, uint32_t groups)
{
    for (uint32_t k = 0; k < groups; k++) {
        const mscope_core_row *x = &t->row[t->scratch.row[k]];
        uint64_t age = mscope_core_row_age(t, x);

        if (age)
            (void)mscope_schedule_recall(&t->schedule, t->schedule.now - age);
        if (mscope_counts(t))
            (void)gap_fade(t, x);
    }
}

/* Piece i of n. */
static void give_piece(mscope_chunk *c, uint32_t groups, size_t i, size_t n)
{
    c->first = (uint32_t)((uint64_t)groups * i / n);
    c->end = (uint32_t)((uint64_t)groups * (i + 1) / n);
}

static void note_followed(mscope_table *t, uint32_t first, uint32_t followed)
{
    for (uint32_t k = 0; k < followed; k++)
        mscope_acf_note(t, t->scratch.tail[first + k]);
}

static void run_together(const apply_args *a, uint32_t groups, size_t n)
{
    mscope_table *t = a->t;

    for (size_t i = 0; i < n; i++)
        give_piece(&t->chunk[i], groups, i, n);
    look_up_spans(t, groups);
    mscope_parallel_run(t, run_chunk, (void *)a, n);
    mscope_accounts_settle(t, n);
    for (size_t i = 0; i < n; i++)
        t->were_late += t->chunk[i].late;
    for (size_t i = 0; i < n; i++)
        note_followed(t, t->chunk[i].first, t->chunk[i].followed);
}

/* One thread does all pieces in the memory of the first chunk, which stays in the cache, and enters each at once: the
 * same sums in the same order. */
static void run_alone(const apply_args *a, uint32_t groups, size_t n)
{
    mscope_table *t = a->t;
    uint32_t first[MSCOPE_CHUNKS], followed[MSCOPE_CHUNKS];

    for (size_t i = 0; i < n; i++) {
        give_piece(t->chunk, groups, i, n);
        run_chunk((void *)a, 0);
        first[i] = t->chunk->first;
        followed[i] = t->chunk->followed;
        t->were_late += t->chunk->late;
        mscope_accounts_settle(t, 1);
    }
    for (size_t i = 0; i < n; i++)               /* after the last piece, as with threads */
        note_followed(t, first[i], followed[i]);
}

/* -- the calls ---------------------------------------------------------------------------- */

static int check_call(mscope_table *t, const uint32_t *counts, size_t n)
{
    if (!t->open || t->applied)
        return mscope_refuse(t, MSCOPE_ESTATE, "apply outside a step, or twice in it", 0, t->applied, 0, 0);
    return mscope_check_counts(t, counts, n);
}

static void apply(mscope_table *t, const mscope_checked *entries, const uint32_t *counts)
{
    apply_args a = { t, entries->grads, counts };
    uint32_t groups = mscope_coalesce(t, entries->rows, entries->n);
    size_t n = groups / MSCOPE_CHUNK_ROWS;

    t->checks++;                                 /* these entries are used up */
    t->applied = 1;
    t->were_late = 0;
    if (groups == 0)
        return;
    n = n < 1 ? 1 : n > t->chunks ? t->chunks : n;
    if (t->parallel.run && n > 1)
        run_together(&a, groups, n);
    else
        run_alone(&a, groups, n);
}

int mscope_table_apply_check(mscope_table *t, const uint32_t *rows, const void *grads, size_t n, mscope_checked *out)
{
    int err;

    if ((err = mscope_check_rows(t, rows, n)) || (err = mscope_check_entries(t, "gradient", grads, n)))
        return err;
    *out = (mscope_checked){ rows, grads, n, t->checks };
    return MSCOPE_OK;
}

int mscope_table_apply_checked(mscope_table *t, const mscope_checked *entries, const uint32_t *counts)
{
    int err = check_call(t, counts, entries->n);

    if (err == 0 && (entries->ticket != t->checks || entries->ticket == 0))
        err = mscope_refuse(t, MSCOPE_EINVAL, "entries of another check", 0, (double)entries->ticket, (double)t->checks,
                            (double)t->checks);
    if (err == 0)
        apply(t, entries, counts);
    return err;
}

int mscope_table_apply(mscope_table *t, const uint32_t *rows, const void *grads, const uint32_t *counts, size_t n)
{
    mscope_checked entries;
    int err = check_call(t, counts, n);

    if (err == 0)
        err = mscope_table_apply_check(t, rows, grads, n, &entries);
    if (err == 0)
        apply(t, &entries, counts);
    return err;
}
