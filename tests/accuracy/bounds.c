/* bounds.c - what no setting can do, as bounds.h says it, against literal simulation
 *
 *     bounds [--held-out] [--settings N]
 *
 * For each of N settings drawn at random (10): momentum at most so many times as fast as SGD at the same eta; the
 * critical batch B_x of a table, below which rates for each row do not make the slowest row faster; the critical batch
 * of a band; its noise scale. Each is told by mscope_bounds_of from a record of the true P, H1, H2, g2 and U, and met
 * by rows that are trained, or gradients that are drawn, sample by sample (bench/workloads/gated.h, whose sums of many
 * samples are drawn in law). Exit code 1: a bound was broken. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/schedules.h"
#include "bench/workloads/gated.h"
#include "diagnose/bounds.h"

enum { TUNING = 1, HELD_OUT = 201, COPIES = 3000, BETAS = 13, FREQUENCIES = 5 };

static const double BROKEN = 1.05;       /* by as much sampling may be off: 3,000 rows, and looks a 400th apart */
static const double LEFT = 3e-4;         /* of the error at the start: eight lifetimes of it            */

static double between(gsl_rng *r, double low, double high)
{
    return low * pow(high / low, gsl_rng_uniform(r));
}

static mscope_rec_band record(const mscope_ls *ls, double rows, unsigned number)
{
    const double P = -expm1(ls->batch * log1p(-ls->p)), B = ls->batch;
    mscope_rec_band r = { .band = number, .rows = (uint64_t)rows, .p = ls->p, .P = P, .d = (uint64_t)ls->d, .batch = B,
                          .eta = ls->eta, .eps = ls->eps, .h_samples = 64 };

    r.updates = (uint64_t)(1e6 * rows * P);
    r.H1 = ls->p / P;
    r.H2 = ls->p * ((ls->d + 2 - ls->p) / B + ls->p) / P;
    r.H1_se = 0.01 * r.H1;
    r.retention = (P + (1 - P) * ls->eps) / ls->eps;
    r.R = r.g2_run = r.growth = NAN;
    r.U = r.U_run = 1 / (B * B);                 /* |theta - theta*| = 1 */
    r.U_se = r.U_run_se = 0.01 / (B * B);
    r.U_updates = r.U_run_updates = 1000;
    r.g2 = (ls->d + 2 + ls->d * ls->noise) / (B * B);
    return r;
}

static void tell(const mscope_rec_band *rec, size_t n, mscope_measured *m, mscope_bounds *b)
{
    const mscope_measured_options o = { .spread = 1 };
    const mscope_rec_band *at[FREQUENCIES];

    for (size_t i = 0; i < n; i++)
        at[i] = &rec[i];
    if (!mscope_measured_take(at, n, &o, m)) {
        fprintf(stderr, "bounds: %s\n", m->why);
        exit(2);
    }
    mscope_bounds_of(m, b);
}

/* ---- rows, trained -------------------------------------------------------------------------------------------- */

static double mean_error(mscope_gated *g)
{
    mscope_bench_summary s;

    mscope_gated_summary(g, &s);
    return s.total.stat[0];
}

/* Steps until the mean |theta - theta*|^2 of many equal rows is down to LEFT for good. about: how many it may take. */
static double simulated(const mscope_ls *ls, uint64_t seed, double about)
{
    const mscope_gated_shape shape = { .rows = COPIES, .dim = (uint32_t)ls->d, .batch = ls->batch, .initial = 1 };
    const uint64_t most = (uint64_t)ceil(about), look = most / 400 + 1;
    double *p = malloc(COPIES * sizeof *p), before = 1, at = NAN;
    mscope_gated g;

    if (p == NULL)
        abort();
    for (int j = 0; j < COPIES; j++)
        p[j] = ls->p;
    if (mscope_gated_open(&g, &shape, p, seed) < 0)
        abort();
    for (uint64_t t = 1; t <= most; t++) {
        const mscope_bench_step s = { .t = t - 1, .all = { .eta = ls->eta, .eps = ls->eps, .gain = ls->eps } };
        if (mscope_gated_step(&g, &s) < 0)
            break;
        if (t % look != 0)
            continue;
        const double now = mean_error(&g);
        if (now > LEFT)
            at = INFINITY;
        else if (!(before <= LEFT))
            at = (double)t - (double)look * log(LEFT / now) / log(before / now);
        before = now;
    }
    mscope_gated_close(&g);
    free(p);
    return at;
}

static double by_map(const mscope_ls *ls)
{
    mscope_row row;
    double rate;

    return mscope_row_from_ls(ls, &row) == MSCOPE_OK && mscope_row_rate(&row, &rate) == MSCOPE_OK ? rate : -1;
}

static int momentum(gsl_rng *r, int number)
{
    mscope_ls ls = { .eps = 1 };
    mscope_measured m;
    mscope_bounds b;
    double at = 1, Hn = 0;

    do {
        ls.d = (double)(8 << gsl_rng_uniform_int(r, 4));
        ls.p = between(r, 0.003, 0.9);
        ls.batch = floor(fmax(1, between(r, 0.3, 300) / ls.p));
        Hn = between(r, 0.01, 0.6);
        ls.eta = Hn * 2 * ls.batch / (ls.d + 2 - ls.p);
    } while (Hn + ls.eta * ls.p / 2 > 0.8 || by_map(&ls) < 3e-4);
    const mscope_rec_band rec = record(&ls, COPIES, 5);
    tell(&rec, 1, &m, &b);
    const double about = 1.5 * log(1 / LEFT), plain = simulated(&ls, 77, about / by_map(&ls));
    double fewest = plain;
    for (int k = 1; k <= BETAS; k++) {           /* around critical damping, where the fastest are */
        mscope_ls with = ls;
        with.eps = fmin(0.99, 4 * ls.eta * ls.p * pow(2, 0.5 * (k - BETAS / 2 - 1)));
        const double rate = by_map(&with);
        const double steps = rate > 0.3 * by_map(&ls) ? simulated(&with, 77, fmin(about / rate, 2 * plain)) : INFINITY;
        if (steps < fewest) {
            fewest = steps;
            at = with.eps;
        }
    }
    const double best = plain / fewest;
    const int ok = best <= BROKEN * b.momentum[0];
    printf("%2d momentum: d %2.0f p %.4f batch %6.0f Hn %.3f eta h1 %.4f: at most %.3f told, best of %d found %.3f at "
           "eps %.3g%s\n", number, ls.d, ls.p, ls.batch, Hn, ls.eta * ls.p, b.momentum[0], BETAS, best, at,
           ok ? "" : "  BROKEN");
    fflush(stdout);
    return ok;
}

/* ---- a table --------------------------------------------------------------------------------------------------- */

/* The eta at which the slowest of these rows decays fastest, without momentum. */
static double best_eta(mscope_ls ls, const double *p, int n)
{
    double best = 0, at = 0;

    for (double eta = 2 * ls.batch / (ls.d + 2); eta > 1e-4 * ls.batch / ls.d; eta *= 0.985) {
        double least = INFINITY;
        for (int i = 0; i < n; i++) {
            ls.p = p[i];
            ls.eta = eta;
            least = fmin(least, by_map(&ls));
        }
        if (least > best) {
            best = least;
            at = eta;
        }
    }
    return at;
}

/* The most steps that one of these rows takes, each at its eta. */
static double slowest(mscope_ls ls, const double *p, const double *eta)
{
    double least = INFINITY, most = 0;

    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < FREQUENCIES; i++) {
            ls.p = p[i];
            ls.eta = eta[i];
            least = fmin(least, by_map(&ls));
            if (pass == 1 && by_map(&ls) < 2 * least)    /* clearly faster ones are not the slowest */
                most = fmax(most, simulated(&ls, 78, 1.5 * log(1 / LEFT) / by_map(&ls)));
        }
    return most;
}

static int table(gsl_rng *r, int number, int of)
{
    const double p_max = between(r, 0.05, 0.5), kappa = between(r, 8, 60), d = (double)(8 << gsl_rng_uniform_int(r, 3));
    const double crossing = (d + 2) / (p_max * (1 - 1 / kappa)), times = 0.1 * pow(100, number / (of - 1.0));
    double p[FREQUENCIES], one[FREQUENCIES], own[FREQUENCIES];
    mscope_rec_band rec[FREQUENCIES];
    mscope_measured m;
    mscope_bounds b;
    mscope_ls ls = { .d = d, .batch = ceil(times * crossing), .eps = 1 };

    for (int i = 0; i < FREQUENCIES; i++)
        p[FREQUENCIES - 1 - i] = p_max / kappa * pow(kappa, i / (FREQUENCIES - 1.0));
    const double shared = best_eta(ls, p, FREQUENCIES);
    for (int i = 0; i < FREQUENCIES; i++) {
        one[i] = shared;
        own[i] = best_eta(ls, p + i, 1);
        ls.p = p[i];
        ls.eta = shared;
        rec[i] = record(&ls, 1, (unsigned)floor(-log2(p[i])));
    }
    tell(rec, FREQUENCIES, &m, &b);
    const double together = slowest(ls, p, one);
    double apart = slowest(ls, p, own);
    for (int k = 0; k < 4; k++) {                /* the maps may be wrong about which rate is best */
        double other[FREQUENCIES];
        for (int i = 0; i < FREQUENCIES; i++)
            other[i] = own[i] * (double[]){ 0.7, 0.85, 1.15, 1.3 }[k];
        apart = fmin(apart, slowest(ls, p, other));
    }
    const double gain = together / apart;
    const int below = ls.batch < b.batch_table, ok = !below || gain <= BROKEN;
    printf("%2d table: d %2.0f p %.3f to %.4f batch %6.0f, %.2f of B_x %.4g: own rates make the slowest row %.3f times "
           "as fast%s%s\n", number, d, p[0], p[FREQUENCIES - 1], ls.batch, ls.batch / b.batch_table, b.batch_table,
           gain, below ? ", at most 1 told" : "", ok ? "" : "  BROKEN");
    fflush(stdout);
    return ok;
}

/* ---- gradients, drawn ------------------------------------------------------------------------------------------ */

/* |E G|^2 and E|G - E G|^2 of one row's part of the batch gradient at theta - theta* = e, |e| = 1. */
static void gradient(gsl_rng *r, const mscope_ls *ls, double out[2])
{
    enum { DRAWN = 4000, WIDEST = 64 };
    double e[WIDEST] = { 1 }, square = 0, along = 0;

    for (int k = 0; k < DRAWN; k++) {
        double g[WIDEST] = { 0 };
        for (int n = 0; n < (int)ls->batch; n++) {
            double x[WIDEST], y = sqrt(ls->noise) * mscope_bench_normal(r);
            if (gsl_rng_uniform(r) >= ls->p)
                continue;
            for (int c = 0; c < (int)ls->d; c++) {
                x[c] = mscope_bench_normal(r);
                y += x[c] * e[c];
            }
            for (int c = 0; c < (int)ls->d; c++)
                g[c] += x[c] * y / ls->batch;
        }
        for (int c = 0; c < (int)ls->d; c++)
            square += g[c] * g[c] / DRAWN;
        along += g[0] / DRAWN;
    }
    out[0] = along * along;
    out[1] = square - along * along;
}

/* At the batch that is told, noise is as large as signal: without label noise for the band's own critical batch, with
 * all of it for the noise scale. */
static int scales(gsl_rng *r, int number)
{
    mscope_ls ls = { .d = (double)(4 << gsl_rng_uniform_int(r, 3)), .p = between(r, 0.05, 0.9), .batch = 64, .eta = 0.1,
                     .eps = 0.1, .noise = between(r, 0.1, 3) };
    const mscope_rec_band rec = record(&ls, 10, 5);
    mscope_measured m;
    mscope_bounds b;
    double own[2], all[2];

    tell(&rec, 1, &m, &b);
    mscope_ls at = ls;
    at.batch = round(m.noise_scale[0]);
    gradient(r, &at, all);
    at.batch = round(b.batch[0]);
    at.noise = 0;
    gradient(r, &at, own);
    const double x = own[1] / own[0], y = all[1] / all[0];
    const int ok = fabs(x - 1) < 0.15 && fabs(y - 1) < 0.15;
    printf("%2d band: d %2.0f p %.3f labels %.2f: noise over signal %.3f at its critical batch %.0f, %.3f at its noise "
           "scale %.0f%s\n", number, ls.d, ls.p, ls.noise, x, round(b.batch[0]), y, round(m.noise_scale[0]),
           ok ? "" : "  BROKEN");
    fflush(stdout);
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t seed = TUNING;
    int settings = 10, kept[3] = { 0 };

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--held-out") == 0)
            seed = HELD_OUT;
        else if (strcmp(argv[i], "--settings") == 0 && i + 1 < argc)
            settings = atoi(argv[++i]);
        else
            settings = 0;
    if (settings < 2) {
        fprintf(stderr, "usage: bounds [--held-out] [--settings N], N from 2\n");
        return 2;
    }
    for (int k = 0; k < 3; k++) {
        gsl_rng *r = mscope_bench_rng(seed, (uint64_t)k);
        if (r == NULL)
            abort();
        for (int i = 0; i < settings; i++)
            kept[k] += k == 0 ? momentum(r, i) : k == 1 ? table(r, i, settings) : scales(r, i);
        gsl_rng_free(r);
    }
    printf("\nof %d settings each, kept: momentum %d, rates for each row %d, critical batch and noise scale %d\n",
           settings, kept[0], kept[1], kept[2]);
    return kept[0] + kept[1] + kept[2] == 3 * settings ? 0 : 1;
}
