/* literal.c - a vocabulary of least-squares rows trained sample by sample, from a given state, by SGD with momentum
 *
 *     literal ROWS WIDTH BATCH NOISE SEED STEPS MARKS [BURST] < state
 *
 * A sample shows one row and x ~ N(0, diag h). Its loss is half of (<x, e> - xi)^2, xi ~ N(0, NOISE). The row is drawn
 * by its probability, or, with probability BURST, it is that of a random sample of the step before: every row is as
 * frequent as without, but comes in bursts of 1/(1 - BURST) steps on average. The step's gradient is the mean over the
 * batch. state is float64: p[ROWS], h[WIDTH], e[ROWS][WIDTH], m[ROWS][WIDTH], eta[ROWS], eps[ROWS], in EMA form. Prints
 * "step excess" at MARKS + 1 evenly spaced steps, excess being half of sum_j p_j sum_c h_c e_jc^2. Runs of one seed see
 * the same samples, whatever the settings. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>

typedef struct run {
    size_t V, d;
    double batch, noise, burst;
    double *p, *h, *e, *m, *eta, *eps;   /* as read                                            */
    double *g;                           /* gradient of the rows of this step, else 0           */
    uint64_t *seen;                      /* step up to which a row is true                      */
    size_t *active, *before;             /* rows of the samples of this step, and of the last    */
    int begun;                           /* there was a step before                             */
    gsl_ran_discrete_t *draw;
    gsl_rng *rng;
} run;

static void fail(const char *why)
{
    fprintf(stderr, "literal: %s\n", why);
    exit(2);
}

static double *numbers(size_t n)
{
    double *x = malloc(n * sizeof *x);

    if (x == NULL || fread(x, sizeof *x, n, stdin) != n)
        fail("the state is cut short");
    return x;
}

/* Idle steps in closed form: theta <- theta - eta (beta + .. + beta^k) m, m <- beta^k m. */
static void catch_up(run *r, size_t j, uint64_t step)
{
    const double beta = 1 - r->eps[j], idle = (double)(step - r->seen[j]), keep = pow(beta, idle);
    const double move = r->eta[j] * beta * (1 - keep) / r->eps[j];

    r->seen[j] = step;
    if (!(idle > 0))
        return;
    for (size_t c = j * r->d; c < (j + 1) * r->d; c++) {
        r->e[c] -= move * r->m[c];
        r->m[c] *= keep;
    }
}

static void one_step(run *r, uint64_t step)
{
    const unsigned B = (unsigned)r->batch;
    size_t n = 0;

    for (unsigned i = 0; i < B; i++) {
        const int again = r->burst > 0 && r->begun && gsl_rng_uniform(r->rng) < r->burst;
        const size_t j = again ? r->before[gsl_rng_uniform_int(r->rng, B)] : gsl_ran_discrete(r->rng, r->draw);
        const size_t at = j * r->d;
        double x[1024], y = r->noise > 0 ? -gsl_ran_gaussian_ziggurat(r->rng, sqrt(r->noise)) : 0;
        catch_up(r, j, step);
        for (size_t c = 0; c < r->d; c++) {
            x[c] = gsl_ran_gaussian_ziggurat(r->rng, sqrt(r->h[c]));
            y += x[c] * r->e[at + c];
        }
        for (size_t c = 0; c < r->d; c++)
            r->g[at + c] += x[c] * y / r->batch;
        r->active[n++] = j;
    }
    for (size_t i = 0; i < n; i++) {
        const size_t j = r->active[i];
        if (r->seen[j] > step)
            continue;                    /* shown twice: done */
        r->seen[j] = step + 1;
        for (size_t c = j * r->d; c < (j + 1) * r->d; c++) {
            r->m[c] += r->eps[j] * (r->g[c] - r->m[c]);
            r->e[c] -= r->eta[j] * r->m[c];
            r->g[c] = 0;
        }
    }
    size_t *const swap = r->before;
    r->before = r->active;
    r->active = swap;
    r->begun = 1;
}

static double excess(run *r, uint64_t step)
{
    double sum = 0;

    for (size_t j = 0; j < r->V; j++) {
        double loss = 0;
        catch_up(r, j, step);
        for (size_t c = 0; c < r->d; c++)
            loss += r->h[c] * r->e[j * r->d + c] * r->e[j * r->d + c];
        sum += 0.5 * r->p[j] * loss;
    }
    return sum;
}

int main(int argc, char **argv)
{
    run r = { 0 };

    if (argc != 8 && argc != 9)
        fail("usage: literal ROWS WIDTH BATCH NOISE SEED STEPS MARKS [BURST] < state");
    r.V = strtoul(argv[1], NULL, 10);
    r.d = strtoul(argv[2], NULL, 10);
    r.batch = atof(argv[3]);
    r.noise = atof(argv[4]);
    r.burst = argc == 9 ? atof(argv[8]) : 0;
    const uint64_t steps = strtoul(argv[6], NULL, 10), marks = strtoul(argv[7], NULL, 10);
    if (r.V == 0 || r.d == 0 || r.d > 1024 || !(r.batch >= 1) || marks == 0 || !(r.burst >= 0 && r.burst < 1))
        fail("ROWS, BATCH and MARKS from 1, WIDTH from 1 to 1024, BURST from 0 to below 1");
    r.p = numbers(r.V);
    r.h = numbers(r.d);
    r.e = numbers(r.V * r.d);
    r.m = numbers(r.V * r.d);
    r.eta = numbers(r.V);
    r.eps = numbers(r.V);
    r.g = calloc(r.V * r.d, sizeof *r.g);
    r.seen = calloc(r.V, sizeof *r.seen);
    r.active = calloc((size_t)r.batch + 1, sizeof *r.active);
    r.before = calloc((size_t)r.batch + 1, sizeof *r.before);
    r.draw = gsl_ran_discrete_preproc(r.V, r.p);
    r.rng = gsl_rng_alloc(gsl_rng_taus2);
    if (r.g == NULL || r.seen == NULL || r.active == NULL || r.before == NULL || r.draw == NULL || r.rng == NULL)
        fail("out of memory");
    gsl_rng_set(r.rng, strtoul(argv[5], NULL, 10));
    uint64_t next = 0;
    for (uint64_t k = 0; k <= steps; k++) {
        if (k == next * steps / marks) {
            printf("%llu %.9g\n", (unsigned long long)k, excess(&r, k));
            next++;
        }
        if (k < steps)
            one_step(&r, k);
    }
    gsl_ran_discrete_free(r.draw);
    gsl_rng_free(r.rng);
    free(r.p), free(r.h), free(r.e), free(r.m), free(r.eta), free(r.eps), free(r.g), free(r.seen);
    free(r.active), free(r.before);
    return 0;
}
