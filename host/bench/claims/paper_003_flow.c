/* paper_003_flow.c - ballistic phase of paper 003: runs against the limit ODEs of Propositions 3.1, 4.1 and 9.1
 *
 * Each run is compared with the limit from its own start (the workload's theory), in the risk and in one statistic
 * that the limit's corrector moves; the larger |z| over independent runs. The limit is off by O(1/N), so the runs are
 * far fewer than N: their standard errors are larger than that. |z| <= 3: either of two is beyond by chance once in
 * 190 seeds. */
#include <math.h>
#include <stdio.h>

#include "paper_003.h"
#include "models.h"

enum { RUNS = 60 };
enum { PCA = 1, GMM, XOR };

static const struct setting {
    const char *workload, *stat, *what;
    double n, time;
    int at;                              /* index of the statistic                                */
    mscope_model_value value[4];         /* beside n                                              */
} settings[] = {
    [PCA] = { "pca", "m", "lambda = 2 from sqrt(n) m = 30", 2e4, 1, 0,
              { { "lambda", 2 }, { "start", 30 }, { NULL, 0 } } },
    [GMM] = { "gmm", "the square across mu", "lambda = 20", 1000, 6, 5, { { "lambda", 20 }, { NULL, 0 } } },
    [XOR] = { "xor", "the square across mu, nu", "lambda = 20, K = 4", 1000, 4, 5, { { "lambda", 20 }, { NULL, 0 } } },
};

static int one(const struct setting *s, uint64_t seed, double gap[2], double now[2])
{
    const mscope_workload *w = mscope_workload_find(s->workload);
    const mscope_bench_rates rates = { .eta = 1 / s->n, .eps = 1, .gain = 1 };
    mscope_model_value value[5] = { { "n", s->n } };
    mscope_bench_summary said, ended;
    for (int i = 0; i < 4 && s->value[i].name != NULL; i++)
        value[1 + i] = s->value[i];
    void *self = mscope_model_open(w, value, seed);
    int rc = self != NULL ? w->theory(self, &rates, s->time * s->n, &said) : -1;
    if (rc == 0)
        rc = mscope_model_sgd(w, self, rates.eta, (uint64_t)(s->time * s->n));
    if (rc == 0) {
        w->summary(self, &ended);
        now[0] = ended.total.risk;
        now[1] = ended.total.stat[s->at];
        gap[0] = now[0] - said.total.risk;
        gap[1] = now[1] - said.total.stat[s->at];
    }
    w->fini(self);
    return rc;
}

/* argument: PCA, GMM or XOR */
int mscope_003_flow(const mscope_claim *c, uint64_t seed, mscope_claim_result *out)
{
    const struct setting *s = &settings[(int)c->argument];
    double gap[2][RUNS], z[2], mean[2], level[2] = { 0, 0 };
    for (int r = 0; r < RUNS; r++) {
        double off[2] = { NAN, NAN }, now[2] = { NAN, NAN };
        if (one(s, mscope_model_seed(seed, c->claim, (uint64_t)r), off, now) < 0)
            return -1;
        for (int i = 0; i < 2; i++) {
            gap[i][r] = off[i];
            level[i] += now[i] / RUNS;
        }
    }
    for (int i = 0; i < 2; i++) {
        double error;
        mean[i] = mscope_mean(gap[i], RUNS, &error);
        z[i] = mean[i] / error;
    }
    mscope_claim_judge(c, fmax(fabs(z[0]), fabs(z[1])), out);
    snprintf(out->note, sizeof out->note,
             "%d runs, N = %g, %s, time %g: risk %.4f off by %.1e (z %.1f), %s %.4f off by %.1e (z %.1f)", RUNS, s->n,
             s->what, s->time, level[0], mean[0], z[0], s->stat, level[1], mean[1], z[1]);
    return 0;
}
