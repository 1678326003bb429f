/* relay_tape.h - which of the messages that pass are put on the tape (private to host/record)
 *
 * Each message once: a session's messages are numbered, and what was resent has been seen. HELLO is kept the first time
 * a table is named, SAVE never. */
#ifndef MSCOPE_RECORD_RELAY_TAPE_H
#define MSCOPE_RECORD_RELAY_TAPE_H

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
    uint64_t hole_session, hole_first, hole_last;    /* lost, and not yet noted on the tape; first 0: none */
    const char *limit;               /* why no more is recorded                                    */
    int failed;                      /* the disk took no more: what follows is counted as lost     */
} mscope_relay_tape;

MSCOPE_MUST_CHECK int mscope_relay_tape_open(mscope_relay_tape *t, const mscope_relay_config *cfg, mscope_refusal *why);
/* mscope_relay_tape_take - a message of a trainer, header checked; parts stay the caller's */
void mscope_relay_tape_take(mscope_relay_tape *t, const mscope_header *h, zmq_msg_t *part, unsigned n);
mscope_taped_session *mscope_relay_tape_session(const mscope_relay_tape *t, uint64_t id);
int mscope_relay_tape_room(const mscope_relay_tape *t);
const char *mscope_relay_tape_limit(const mscope_relay_tape *t);       /* static text, or NULL */
int mscope_relay_tape_failed(const mscope_relay_tape *t);
void mscope_relay_tape_close(mscope_relay_tape *t);                    /* no more is recorded  */
/* mscope_relay_tape_finish - close, and tell what there is; 1: the file could not be written to its end */
int mscope_relay_tape_finish(mscope_relay_tape *t, mscope_relay_result *out);

int mscope_relay_refuse(mscope_refusal *why, int code, const char *field, const char *range, const char *text,
                        const char *value);

#endif
