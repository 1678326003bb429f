/* counselor.h - advice for the tables that somebody looks at, computed aside because it takes up to seconds
 *
 * Asking for a table starts the work; the answer is the last result, or that it is still being computed. The thread
 * rests 20 times as long as it worked, so it takes at most a twentieth of a core.                              */
#ifndef MSCOPE_SERVE_COUNSELOR_H
#define MSCOPE_SERVE_COUNSELOR_H

#include "hub.h"

typedef struct mscope_counselor mscope_counselor;

/* mscope_counselor_open - start the thread; h must outlive it.  Returns 0, MSCOPE_ENOMEM or MSCOPE_EIO */
MSCOPE_MUST_CHECK int mscope_counselor_open(mscope_counselor **out, mscope_hub *h);
void mscope_counselor_close(mscope_counselor *c);

/* mscope_counselor_give - one JSON object: the step it is of, sentences, and the object of counsel.h
 *
 * Threads  any, without the lock of the hub                                                                     */
void mscope_counselor_give(mscope_counselor *c, size_t source, const char *table, FILE *to);

/* mscope_counsel_json_now - the same for table i of a judged set, at once: for reports */
void mscope_counsel_json_now(const mscope_judged *j, size_t i, FILE *to);

#endif
