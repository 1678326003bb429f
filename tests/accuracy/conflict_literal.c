/* conflict_literal.c - does the conflict flag tell where a beta for each band pays, when all is measured and sampled?
 *
 *     conflict_literal [--held-out] [--cases N] [--first N] [--no-stability]
 *
 * Random vocabularies: 256 to 2,048 rows, exponent 0.7 to 1.3, batch 16 to 262,144 and every second case 16,384 or more
 * without label noise, isotropic or 23 : 1 rows, risk by frequency or by rows. What a monitor would record of each is
 * made from literal batches: H1 and H2 of a band from 32 probed rows, the error of a row from a reference, H of all
 * that moves together with an error of 5 %. mscope_counsel_of, which advise and serve call, says the flag, C* and the
 * gain that it promises: steps of its best single (eta, beta) over steps with a beta for each band.
 *
 * True gain: the best settings of both kinds by a search that knows the vocabulary, each then trained sample by sample
 * from the start, steps to target of the mean risk of two runs. Exit code 1: a bar is missed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>

#include "diagnose/counsel.h"
#include "diagnose/search.h"
#include "zipf.h"

enum { TUNING = 1, HELD_OUT = 201, MOST = 512, PROBED = 32, RUNS = 2, MAX_STEPS = 60000 };

static const double PAYS = 1.25, PRESENT_EPS = 0.1;

typedef struct trial {
    mscope_zipf z;
    double target;                       /* share of the risk at the start              */
    double H;                            /* of the present setting                      */
} trial;

typedef struct outcome {
    double found, promised, cost;        /* promised: 0, nothing was said               */
    int flag, done;                      /* done 0: no setting reached the target in time */
} outcome;

static trial draw(gsl_rng *r, int number)
{
    const int large = number % 2;
    trial t = { .z = { .V = (int)(256 * pow(8, gsl_rng_uniform(r))), .d = 16 } };

    t.z.batch = floor((large ? 16384 : 16) * pow(large ? 16 : 1024, gsl_rng_uniform(r)));
    t.z.power = 0.7 + 0.6 * gsl_rng_uniform(r);
    t.z.groups = gsl_rng_uniform_int(r, 2) == 0 ? 1 : 4;
    t.z.noise = !large && gsl_rng_uniform_int(r, 2) == 0 ? 0.05 : 0;
    t.z.by_rows = (int)gsl_rng_uniform_int(r, 2);
    t.target = t.z.noise > 0 ? 0.1 : (double[]){ 0.01, 0.03, 0.1 }[gsl_rng_uniform_int(r, 3)];
    t.H = 0.02 * pow(30, gsl_rng_uniform(r));
    return t;
}

/* ---- what a monitor would record --------------------------------------------------------------------------------- */

static double curvature(const mscope_zipf *z, int group)
{
    double sum = 0;

    for (int j = 0; j < z->groups; j++)
        sum += pow(1 + 7.0 * j / 3, -1.5);
    return z->groups == 1 ? 1 : pow(1 + 7.0 * group / 3, -1.5) * z->groups / sum;
}

/* H1 = <u, H_b u>/|u|^2 and H2 = |H_b u|^2/|u|^2 of one active batch along a direction at random, sample by sample up
 * to 64 open gates and in the law of many beyond. */
static void probe(gsl_rng *r, const mscope_zipf *z, double p, double H[2])
{
    double u[MSCOPE_ZIPF_D_MAX], g[MSCOPE_ZIPF_D_MAX] = { 0 }, root[MSCOPE_ZIPF_D_MAX], norm = 0, dot = 0, square = 0;
    unsigned N;

    do
        N = gsl_ran_binomial(r, p, (unsigned)z->batch);
    while (N == 0);
    const unsigned drawn = N < 64 ? N : 64;
    for (int c = 0; c < z->d; c++) {
        u[c] = gsl_ran_gaussian_ziggurat(r, 1);
        root[c] = sqrt(curvature(z, c * z->groups / z->d));
        norm += u[c] * u[c];
    }
    for (unsigned n = 0; n < drawn; n++) {
        double x[MSCOPE_ZIPF_D_MAX], y = 0;
        for (int c = 0; c < z->d; c++) {
            x[c] = root[c] * gsl_ran_gaussian_ziggurat(r, 1);
            y += x[c] * u[c];
        }
        for (int c = 0; c < z->d; c++)
            g[c] += x[c] * y / drawn;
    }
    /* the mean of N samples is nearer to h u than that of 64 by the root of 64/N */
    for (int c = 0; c < z->d; c++) {
        const double mean = root[c] * root[c] * u[c], all = mean + (g[c] - mean) * sqrt((double)drawn / N);
        dot += u[c] * all * N / z->batch;
        square += all * all * N / z->batch * N / z->batch;
    }
    H[0] = dot / norm;
    H[1] = square / norm;
}

static void record(gsl_rng *r, const trial *t, const mscope_risk_band *b, double number, mscope_setting now,
                   mscope_rec_band *out)
{
    const mscope_zipf *z = &t->z;
    double H[2], H1 = 0, H2 = 0, spread = 0, spread2 = 0, steep = 0;

    for (int i = 0; i < PROBED; i++) {
        probe(r, z, b->p, H);
        H1 += H[0] / PROBED;
        H2 += H[1] / PROBED;
        spread += H[0] * H[0] / PROBED;
        spread2 += H[1] * H[1] / PROBED;
    }
    for (int j = 0; j < z->groups; j++)
        steep += curvature(z, j) * curvature(z, j) / z->groups;
    *out = (mscope_rec_band){ .band = (uint64_t)number, .rows = (uint64_t)b->rows, .p = b->p, .P = b->P,
                              .d = (uint64_t)z->d, .batch = z->batch, .eta = now.eta, .eps = now.eps,
                              .h_samples = PROBED, .H1 = H1, .H2 = H2, .R = b->rows };
    out->updates = (uint64_t)(1e6 * b->rows * b->P);
    out->H1_se = sqrt(fmax(spread - H1 * H1, 0) / (PROBED - 1));
    out->H2_se = sqrt(fmax(spread2 - H2 * H2, 0) / (PROBED - 1));
    out->retention = (b->P + (1 - b->P) * now.eps) / now.eps;
    out->U = out->U_run = out->U_run_se = out->g2_run = out->growth = NAN;
    out->g2 = (z->d + 2 * steep + z->d * z->noise) / (z->batch * z->batch);
    (void)snprintf(out->r_source, sizeof out->r_source, "reference");
}

/* ---- one vocabulary -------------------------------------------------------------------------------------------- */

static double literal(const trial *t, const int *band_of_row, const mscope_setting *by_band, double target,
                      double about, uint64_t seed)
{
    mscope_setting *of_row = malloc((size_t)t->z.V * sizeof *of_row);
    double n;

    if (of_row == NULL)
        abort();
    for (int j = 0; j < t->z.V; j++)
        of_row[j] = by_band[band_of_row[j]];
    n = mscope_zipf_simulate(&t->z, of_row, RUNS, seed, target, (int)fmin(2 * about + 50, MAX_STEPS));
    free(of_row);
    return n;
}

/* Of H of the row that is nearest to its limit: eta n/2 over that and eta eps lambda/(2 (1 + beta)), with the n and the
 * largest curvature of a gated row. */
static double noise_part(const trial *t, mscope_setting now)
{
    const mscope_zipf *z = &t->z;
    const double p = mscope_zipf_p(z, 0), steepest = p * curvature(z, 0);
    double square = 0;

    for (int j = 0; j < z->groups; j++)
        square += curvature(z, j) * curvature(z, j) / z->groups;
    const double noise = (z->d + (2 - p) * square) / z->batch / 2, curved = now.eps * steepest / (2 * (2 - now.eps));
    return noise / (noise + curved);
}

static void what_counsel_says(gsl_rng *r, const trial *t, const mscope_risk_band *b, int n, int with_stability,
                              outcome *out)
{
    static mscope_counsel c;
    mscope_rec_band rec[MSCOPE_SEARCH_BANDS];
    const mscope_rec_band *at[MSCOPE_SEARCH_BANDS];
    mscope_margin margin = { .standing = MSCOPE_STANDING_STABLE, .burst = 1 };
    mscope_setting now = { INFINITY, PRESENT_EPS };

    for (int i = 0; i < n; i++)
        now.eta = fmin(now.eta, t->H * mscope_risk_eta_max(&b[i], now.eps));
    for (int i = 0; i < n; i++) {
        record(r, t, &b[i], floor(-log2(b[i].p)), now, &rec[i]);
        at[i] = &rec[i];
    }
    margin.noise_part = noise_part(t, now);
    margin.H = t->H * (1 + 0.05 * gsl_ran_ugaussian(r));
    margin.H_se = 0.05 * t->H;
    const mscope_measured_options o = { .spread = 1, .by_rows = t->z.by_rows,
                                        .margin = with_stability ? &margin : NULL };
    if (!mscope_counsel_of(at, (size_t)n, &o, t->target, &c)) {
        printf("counsel: %s\n", c.measured.why);
        return;
    }
    out->flag = c.price.flag;
    out->cost = c.price.have_own ? c.price.own.cost : c.conflict.cost;
    out->promised = c.price.gain_own;
}

static outcome run(const trial *t, uint64_t seed, int number, int with_stability)
{
    mscope_risk_band b[MSCOPE_SEARCH_BANDS];
    mscope_setting single, all[MSCOPE_SEARCH_BANDS], own[MSCOPE_SEARCH_BANDS] = { { 0, 0 } };
    mscope_model m = { 0 };
    outcome out = { .found = NAN, .cost = NAN };
    int *band_of_row = malloc((size_t)t->z.V * sizeof *band_of_row);
    gsl_rng *r = gsl_rng_alloc(gsl_rng_taus2);

    if (band_of_row == NULL || r == NULL)
        abort();
    gsl_rng_set(r, (unsigned long)(1000 * seed + (uint64_t)number));
    const int n = mscope_zipf_bands(&t->z, 1, MSCOPE_SEARCH_BANDS, b, band_of_row);
    const double target = t->target * mscope_zipf_risk(b, n);
    for (int i = 0; i < n; i++)
        if (mscope_model_add(&m, &b[i], 1) != 0)
            abort();
    what_counsel_says(r, t, b, n, with_stability, &out);
    const mscope_search s = { &m, target, MAX_STEPS, 0.95 };
    const double n_single = mscope_search_single(&s, &single), n_own = mscope_search_beta_eta(&s, own);
    if (isfinite(n_single) && isfinite(n_own)) {
        for (int i = 0; i < n; i++)
            all[i] = single;
        const double one = literal(t, band_of_row, all, target, n_single, seed + 1),
                     each = literal(t, band_of_row, own, target, n_own, seed + 1);
        out.done = isfinite(one) && isfinite(each);
        out.found = one / each;
    }
    printf("%3d V %4d power %.2f batch %6.0f groups %d %s noise %.2f target %.2f H %.2f: gain found %6.3f (by the maps "
           "%6.3f) promised %6.3f C* %.3f%s%s\n",
           number, t->z.V, t->z.power, t->z.batch, t->z.groups, t->z.by_rows ? "rows" : "freq", t->z.noise, t->target,
           t->H, out.found, n_single / n_own, out.promised, out.cost, out.flag ? "  flag" : "",
           out.done ? "" : "  not reached");
    fflush(stdout);
    gsl_rng_free(r);
    free(band_of_row);
    return out;
}

/* ---- the judgement ---------------------------------------------------------------------------------------------- */

static void ranks(const double *x, int n, double *rank)
{
    for (int i = 0; i < n; i++) {
        rank[i] = 0;
        for (int j = 0; j < n; j++)
            rank[i] += x[j] < x[i] ? 1 : x[j] > x[i] ? 0 : 0.5;
    }
}

static double spearman(const double *x, const double *y, int n)
{
    double a[MOST], b[MOST], sab = 0, saa = 0, sbb = 0;

    ranks(x, n, a);
    ranks(y, n, b);
    for (int i = 0; i < n; i++) {
        sab += (a[i] - 0.5 * n) * (b[i] - 0.5 * n);
        saa += (a[i] - 0.5 * n) * (a[i] - 0.5 * n);
        sbb += (b[i] - 0.5 * n) * (b[i] - 0.5 * n);
    }
    return sab / sqrt(saa * sbb);
}

static int by_size(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static int judge(const outcome *o, int n)
{
    double cost[MOST] = { 0 }, found[MOST] = { 0 }, promised[MOST] = { 0 }, off[MOST];
    int pays = 0, right = 0, quiet = 0, alarms = 0, k = 0, told = 0;

    for (int i = 0; i < n; i++) {
        if (!o[i].done)
            continue;
        pays += o[i].found > PAYS;
        right += o[i].found > PAYS && o[i].flag;
        quiet += !(o[i].found > PAYS);
        alarms += !(o[i].found > PAYS) && o[i].flag;
        cost[k] = o[i].cost;
        promised[k] = o[i].promised;
        found[k++] = o[i].found;
        if (o[i].flag)
            off[told++] = o[i].promised / o[i].found;
    }
    const double rho = spearman(cost, found, k), rho_promised = spearman(promised, found, k);
    qsort(off, (size_t)told, sizeof *off, by_size);
    const int ok = right >= 0.7 * pays && alarms <= 0.03 * quiet && rho >= 0.85;
    printf("\n%d vocabularies, %d reached their target; gain above %.2f in %d: flagged %d; false alarms %d of %d; "
           "Spearman with the gain found: C* %.3f, gain promised %.3f  %s\n",
           n, k, PAYS, pays, right, alarms, quiet, rho, rho_promised, ok ? "meets the bar" : "MISSES the bar");
    if (told > 0)
        printf("where flagged, gain promised over found: median %.3f, %.3f to %.3f\n", off[told / 2], off[0],
               off[told - 1]);
    return ok;
}

int main(int argc, char **argv)
{
    static outcome o[MOST];
    uint64_t seed = TUNING;
    int cases = 60, first = 0, with_stability = 1;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--held-out") == 0)
            seed = HELD_OUT;
        else if (strcmp(argv[i], "--no-stability") == 0)
            with_stability = 0;
        else if (strcmp(argv[i], "--cases") == 0 && i + 1 < argc)
            cases = atoi(argv[++i]);
        else if (strcmp(argv[i], "--first") == 0 && i + 1 < argc)
            first = atoi(argv[++i]);
        else
            cases = 0;
    if (cases < 1 || first < 0 || first + cases > MOST) {
        fprintf(stderr, "usage: conflict_literal [--held-out] [--cases N] [--first N] [--no-stability], N up to %d in "
                        "all\n", MOST);
        return 2;
    }
    gsl_rng *r = gsl_rng_alloc(gsl_rng_taus2);
    if (r == NULL)
        abort();
    gsl_rng_set(r, (unsigned long)seed);
    for (int number = 0; number < first + cases; number++) {
        const trial t = draw(r, number);
        if (number >= first)
            o[number - first] = run(&t, seed, number, with_stability);
    }
    gsl_rng_free(r);
    return judge(o, cases) ? 0 : 1;
}
