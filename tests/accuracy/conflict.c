/* conflict.c - does C* tell where a beta for each band pays?
 *
 * 96 Zipf vocabularies (4096 rows, width 64, log2 bands): batch 16 .. 262144, isotropic and 23 : 1 anisotropic rows,
 * risk by frequency and by rows, three targets or noises. True gain: steps to target of the best single (eta, beta)
 * of a search over both, over steps with a beta for each band (and the best shared eta), by exact propagation. C* is
 * taken at the eta at which the bands with their own betas run, and for comparison at the best single's. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "diagnose/conflict.h"
#include "diagnose/search.h"
#include "zipf.h"

enum { CASES = 96 };

static const double PAYS = 1.25, FLAG = 0.75;

typedef struct outcome {
    double gain_beta, gain_any, cost, cost_single;
} outcome;

static const struct {
    double noise, target;
} variant[] = { { 0, 0.01 }, { 0.05, 0.02 }, { 0, 0.05 } };

static outcome run(const mscope_zipf *z, double target)
{
    mscope_risk_band b[MSCOPE_SEARCH_BANDS];
    mscope_setting single = { 0, 0 }, own[MSCOPE_SEARCH_BANDS] = { { 0, 0 } }, eta_own[MSCOPE_SEARCH_BANDS];
    double w[MSCOPE_SEARCH_BANDS];
    int n = mscope_zipf_bands(z, 1, MSCOPE_SEARCH_BANDS, b, NULL);
    mscope_model m = { 0 };
    mscope_search s = { &m, target * mscope_zipf_risk(b, n), 1e9, 0.95 };

    for (int i = 0; i < n; i++)
        if (mscope_model_add(&m, &b[i], 0) != 0)
            abort();
    double n_single = mscope_search_single(&s, &single), n_beta = mscope_search_beta_eta(&s, own);
    double n_eta = mscope_search_eta_each(&s, 1, eta_own);
    mscope_conflict c = { .cost = NAN }, at_single = { .cost = NAN };

    for (int i = 0; i < n; i++)
        w[i] = z->by_rows ? b[i].rows : b[i].rows * b[i].p;
    if (mscope_conflict_of(b, (size_t)n, w, own[0], &c) != 0 ||
        mscope_conflict_of(b, (size_t)n, w, single, &at_single) != 0)
        fprintf(stderr, "no price\n");
    /* a beta for each band can always be the same one */
    return (outcome){ fmax(1, n_single / n_beta), fmax(1, n_single / fmin(n_beta, n_eta)), c.cost, at_single.cost };
}

static void ranks(const double *x, double *rank)
{
    for (int i = 0; i < CASES; i++) {
        rank[i] = 0;
        for (int j = 0; j < CASES; j++)
            rank[i] += x[j] < x[i] ? 1 : x[j] > x[i] ? 0 : 0.5;
    }
}

static double spearman(const double *x, const double *y)
{
    double a[CASES], b[CASES], sab = 0, saa = 0, sbb = 0, mean = 0.5 * CASES;

    ranks(x, a);
    ranks(y, b);
    for (int i = 0; i < CASES; i++) {
        sab += (a[i] - mean) * (b[i] - mean);
        saa += (a[i] - mean) * (a[i] - mean);
        sbb += (b[i] - mean) * (b[i] - mean);
    }
    return sab / sqrt(saa * sbb);
}

static int judge(const char *what, const double *cost, const double *gain, int bar)
{
    int pays = 0, found = 0, quiet = 0, alarms = 0;
    double rho = spearman(cost, gain);

    for (int i = 0; i < CASES; i++) {
        int flag = cost[i] > FLAG;
        if (gain[i] > PAYS) {
            pays++;
            found += flag;
        } else {
            quiet++;
            alarms += flag;
        }
    }
    int ok = found >= 0.7 * pays && alarms <= 0.03 * quiet && rho >= 0.85;
    printf("%-64s found %d of %d, false alarms %d of %d, Spearman %.3f%s\n", what, found, pays, alarms, quiet, rho,
           bar ? (ok ? "  meets the bar" : "  MISSES the bar") : "");
    return ok;
}

int main(void)
{
    double cost[CASES], single[CASES], beta[CASES], any[CASES];
    int n = 0;

    printf("%8s %6s %6s %6s %7s %9s %9s %7s %9s\n", "batch", "groups", "by", "noise", "target", "gain beta", "gain any",
           "C*", "C* single");
    for (int groups = 1; groups <= 4; groups += 3)
        for (int v = 0; v < 3; v++)
            for (double batch = 16; batch <= 262144; batch *= 4)
                for (int by_rows = 0; by_rows < 2; by_rows++, n++) {
                    mscope_zipf z = { 4096, 64, batch, variant[v].noise, 1, groups, by_rows };
                    outcome o = run(&z, variant[v].target);
                    printf("%8.0f %6d %6s %6.2f %7.2f %9.3f %9.3f %7.3f %9.3f%s\n", batch, groups,
                           by_rows ? "rows" : "freq", variant[v].noise, variant[v].target, o.gain_beta, o.gain_any,
                           o.cost, o.cost_single, o.cost > FLAG ? "  flag" : "");
                    fflush(stdout);
                    cost[n] = o.cost;
                    single[n] = o.cost_single;
                    beta[n] = o.gain_beta;
                    any[n] = o.gain_any;
                }
    printf("\n%d cases, gain above %.2f, flag at C* > %.2f; bar: find 70 %%, 3 %% false alarms, Spearman 0.85\n", n,
           PAYS, FLAG);
    int ok = judge("C* at the eta of own betas, against the gain of own betas", cost, beta, 1);
    judge("  the same against own betas or own etas, whichever is faster", cost, any, 0);
    judge("C* at the best single's eta, against the gain of own betas", single, beta, 0);
    return ok ? 0 : 1;
}
