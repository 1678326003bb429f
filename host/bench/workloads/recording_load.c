/* recording_load.c - the messages of one table of a recording, without those that the daemon would refuse */
#include "recording.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tape/judge.h"

/* ---- which table ------------------------------------------------------------------------------------------------- */

enum { LOST_MOST = 65536 };               /* the daemon runs as many silent steps in one gap at most */

/* By name, or the only name there is; of sessions with a table of that name, the longest. */
static const mscope_recorded_table *choose(const mscope_contents *c, const char *table, char why[512])
{
    const mscope_recorded_table *best = NULL;
    size_t several = 0;
    for (size_t i = 0; i < c->tables; i++) {
        const mscope_recorded_table *x = &c->table[i];
        several += strcmp(x->hello.table, c->table[0].hello.table) != 0;
        if (table != NULL && strcmp(x->hello.table, table) != 0)
            continue;
        if (best == NULL || x->steps > best->steps)
            best = x;
    }
    const int reads = best != NULL && MSCOPE_FORM_READS(best->hello.form);
    if (best != NULL && (table != NULL || !several) && !reads && best->steps > 0 &&
        best->lost <= LOST_MOST + best->steps)
        return best;
    size_t at = (size_t)snprintf(why, 512, "--table '%.63s': ", table != NULL ? table : "");
    if (best != NULL && (table != NULL || !several) && reads)
        (void)snprintf(why + at, 512 - at,
                       "the recording has norms of the rows of %s and not their gradients, because %s was only read: "
                       "there is nothing to try schedules on", best->hello.table, best->hello.optimizer);
    else if (best != NULL && (table != NULL || !several))
        (void)snprintf(why + at, 512 - at, "%llu steps recorded and %llu lost of table %s: nothing to replay",
                       (unsigned long long)best->steps, (unsigned long long)best->lost, best->hello.table);
    else
        at += (size_t)snprintf(why + at, 512 - at, "expected one of the recording's tables:");
    for (size_t i = 0; (best == NULL || (table == NULL && several)) && i < c->tables && at < 440; i++)
        at += (size_t)snprintf(why + at, 512 - at, " %s", c->table[i].hello.table);
    return NULL;
}

/* ---- messages ----------------------------------------------------------------------------------- */

static int keep(mscope_recording *t, const mscope_entry *e, size_t *room)
{
    if (t->messages == *room) {
        mscope_recording_message *more = realloc(t->message, (*room = 2 * *room + 256) * sizeof *more);
        if (more == NULL)
            return -1;
        t->message = more;
    }
    mscope_recording_message *m = &t->message[t->messages++];
    m->header = e->header;
    for (unsigned i = 0; i + 1 < e->parts && i < 4; i++)
        m->part[i] = e->part[i + 1];
    t->entries = e->header.count > t->entries && e->header.kind != MSCOPE_SYNC ? e->header.count : t->entries;
    return 0;
}

/* STEP, PROBE and SYNC of the table, in their order, without those that the daemon would refuse. */
static int collect(mscope_recording *t, const mscope_recorded_table *of)
{
    mscope_refusal why;
    mscope_entry e;
    size_t room = 0;
    int rc = 0;
    while (rc == 0 && mscope_tape_next(&t->tape, &e, &why) > 0) {
        const mscope_header *h = &e.header;
        if (e.kind != MSCOPE_ENTRY_MESSAGE || h->session != of->session || h->table != of->handle ||
            (h->kind != MSCOPE_STEP && h->kind != MSCOPE_PROBE && h->kind != MSCOPE_SYNC))
            continue;
        if (mscope_judge(&t->hello, h, e.part, e.len, e.parts, &why) == 0)
            rc = keep(t, &e, &room);
        else
            t->refused++;
    }
    return rc;
}

/* ---- steps -------------------------------------------------------------------------------------- */

/* A step has at most one STEP, and any messages before it. Messages in a gap of lost steps go before the next step. */
static int line_up(mscope_recording *t, uint64_t first, uint64_t last)
{
    t->steps = last - first;
    t->at = calloc(t->steps + 1, sizeof *t->at);
    t->rates = calloc(t->steps + 1, sizeof *t->rates);
    if (t->at == NULL || t->rates == NULL)
        return -1;
    uint64_t done = 0;
    for (uint32_t i = 0; i < t->messages; i++) {
        const mscope_header *h = &t->message[i].header;
        if (h->kind == MSCOPE_STEP) {
            if (h->step <= first + done || h->step > last) {
                t->refused++;
                continue;
            }
            t->at[h->step - first - 1].message = i + 1;
            done = h->step - first;
            continue;
        }
        if (h->kind == MSCOPE_SYNC && h->step > first + done)
            done = h->step - first;
        mscope_recording_at *at = &t->at[done];
        if (at->n_before == 0)
            at->before = i;
        at->n_before = i + 1 - at->before;
    }
    return 0;
}

/* Torch makes its buffer in the first step with momentum, without dampening. A step with momentum 0 moves along g
 * alone. */
static mscope_bench_rates rates_of(const mscope_recording *t, const mscope_recording_message *m, int *made)
{
    const mscope_header *h = &m->header;
    double s[3] = { 0, 0, 0 };
    if (h->flags & MSCOPE_FLAG_SCHEDULE)
        mscope_values_decode(m->part[(h->count > 0 ? 2 : 0) + ((h->flags & MSCOPE_FLAG_COUNTS) != 0)], MSCOPE_F64, 3, s,
                             1);
    mscope_bench_rates r = { .eta = h->a, .eps = h->b, .gain = h->b, .nesterov = t->hello.nesterov, .coupled = s[0],
                             .shrink = h->a * s[1] };
    if (t->hello.form != MSCOPE_FORM_TORCH)
        return r;
    if (h->b >= 1) {
        r.direct = r.eta;
        r.eta = r.eps = r.gain = 0;
        return r;
    }
    r.gain = *made ? 1 - s[2] : 1;
    *made = 1;
    return r;
}

/* Lost steps get the rates of the next step that arrived. */
static void schedule(mscope_recording *t, int made)
{
    mscope_bench_rates last = { .eps = 1, .gain = 1 };
    uint64_t from = 0;
    for (uint64_t k = 0; k < t->steps; k++)
        if (t->at[k].message != 0)
            for (; from <= k; from++)
                t->rates[from] = last = rates_of(t, &t->message[t->at[k].message - 1], &made);
    for (; from <= t->steps; from++)
        t->rates[from] = last;
    for (uint64_t k = 0; k < t->steps; k++)
        t->lost += t->at[k].message == 0;
}

/* ---- rows --------------------------------------------------------------------------------------- */

static uint32_t index_of(const mscope_recording_message *m, size_t i)
{
    uint32_t row = 0;
    (void)mscope_indices_decode(m->part[0] + i * m->header.index_type, m->header.index_type, 1, UINT32_MAX, &row);
    return row;
}

static uint32_t count_of(const mscope_recording_message *m, size_t i)
{
    uint32_t n = 1;
    if (m->header.flags & MSCOPE_FLAG_COUNTS)
        (void)mscope_indices_decode(m->part[2] + 4 * i, MSCOPE_U32, 1, UINT32_MAX, &n);
    return n;
}

struct ranked {
    double count;
    uint32_t id;
};

static int by_count(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count ? 1 : -1) : (x->id > y->id) - (x->id < y->id);
}

static unsigned octave(double p)
{
    return (unsigned)fmin(31, fmax(0, floor(-log2(p))));
}

/* One occurrence count for each row that was active, in the order of their first step. A table may claim 2^31 rows:
 * only those that are active cost memory. */
static int count_row(mscope_recording *t, uint32_t id, uint32_t count, struct ranked **all, size_t *room)
{
    if (t->rank[id] == 0) {
        if (t->rows == *room) {
            struct ranked *more = realloc(*all, (*room = 2 * *room + 256) * sizeof *more);
            if (more == NULL)
                return -1;
            *all = more;
        }
        (*all)[t->rows++] = (struct ranked){ 0, id };
        t->rank[id] = t->rows;
    }
    (*all)[t->rank[id] - 1].count += count;
    return 0;
}

/* Sets the mean batch. Returns the samples of all recorded steps, -1 without memory. */
static double count_rows(mscope_recording *t, struct ranked **all)
{
    double samples = 0;
    uint64_t told = 0;
    size_t room = 0;
    for (uint64_t k = 0; k < t->steps; k++) {
        if (t->at[k].message == 0)
            continue;
        const mscope_recording_message *m = &t->message[t->at[k].message - 1];
        samples += m->header.extra;
        told++;
        for (size_t i = 0; i < m->header.count; i++)
            if (count_row(t, index_of(m, i), count_of(m, i), all, &room) < 0)
                return -1;
    }
    t->batch = told > 0 ? samples / (double)told : 1;
    return samples;
}

static int rank_rows(mscope_recording *t)
{
    struct ranked *all = NULL;
    t->rank = calloc(t->hello.rows, sizeof *t->rank);
    const double samples = t->rank != NULL ? count_rows(t, &all) : -1;
    t->id = malloc((t->rows + 1) * sizeof *t->id);
    t->p = malloc((t->rows + 1) * sizeof *t->p);
    t->count = malloc((t->rows + 1) * sizeof *t->count);
    if (samples < 0 || t->id == NULL || t->p == NULL || t->count == NULL) {
        free(all);
        return -1;
    }
    if (t->rows > 0)
        qsort(all, t->rows, sizeof *all, by_count);
    for (uint32_t i = 0; i < t->rows; i++) {
        t->rank[all[i].id] = i + 1;
        t->id[i] = all[i].id;
        t->count[i] = all[i].count;
        t->p[i] = all[i].count / samples;
        t->occurrences += all[i].count;
        if (i > 0 && octave(t->p[i]) != octave(t->p[i - 1]) && t->bands + 1 < MSCOPE_BENCH_BANDS)
            t->first[++t->bands] = i;
    }
    t->first[++t->bands] = t->rows;
    free(all);
    return 0;
}

struct place {
    uint32_t rank, at;
};

static int by_rank(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return x->rank != y->rank ? (x->rank > y->rank) - (x->rank < y->rank) : (x->at > y->at) - (x->at < y->at);
}

static int order_entries(mscope_recording *t)
{
    struct place *p = malloc((t->entries + 1) * sizeof *p);
    size_t n = 0;
    for (uint64_t k = 0; k < t->steps; k++) {
        t->at[k].order = n;
        n += t->at[k].message != 0 ? t->message[t->at[k].message - 1].header.count : 0;
    }
    t->order = malloc((n + 1) * sizeof *t->order);
    for (uint64_t k = 0; k < t->steps && p != NULL && t->order != NULL; k++) {
        if (t->at[k].message == 0)
            continue;
        const mscope_recording_message *m = &t->message[t->at[k].message - 1];
        for (uint32_t i = 0; i < m->header.count; i++)
            p[i] = (struct place){ mscope_recording_rank(t, index_of(m, i)), i };
        qsort(p, m->header.count, sizeof *p, by_rank);
        for (uint32_t i = 0; i < m->header.count; i++)
            t->order[t->at[k].order + i] = p[i].at;
    }
    free(p);
    return p != NULL && t->order != NULL ? 0 : -1;
}

/* A fresh table's rows are 0 before step 1; a later start is known where rows were sent (SYNC) before the first STEP.
 */
static int count_unknown(mscope_recording *t, const mscope_recorded_table *of)
{
    if (of->hello.fresh && t->begins == 0)
        return 0;
    uint8_t *known = calloc(t->hello.rows, 1);
    if (known == NULL)
        return -1;
    for (uint32_t i = t->at[0].before; i < t->at[0].before + t->at[0].n_before; i++) {
        const mscope_header *h = &t->message[i].header;
        if (h->kind == MSCOPE_SYNC)
            memset(known + h->extra, 1, h->count);
    }
    for (uint32_t i = 0; i < t->rows; i++)
        t->unknown += !known[t->id[i]];
    free(known);
    return 0;
}

/* ---- all of it ---------------------------------------------------------------------------------- */

static int load(mscope_recording *t, const mscope_recorded_table *of)
{
    t->hello = of->hello;
    t->dim = of->hello.dim;
    const uint64_t first = of->hello.step + of->before;
    if (collect(t, of) < 0 || line_up(t, first, of->step) < 0)
        return -1;
    schedule(t, first > 0);
    t->begins = first;
    return rank_rows(t) < 0 || order_entries(t) < 0 || count_unknown(t, of) < 0 ? -1 : 0;
}

int mscope_recording_open(mscope_recording **out, const char *file, const char *table, char why[512])
{
    mscope_recording *t = calloc(1, sizeof *t);
    mscope_contents c = { .tables = 0 };
    mscope_refusal no;
    *out = NULL;
    snprintf(why, 512, "--file '%.200s': out of memory", file);
    if (t == NULL)
        return -1;
    snprintf(t->file, sizeof t->file, "%s", file);
    const mscope_recorded_table *of = NULL;
    if (mscope_tape_open(&t->tape, file, &no) != 0 || mscope_contents_read(&c, &t->tape, &no) != 0)
        snprintf(why, 512, "--file '%.200s': %s is '%s', expected %s: %.120s", file, no.field, no.value, no.range,
                 no.text);
    else if ((of = choose(&c, table, why)) != NULL) {
        snprintf(why, 512, "--file '%.200s': out of memory", file);
        if (load(t, of) == 0 && t->rows == 0)
            snprintf(why, 512, "--file '%.200s': table %.63s has no step with an active row in it", file,
                     of->hello.table);
        else if (t->rows > 0 && mscope_recording_fit(t) == 0)
            *out = t;
    }
    mscope_contents_free(&c);
    if (*out != NULL)
        return 0;
    mscope_recording_close(t);
    return -1;
}

void mscope_recording_close(mscope_recording *t)
{
    mscope_tape_close(&t->tape);
    free(t->message);
    free(t->at);
    free(t->order);
    free(t->rank);
    free(t->id);
    free(t->rates);
    free(t->p);
    free(t->count);
    free(t->h);
    free(t->best);
    free(t);
}
