/* recording_fit.c - curvature, best place and risks of the recorded run, from the recording
 *
 * Two passes along the recorded trajectory: sums for h and best, then the risks at its start and over its last tenth.
 */
#include "recording.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PRIOR = 8, LOOKS = 20 };           /* occurrences that the mean of a band counts for in each of its rows */

typedef struct fit {
    mscope_recording *t;
    mscope_bench_rows rows;
    mscope_recording_feed feed;
    double *gsum;                         /* rows x dim: sum of G_rec; t->best: sum of N theta_rec  */
    double *h1, *N;                       /* of each row: sums over its probe samples               */
    struct entry {
        uint32_t rank, at;
    } *entry;
    double *hm;
} fit;

static int by_rank(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->rank != y->rank ? (x->rank > y->rank) - (x->rank < y->rank) : (x->at > y->at) - (x->at < y->at);
}

/* Occurrences of a row in the step of the probe; 0: the row is not in that step. */
static double occurrences(const mscope_recording_feed *f, uint32_t rank)
{
    uint32_t lo = 0, hi = f->n;
    while (lo < hi) {
        const uint32_t mid = (lo + hi) / 2;
        if (f->row[mid] < rank)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < f->n && f->row[lo] == rank ? f->N[lo] : 0;
}

/* One sample: h1 = <m, H m>/|m|^2 of a row whose entries in the probe are n. */
static void sample(fit *x, uint32_t rank, const struct entry *e, size_t n, const mscope_recording_message *m)
{
    const uint32_t d = x->t->dim;
    const double *mom = x->rows.m + (size_t)rank * d, N = occurrences(&x->feed, rank);
    double mhm = 0, mm = 0;
    for (size_t i = 0; i < n; i++) {
        mscope_values_decode(m->part[1] + (size_t)e[i].at * d * mscope_value_size(m->header.value_type),
                             m->header.value_type, d, x->hm, 1);
        for (uint32_t j = 0; j < d; j++)
            mhm += mom[j] * x->hm[j];
    }
    for (uint32_t j = 0; j < d; j++)
        mm += mom[j] * mom[j];
    if (N <= 0 || !(mm > 0) || !isfinite(mhm / mm))
        return;
    x->h1[rank] += mhm / mm;
    x->N[rank] += N;
}

static int take_probe(fit *x, const mscope_recording_message *m)
{
    const mscope_recording *t = x->t;
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->header.count; i++) {
        uint32_t row = 0;
        (void)mscope_indices_decode(m->part[0] + (size_t)i * m->header.index_type, m->header.index_type, 1, UINT32_MAX,
                                    &row);
        const uint32_t rank = mscope_recording_rank(t, row);
        if (rank != UINT32_MAX)
            x->entry[n++] = (struct entry){ rank, i };
    }
    qsort(x->entry, n, sizeof *x->entry, by_rank);
    for (uint32_t i = 0, k; i < n; i += k) {
        const uint32_t rank = x->entry[i].rank;
        for (k = 1; i + k < n && x->entry[i + k].rank == rank; k++)
            ;
        if (mscope_bench_rows_touch(&x->rows, &rank, 1) < 0)
            return -1;
        sample(x, rank, x->entry + i, k, m);
    }
    x->t->probes++;
    return 0;
}

static int first_pass(fit *x)
{
    mscope_recording *t = x->t;
    for (uint64_t k = 0; k < t->steps; k++) {
        const mscope_recording_at *at = &t->at[k];
        mscope_recording_feed_step(&x->feed, t, k);
        if (mscope_recording_rows_given(&x->rows, NULL, 1, t, k) < 0)
            return -1;
        for (uint32_t i = at->before; i < at->before + at->n_before; i++)
            if (t->message[i].header.kind == MSCOPE_PROBE && take_probe(x, &t->message[i]) < 0)
                return -1;
        if (mscope_bench_rows_touch(&x->rows, x->feed.row, x->feed.n) < 0)
            return -1;
        for (uint32_t i = 0; i < x->feed.n; i++) {
            const size_t row = (size_t)x->feed.row[i] * t->dim;
            for (uint32_t j = 0; j < t->dim; j++) {
                x->gsum[row + j] += x->feed.g[(size_t)i * t->dim + j];
                t->best[row + j] += x->feed.N[i] * x->rows.theta[row + j];
            }
        }
        if (mscope_recording_rows_step(&x->rows, t, k, &x->feed) < 0)
            return -1;
    }
    return 0;
}

static void settle_curvature(fit *x)
{
    mscope_recording *t = x->t;
    double known = 0;
    for (size_t b = 0; b < t->bands; b++) {
        double h1 = 0, N = 0, all = 0, closed = 0;
        for (uint32_t i = t->first[b]; i < t->first[b + 1]; i++) {
            h1 += x->h1[i];
            N += x->N[i];
        }
        for (uint32_t i = t->first[b]; i < t->first[b + 1]; i++) {
            t->h[i] = N > 0 ? fmax(0, (x->h1[i] + PRIOR * h1 / N) / (x->N[i] + PRIOR)) : 0;
            for (size_t k = (size_t)i * t->dim; k < (size_t)(i + 1) * t->dim; k++)
                t->best[k] = t->h[i] > 0 ? (t->best[k] - x->gsum[k] / t->h[i]) / t->count[i] : 0;
            all += t->count[i];
            closed += t->h[i] > 0 ? t->count[i] : 0;
        }
        t->closed[b] = closed / all;
        known += closed;
    }
    t->closed[t->bands] = known / t->occurrences;
}

static int second_pass(fit *x)
{
    mscope_recording *t = x->t;
    const uint64_t from = t->steps - t->steps / 10, every = (t->steps - from) / LOOKS + 1;
    double risk[MSCOPE_BENCH_BANDS + 1], looks = 0;
    for (uint64_t k = 0; k < t->steps; k++) {
        if (mscope_recording_rows_given(&x->rows, NULL, 1, t, k) < 0)
            return -1;
        if (k == 0)
            mscope_recording_risk(t, x->rows.theta, t->start);
        mscope_recording_feed_step(&x->feed, t, k);
        if (mscope_recording_rows_step(&x->rows, t, k, &x->feed) < 0)
            return -1;
        if (k + 1 != t->steps && (k < from || (t->steps - 1 - k) % every != 0))
            continue;
        if (mscope_bench_rows_settle(&x->rows) < 0)
            return -1;
        mscope_recording_risk(t, x->rows.theta, risk);
        for (size_t b = 0; b <= t->bands; b++)
            t->end[b] += risk[b];
        looks++;
    }
    for (size_t b = 0; b <= t->bands; b++)
        t->end[b] /= looks;
    return 0;
}

int mscope_recording_fit(mscope_recording *t)
{
    const size_t cells = (size_t)t->rows * t->dim;
    fit x = { .t = t };
    t->best = calloc(cells, sizeof *t->best);
    t->h = calloc(t->rows, sizeof *t->h);
    x.gsum = calloc(cells, sizeof *x.gsum);
    x.h1 = calloc(t->rows, sizeof *x.h1);
    x.N = calloc(t->rows, sizeof *x.N);
    x.entry = malloc((t->entries + 1) * sizeof *x.entry);
    x.hm = malloc(t->dim * sizeof *x.hm);
    int rc = t->best && t->h && x.gsum && x.h1 && x.N && x.entry && x.hm ? 0 : -1;
    if (rc == 0)
        rc = mscope_recording_feed_open(&x.feed, t);
    if (rc == 0 && (rc = mscope_recording_rows_open(&x.rows, t)) == 0 && (rc = first_pass(&x)) == 0) {
        settle_curvature(&x);
        mscope_bench_rows_close(&x.rows);
        rc = mscope_recording_rows_open(&x.rows, t) < 0 ? -1 : second_pass(&x);
    }
    mscope_bench_rows_close(&x.rows);
    mscope_recording_feed_close(&x.feed);
    free(x.gsum);
    free(x.h1);
    free(x.N);
    free(x.entry);
    free(x.hm);
    return rc;
}
