/* client.h - attach a training loop to the daemon, or listen to it
 *
 * The trainer's side never blocks, never fails the trainer and never touches its numbers: when the daemon is
 * absent, stopped or slow, steps are dropped and counted, and the daemon's shadow is healed later from the
 * trainer's own rows (SYNC). protocol/README.md has the messages.                                       */
#ifndef MSCOPE_CLIENT_H
#define MSCOPE_CLIENT_H

#include "core.h"
#include "wire.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mscope_client mscope_client;         /* one connection, any number of tables */
typedef struct mscope_subscriber mscope_subscriber;

/* How gradients travel. Everything else always goes through ZeroMQ. */
enum mscope_transport {
    MSCOPE_TRANSPORT_AUTO = 0,      /* $MOMENTSCOPE_TRANSPORT (auto, zmq, shm), else: shared memory when the daemon offers it, and
                                * ZeroMQ where it does not or the ring is full                        */
    MSCOPE_TRANSPORT_ZMQ = 1,       /* never shared memory                                                 */
    MSCOPE_TRANSPORT_SHM = 2        /* nothing else: steps wait in the ring for such a daemon, then are dropped and counted; why
                                * there is none (another user's daemon, ..) is in last_error, and one line on stderr */
};

typedef struct mscope_client_options {
    const char *endpoint;      /* NULL: $MOMENTSCOPE_INGEST, else the daemon's default ipc endpoint    */
    const char *name;          /* who this is, for logs; NULL: program name and pid                   */
    uint64_t buffer_bytes;     /* most bytes held unacknowledged, 4096 or more; 0: 64 MiB             */
    uint64_t sync_bytes;       /* most bytes of healing sent per push; 0: 1 MiB                       */
    int block_ms;              /* 0: never wait, drop instead; > 0: wait at most this long for room   */
    int quiet;                 /* 0: the first error of each kind, and no answer for 10 s, is one line on stderr */
    enum mscope_transport transport;
} mscope_client_options;

/* What a table is, and where its rows live. theta and m, or read, let the client heal the shadow by itself; they
 * are used only inside push, poll and flush, for rows as of the last pushed step. */
typedef struct mscope_attach_info {
    const char *table;         /* letters, digits, _ . -; at most 63                                  */
    uint32_t rows, dim, capacity;
    enum mscope_state state;
    enum mscope_form form;
    int nesterov, nll;
    uint32_t acf_rows;
    uint64_t step;             /* completed steps at attach, at most 2^53 - 1                         */
    const char *reference;     /* what theta* is; NULL or "": none will be sent                       */
    const void *theta, *m;     /* rows x dim, element types of state; NULL: cannot heal               */
    /* Called before theta and m of rows first..first+n-1 are read (a lazy trainer settles them); may be NULL. Settling
     * earlier than without a daemon rounds float rows once more: weights that must not differ by a bit need read. */
    void (*settle)(void *ctx, uint32_t first, uint32_t n);
    void *settle_ctx;
    /* Instead of theta and m, for trainers without such arrays: copy rows first..first+n-1 into theta[n][dim] and
     * m[n][dim], element types of state. Returns 0, or a negative value: not now (asked again at a later push). */
    int (*read)(void *ctx, uint32_t first, uint32_t n, void *theta, void *m);
    void *read_ctx;
    int fresh;                 /* theta and m are zero (or theta is irrelevant and m is zero): no SYNC needed */
    int narrow;                /* the trainer keeps its rows in a narrower type than state (half, bfloat16): the daemon
                                * never calls the shadow exact; stats.exact says only that it was sent whole  */
} mscope_attach_info;

typedef struct mscope_client_stats {
    uint64_t steps_sent, steps_dropped, messages_resent, messages_unacked, bytes_unacked, syncs, errors, reconnects;
    uint64_t epoch;            /* of the daemon, 0 before the first WELCOME                           */
    uint64_t steps_shm;       /* of steps_sent: put into shared memory                               */
    int connected, exact;      /* all tables welcomed; all shadows exact                              */
    int shm;                  /* the daemon has the ring mapped                                      */
    mscope_refusal last_error; /* code 0: none                                                        */
} mscope_client_stats;

/* mscope_client_fault - why the last call of this thread that returned EINVAL, EINDEX, EBUSY, ENOTSUP, EIO or ENOMEM
 * was refused: field, value and range; open, subscribe and every call below fill it. Threads: each its own */
MSCOPE_API void mscope_client_fault(mscope_refusal *out);

/* mscope_client_open - start connecting in the background; succeeds with the daemon absent
 * Errors   MSCOPE_EINVAL endpoint or option;  MSCOPE_EIO no ZeroMQ context;  Threads: one client, one thread */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_open(mscope_client **out, const mscope_client_options *opt);

/* mscope_client_attach - declare a table; returns its handle (>= 0)
 * Owns     theta, m stay the trainer's and must outlive the client or its detach                     */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_attach(mscope_client *c, const mscope_attach_info *info);

/* mscope_client_push - one finished step of one table: rows[n] and their gradients, copied before return
 *
 * Call it after the optimizer has moved the weights of that step, so that theta and m read for healing are those
 * at the end of it. value_type: how grads is stored. counts: as in mscope_table_apply, or NULL. Every call is one step of
 * the table's clock, whatever it returns: a refused or dropped one is a step whose gradients the daemon never sees.
 * Returns  0 sent or buffered; 1 dropped (counted);  Errors  MSCOPE_EINVAL handle (no step counted), n, value_type,
 *          step fields, counts;  MSCOPE_EINDEX a row
 * Cost     one copy of the gradients; no system call that waits                                      */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_push(mscope_client *c, int table, const mscope_step *step,
                                                    const uint32_t *rows, const void *grads,
                                                    enum mscope_value value_type, const uint32_t *counts, size_t n);
/* As push, with 64-bit indices (PyTorch's int64), range-checked here. */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_push64(mscope_client *c, int table, const mscope_step *step,
                                                      const int64_t *rows, const void *grads,
                                                      enum mscope_value value_type, const uint32_t *counts, size_t n);
/* A dense gradient [rows][dim]: rows with mask[i] != 0 were active (mask NULL: all). */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_push_dense(mscope_client *c, int table, const mscope_step *step,
                                                          const void *grads, enum mscope_value value_type,
                                                          const uint8_t *mask);

/* mscope_client_push_lookups - a dense gradient of which the rows that were looked up are active
 *
 * As push of each distinct row, ascending, with its gradient out of grads and how often it is in lookups as its count.
 * Shape    lookups[n], any order, with repeats; grads[rows][dim], all of it, read at those rows only
 * Returns  as push;  Errors  as push, and MSCOPE_EINVAL lookups, n
 * Cost     as push, and rows/8 bytes cleared and read; memory of 33 bits a row from the first such call      */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_push_lookups(mscope_client *c, int table, const mscope_step *step,
                                                            const int64_t *lookups, size_t n, const void *grads,
                                                            enum mscope_value value_type);

/* mscope_client_reserve, _commit, _abandon - a step whose entries the trainer writes where the daemon will read them
 *
 * reserve hands out room for n rows, their values of value_type [n][dim] and, if asked for, counts: in the ring of the
 * shared memory, or in memory to be sent where there is none. Fill it, then commit it as one finished step, or
 * abandon it, which is no step. One slot at a time; other pushes meanwhile go through ZeroMQ. Not to be touched any
 * more after commit: the daemon reads it when it comes to it.
 * Owns     the slot is the client's and valid until commit, abandon or close
 * Returns  reserve 0, 1 no room now (no step; push or skip instead); commit as push
 * Errors   reserve MSCOPE_EINVAL handle, n, value_type, out;  MSCOPE_ESTATE a slot is out already, or none to commit
 * Cost     no copy at all through shared memory                                                           */
typedef struct mscope_slot {
    uint32_t *rows;
    void *values;              /* 64-byte aligned in shared memory, 8 otherwise                            */
    uint32_t *counts;          /* NULL unless asked for                                               */
    size_t n;
} mscope_slot;
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_reserve(mscope_client *c, int table, size_t n,
                                                       enum mscope_value value_type, int counts, mscope_slot *out);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_commit(mscope_client *c, const mscope_step *step);
MSCOPE_API void mscope_client_abandon(mscope_client *c);

/* mscope_client_skip - a step whose gradients the caller does not have: counted as dropped, healed by SYNC */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_skip(mscope_client *c, int table);

/* mscope_client_probe - curvature products hm[n][dim] on the batch of the step that will be pushed next
 * hm = (g(theta + delta m) - g(theta))/delta. Returns as push.                                       */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_probe(mscope_client *c, int table, double delta, const int64_t *rows,
                                                     const void *hm, enum mscope_value value_type, size_t n);

/* mscope_client_reference - theta* of rows first .. first+n-1; sent in order with the steps, at the present step */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_reference(mscope_client *c, int table, uint32_t first, uint32_t n,
                                                         const void *ref, enum mscope_value value_type);

/* mscope_client_forward - a message as another trainer sent it (STEP, PROBE, REFERENCE, SYNC), for replaying recordings
 *
 * The header's session, seq and table become this client's, everything else and the n parts behind it go out as they are;
 * contents are the daemon's to judge. A table that is fed this way is attached without theta, m or read, and not pushed to.
 * Shape    part[n], len[n], n <= 4; copied before return
 * Returns  0 sent or buffered; 1 no room, after waiting block_ms: not taken, ask again;  Errors  MSCOPE_EINVAL kind, n,
 *          handle;  MSCOPE_ENOMEM                                                                     */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_forward(mscope_client *c, int table, const mscope_header *header,
                                                       const uint8_t *const *part, const size_t *len, size_t n);

/* mscope_client_resync - send every row again: the trainer changed rows otherwise than by a step */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_resync(mscope_client *c, int table);

/* mscope_client_save - ask the daemon to write its state file now */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_save(mscope_client *c);

/* mscope_client_poll - take in answers, resend, reconnect; wait at most wait_ms for something to do. push does this
 * by itself without waiting; call it when steps are far apart.                                       */
MSCOPE_API int mscope_client_poll(mscope_client *c, int wait_ms);

/* mscope_client_flush - wait until everything is acknowledged and every shadow exact, at most wait_ms
 * Returns 0, or MSCOPE_EAGAIN when time ran out                                                      */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_flush(mscope_client *c, int wait_ms);

MSCOPE_API void mscope_client_stats_get(const mscope_client *c, mscope_client_stats *out);

/* mscope_client_close - BYE, wait at most wait_ms for it to leave, free everything */
MSCOPE_API void mscope_client_close(mscope_client *c, int wait_ms);

/* mscope_struct_size - sizeof of a struct that crosses into bindings of other languages, 0: not one of them
 * name: "mscope_client_options", "mscope_attach_info", "mscope_client_stats", "mscope_step", "mscope_refusal",
 *       "mscope_slot", "mscope_table_config". A binding that declares its own copy compares it once.  Threads any */
MSCOPE_API size_t mscope_struct_size(const char *name);

/* -- listening -------------------------------------------------------------------------------------- */

/* mscope_subscribe - listen to topics that begin with prefix (NULL or "": everything)
 * endpoint, replay: NULL for the defaults; with replay known, holes in a topic are filled before newer records are given.
 * Errors  MSCOPE_EINVAL, MSCOPE_EIO                                                                   */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_subscribe(mscope_subscriber **out, const char *endpoint, const char *replay,
                                                  const char *prefix);

typedef struct mscope_telemetry {
    char topic[MSCOPE_TOPIC_MAX];
    uint64_t seq;
    mscope_record record;
} mscope_telemetry;

/* mscope_subscriber_next - the next record, waiting at most wait_ms; repeats for other late joiners are filtered out
 * Returns 0;  MSCOPE_EAGAIN nothing came;  MSCOPE_EPROTO a malformed record (counted, skipped)        */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_subscriber_next(mscope_subscriber *s, mscope_telemetry *out, int wait_ms);

typedef struct mscope_subscriber_stats {
    uint64_t received, lost, replayed, malformed, repeats, epochs; /* received + lost = sent, first to last seen */
} mscope_subscriber_stats;
MSCOPE_API void mscope_subscriber_stats_get(const mscope_subscriber *s, mscope_subscriber_stats *out);
MSCOPE_API void mscope_subscriber_close(mscope_subscriber *s);

#ifdef __cplusplus
}
#endif
#endif
