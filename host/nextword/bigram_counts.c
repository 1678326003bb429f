/* bigram_counts.c - all pairs as one sorted list of numbers, runs of equal ones counted */
#include "bigram_counts.h"

#include <stdlib.h>

static int by_number(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int mscope_bigram_counts_open(mscope_bigram_counts *c, const text *t)
{
    const size_t pairs = t->length - 1;
    uint64_t *key = malloc(pairs * sizeof *key);
    size_t n = 0;

    *c = (mscope_bigram_counts){ calloc((size_t)t->vocabulary + 1, sizeof *c->first), malloc(pairs * sizeof *c->word),
                                 calloc(pairs, sizeof *c->share), calloc(t->vocabulary, sizeof *c->p) };
    if (key == NULL || c->first == NULL || c->word == NULL || c->share == NULL || c->p == NULL) {
        free(key);
        return -1;
    }
    for (size_t i = 0; i < pairs; i++)
        key[i] = (uint64_t)t->word[i] << 32 | t->word[i + 1];
    qsort(key, pairs, sizeof *key, by_number);
    for (size_t i = 0; i < pairs; i++) {
        const uint32_t a = (uint32_t)(key[i] >> 32);
        if (i == 0 || key[i] != key[i - 1]) {
            c->word[n++] = (uint32_t)key[i];
            c->first[a + 1]++;
        }
        c->share[n - 1] += 1;
        c->p[a] += 1 / (double)pairs;
    }
    for (uint32_t a = 0; a < t->vocabulary; a++)
        c->first[a + 1] += c->first[a];
    for (size_t i = 0; i < n; i++)
        c->share[i] /= (double)pairs;
    free(key);
    return 0;
}

void mscope_bigram_counts_free(mscope_bigram_counts *c)
{
    free(c->first);
    free(c->word);
    free(c->share);
    free(c->p);
    *c = (mscope_bigram_counts){ NULL, NULL, NULL, NULL };
}

double mscope_bigram_counts_share(const mscope_bigram_counts *c, uint32_t a, uint32_t b)
{
    size_t lo = c->first[a], hi = c->first[a + 1];
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (c->word[mid] < b)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < c->first[a + 1] && c->word[lo] == b ? c->share[lo] : 0;
}
