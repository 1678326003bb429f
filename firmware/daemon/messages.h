/* messages.h - one message in, its answers out: session, sequence number, table, contents */
#ifndef MSCOPE_DAEMON_MESSAGES_H
#define MSCOPE_DAEMON_MESSAGES_H

#include "engine.h"

typedef struct mscope_reply {
    mscope_header header;
    uint8_t body[MSCOPE_HELLO_MAX];
    size_t body_len;                 /* 0: no body part                                          */
} mscope_reply;

typedef struct mscope_answer {
    unsigned n;
    mscope_reply at[2];              /* the ERROR about a consumed message is followed by its ACK */
} mscope_answer;

/* mscope_engine_message - judge and apply one multipart message
 *
 * Shape    parts[n]; n counts every part of the message, of which min(n, MSCOPE_MESSAGE_PARTS) are given
 *          out: none to two answers
 * Owns     nothing; parts are borrowed until return
 * Cost     O(bytes); no allocation but for a HELLO that creates a table                                       */
void mscope_engine_message(mscope_engine *e, const mscope_part *parts, size_t n, uint64_t now_ns,
                           mscope_answer *out);

/* mscope_engine_beat - an ACK that repeats the last one, for a trainer that says nothing: can it still be sent to? 0:
 *                      nobody asks, because session[i] is free or said BYE, or is known to be gone, or was heard within
 *                      the last quiet_ns
 * mscope_engine_gone - session[i] has closed its connection without BYE: its tables are not attached until it is heard
 *                      again, each with an alert                                                              */
int mscope_engine_beat(const mscope_engine *e, unsigned i, uint64_t now_ns, uint64_t quiet_ns, mscope_header *out);
void mscope_engine_gone(mscope_engine *e, unsigned i);

#endif
