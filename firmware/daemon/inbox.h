/* inbox.h - trainers' messages off the ROUTER, through the engine, and their answers back
 *
 * ACKs are cumulative, so while more messages wait, only the last ACK of each table is sent. Every other answer
 * goes out at once, behind the ACKs held until then. One thread. */
#ifndef MSCOPE_DAEMON_INBOX_H
#define MSCOPE_DAEMON_INBOX_H

#include "messages.h"

enum { MSCOPE_INBOX_HELD = 8 };

typedef struct mscope_peer {
    uint8_t id[256];                 /* ZeroMQ's routing id of the connection                     */
    size_t len;
} mscope_peer;

typedef struct mscope_inbox {
    mscope_engine *engine;
    void *router;
    struct {
        mscope_peer to;
        mscope_header ack;
    } held[MSCOPE_INBOX_HELD];       /* ACKs not sent yet, oldest first                           */
    unsigned holds;
    struct {
        uint64_t session;            /* the connection is of the engine's session at this place   */
        mscope_peer at;
    } peer[MSCOPE_SESSIONS];
    uint64_t looked_ns;
    uint64_t held_messages, held_bytes, held_ns;   /* what the held ACKs stand for, and since when  */
} mscope_inbox;

void mscope_inbox_init(mscope_inbox *in, mscope_engine *engine, void *router);

/* mscope_inbox_one - take one message that has arrived; 0: there is none
 * mscope_inbox_release - send the ACKs that are held; to be called before waiting                               */
int mscope_inbox_one(mscope_inbox *in, uint64_t now_ns);
void mscope_inbox_release(mscope_inbox *in);

/* mscope_inbox_look - once a second: are trainers that have said nothing for 2 s still connected?
 *
 * A session of a state file that was not heard of since is gone after the takeover time.
 * Cost     a look at each session, one small message to each silent one                                         */
void mscope_inbox_look(mscope_inbox *in, uint64_t now_ns);

#endif
