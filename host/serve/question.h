/* question.h - what a request asks for, from the arguments behind the ? of its address */
#ifndef MSCOPE_SERVE_QUESTION_H
#define MSCOPE_SERVE_QUESTION_H

#include "mscope/err.h"

/* As far as the request says it; NULL and 0 where it does not. */
typedef struct mscope_question {
    const char *source, *table;              /* of the request: gone when it ends                               */
    double after, from;
    long long since;
    int limit, alarms;
} mscope_question;

/* mscope_question_read - value gives the argument of a name, or NULL where there is none
 *
 * Returns  0; -1: an argument that must be a number is none, or one of 9e15 or more                            */
MSCOPE_MUST_CHECK int mscope_question_read(mscope_question *q, const char *(*value)(void *context, const char *name),
                                           void *context);

#endif
