/* grid.c - reads the options that make a grid, refuses bad values by name, and unrolls the grid into runs */
#include "grid.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const semantics_names[] = { "catchup", "dense", "frozen", "row-clock" };

const char *mscope_semantics_name(enum mscope_bench_semantics s)
{
    return semantics_names[s];
}

void mscope_grid_start(mscope_grid *g, const mscope_workload *w)
{
    memset(g, 0, sizeof *g);
    g->workload = w;
    for (size_t i = 0; w->params[i].name != NULL; i++) {
        g->n[i] = 1;
        g->v[i][0] = w->params[i].value;
    }
    for (size_t i = 0; i < MSCOPE_RULE_PARAMS; i++) {
        g->rule_n[i] = 1;
        g->rule_v[i][0] = mscope_bench_rule_params[i].value;
    }
    g->rule[0] = mscope_bench_rule_find("constant");
    g->rules = g->n_semantics = 1;
    g->semantics[0] = MSCOPE_BENCH_CATCHUP;
    g->seed_first = g->seeds = 1;
    g->target = 0.05;
}

int mscope_grid_open(mscope_grid *g, const char *const *text, char why[512])
{
    const mscope_bench_origin *from = g->workload->origin;
    if (g->workload->draws_nothing && g->seeds > 1) {
        snprintf(why, 512, "--seeds asks for %llu runs, but %s draws no random numbers: every seed gives the same run",
                 (unsigned long long)g->seeds, g->workload->name);
        return -1;
    }
    for (size_t i = 0; from == NULL && i < g->rules; i++)
        if (strcmp(g->rule[i]->name, "recorded") == 0) {
            snprintf(why, 512, "no schedule 'recorded' here: %s is not made from a recording", g->workload->name);
            return -1;
        }
    for (size_t i = 0; i < g->rules; i++)
        if (g->rule[i]->squares && !g->workload->keeps_squares) {
            snprintf(why, 512,
                     "no schedule '%s' here: %s keeps no running mean of g^2; sparse-ls, vocab-ls and bigrams do",
                     g->rule[i]->name, g->workload->name);
            return -1;
        }
    if (from != NULL) {
        if (from->open(&g->origin, text, why) < 0)
            return -1;
        from->facts(g->origin, &g->facts);
        if ((double)g->steps > g->facts.steps) {
            snprintf(why, 512, "--steps is '%llu', expected at most %.0f, the length of the recording",
                     (unsigned long long)g->steps, g->facts.steps);
            return -1;
        }
    }
    if (g->steps == 0)
        g->steps = from != NULL ? (uint64_t)g->facts.steps : 1000;
    return 0;
}

void mscope_grid_close(mscope_grid *g)
{
    if (g->origin != NULL)
        g->workload->origin->close(g->origin);
    g->origin = NULL;
}

/* The next item of a comma list; NULL at the end. */
static const char *item(const char **at, char out[64])
{
    if (**at == '\0')
        return NULL;
    const size_t n = strcspn(*at, ",");
    snprintf(out, 64, "%.*s", (int)n, *at);
    *at += n + ((*at)[n] == ',');
    return out;
}

static int refuse(char why[256], const mscope_bench_param *p, const char *text, const char *what)
{
    snprintf(why, 256, "%s '%s': %s; expected %s from %g to %g (%s)", p->name, text, what,
             p->whole ? "a whole number" : "a number", p->low, p->high, p->help);
    return -1;
}

static int one_value(const mscope_bench_param *p, const char *text, int complement, double *out, char why[256])
{
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(x))
        return refuse(why, p, text, "not a number");
    if (complement)
        x = 1 - x;
    if (x < p->low || x > p->high)
        return refuse(why, p, text, complement ? "1 - beta is out of range" : "out of range");
    if (p->whole && x != floor(x))
        return refuse(why, p, text, "not a whole number");
    *out = x + 0.0;                                  /* -0 is 0: one key */
    return 0;
}

/* Adds a value, unless it has the same 12 digits as one that is there: their runs would have one key. */
static int add(const mscope_bench_param *p, const char *text, double x, double *v, size_t *n, char why[256])
{
    char key[32], other[32];
    snprintf(key, sizeof key, "%.12g", x);
    for (size_t i = 0; i < *n; i++) {
        snprintf(other, sizeof other, "%.12g", v[i]);
        if (strcmp(key, other) == 0)
            return 0;
    }
    if (*n == MSCOPE_GRID_VALUES)
        return refuse(why, p, text, "more than 256 values");
    v[(*n)++] = x;
    return 0;
}

/* lo:hi:xN or lo:hi:+N */
static int range(const mscope_bench_param *p, const char *text, double *v, size_t *n, char why[256])
{
    double lo, hi;
    char how, rest;
    double count;                                    /* read as such: an integer could wrap into range */
    if (sscanf(text, "%lf:%lf:%c%lf%c", &lo, &hi, &how, &count, &rest) != 4 || (how != 'x' && how != '+'))
        return refuse(why, p, text, "not LOW:HIGH:xN or LOW:HIGH:+N");
    if (!(count >= 2 && count <= MSCOPE_GRID_VALUES) || count != floor(count))
        return refuse(why, p, text, "N is not a whole number from 2 to 256");
    if (!(lo < hi))
        return refuse(why, p, text, "LOW is not below HIGH");
    if (how == 'x' && lo <= 0)
        return refuse(why, p, text, "LOW of a geometric range is not above 0");
    *n = 0;
    for (int i = 0; i < (int)count; i++) {
        const double f = i / (count - 1);
        double x = i + 1 == (int)count ? hi : how == 'x' ? lo * pow(hi / lo, f) : lo + (hi - lo) * f;
        char number[64];
        if (p->whole)
            x = round(x);
        snprintf(number, sizeof number, "%.12g", x);
        if (one_value(p, number, 0, &x, why) < 0 || add(p, number, x, v, n, why) < 0)
            return -1;
    }
    return 0;
}

static int values(const mscope_bench_param *p, const char *text, int complement, double *v, size_t *n, char why[256])
{
    char one[64];
    if (strchr(text, ':') != NULL && !complement)
        return range(p, text, v, n, why);
    *n = 0;
    for (const char *at = text; item(&at, one) != NULL;) {
        double x;
        if (one_value(p, one, complement, &x, why) < 0 || add(p, one, x, v, n, why) < 0)
            return -1;
    }
    return *n > 0 ? 0 : refuse(why, p, text, "no value");
}

int mscope_grid_set(mscope_grid *g, const char *text, char why[256])
{
    const char *eq = strchr(text, '=');
    char name[64];
    snprintf(name, sizeof name, "%.*s", eq != NULL ? (int)(eq - text) : 0, text);
    const int beta = strcmp(name, "beta") == 0;
    const int rule = mscope_bench_param_index(mscope_bench_rule_params, beta ? "eps" : name);
    const int own = mscope_bench_param_index(g->workload->params, name);
    if (eq == NULL || (rule < 0 && own < 0)) {
        snprintf(why, 256,
                 eq == NULL ? "expected NAME=VALUES"
                            : "neither %s nor a schedule has a parameter '%s'; momentscope bench "
                              "list shows them",
                 g->workload->name, name);
        return -1;
    }
    int *given = own >= 0 ? &g->given[own] : &g->rule_given[rule];
    if (*given) {
        snprintf(why, 256, "%s is given twice; put all its values into one --grid",
                 own < 0 && strcmp(mscope_bench_rule_params[rule].name, "eps") == 0 ? "eps (beta is 1 - eps)" : name);
        return -1;
    }
    *given = 1;
    if (own >= 0)
        return values(&g->workload->params[own], eq + 1, 0, g->v[own], &g->n[own], why);
    return values(&mscope_bench_rule_params[rule], eq + 1, beta, g->rule_v[rule], &g->rule_n[rule], why);
}

int mscope_grid_rules(mscope_grid *g, const char *text, char why[256])
{
    char one[64];
    if (g->rules_given++) {
        snprintf(why, 256, "given twice; put all schedules into one --schedules");
        return -1;
    }
    g->rules = 0;
    for (const char *at = text; item(&at, one) != NULL;) {
        const mscope_bench_rule *r = mscope_bench_rule_find(one);
        size_t k = 0;
        while (k < g->rules && g->rule[k] != r)
            k++;
        if (k < g->rules)
            continue;
        if (r == NULL || g->rules == MSCOPE_GRID_RULES) {
            snprintf(why, 256,
                     r == NULL ? "no schedule '%s'; momentscope bench list shows them"
                               : "'%s' is one schedule too many",
                     one);
            return -1;
        }
        g->rule[g->rules++] = r;
    }
    return 0;
}

int mscope_grid_semantics(mscope_grid *g, const char *text, char why[256])
{
    char one[64];
    if (g->semantics_given++) {
        snprintf(why, 256, "given twice; put all semantics into one --semantics");
        return -1;
    }
    g->n_semantics = 0;
    for (const char *at = text; item(&at, one) != NULL;) {
        int k = 0;
        while (k < 4 && strcmp(one, semantics_names[k]) != 0)
            k++;
        if (k == 4) {
            snprintf(why, 256, "no semantics '%s', expected catchup, dense, frozen or row-clock", one);
            return -1;
        }
        size_t i = 0;
        while (i < g->n_semantics && (int)g->semantics[i] != k)
            i++;
        if (i == g->n_semantics)
            g->semantics[g->n_semantics++] = (enum mscope_bench_semantics)k;
    }
    return 0;
}

int mscope_grid_seeds(mscope_grid *g, const char *text, char why[256])
{
    unsigned long a, b;
    char rest;
    if (sscanf(text, "%lu:%lu%c", &a, &b, &rest) == 2 && a <= b && b - a < MSCOPE_GRID_RUNS) {
        g->seed_first = a;
        g->seeds = b - a + 1;
        return 0;
    }
    if (text[0] != '-' && sscanf(text, "%lu%c", &a, &rest) == 1 && a >= 1 && a < MSCOPE_GRID_RUNS) {
        g->seeds = a;
        return 0;
    }
    snprintf(why, 256, "expected how many, from 1, or FIRST:LAST");
    return -1;
}

/* ---- unrolling ---------------------------------------------------------------------------------------------- */

/* A mixed-radix digit of *i. */
static double digit(size_t *i, size_t n, const double *v)
{
    const double x = v[*i % n];
    *i /= n;
    return x;
}

static size_t rule_values(const mscope_grid *g, const mscope_bench_rule *r, size_t k)
{
    return r->reads >> k & 1 ? g->rule_n[k] : 1;
}

static size_t combinations(const mscope_grid *g, const mscope_bench_rule *r)
{
    double n = (double)g->seeds;
    for (size_t k = 0; k < MSCOPE_RULE_PARAMS; k++)
        n *= (double)rule_values(g, r, k);
    for (size_t k = 0; g->workload->params[k].name != NULL; k++)
        n *= (double)g->n[k];
    return n > MSCOPE_GRID_RUNS ? MSCOPE_GRID_RUNS + 1 : (size_t)n;
}

static double of_workload(const mscope_bench_run *r, const char *name, double otherwise)
{
    const int i = mscope_bench_param_index(r->workload->params, name);
    return i >= 0 ? r->param[i] : otherwise > 0 ? otherwise : 1;
}

static void unroll(const mscope_grid *g, const mscope_bench_rule *rule, size_t i, mscope_bench_run *r)
{
    memset(r, 0, sizeof *r);
    r->workload = g->workload;
    r->schedule.rule = rule;
    r->seed = g->seed_first + i % g->seeds;
    i /= g->seeds;
    for (size_t k = 0; k < MSCOPE_RULE_PARAMS; k++)
        r->schedule.param[k] = digit(&i, rule_values(g, rule, k), g->rule_v[k]);
    for (size_t k = 0; g->workload->params[k].name != NULL; k++)
        r->param[k] = digit(&i, g->n[k], g->v[k]);
    r->steps = g->steps;
    r->every = g->every > 0 ? g->every : g->steps / 200 + 1;
    r->target = g->target;
    r->schedule.steps = (double)g->steps;
    r->schedule.dim = of_workload(r, "d", g->facts.d);
    r->schedule.batch = of_workload(r, "batch", g->facts.batch);
    if (r->schedule.batch <= 0)
        r->schedule.batch = INFINITY;                /* the whole of the data: nothing is sampled  */
    r->schedule.from = g->workload->origin;
    r->schedule.origin = r->origin = g->origin;
}

long mscope_grid_expand(const mscope_grid *g, mscope_bench_run **out)
{
    size_t n = 0, at = 0;
    for (size_t k = 0; k < g->rules && n <= MSCOPE_GRID_RUNS; k++)
        n += combinations(g, g->rule[k]) * g->n_semantics;
    *out = n > MSCOPE_GRID_RUNS ? NULL : calloc(n + 1, sizeof **out);
    if (*out == NULL)
        return -1;
    for (size_t k = 0; k < g->rules; k++)
        for (size_t s = 0; s < g->n_semantics; s++)
            for (size_t i = 0; i < combinations(g, g->rule[k]); i++, at++) {
                unroll(g, g->rule[k], i, &(*out)[at]);
                (*out)[at].semantics = g->semantics[s];
            }
    return (long)n;
}

void mscope_run_key(const mscope_bench_run *r, int with_seed, char *key, size_t len)
{
    size_t at = (size_t)snprintf(key, len, "%s %s %s", r->workload->name, r->schedule.rule->name,
                                 mscope_semantics_name(r->semantics));
    for (size_t k = 0; k < MSCOPE_RULE_PARAMS && at < len; k++)
        if (r->schedule.rule->reads >> k & 1)
            at += (size_t)snprintf(key + at, len - at, " %s=%.12g", mscope_bench_rule_params[k].name,
                                   r->schedule.param[k]);
    for (size_t k = 0; r->workload->params[k].name != NULL && at < len; k++)
        at += (size_t)snprintf(key + at, len - at, " %s=%.12g", r->workload->params[k].name, r->param[k]);
    if (r->origin != NULL && at < len) {
        mscope_bench_facts facts;
        r->workload->origin->facts(r->origin, &facts);
        at += (size_t)snprintf(key + at, len - at, " from=%s", facts.key);
    }
    if (at < len)
        at += (size_t)snprintf(key + at, len - at, " steps=%llu every=%llu target=%.12g",
                               (unsigned long long)r->steps, (unsigned long long)r->every, r->target);
    if (with_seed && at < len)
        snprintf(key + at, len - at, " seed=%llu", (unsigned long long)r->seed);
}
