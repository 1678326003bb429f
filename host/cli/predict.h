/* predict.h - what the files of `momentscope predict` share */
#ifndef MSCOPE_CLI_PREDICT_H
#define MSCOPE_CLI_PREDICT_H

#include <stdbool.h>
#include <stdio.h>

#include "predict_ask.h"

/* the answers, one per kind; true when ask->out is complete */
bool mscope_answer_ls_matrix(mscope_ask *ask);
bool mscope_answer_ls_stability(mscope_ask *ask);
bool mscope_answer_ls_clocks(mscope_ask *ask);
bool mscope_answer_ls_regimes(mscope_ask *ask);
bool mscope_answer_ls_limit(mscope_ask *ask);
bool mscope_answer_lr_coeffs(mscope_ask *ask);
bool mscope_answer_lr_ode(mscope_ask *ask);
bool mscope_answer_lr_floors(mscope_ask *ask);

/* mscope_predict_lines - answer every line of in on out
 *
 * Returns  the number of lines that got an error object, or a negative code (MSCOPE_EIO)        */
int mscope_predict_lines(FILE *in, FILE *out);

/* A path in the plane of two observables, for the pictures.                                     */
typedef struct mscope_path {
    const char *title, *x_label, *y_label;
    const double *x, *y;
    int n;
} mscope_path;

/* mscope_plot_text - the path as characters, width x height cells */
void mscope_plot_text(FILE *out, const mscope_path *path, int width, int height);

/* mscope_plot_file - the path as a picture: SVG where name ends in .svg, else PNG
 *
 * Errors   MSCOPE_EIO: the file could not be written, why says it                               */
MSCOPE_MUST_CHECK int mscope_plot_file(const char *name, const mscope_path *path, char *why, size_t cap);

#endif
