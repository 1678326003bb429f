/* bigram_counts.h - how often each word follows each other word of a text, as shares of all pairs */
#ifndef MSCOPE_NEXTWORD_BIGRAM_COUNTS_H
#define MSCOPE_NEXTWORD_BIGRAM_COUNTS_H

#include "text.h"

typedef struct mscope_bigram_counts {
    size_t *first;                   /* vocabulary + 1: pairs of word a are first[a] .. first[a+1]-1          */
    uint32_t *word;                  /* the words that follow a, ascending                                  */
    double *share;                   /* all sum to 1                                                        */
    double *p;                       /* of each word as the first of a pair: the sum of its shares          */
} mscope_bigram_counts;

/* mscope_bigram_counts_open - reads the text once; owns what free gives back, also after a failure
 * Cost  sorts length numbers. Returns 0 or negative: out of memory                                          */
int mscope_bigram_counts_open(mscope_bigram_counts *c, const text *t);
void mscope_bigram_counts_free(mscope_bigram_counts *c);

/* mscope_bigram_counts_share - of the pair a, b; 0 when the text has none */
double mscope_bigram_counts_share(const mscope_bigram_counts *c, uint32_t a, uint32_t b);

#endif
