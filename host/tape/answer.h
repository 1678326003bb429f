/* answer.h - the answers of a daemon, from a recorder without one (private to host/tape)
 *
 * The rules of protocol/README.md, "Exactly once" and "Steps", as far as a trainer can see them: sequence numbers,
 * credit, and a request for rows while the tape does not hold them. judge.h judges contents.                       */
#ifndef MSCOPE_TAPE_ANSWER_H
#define MSCOPE_TAPE_ANSWER_H

#include "relay_tape.h"

typedef struct mscope_reply_message {
    uint8_t header[MSCOPE_HEADER_LEN], body[MSCOPE_HELLO_MAX];
    size_t len;                      /* of body; 0: none                                           */
} mscope_reply_message;

typedef struct mscope_answerer {
    uint64_t epoch;                  /* of this recorder, drawn at start                           */
} mscope_answerer;

void mscope_answerer_init(mscope_answerer *a);

/* mscope_answer - the answer to a message that the tape has just taken; 1: send *out, 0: no answer */
int mscope_answer(const mscope_answerer *a, const mscope_relay_tape *t, const mscope_header *h,
                  mscope_reply_message *out);

/* mscope_answer_refused - ERROR about a message whose contents were refused; its ACK follows (mscope_answer) */
void mscope_answer_refused(const mscope_header *h, const mscope_refusal *why, mscope_reply_message *out);

/* mscope_answer_stray - the answer to a message whose header cannot be read, for the reason in why; 1: send *out */
int mscope_answer_stray(const mscope_refusal *why, mscope_reply_message *out);

/* mscope_answer_unknown - ERROR of an unknown session: the trainer says HELLO again */
void mscope_answer_unknown(uint64_t session, mscope_reply_message *out);

/* mscope_answer_amend - change a daemon's WELCOME: ask for rows that the daemon has and the tape has not, and offer no
 * shared memory */
void mscope_answer_amend(const mscope_relay_tape *t, const mscope_header *h, zmq_msg_t *body);

#endif
