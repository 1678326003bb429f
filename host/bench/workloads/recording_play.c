/* recording_play.c - a recorded step as sums over its rows, and the recorded trajectory */
#include "recording.h"

#include <stdlib.h>
#include <string.h>

int mscope_recording_feed_open(mscope_recording_feed *f, const mscope_recording *t)
{
    const size_t n = (size_t)t->entries + 1;
    memset(f, 0, sizeof *f);
    f->row = malloc(n * sizeof *f->row);
    f->N = malloc(n * sizeof *f->N);
    f->g = malloc(n * t->dim * sizeof *f->g);
    f->values = malloc(n * t->dim * sizeof *f->values);
    return f->row && f->N && f->g && f->values ? 0 : -1;
}

void mscope_recording_feed_close(mscope_recording_feed *f)
{
    free(f->row);
    free(f->N);
    free(f->g);
    free(f->values);
    memset(f, 0, sizeof *f);
}

static uint32_t rank_of(const mscope_recording *t, const mscope_recording_message *m, uint32_t entry)
{
    uint32_t row = 0;
    (void)mscope_indices_decode(m->part[0] + (size_t)entry * m->header.index_type, m->header.index_type, 1, UINT32_MAX,
                                &row);
    return mscope_recording_rank(t, row);
}

void mscope_recording_feed_step(mscope_recording_feed *f, const mscope_recording *t, uint64_t step)
{
    const mscope_recording_at *at = &t->at[step];
    f->n = 0;
    if (at->message == 0)
        return;
    const mscope_recording_message *m = &t->message[at->message - 1];
    mscope_values_decode(m->part[1], m->header.value_type, (size_t)m->header.count * t->dim, f->values, 1);
    for (uint32_t i = 0; i < m->header.count; i++) {
        const uint32_t entry = t->order[at->order + i], rank = rank_of(t, m, entry);
        const double *v = f->values + (size_t)entry * t->dim;
        uint32_t count = 1;
        if (m->header.flags & MSCOPE_FLAG_COUNTS)
            (void)mscope_indices_decode(m->part[2] + 4 * (size_t)entry, MSCOPE_U32, 1, UINT32_MAX, &count);
        if (f->n == 0 || f->row[f->n - 1] != rank) {
            f->row[f->n] = rank;
            f->N[f->n] = count;
            memcpy(f->g + (size_t)f->n++ * t->dim, v, t->dim * sizeof *v);
            continue;
        }
        double *g = f->g + (size_t)(f->n - 1) * t->dim;
        f->N[f->n - 1] += count;
        for (uint32_t j = 0; j < t->dim; j++)
            g[j] += v[j];
    }
}

int mscope_recording_rows_open(mscope_bench_rows *r, const mscope_recording *t)
{
    const int rc = mscope_bench_rows_open(r, t->rows, t->dim, t->bands, t->first);
    r->torch = t->hello.form == MSCOPE_FORM_TORCH;
    return rc;
}

int mscope_recording_rows_step(mscope_bench_rows *r, const mscope_recording *t, uint64_t step,
                               const mscope_recording_feed *f)
{
    const mscope_bench_step s = { .t = step, .all = t->rates[step], .semantics = MSCOPE_BENCH_CATCHUP };
    return mscope_bench_rows_step(r, &s, f->row, f->g, f->n);
}

/* One row: recorded takes what was given, other moves by the change. v: theta given, m given, then room for two rows
 * more. */
static int displace(mscope_bench_rows *recorded, mscope_bench_rows *other, double unit, uint32_t row, double *v)
{
    const uint32_t d = recorded->dim;
    const size_t at = (size_t)row * d;
    double *theta = v + 2 * (size_t)d, *m = v + 3 * (size_t)d;
    for (uint32_t j = 0; j < d && other != NULL; j++) {
        theta[j] = other->theta[at + j] + (v[j] - recorded->theta[at + j]);
        m[j] = other->m[at + j] + unit * (v[d + j] - recorded->m[at + j]);
    }
    if (other != NULL && mscope_bench_rows_set(other, row, theta, m) < 0)
        return -1;
    return mscope_bench_rows_set(recorded, row, v, v + d);
}

int mscope_recording_rows_given(mscope_bench_rows *recorded, mscope_bench_rows *other, double unit,
                                const mscope_recording *t, uint64_t step)
{
    const mscope_recording_at *at = &t->at[step];
    double *v = NULL;
    int rc = 0;
    for (uint32_t i = at->before; i < at->before + at->n_before && rc == 0; i++) {
        const mscope_recording_message *m = &t->message[i];
        if (m->header.kind != MSCOPE_SYNC)
            continue;
        if (v == NULL && ((v = malloc(4 * t->dim * sizeof *v)) == NULL || mscope_bench_rows_settle(recorded) < 0 ||
                          (other != NULL && mscope_bench_rows_settle(other) < 0)))
            rc = -1;
        const size_t bytes = t->dim * mscope_value_size(m->header.value_type);
        for (uint32_t k = 0; k < m->header.count && rc == 0; k++) {
            const uint32_t row = mscope_recording_rank(t, m->header.extra + k);
            if (row == UINT32_MAX)
                continue;
            mscope_values_decode(m->part[0] + k * bytes, m->header.value_type, t->dim, v, 1);
            mscope_values_decode(m->part[1] + k * bytes, m->header.value_type, t->dim, v + t->dim, 1);
            rc = displace(recorded, other, unit, row, v);
        }
    }
    free(v);
    return rc;
}

void mscope_recording_risk(const mscope_recording *t, const double *theta, double risk[MSCOPE_BENCH_BANDS + 1])
{
    risk[t->bands] = 0;
    for (size_t b = 0; b < t->bands; b++) {
        risk[b] = 0;
        for (uint32_t i = t->first[b]; i < t->first[b + 1]; i++) {
            double sum = 0;
            for (size_t k = (size_t)i * t->dim; t->h[i] > 0 && k < (size_t)(i + 1) * t->dim; k++)
                sum += (theta[k] - t->best[k]) * (theta[k] - t->best[k]);
            risk[b] += 0.5 * t->p[i] * t->h[i] * sum;
        }
        risk[t->bands] += risk[b];
    }
}
