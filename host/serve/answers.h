/* answers.h - the bodies of all answers that are made from what a hub knows
 *
 * Threads  take the lock of the hub                                                                            */
#ifndef MSCOPE_SERVE_ANSWERS_H
#define MSCOPE_SERVE_ANSWERS_H

#include "counselor.h"
#include "hub.h"
#include "question.h"

typedef struct mscope_answer_body {
    int status;                              /* of HTTP                                                         */
    const char *type;                        /* Content-Type, static                                            */
    char *bytes;                             /* to be freed                                                     */
    size_t len;
} mscope_answer_body;

/* mscope_answer_to - the answer to path, which is one of the API's
 *
 * Returns  1; 0: no such path;  -1: no memory                                                                   */
int mscope_answer_to(mscope_hub *h, mscope_counselor *c, const char *path, const mscope_question *q,
                     mscope_answer_body *out);

/* mscope_answer_state - the state of everything in brief, as /api/state and the stream of events give it */
void mscope_answer_state(FILE *to, mscope_hub *h);

#endif
