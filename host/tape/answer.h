/* answer.h - what a daemon would say, from a recorder without one (private to host/record)
 *
 * The rules of protocol/README.md, "Exactly once" and "Steps", as far as a trainer can tell: sequence numbers, credit,
 * and the call for rows while the tape does not hold them. Contents are not judged; the daemon does that when they are
 * played. */
#ifndef MSCOPE_RECORD_ANSWER_H
#define MSCOPE_RECORD_ANSWER_H

#include "relay_tape.h"

typedef struct mscope_reply_message {
    uint8_t header[MSCOPE_HEADER_LEN], body[MSCOPE_HELLO_MAX];
    size_t len;                      /* of body; 0: none                                           */
} mscope_reply_message;

typedef struct mscope_answerer {
    uint64_t epoch;                  /* of this recorder, drawn at start                           */
} mscope_answerer;

void mscope_answerer_init(mscope_answerer *a);

/* mscope_answer - to a message that the tape has just been shown; 1: send it */
int mscope_answer(const mscope_answerer *a, const mscope_relay_tape *t, const mscope_header *h,
                  mscope_reply_message *out);
/* mscope_answer_stray - to a message whose header cannot be read: why says so; 1: send it */
int mscope_answer_stray(const mscope_refusal *why, mscope_reply_message *out);
/* mscope_answer_unknown - ERROR, field session: say HELLO again */
void mscope_answer_unknown(uint64_t session, mscope_reply_message *out);

/* mscope_answer_amend - a daemon's WELCOME: ask for rows that the tape does not hold though the daemon does, and offer
 * no shared memory, which would pass us by */
void mscope_answer_amend(const mscope_relay_tape *t, const mscope_header *h, zmq_msg_t *body);

#endif
