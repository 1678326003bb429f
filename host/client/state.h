/* state.h - what a client consists of: its options, its tables, one connection, the messages held
 *
 * Private to the client; who uses it reads it, and changes only what its own header names. One thread at a time. */
#ifndef MSCOPE_CLIENT_STATE_H
#define MSCOPE_CLIENT_STATE_H

#include "mscope/client.h"

#include <sys/types.h>

#include "protocol/meet/guard.h"
#include "queue.h"
#include "shm.h"

typedef struct mscope_reference_chunk {  /* kept, because a daemon that restarts has lost it           */
    uint32_t first, n;
    uint8_t kind, value_type;            /* MSCOPE_REFERENCE, or MSCOPE_LABELS without a type      */
    zmq_msg_t values;
} mscope_reference_chunk;

typedef struct mscope_client_table {
    mscope_attach_info info;             /* its strings are NULL; their copies follow              */
    char name[MSCOPE_NAME_MAX + 1], reference[MSCOPE_TEXT_MAX + 1], optimizer[64];
    uint64_t step;                       /* steps that the trainer has done                            */
    uint64_t queued;                     /* number of the last STEP handed to the queue                */
    /* HELLO and its answers (dialog.c) */
    int welcomed, refused, hello_sent;
    int asking;                          /* a refusal that may pass was told, and its end was not      */
    uint64_t hello_seq, hello_step, hello_at, hello_wait;      /* hello_at: ns, not again before; hello_wait: ns */
    uint64_t refused_wait;               /* ns, since the last refusal; 0: none                        */
    /* healing (heal.c) */
    int syncing, inexact;                /* rows of a SYNC are still to be queued; the daemon's copy is not exact */
    uint32_t sync_row;                   /* next row of that SYNC                                      */
    uint64_t sync_last;                  /* sequence number of the last chunk of the last whole SYNC   */
    uint64_t sync_after, sync_wait;      /* ns: no SYNC before; how long after the next refusal        */
    mscope_reference_chunk *refs;
    size_t nrefs, ref_next;              /* chunks, and the first that this daemon has not been sent   */
    /* look-ups of the step being pushed (gather.c); NULL: there was no such push yet */
    uint64_t *marks;                     /* one bit a row                                              */
    uint32_t *tally;                     /* how often, where the bit is set                            */
    struct mscope_reading *reading;      /* forms READ, FROZEN: the step being read (reading.c); NULL: none yet */
} mscope_client_table;

typedef struct mscope_endpoint {
    const char *field;                   /* what named the address: an argument or a variable          */
    char address[256];
} mscope_endpoint;

struct mscope_client {
    mscope_client *next;                 /* the next open client of this process (fork.c)              */
    char name[MSCOPE_TEXT_MAX + 1];
    uint64_t sync_bytes;                 /* most bytes of healing at a time                            */
    int sync_timed;                      /* with a push also no more than a short time allows          */
    double sync_pace;                    /* ns that a byte of the trainer's rows took lately; 0: unknown */
    uint64_t healed_at;                  /* ns: last healing with a push                               */
    int block_ms, quiet;
    pid_t pid;                           /* a forked child must not touch the socket                   */
    mscope_endpoint endpoint;
    uint64_t looked_at;                  /* ns: last look for answers                                  */
    uint64_t opened_at;                  /* ns; 0: a daemon has answered, or its absence was reported  */
    void *ctx, *sock;
    mscope_guard guard;                  /* watches sock                                               */
    int up, connections;                 /* the connection's handshake is done; how many there were    */
    int established;                     /* every table is welcomed or refused                         */
    uint64_t hello_until;                /* ns: no HELLO from then on; 0: no such time                 */
    uint64_t credit_messages, credit_bytes;
    int more_to_send;                    /* the queue was sent in part, for the time it takes          */
    uint64_t resent_below;               /* messages below this sequence number were sent before       */
    mscope_queue queue;                  /* its limit is the option buffer_bytes                       */
    mscope_shm_link shm;
    mscope_message *slot;                /* handed out by mscope_client_reserve, not yet committed     */
    mscope_slot slot_is;
    int slot_table;
    unsigned slot_type;
    mscope_client_table *table;
    size_t tables;
    unsigned asked;                      /* tables whose waiting was told                              */
    char warned[8][32];                  /* fields already reported on stderr                          */
    unsigned nwarned;
    mscope_client_stats stats;
};

#endif
