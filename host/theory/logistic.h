/* logistic.h - what the files of the logistic model share */
#ifndef MSCOPE_THEORY_LOGISTIC_H
#define MSCOPE_THEORY_LOGISTIC_H

#include "mscope/theory.h"

/* mscope_lr_offset - b* (191) */
double mscope_lr_offset(double p, double r);

/* mscope_lr_state_check - can the averages be taken at (s, R)? lr is taken as checked */
MSCOPE_MUST_CHECK int mscope_lr_state_check(const mscope_lr *lr, double s, double R,
                                            mscope_bad *why);

/* mscope_lr_affords - 1: lr->terms has so many left; they are taken from it */
int mscope_lr_affords(const mscope_lr *lr, double terms);

#endif
