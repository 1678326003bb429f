/* queue.h - messages in sequence order, held until the daemon has acknowledged them */
#ifndef MSCOPE_CLIENT_QUEUE_H
#define MSCOPE_CLIENT_QUEUE_H

#include <zmq.h>

#include "mscope/wire.h"
#include "protocol/shm.h"
#include "shm_ring.h"

enum { MSCOPE_BODIES = MSCOPE_SHM_PARTS };    /* most parts behind a header */

typedef struct mscope_message {
    uint64_t seq, step;
    uint64_t wire;                       /* bytes of header and bodies                                 */
    uint32_t table;
    uint8_t kind, parts;                 /* parts: number of bodies                                    */
    uint8_t header[MSCOPE_HEADER_LEN];
    mscope_shm_ring *ring;               /* NULL: the bodies are in part[]; else: in this ring         */
    zmq_msg_t part[MSCOPE_BODIES];       /* shared with the socket by reference count                  */
    uint64_t begin, end, used;           /* ring: its piece, and the position behind the last body     */
    mscope_shm_extent body[MSCOPE_BODIES];
} mscope_message;

enum { MSCOPE_MESSAGE_BYTES = sizeof(mscope_message) + MSCOPE_HEADER_LEN };      /* held for one without bodies */

/* Message i of the queue has sequence number next_seq - len + i; the first `sent` are on the wire, unacknowledged. */
typedef struct mscope_queue {
    uint64_t session, limit;             /* of every header; most bytes that mscope_queue_offer fills  */
    mscope_message **ring;
    size_t cap, head, len, sent;         /* cap is a power of two or 0                                 */
    uint64_t bytes, wire, sent_bytes;    /* memory held; bytes on the wire of all and of the sent ones */
    uint64_t next_seq;                   /* of the next message pushed                                 */
} mscope_queue;

/* mscope_message_new - a message of a kind without bodies, or NULL without memory */
mscope_message *mscope_message_new(uint8_t kind);
/* mscope_message_in_ring - let the bodies to come lie in the ring
 *
 * bytes: of all bodies, each rounded up to MSCOPE_SHM_ALIGN
 * Returns  0, or 1: no room there, the message as it was */
MSCOPE_MUST_CHECK int mscope_message_in_ring(mscope_message *f, mscope_shm_ring *r, uint64_t bytes);
/* mscope_message_body - one more body of len bytes; returns where to write them, or NULL without memory or room */
void *mscope_message_body(mscope_message *f, size_t len);
/* mscope_message_share - one more body, by reference; 0 or MSCOPE_ENOMEM */
MSCOPE_MUST_CHECK int mscope_message_share(mscope_message *f, zmq_msg_t *body);
void mscope_message_free(mscope_message *f);                      /* NULL is fine                        */
uint64_t mscope_message_held(const mscope_message *f);            /* bytes of memory                     */

/* mscope_queue_push - number the message, encode its header and take it over; limit is not looked at
 * Errors   MSCOPE_ENOMEM the message stays the caller's */
MSCOPE_MUST_CHECK int mscope_queue_push(mscope_queue *q, mscope_message *f, mscope_header *h);
/* mscope_queue_offer - push if limit allows. Returns 0, or 1: no room, and the message is freed */
MSCOPE_MUST_CHECK int mscope_queue_offer(mscope_queue *q, mscope_message *f, mscope_header *h);
/* mscope_queue_half - most bytes of bodies of a message that is no step: half of the buffer is left to steps */
uint64_t mscope_queue_half(const mscope_queue *q);
mscope_message *mscope_queue_at(const mscope_queue *q, size_t i);
mscope_message *mscope_queue_find(const mscope_queue *q, uint64_t seq);      /* NULL: not held        */
void mscope_queue_sent(mscope_queue *q);                          /* the next unsent message was sent    */
void mscope_queue_done(mscope_queue *q, uint64_t seq);            /* free every message up to seq        */
void mscope_queue_rewind(mscope_queue *q);                        /* from now on none counts as sent     */
void mscope_queue_fini(mscope_queue *q);

#endif
