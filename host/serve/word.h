/* word.h - is anything wrong with a table? One level, one sentence, and which rows it is about
 *
 * The page, the alerts and the metrics all say this, and it is the verdicts of the judged set, gathered.      */
#ifndef MSCOPE_SERVE_WORD_H
#define MSCOPE_SERVE_WORD_H

#include "monitor/judged.h"

/* In rising order of concern. From MSCOPE_LEVEL_GROWING on it is an alarm. */
enum mscope_concern {
    MSCOPE_LEVEL_FINE, MSCOPE_LEVEL_UNKNOWN, MSCOPE_LEVEL_INEXACT, MSCOPE_LEVEL_GROWING, MSCOPE_LEVEL_NEAR,
    MSCOPE_LEVEL_UNSTABLE
};

typedef struct mscope_word {
    enum mscope_concern level;
    uint32_t bands;                          /* bit b: it is about band b; 0: about the table as a whole        */
    double rows, share;                      /* of these bands; share of all row updates of the table            */
    char sentence[320];                      /* "unstable: bands 3-5, 1234 rows with 12 % of all updates"        */
    char why[MSCOPE_TEXT_MAX + 1];           /* the arithmetic; of the band that weighs most. May be empty       */
} mscope_word;

/* mscope_word_of - the word on table i of a set; UNKNOWN where the set has no table record.  Threads any.  Cost O(1) */
void mscope_word_of(const mscope_judged *j, size_t i, mscope_word *out);

/* "fine", "unknown", "inexact", "growing", "near-instability", "unstable" */
const char *mscope_concern_name(enum mscope_concern level);

#endif
