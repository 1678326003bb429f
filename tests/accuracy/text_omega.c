/* text_omega.c - is the probe's oscillation frequency true on real text? Ten most frequent rows against their Hessians
 *
 * The demo's model is trained with the core in this process. A row's Hessian is known exactly: per active update it
 * is (p/P) W^T (diag q - q q^T) W with q the row's own softmax (host/nextword/model.h). Its eigenvalues have a
 * frequency each; the truth weighs them by the momentum's energy along each eigenvector over the last part of the
 * run: once the curvature, whose frequency the bar is about, once the frequencies themselves, which differ where part
 * of a row is overdamped (its frequency is 0). The prediction knows only what a daemon would: P from the clock and h1
 * = <m,Hm>/|m|^2 from probes of that row. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_eigen.h>
#include <gsl/gsl_blas.h>

#include "common/xorshift.h"
#include "nextword/model.h"
#include "nextword/text.h"
#include "mscope/core.h"
#include "mscope/theory.h"

enum { WORDS = 4096, WIDTH = 32, BATCH = 32, STEPS = 6000, WINDOW = 2000, PROBE_EVERY = 20, TOP = 10 };
#define ETA 2.0
#define EPS 0.02
#define REACH 0.03                   /* |delta m| / mean |theta|, as the demo probes */

typedef struct sample {              /* what was seen of one of the rows, in the window */
    double h1, h1_n;
    gsl_matrix *mm;                  /* sum of m m^T after active updates */
} sample;

typedef struct bench {
    text words;
    model net;
    mscope_table *table;
    uint32_t now[BATCH], next[BATCH];
    float theta[BATCH * WIDTH], moved[BATCH * WIDTH], grad[BATCH * WIDTH], grad_moved[BATCH * WIDTH];
    uint64_t rng;
    sample top[TOP];
} bench;

static const float *momentum_of(bench *b, uint32_t row)
{
    return (const float *)mscope_table_momentum(b->table) + (size_t)row * WIDTH;
}

static void draw_batch(bench *b)
{
    for (int i = 0; i < BATCH; i++) {
        size_t at = (size_t)(mscope_xorshift(&b->rng) % (b->words.length - 1));

        b->now[i] = b->words.word[at];
        b->next[i] = b->words.word[at + 1];
    }
}

static void look_up(bench *b)
{
    for (int i = 0; i < BATCH; i++)
        memcpy(b->theta + i * WIDTH, (const float *)mscope_table_theta(b->table) + (size_t)b->now[i] * WIDTH,
               WIDTH * sizeof(float));
}

/* h1 of each of the top rows in this batch: the batch's own gradients at theta + delta m, less those at theta. */
static void probe(bench *b)
{
    double tt = 0, mm[BATCH], mh[TOP] = { 0 };

    for (int i = 0; i < BATCH * WIDTH; i++)
        tt += (double)b->theta[i] * (double)b->theta[i];
    for (int i = 0; i < BATCH; i++) {
        const float *m = momentum_of(b, b->now[i]);

        mm[i] = 0;
        for (int j = 0; j < WIDTH; j++)
            mm[i] += (double)m[j] * (double)m[j];
        for (int j = 0; j < WIDTH; j++)
            b->moved[i * WIDTH + j] = b->theta[i * WIDTH + j] +
                                      (float)(mm[i] > 0 ? REACH * sqrt(tt / BATCH / mm[i]) : 0) * m[j];
    }
    model_gradient(&b->net, b->theta, b->next, b->grad);
    model_gradient(&b->net, b->moved, b->next, b->grad_moved);
    for (int i = 0; i < BATCH; i++) {
        const float *m = momentum_of(b, b->now[i]);
        double delta = mm[i] > 0 ? REACH * sqrt(tt / BATCH / mm[i]) : 0;

        if (b->now[i] >= TOP || delta == 0)
            continue;
        for (int j = 0; j < WIDTH; j++)
            mh[b->now[i]] += (double)m[j] * ((double)b->grad_moved[i * WIDTH + j] - (double)b->grad[i * WIDTH + j]) /
                             delta / mm[i];
    }
    for (uint32_t r = 0; r < TOP; r++)
        if (mh[r] != 0) {
            b->top[r].h1 += mh[r];
            b->top[r].h1_n++;
        }
}

static void note_momentum(bench *b)
{
    int seen[TOP] = { 0 };

    for (int i = 0; i < BATCH; i++) {
        uint32_t r = b->now[i];
        const float *m = momentum_of(b, r);

        if (r >= TOP || seen[r]++)
            continue;
        for (int j = 0; j < WIDTH; j++)
            for (int k = 0; k < WIDTH; k++)
                *gsl_matrix_ptr(b->top[r].mm, (size_t)j, (size_t)k) += (double)m[j] * (double)m[k];
    }
}

static int train(bench *b)
{
    const mscope_step step = { .eta = ETA, .eps = EPS, .batch = BATCH };

    for (int k = 1; k <= STEPS; k++) {
        draw_batch(b);
        if (mscope_table_touch(b->table, b->now, BATCH) != 0)
            return -1;
        look_up(b);
        if (k > STEPS - WINDOW && k % PROBE_EVERY == 0)
            probe(b);
        model_gradient(&b->net, b->theta, b->next, b->grad);
        model_step(&b->net, b->theta, k > STEPS - WINDOW ? 0.0f : 0.5f);     /* W rests while it is measured */
        if (mscope_table_step_begin(b->table, &step) || mscope_table_apply(b->table, b->now, b->grad, NULL, BATCH) ||
            mscope_table_step_end(b->table))
            return -1;
        if (k > STEPS - WINDOW)
            note_momentum(b);
    }
    return mscope_table_settle(b->table);
}

/* W^T (diag q - q q^T) W at one row, from the softmax that the model computes itself. */
static void hessian(bench *b, uint32_t row, gsl_matrix *h)
{
    const model *n = &b->net;
    double mean[WIDTH] = { 0 };

    for (int i = 0; i < BATCH; i++) {
        b->next[i] = 0;
        memcpy(b->theta + i * WIDTH, (const float *)mscope_table_theta(b->table) + (size_t)row * WIDTH,
               WIDTH * sizeof(float));
    }
    model_gradient(&b->net, b->theta, b->next, b->grad);
    n->logit[0] += 1.0f / BATCH;         /* undo the target: logit is now q/BATCH */
    gsl_matrix_set_zero(h);
    for (int j = 0; j < WIDTH; j++)
        for (int k = 0; k <= j; k++) {
            double s = 0;

            for (int v = 0; v < WORDS; v++)
                s += (double)n->logit[v] * BATCH * (double)n->w[j * WORDS + v] * (double)n->w[k * WORDS + v];
            gsl_matrix_set(h, (size_t)j, (size_t)k, s);
        }
    for (int j = 0; j < WIDTH; j++)
        for (int v = 0; v < WORDS; v++)
            mean[j] += (double)n->logit[v] * BATCH * (double)n->w[j * WORDS + v];
    for (int j = 0; j < WIDTH; j++)
        for (int k = 0; k <= j; k++) {
            double s = gsl_matrix_get(h, (size_t)j, (size_t)k) - mean[j] * mean[k];

            gsl_matrix_set(h, (size_t)j, (size_t)k, s);
            gsl_matrix_set(h, (size_t)k, (size_t)j, s);
        }
}

/* Frequency per active update of a direction with curvature H1; H2 does not enter the mean. */
static double omega_of(double P, double H1)
{
    mscope_feedback f;
    mscope_row row;

    if (mscope_row_from_probe(P, H1, H1 * H1, EPS, ETA, 0.0, &row) != 0 || mscope_row_feedback(&row, &f) != 0)
        return NAN;
    return f.omega;
}

typedef struct truth {
    double of_mean;                  /* frequency of the energy-weighted curvature */
    double mean_of;                  /* energy-weighted frequency                  */
    double low, high;                /* range over eigendirections                 */
} truth;

static truth true_omega(bench *b, uint32_t r, double per_active, double P)
{
    truth t = { 0, 0, INFINITY, 0 };
    gsl_matrix *h = gsl_matrix_alloc(WIDTH, WIDTH), *v = gsl_matrix_alloc(WIDTH, WIDTH);
    gsl_vector *e = gsl_vector_alloc(WIDTH), *mv = gsl_vector_alloc(WIDTH);
    gsl_eigen_symmv_workspace *w = gsl_eigen_symmv_alloc(WIDTH);
    double sum = 0, curved = 0, weight = 0;

    hessian(b, r, h);
    gsl_eigen_symmv(h, e, v, w);
    for (size_t j = 0; j < WIDTH; j++) {
        gsl_vector_view x = gsl_matrix_column(v, j);
        double energy, H1 = per_active * fmax(gsl_vector_get(e, j), 1e-12), omega = omega_of(P, H1);

        gsl_blas_dgemv(CblasNoTrans, 1.0, b->top[r].mm, &x.vector, 0.0, mv);
        gsl_blas_ddot(&x.vector, mv, &energy);
        sum += energy * omega;
        curved += energy * H1;
        weight += energy;
        t.low = fmin(t.low, omega);
        t.high = fmax(t.high, omega);
    }
    gsl_eigen_symmv_free(w);
    gsl_vector_free(mv);
    gsl_vector_free(e);
    gsl_matrix_free(v);
    gsl_matrix_free(h);
    t.mean_of = sum / weight;
    t.of_mean = omega_of(P, curved / weight);
    return t;
}

static int report(bench *b)
{
    int within = 0;

    printf("%-10s %8s %8s %8s %9s %9s %9s %6s %10s  %s\n", "row", "p", "P", "probes", "H1", "omega", "truth", "ratio",
           "mean omega", "frequencies inside the row");
    for (uint32_t r = 0; r < TOP; r++) {
        mscope_table_row_info info;
        double H1 = b->top[r].h1 / b->top[r].h1_n, omega;
        truth t;

        if (mscope_table_row(b->table, r, &info) != 0)
            return -1;
        omega = omega_of(info.P, H1);
        t = true_omega(b, r, info.p / info.P, info.P);
        within += fabs(omega / t.of_mean - 1) <= 0.15;
        printf("%-10s %8.4f %8.3f %8.0f %9.4f %9.4f %9.4f %6.3f %10.4f  %.3f to %.3f\n", b->words.name[r], info.p,
               info.P, b->top[r].h1_n, H1, omega, t.of_mean, omega / t.of_mean, t.mean_of, t.low, t.high);
    }
    printf("predicted omega within 15 %% of the truth in %d of %d rows\n", within, TOP);
    return within >= 9 ? 0 : 1;
}

int main(int argc, char **argv)
{
    mscope_table_config cfg = { .rows = WORDS, .dim = WIDTH, .capacity = BATCH };
    size_t need = mscope_table_mem(&cfg);
    bench *b = calloc(1, sizeof *b);
    void *block = aligned_alloc(64, need);
    int status = 2;

    if (b == NULL || block == NULL || text_read(&b->words, argv + (argc > 0), WORDS) != 0)
        return 2;
    b->rng = 20240607;
    for (int r = 0; r < TOP; r++)
        b->top[r].mm = gsl_matrix_calloc(WIDTH, WIDTH);
    if (mscope_table_init(&b->table, &cfg, block, need) == 0 && model_init(&b->net, WORDS, WIDTH, BATCH, 7) == 0 &&
        train(b) == 0)
        status = report(b);
    for (int r = 0; r < TOP; r++)
        gsl_matrix_free(b->top[r].mm);
    model_free(&b->net);
    text_free(&b->words);
    free(block);
    free(b);
    return status;
}
