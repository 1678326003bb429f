/* private.h - inside of the trainer's side: messages held until acknowledged, tables, one socket
 *
 *   attach.c  the public calls: open, attach, poll, flush, close
 *   push.c    the public calls that carry rows: build messages, count
 *   gather.c  their rows and values into a message
 *   check.c   what the calls are given, and refusals in words
 *   queue.c   messages in sequence order, held until acknowledged
 *   link.c    the socket: connect, HELLO, send within credit, take in answers
 *   shm.c    shared memory to a daemon on this machine
 *   heal.c    SYNC and REFERENCE from the trainer's own rows
 *
 * Everything runs on the caller's thread and returns without waiting, unless a function says wait_ms. */
#ifndef MSCOPE_CLIENT_PRIVATE_H
#define MSCOPE_CLIENT_PRIVATE_H

#include "mscope/client.h"

#include <sys/types.h>
#include <zmq.h>

#include "protocol/shm.h"

enum { MSCOPE_PARTS = 4 };

/* -- shm ------------------------------------------------------------------------------------------- */

enum { MSCOPE_SHM_DOWN, MSCOPE_SHM_ASKED, MSCOPE_SHM_UP };

/* Positions count bytes for ever; position p lies at p % len. */
typedef struct mscope_shm_ring {
    int mode, state, offered;            /* enum mscope_transport; above; WELCOME offers one: 1, not: -1, none yet: 0 */
    int memory, socket;                  /* the memfd and the connection it was handed over on, or -1  */
    uint8_t *at;
    uint64_t len, head, tail;            /* head: next free; tail: oldest in use                       */
    uint64_t id, retry_at;
    size_t fitted;                       /* tables the ring was made for                               */
    int told, tries;                     /* why there is none, on this connection; tries that failed   */
} mscope_shm_ring;

void mscope_shm_init(mscope_shm_ring *l, int mode);
void mscope_shm_fini(mscope_shm_ring *l);
/* mscope_shm_reserve - one piece of the ring; 0, or 1: no room now. release: of the oldest or the newest piece */
MSCOPE_MUST_CHECK int mscope_shm_reserve(mscope_shm_ring *l, uint64_t bytes, uint64_t *begin, uint64_t *end);
void mscope_shm_release(mscope_shm_ring *l, uint64_t begin, uint64_t end);
/* mscope_shm_room - would a piece of so many bytes fit now, or never? */
int mscope_shm_room(const mscope_shm_ring *l, uint64_t bytes);
/* mscope_shm_down - the daemon no longer has the ring, or never had it; ask again from retry_at (ns) */
void mscope_shm_down(mscope_shm_ring *l, uint64_t retry_at);

/* -- queue ------------------------------------------------------------------------------------------ */

typedef struct mscope_message {
    uint64_t seq, step;
    uint64_t wire;                       /* bytes on the wire                                          */
    uint32_t table;
    uint8_t kind, parts;
    uint8_t header[MSCOPE_HEADER_LEN];
    zmq_msg_t part[MSCOPE_PARTS];        /* bodies, shared with the socket by reference count; or, ..  */
    mscope_shm_ring *shm;                   /* .. not NULL: in this ring, between begin and end           */
    uint64_t begin, end, used;           /* used: position behind the last body                        */
    mscope_shm_extent body[MSCOPE_PARTS];
} mscope_message;

/* Frame i of the queue has sequence number head->seq + i; the first `sent` are on the wire, unacknowledged. */
typedef struct mscope_queue {
    mscope_message **ring;
    size_t cap, head, len, sent;         /* cap is a power of two or 0                                 */
    uint64_t bytes, wire, sent_bytes;    /* memory held, wire bytes of all and of the sent ones        */
    uint64_t next_seq;                   /* of the next message pushed                                   */
} mscope_queue;

/* mscope_message_new - a message of a kind without bodies, or NULL; mscope_message_body adds one of len bytes
 * Returns body: where to write the bytes, or NULL without memory                                      */
mscope_message *mscope_message_new(uint8_t kind);
/* mscope_message_in_shm - put the bodies, so many bytes with each rounded up to MSCOPE_SHM_ALIGN, into the ring; 0, or
 * 1: no room there and *f as it was */
MSCOPE_MUST_CHECK int mscope_message_in_shm(mscope_message *f, mscope_shm_ring *l, uint64_t bytes);
void *mscope_message_body(mscope_message *f, size_t len);
int mscope_message_share(mscope_message *f, zmq_msg_t *body);     /* one more body, by reference            */
void mscope_message_free(mscope_message *f);
uint64_t mscope_message_held(const mscope_message *f);             /* bytes of memory                       */

/* mscope_queue_push - number the message, encode its header and take it over; ENOMEM leaves it the caller's */
MSCOPE_MUST_CHECK int mscope_queue_push(mscope_queue *q, mscope_message *f, mscope_header *h);
mscope_message *mscope_queue_at(const mscope_queue *q, size_t i);
mscope_message *mscope_queue_find(const mscope_queue *q, uint64_t seq);
void mscope_queue_sent(mscope_queue *q);                       /* the next unsent message has been sent   */
void mscope_queue_done(mscope_queue *q, uint64_t seq);         /* free every message up to seq            */
void mscope_queue_rewind(mscope_queue *q);                     /* nothing counts as sent any more       */
void mscope_queue_fini(mscope_queue *q);

/* -- tables and client ------------------------------------------------------------------------------ */

typedef struct mscope_refchunk {         /* a reference, kept so that a new daemon can have it too      */
    uint32_t first, n;
    uint8_t value_type;
    zmq_msg_t values;
} mscope_refchunk;

typedef struct mscope_ctable {
    mscope_attach_info info;             /* strings point to the copies below                          */
    char name[MSCOPE_NAME_MAX + 1], reference[MSCOPE_TEXT_MAX + 1];
    uint64_t step;                       /* steps the trainer has done                                 */
    uint64_t queued;                     /* number of the last STEP handed to the queue                */
    mscope_step last;                    /* schedule of the last step                                  */
    /* conversation */
    int welcomed, refused, hello_sent;
    uint64_t hello_seq, hello_step, hello_at, hello_wait;      /* ns                                   */
    /* healing */
    int syncing, inexact;                /* a SYNC is under way; the daemon says it is not exact       */
    uint32_t sync_row;
    uint64_t sync_last;                  /* sequence number of the last SYNC's last chunk              */
    uint64_t sync_after, sync_wait;      /* ns: not before; how long after the next refusal            */
    mscope_refchunk *refs;
    size_t nrefs, ref_next;              /* chunks, and the first that the daemon has not been sent    */
    uint64_t *marks;                     /* a bit for each row looked up in the step being pushed; NULL: no such push yet */
    uint32_t *tally;                     /* how often, where the bit is set                            */
} mscope_ctable;

typedef struct mscope_endpoint {
    const char *field;                   /* what named the address: an argument or a variable          */
    char address[256];
} mscope_endpoint;

struct mscope_client {
    char name[MSCOPE_TEXT_MAX + 1];
    uint64_t session, buffer_bytes, sync_bytes;
    int block_ms, quiet;
    pid_t pid;                           /* a forked child must not touch the socket                   */
    mscope_endpoint endpoint;
    uint64_t looked_at;                  /* ns: answers were last looked for                           */
    uint64_t opened_at;                  /* ns; 0: welcomed once, or told that nobody is there         */
    void *ctx, *sock, *mon;
    int up, established, connections;    /* handshake done; every table welcomed or refused            */
    uint64_t credit_messages, credit_bytes;
    uint64_t resent_below;               /* sequence numbers below were sent before                    */
    mscope_queue queue;
    mscope_shm_ring shm;
    mscope_message *slot;                  /* handed out by mscope_client_reserve, not yet committed     */
    mscope_slot slot_is;
    int slot_table;
    unsigned slot_type;
    mscope_ctable *table;
    size_t tables;
    char warned[8][32];                  /* fields already told on stderr                              */
    unsigned nwarned;
    mscope_client_stats stats;
};

uint64_t mscope_now_ns(void);

/* -- the entries of a step -------------------------------------------------------------------------- */

typedef struct mscope_gradient {         /* what the forms of push have in common                      */
    const uint32_t *rows32;
    const int64_t *rows64;
    const uint8_t *mask;
    const void *values;
    unsigned value_type;
    const uint32_t *counts;
    int tallied;                         /* rows and counts are the table's tally, values its whole gradient */
    size_t n;
} mscope_gradient;

MSCOPE_MUST_CHECK int mscope_fill_rows(uint32_t *out, const mscope_gradient *g, const mscope_ctable *t);
/* rows: as mscope_fill_rows has filled them in */
void mscope_fill_values(char *out, const uint32_t *rows, const mscope_gradient *g, const mscope_ctable *t);
void mscope_fill_counts(uint32_t *out, const mscope_gradient *g, const mscope_ctable *t);
/* mscope_tally - mark and count the rows looked up; EINDEX a row, ENOMEM */
MSCOPE_MUST_CHECK int mscope_tally(mscope_ctable *t, const int64_t *lookups, size_t n, size_t *distinct);
void mscope_tally_forget(mscope_ctable *t);

/* -- checks: 0, or a code with field, value and range kept for mscope_client_fault ----------------------- */

enum { MSCOPE_BUFFER_MIN = 4096 };

mscope_refusal *mscope_why(void);                            /* of this thread, to be filled           */
int mscope_why_memory(const char *what);
int mscope_why_row(const mscope_ctable *t, int64_t row);
MSCOPE_MUST_CHECK int mscope_check_client(const mscope_client *c);
MSCOPE_MUST_CHECK int mscope_check_table(const mscope_client *c, int table);
MSCOPE_MUST_CHECK int mscope_check_options(const mscope_client_options *o);
MSCOPE_MUST_CHECK int mscope_check_info(const mscope_client *c, const mscope_attach_info *in);
MSCOPE_MUST_CHECK int mscope_check_step(const mscope_ctable *t, const mscope_step *s);
MSCOPE_MUST_CHECK int mscope_check_values(const mscope_ctable *t, unsigned value_type);
MSCOPE_MUST_CHECK int mscope_check_gradient(const mscope_ctable *t, const void *values, unsigned value_type,
                                            const uint32_t *counts, size_t n);
/* mscope_endpoint_choose - given, or the default of which ("ingest", "telemetry", "replay") when it is NULL */
MSCOPE_MUST_CHECK int mscope_endpoint_choose(mscope_endpoint *e, const char *which, const char *given, const char *field);
MSCOPE_MUST_CHECK int mscope_endpoint_connect(const mscope_endpoint *e, void *socket);

/* mscope_link_open, _close - the socket; open connects in the background */
MSCOPE_MUST_CHECK int mscope_link_open(mscope_client *c);
void mscope_link_close(mscope_client *c);
/* mscope_shm_fit - make the ring, or a larger one for a larger table when nothing lies in it */
void mscope_shm_fit(mscope_client *c);
/* mscope_shm_choose - the mode given, or $MOMENTSCOPE_TRANSPORT ("auto", "zmq", "shm"), else auto */
MSCOPE_MUST_CHECK int mscope_shm_choose(int *mode, enum mscope_transport given, const char *endpoint);
/* mscope_shm_pump - offer the ring, take in the answer; never waits */
void mscope_shm_pump(mscope_client *c);
/* mscope_link_pump - take in answers, say HELLO, send what credit allows; never waits. take and send are its halves,
 * for a step: taken first, the answers empty the ring before the step is laid into it. take looks only when
 * that may matter: at the latest when a few messages are unanswered or a second has passed. */
void mscope_link_pump(mscope_client *c);
void mscope_link_take(mscope_client *c);
void mscope_link_send(mscope_client *c);
/* mscope_link_wait - sleep until something can be done, at most wait_ms */
void mscope_link_wait(mscope_client *c, int wait_ms);
/* mscope_link_note - keep an error in the stats, and tell the first of its field; who: "daemon refused" */
void mscope_link_note(mscope_client *c, const char *who, const mscope_refusal *why);

/* mscope_enqueue - push a message if buffer_bytes allows; 0, 1: no room (message freed) */
MSCOPE_MUST_CHECK int mscope_enqueue(mscope_client *c, mscope_message *f, mscope_header *h);

/* mscope_heal_start - the shadow of t needs every row again, from the first */
void mscope_heal_start(mscope_ctable *t);
void mscope_heal_forgive(mscope_ctable *t);          /* a refused SYNC need not be waited for any more   */
int mscope_heal_able(const mscope_ctable *t);
/* mscope_heal_some - queue references, and SYNC chunks of at most sync_bytes, when their step is the daemon's;
 * may_seek: a SYNC may name a step later than the daemon's, which declares those between lost */
void mscope_heal_some(mscope_client *c, uint32_t handle, int may_seek);
int mscope_heal_exact(const mscope_client *c, const mscope_ctable *t);
void mscope_heal_forget(mscope_ctable *t);
MSCOPE_MUST_CHECK int mscope_heal_keep(mscope_ctable *t, uint32_t first, uint32_t n, const void *ref,
                                       uint8_t value_type);

#endif
