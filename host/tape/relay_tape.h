/* relay_tape.h - which of the messages that pass are put on the tape (private to host/tape)
 *
 * Each message is recorded once: the messages of a session are numbered, so a message sent again is recognised. The
 * first HELLO of a table is recorded, SAVE never is.                                                          */
#ifndef MSCOPE_TAPE_RELAY_TAPE_H
#define MSCOPE_TAPE_RELAY_TAPE_H

#include "relay.h"

typedef struct mscope_taped_session {
    uint64_t id, next;               /* first sequence number not seen                             */
} mscope_taped_session;

typedef struct mscope_relay_tape {
    const mscope_relay_config *cfg;
    mscope_tape_writer *writer;      /* NULL: closed                                               */
    mscope_contents seen, kept;      /* all tables, for answers; those on the tape                 */
    mscope_taped_session *session;
    size_t sessions;
    uint64_t lost, duplicates;
    mscope_tape_sum sum;             /* once closed                                                */
    uint64_t hole_session, hole_first, hole_last;    /* lost, not yet on the tape; first 0: none */
    const char *limit;               /* why no more is recorded                                    */
    int failed;                      /* writing failed: all further messages count as lost         */
} mscope_relay_tape;

MSCOPE_MUST_CHECK int mscope_relay_tape_open(mscope_relay_tape *t, const mscope_relay_config *cfg, mscope_refusal *why);
/* mscope_relay_tape_take - a message of a trainer, header checked; parts stay the caller's
 *
 * Returns  0, or the code of a refusal, with *why: a daemon would refuse what the message holds (judge.h). Then it is
 *          not on the tape, and counts as lost                                                               */
int mscope_relay_tape_take(mscope_relay_tape *t, const mscope_header *h, zmq_msg_t *part, unsigned n,
                           mscope_refusal *why);
mscope_taped_session *mscope_relay_tape_session(const mscope_relay_tape *t, uint64_t id);
int mscope_relay_tape_room(const mscope_relay_tape *t);
const char *mscope_relay_tape_limit(const mscope_relay_tape *t);       /* static text, or NULL */
int mscope_relay_tape_failed(const mscope_relay_tape *t);
void mscope_relay_tape_close(mscope_relay_tape *t);                    /* no more is recorded  */
/* mscope_relay_tape_finish - close, and fill out; 1: the file could not be written to its end */
int mscope_relay_tape_finish(mscope_relay_tape *t, mscope_relay_result *out);

int mscope_relay_refuse(mscope_refusal *why, int code, const char *field, const char *range, const char *text,
                        const char *value);

#endif
