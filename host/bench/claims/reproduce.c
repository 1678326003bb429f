/* reproduce.c - every claim of the papers: the paper's number, ours, and a verdict
 *
 * Each claim is one piece of a pool (run/pool.h): computed in a process of its own, printed in the order of the tables.
 */
#include "reproduce.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "bench/run/pool.h"
#include "claim.h"
#include "common/clock.h"
#include "common/fnv1a.h"

#include "mscope/wire.h"

enum { CLAIMS = 512 };

struct job {
    const mscope_reproduce *ask;
    mscope_reproduced *sum;
    const mscope_claim *claim[CLAIMS];
    mscope_claim_result result[CLAIMS];
    double spent[CLAIMS];                          /* seconds                                            */
    int known[CLAIMS], missing[CLAIMS];            /* the result is here; ours could not be computed     */
    size_t shown;
    int unheard;                                   /* standard output failed: nobody reads the rest   */
};

static const char *const verdicts[] = { "PASS", "FAIL", "CORRECTED" };

static char *work(size_t i, void *ctx)
{
    const struct job *j = ctx;
    mscope_claim_result r;
    memset(&r, 0, sizeof r);
    r.ours = r.corrected = r.low = r.high = NAN;
    const double started = mscope_monotonic_s();
    const int missing = j->claim[i]->run(j->claim[i], j->ask->seed, &r) < 0;
    if (missing)
        r.verdict = MSCOPE_CLAIM_FAIL;
    char *text = malloc(512);
    if (text != NULL)
        snprintf(text, 512, "%.17g %.17g %.17g %.17g %d %d %.3f %s", r.ours, r.corrected, r.low, r.high, (int)r.verdict,
                 missing, mscope_monotonic_s() - started, r.note);
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

/* A claim is printed as soon as all claims before it are. */
static void done(size_t i, const char *text, void *ctx)
{
    struct job *j = ctx;
    mscope_claim_result *r = &j->result[i];
    int verdict = MSCOPE_CLAIM_FAIL, at = 0;
    r->ours = r->corrected = r->low = r->high = NAN;
    if (text == NULL || sscanf(text, "%lf %lf %lf %lf %d %d %lf %n", &r->ours, &r->corrected, &r->low, &r->high,
                               &verdict, &j->missing[i], &j->spent[i], &at) != 7) {
        j->missing[i] = 1;
        snprintf(r->note, sizeof r->note, "could not be computed");
    } else
        snprintf(r->note, sizeof r->note, "%.239s", text + at);
    j->sum->uncomputed += j->missing[i] != 0;
    r->verdict = (enum mscope_claim_verdict)verdict;
    j->known[i] = 1;
    j->sum->count[verdict]++;
    for (; j->shown < j->sum->n && j->known[j->shown]; j->shown++)
        (j->ask->json ? row_json : row)(j, j->shown);
    j->unheard = fflush(stdout) != 0 || ferror(stdout);
}

/* Whole words only: 'Figure 1' is in 'Figure 1(b)', not in 'Figure 10'. */
static int has_words(const char *in, const char *words)
{
    const size_t len = strlen(words);
    for (const char *at = in; len > 0 && (at = strstr(at, words)) != NULL; at++)
        if ((at == in || !isalnum((unsigned char)at[-1]) || !isalnum((unsigned char)at[0])) &&
            (!isalnum((unsigned char)at[len]) || !isalnum((unsigned char)at[len - 1])))
            return 1;
    return 0;
}

static void choose(struct job *j)
{
    const char *paper = j->ask->paper, *figure = j->ask->figure;
    for (size_t k = 0; mscope_claim_tables[k] != NULL; k++)
        for (const mscope_claim *c = mscope_claim_tables[k]; c->paper != NULL; c++)
            if ((paper == NULL || strcmp(c->paper, paper) == 0) &&
                (figure == NULL || has_words(c->figure, figure)) && j->sum->n < CLAIMS)
                j->claim[j->sum->n++] = c;
}

/* Fingerprint of what each index means, for ranks to compare. */
static uint64_t meaning(const struct job *j)
{
    char text[64];
    snprintf(text, sizeof text, "%s seed %llu", MSCOPE_VERSION, (unsigned long long)j->ask->seed);
    uint64_t h = mscope_fnv1a(0, text);
    for (size_t i = 0; i < j->sum->n; i++)
        h = mscope_fnv1a(mscope_fnv1a(h, j->claim[i]->figure), j->claim[i]->claim);
    return h;
}

int mscope_reproduce_run(const mscope_reproduce *ask, mscope_reproduced *out)
{
    static struct job j;                           /* 200 KB, too much for a stack */
    memset(&j, 0, sizeof j);
    memset(out, 0, sizeof *out);
    j.ask = ask;
    j.sum = out;
    choose(&j);
    if (out->n == 0)
        return MSCOPE_POOL_DONE;
    const mscope_pool pool = {
        .n = out->n, .meaning = meaning(&j), .jobs = ask->jobs, .stop = &j.unheard, .ctx = &j,
        .work = work, .done = done
    };
    return mscope_pool_run(&pool);
}
