/* predict_words.h - the theory in sentences, for a person */
#ifndef MSCOPE_CLI_PREDICT_WORDS_H
#define MSCOPE_CLI_PREDICT_WORDS_H

#include <stdio.h>

#include "mscope/theory.h"

/* Points of a picture, owned by the caller of mscope_words_*; at most this many.                */
enum { MSCOPE_POINTS = 600 };

typedef struct mscope_points {
    double x[MSCOPE_POINTS], y[MSCOPE_POINTS];
    int n;
    char title[96];
    const char *x_label, *y_label;
} mscope_points;

/* mscope_words_row - what holds for one row on every clock, model or probe                       */
MSCOPE_MUST_CHECK int mscope_words_row(FILE *out, const mscope_row *row, mscope_points *points);

/* mscope_words_ls - where a least-squares block stands in the co-scaling plane                   */
MSCOPE_MUST_CHECK int mscope_words_ls(FILE *out, const mscope_ls *ls);

/* mscope_words_lr - rare-class logistic regression: region, floors, oscillation                  */
MSCOPE_MUST_CHECK int mscope_words_lr(FILE *out, const mscope_lr *lr, mscope_points *points);

#endif
