/* reproduce.c - bench reproduce: every claim of the papers, the paper's number, ours, and a verdict */
#include <ctype.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "cli/bench.h"
#include "cli/cli.h"
#include "bench/run/pool.h"
#include "bench/run/ranks.h"
#include "bench/workload.h"

#include "mscope/wire.h"

enum { CLAIMS = 512 };

struct job {
    const mscope_claim *claim[CLAIMS];
    mscope_claim_result result[CLAIMS];
    double spent[CLAIMS];
    int known[CLAIMS], missing[CLAIMS];            /* told; told that it could not be computed           */
    size_t n, shown, uncomputed;
    uint64_t seed;
    int count[3], json;
};

static const char *const verdicts[] = { "PASS", "FAIL", "CORRECTED" };

static char *work(size_t i, void *ctx)
{
    const struct job *j = ctx;
    mscope_claim_result r;
    struct timespec t0, t1;
    memset(&r, 0, sizeof r);
    r.ours = r.corrected = r.low = r.high = NAN;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    const int missing = j->claim[i]->run(j->claim[i], j->seed, &r) < 0;
    if (missing)
        r.verdict = MSCOPE_CLAIM_FAIL;
    clock_gettime(CLOCK_MONOTONIC, &t1);
    char *text = malloc(512);
    if (text != NULL)
        snprintf(text, 512, "%.17g %.17g %.17g %.17g %d %d %.3f %s", r.ours, r.corrected, r.low, r.high, (int)r.verdict, missing,
                 (double)(t1.tv_sec - t0.tv_sec) + 1e-9 * (double)(t1.tv_nsec - t0.tv_nsec), r.note);
    return text;
}

static void row(const struct job *j, size_t i)
{
    const mscope_claim *c = j->claim[i];
    const mscope_claim_result *r = &j->result[i];
    char paper[32] = "-", ours[64];
    if (!isnan(c->value))
        snprintf(paper, sizeof paper, "%.5g", c->value);
    snprintf(ours, sizeof ours, "%.5g", r->ours);
    if (!isnan(r->low))
        snprintf(ours, sizeof ours, "%.4g [%.4g, %.4g]", r->ours, r->low, r->high);
    printf("%-9s %s %-13s %-52s paper %-10s ours %-10s", verdicts[r->verdict], c->paper, c->figure, c->claim, paper,
           ours);
    if (!isnan(r->corrected))
        printf(" corrected %.5g", r->corrected);
    printf("  %s (%.1f s)\n", r->note, j->spent[i]);
}

static void put(cJSON *o, const char *name, double x)
{
    cJSON_AddItemToObject(o, name, isfinite(x) ? cJSON_CreateNumber(x) : cJSON_CreateNull());
}

static void row_json(const struct job *j, size_t i)
{
    const mscope_claim *c = j->claim[i];
    const mscope_claim_result *r = &j->result[i];
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "verdict", verdicts[r->verdict]);
    cJSON_AddStringToObject(o, "paper", c->paper);
    cJSON_AddStringToObject(o, "figure", c->figure);
    cJSON_AddStringToObject(o, "claim", c->claim);
    put(o, "value", c->value);
    put(o, "tolerance", c->tolerance);
    put(o, "ours", r->ours);
    put(o, "low", r->low);
    put(o, "high", r->high);
    put(o, "corrected", r->corrected);
    cJSON_AddBoolToObject(o, "computed", !j->missing[i]);
    cJSON_AddStringToObject(o, "note", r->note);
    put(o, "seconds", j->spent[i]);
    char *text = cJSON_PrintUnformatted(o);
    printf("%s\n", text != NULL ? text : "");
    cJSON_free(text);
    cJSON_Delete(o);
}

/* Shown in the order of the table, as soon as all before are there. */
static void done(size_t i, const char *text, void *ctx)
{
    struct job *j = ctx;
    mscope_claim_result *r = &j->result[i];
    int verdict = MSCOPE_CLAIM_FAIL, at = 0;
    r->ours = r->corrected = r->low = r->high = NAN;
    if (text == NULL || sscanf(text, "%lf %lf %lf %lf %d %d %lf %n", &r->ours, &r->corrected, &r->low, &r->high, &verdict,
                               &j->missing[i], &j->spent[i], &at) != 7) {
        j->missing[i] = 1;
        snprintf(r->note, sizeof r->note, "could not be computed");
    } else
        snprintf(r->note, sizeof r->note, "%.239s", text + at);
    j->uncomputed += j->missing[i] != 0;
    r->verdict = (enum mscope_claim_verdict)verdict;
    j->known[i] = 1;
    j->count[verdict]++;
    for (; j->shown < j->n && j->known[j->shown]; j->shown++)
        (j->json ? row_json : row)(j, j->shown);
    fflush(stdout);
}

static void usage(FILE *to)
{
    fprintf(to, "usage: momentscope bench reproduce [--paper 000] [--figure TEXT] [--seed N] [--jobs N] [--json]\n"
                "                                   [--strict]\n\n"
                "Every claim of the papers: the paper's number, ours, and PASS, FAIL or CORRECTED. FAIL is a result: our number\n"
                "does not agree and we do not know that the paper's is wrong. The last line counts verdicts (with --json on\n"
                "standard error). --figure: whole words, 'Figure 1' finds 1(b), not 10. --strict: a FAIL fails the\n"
                "command too. Under mpirun ranks above 0 compute.\n\n"
                "example: momentscope bench reproduce --paper 000 --figure 'Figure 17' --jobs 2\n\n"
                "exit codes: 0 every claim was computed, 1 one could not be or it was interrupted (--strict: or a verdict is FAIL),\n"
                "            2 wrong usage\n");
}

/* text in of, with no letter or digit going on at either end: 'Figure 1' is in 'Figure 1(b)', not in 'Figure 10'. */
static int has_words(const char *of, const char *text)
{
    const size_t len = strlen(text);
    for (const char *at = of; len > 0 && (at = strstr(at, text)) != NULL; at++)
        if ((at == of || !isalnum((unsigned char)at[-1]) || !isalnum((unsigned char)at[0])) &&
            (!isalnum((unsigned char)at[len]) || !isalnum((unsigned char)at[len - 1])))
            return 1;
    return 0;
}

static void choose(struct job *j, const char *paper, const char *figure)
{
    for (size_t k = 0; mscope_claim_tables[k] != NULL; k++)
        for (const mscope_claim *c = mscope_claim_tables[k]; c->paper != NULL; c++)
            if ((paper == NULL || strcmp(c->paper, paper) == 0) &&
                (figure == NULL || has_words(c->figure, figure)) && j->n < CLAIMS)
                j->claim[j->n++] = c;
}

static uint64_t meaning(const struct job *j)
{
    char text[64];
    snprintf(text, sizeof text, "%s seed %llu", MSCOPE_VERSION, (unsigned long long)j->seed);
    uint64_t h = mscope_pool_mean(0, text);
    for (size_t i = 0; i < j->n; i++)
        h = mscope_pool_mean(mscope_pool_mean(h, j->claim[i]->figure), j->claim[i]->claim);
    return h;
}

int mscope_bench_reproduce(int argc, char **argv)
{
    static const struct option known[] = { { "paper", 1, NULL, 'p' }, { "figure", 1, NULL, 'f' },
                                           { "seed", 1, NULL, 's' },  { "jobs", 1, NULL, 'j' },
                                           { "json", 0, NULL, 'J' },   { "strict", 0, NULL, 'S' },
                                           { "help", 0, NULL, 'h' },  { NULL, 0, NULL, 0 } };
    static struct job j;
    const char *paper = NULL, *figure = NULL;
    char *end = NULL;
    const int first = mscope_ranks_mine() == 0;
    long jobs = 1;
    int c, strict = 0;
    memset(&j, 0, sizeof j);
    j.seed = 1;
    optind = 1;
    while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        end = NULL;
        switch (c) {
        case 'p': paper = optarg; break;
        case 'f': figure = optarg; break;
        case 's': j.seed = strtoull(optarg, &end, 10); break;
        case 'j': jobs = strtol(optarg, &end, 10); break;
        case 'J': j.json = 1; break;
        case 'S': strict = 1; break;
        case 'h':
        default:
            if (first)
                usage(c == 'h' ? stdout : stderr);
            return c == 'h' ? MSCOPE_EXIT_OK : MSCOPE_EXIT_USAGE;
        }
        if ((end != NULL && (*end != '\0' || end == optarg)) || jobs < 1 || jobs > 256) {
            if (first)
                fprintf(stderr, "momentscope bench reproduce: '%s': wanted a number (jobs: 1 to 256)\n", optarg);
            return MSCOPE_EXIT_USAGE;
        }
    }
    choose(&j, paper, figure);
    if (j.n == 0 || optind < argc) {
        if (first)
            fprintf(stderr, "momentscope bench reproduce: no such claim\n");
        return MSCOPE_EXIT_USAGE;
    }
    const mscope_pool pool = { .n = j.n, .meaning = meaning(&j), .jobs = (int)jobs, .ctx = &j, .work = work, .done = done };
    const int rc = mscope_pool_run(&pool);
    if (rc == MSCOPE_POOL_SERVED)
        return MSCOPE_EXIT_OK;
    FILE *to = j.json ? stderr : stdout;
    fprintf(to, "%d pass, %d fail, %d corrected, of %zu", j.count[0], j.count[1], j.count[2], j.n);
    if (j.uncomputed > 0)
        fprintf(to, "; %zu could not be computed", j.uncomputed);
    fprintf(to, "\n");
    return rc != MSCOPE_POOL_DONE || j.uncomputed > 0 || (strict && j.count[MSCOPE_CLAIM_FAIL] > 0) ? MSCOPE_EXIT_FAILED
                                                                                                    : MSCOPE_EXIT_OK;
}
